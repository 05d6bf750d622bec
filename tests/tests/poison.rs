//! A row that the engine refuses for what it says: it is taken out of its block, and nothing else waits for it. The engine's own constraint
//! refuses here, as a table does that other hands changed.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use system_tests::ailing::{Centre, OF_IT};

const SOON: Duration = Duration::from_secs(60);

const LINES: usize = 90;

/// Lines of an address that the table does not want: each ninth.
const REFUSED: usize = 10;

fn letters(centre: &Centre) -> Vec<Value> {
    let told = centre
        .command(&["dead", "list", "--state", "open", "--format", "json"])
        .expect("letters are listed");
    serde_json::from_slice(&told.stdout).expect("a list")
}

/// Asked through the collector, which may just be starting.
fn rows(centre: &Centre) -> anyhow::Result<u64> {
    centre.machine.count(&format!("SELECT count() {OF_IT}"))
}

#[test]
fn a_row_that_the_engine_refuses_is_set_aside_and_holds_nothing_up() {
    let Some(mut centre) = Centre::up("", |_| Ok(())).expect("a centre") else { return };
    // Something is taken before: so the engine is known to take what is well.
    centre.write(1).expect("written");
    centre.settled(SOON).unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    centre
        .engine(
            "ALTER TABLE events ADD CONSTRAINT unwanted CHECK position(raw, '198.51.100.4 ') = 0",
        )
        .expect("altered");
    centre.write(LINES).expect("written");
    let wanted = (1 + LINES - REFUSED) as u64;
    let stored = centre.machine.until("the others", SOON, |_| rows(&centre), |n| *n >= wanted);
    stored.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    let found = centre.machine.until("letters", SOON, |_| Ok(letters(&centre)), |l| !l.is_empty());
    let found = found.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    assert!(found.iter().all(|letter| letter["reason"] == "refused"), "{found:?}");
    let said = found[0]["detail"].as_str().expect("a detail");
    assert!(said.contains("unwanted") && said.contains("of its"), "{said}");

    // Others come and go by; a collector that takes over finds nothing in doubt.
    centre.write(LINES / 4).expect("written");
    centre.kill_collector();
    centre.start_collector().expect("started");
    let more = (0..LINES / 4).filter(|n| (1 + LINES + n) % 9 != 4).count() as u64;
    let stored = centre.machine.until("more", SOON, |_| rows(&centre), |n| *n >= wanted + more);
    stored.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));

    let told = centre.machine.until(
        "more letters",
        SOON,
        |_| Ok(letters(&centre)),
        |letters| letters.len() > found.len(),
    );
    let told = told.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));

    // Put right, all letters are sent again, and each line is there once.
    centre.engine("ALTER TABLE events DROP CONSTRAINT unwanted").expect("altered");
    let sent: BTreeSet<String> = told
        .iter()
        .map(|letter| letter["origin"].as_str().expect("an origin").to_owned())
        .collect();
    for origin in &sent {
        let told = centre.command(&["dead", "replay", origin, "--yes"]).expect("sent");
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    }
    centre.each_once(SOON).unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    assert!(letters(&centre).is_empty());
    assert!(!centre.log().contains("panicked"), "{}", centre.log());
}
