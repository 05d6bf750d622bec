//! The simulated nation: each scripted trouble is found in time, names its agency, and nothing else fires.

use std::time::Duration;

use serde_json::Value;
use system_tests::machine::Machine;

/// Runs for minutes: only when asked for with `VONGGAC_NATION=1` (tests/run --suite nation).
#[test]
fn five_troubles_are_found_within_a_minute_and_nothing_else_fires() {
    if std::env::var_os("VONGGAC_NATION").is_none() {
        eprintln!(
            "SKIPPED: the nation plays for ten minutes; ask for it with tests/run --suite nation"
        );
        return;
    }
    let Some(machine) = Machine::up(&[], true).expect("the machine starts") else { return };
    let text = std::fs::read(machine.data().join("nation/timeline.json")).expect("the timeline");
    let troubles: Vec<Value> = serde_json::from_slice(&text).expect("JSON");
    for trouble in &troubles {
        let (rule, agency) = (
            trouble["rule"].as_str().expect("a rule"),
            trouble["agency"].as_str().expect("an agency"),
        );
        let begins: jiff::Timestamp =
            trouble["at"].as_str().expect("a time").parse().expect("RFC 3339");
        let wait =
            Duration::try_from(begins.duration_since(jiff::Timestamp::now())).unwrap_or_default();
        let rows = machine
            .until(
                rule,
                wait + Duration::from_secs(60),
                |m| m.rows(&["incidents", "--rule", rule]),
                |rows| {
                    rows.iter().any(|row| {
                        row["agencies"]
                            .as_array()
                            .is_some_and(|all| all.iter().any(|a| a == agency))
                    })
                },
            )
            .expect("found within a minute");
        let found: jiff::Timestamp =
            rows[0]["opened_at"].as_str().expect("a time").parse().expect("RFC 3339");
        eprintln!("{rule} at {agency}: {:.1} s", found.duration_since(begins).as_secs_f64());
    }
    let rows = machine.rows(&["incidents"]).expect("asked");
    let other: Vec<&Value> = rows
        .iter()
        .filter(|row| !troubles.iter().any(|trouble| trouble["rule"] == row["rule"]))
        .collect();
    assert!(other.is_empty() && rows.len() == troubles.len(), "{rows:#?}");
    assert!(rows.iter().all(|row| row["simulated"] == true));
}
