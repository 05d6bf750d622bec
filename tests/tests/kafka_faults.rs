//! Kafka is slow, frozen and killed; what the operator sees, and that each line is stored once when it is over. Moving leaders are the
//! collector's own tests against a mock cluster.
#![expect(clippy::panic, reason = "a story stops where its ground is missing")]

use std::{thread, time::Duration};

use system_tests::{ailing::Centre, machine::Part};

const SOON: Duration = Duration::from_secs(60);

const LINES: usize = 100;

fn kafka_is(centre: &Centre, state: impl Fn(&str) -> bool) {
    let seen = centre.machine.until(
        "Kafka's state",
        SOON,
        |_| centre.flow(),
        |flow| flow["kafka"].as_str().is_some_and(&state),
    );
    seen.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
}

#[test]
fn a_slow_frozen_and_killed_kafka_is_told_and_costs_no_line() {
    let Some(mut centre) = Centre::up("", |_| Ok(())).expect("a centre") else { return };
    centre.write(LINES).expect("written");
    centre.settled(SOON).unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    kafka_is(&centre, |state| state == "ok");

    // Slow: it stands still three quarters of the time.
    for _ in 0..8 {
        centre.machine.signal(Part::Kafka, "STOP").expect("frozen");
        centre.write(LINES / 4).expect("written");
        thread::sleep(Duration::from_millis(900));
        centre.machine.signal(Part::Kafka, "CONT").expect("thawed");
        thread::sleep(Duration::from_millis(300));
    }
    centre.settled(SOON).expect("all lines");
    centre.collector().expect("it goes on");

    // Frozen for as long as it takes to tell.
    centre.machine.signal(Part::Kafka, "STOP").expect("frozen");
    centre.write(LINES).expect("written");
    kafka_is(&centre, |state| state != "ok");
    let (names, words, exit) = centre.doctor().expect("the doctor answers");
    assert!(names.iter().any(|name| name == "kafka-away"), "{names:?}");
    assert!(
        !names.iter().any(|name| name.starts_with("engine-") || name == "not-serving"),
        "{names:?}"
    );
    assert!(words.contains("Kafka does not answer") && exit == Some(1), "{words}");
    centre.machine.signal(Part::Kafka, "CONT").expect("thawed");
    kafka_is(&centre, |state| state == "ok");
    centre.settled(SOON).expect("all lines");

    // Killed while lines come; the supervisor starts it again.
    centre.write(LINES).expect("written");
    centre.machine.signal(Part::Kafka, "KILL").expect("killed");
    centre.write(LINES).expect("written");
    centre.each_once(SOON * 2).expect("each once");
    centre.collector().expect("it goes on");
    assert!(!centre.log().contains("panicked"), "{}", centre.log());
}
