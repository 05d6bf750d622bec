//! How far the store is behind is told while it takes nothing, with whose events wait, and is over when it is over.
#![expect(
    clippy::panic,
    reason = "a story stops where its ground is missing, and tells how it went"
)]

use std::time::Duration;

use serde_json::Value;
use system_tests::{ailing::Centre, between::Fault};

const SOON: Duration = Duration::from_secs(40);

const LINES: usize = 60;

/// A figure of the metrics as soon as it is so.
fn becomes(centre: &Centre, begins: &str, is: impl Fn(f64) -> bool) -> f64 {
    let told = centre.machine.until(begins, SOON, |_| centre.metric(begins), |figure| is(*figure));
    told.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()))
}

#[test]
fn how_far_the_store_is_behind_is_told_while_it_takes_nothing() {
    let Some(mut centre) = Centre::up("", |_| Ok(())).expect("a centre") else { return };
    centre.write(LINES).expect("written");
    centre.settled(SOON).expect("stored");
    becomes(&centre, "vonggac_collector_event_to_incident_seconds_count", |count| count >= 1.0);
    becomes(&centre, "vonggac_collector_lag_unknown_partitions", |unknown| unknown == 0.0);
    becomes(&centre, "vonggac_collector_store_parts_max", |parts| parts >= 1.0);
    becomes(&centre, "vonggac_collector_open_sockets", |sockets| sockets >= 3.0);
    assert!(centre.metric("vonggac_collector_insert_rows_count").expect("blocks") >= 1.0);

    // An engine that says nothing at all does not make it look well.
    centre.between.set(Fault::Refuse);
    centre.write(LINES).expect("written");
    // Kafka's own words for whose it is: the head of the partition was read.
    let of_agency =
        "vonggac_collector_oldest_unstored_event_seconds{agency=\"H49\",place=\"kafka\"}";
    becomes(&centre, of_agency, |seconds| seconds > 6.0);
    let behind = |flow: &Value| {
        let above = |name: &str, least| flow[name].as_f64().is_some_and(|figure| figure > least);
        above("lag_seconds", 5.0) && above("lag_bytes", 100.0) && above("oldest_event_seconds", 5.0)
    };
    let told = centre.machine.until("a lag", SOON, |_| centre.flow(), behind);
    told.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));

    centre.between.set(Fault::None);
    centre.settled(SOON).expect("stored");
    becomes(&centre, of_agency, |seconds| seconds == 0.0);
    let well = centre.machine.until(
        "nothing behind",
        SOON,
        |_| centre.flow(),
        |flow| flow["lag_seconds"].as_f64() == Some(0.0),
    );
    well.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
}
