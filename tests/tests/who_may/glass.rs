//! A break-glass with two persons: asked for, confirmed, used, told to its agency, over.

use serde_json::Value;
use system_tests::machine::Machine;

use super::people::People;

const EXPORT: [&str; 5] = ["export", "--agency", "local", "--user", "root"];

pub(super) fn two_persons_open_an_agencys_rows_for_a_time(machine: &Machine, people: &People) {
    // Whoever has the machine exports alone, as its roles say.
    let rows = machine.rows(&EXPORT).expect("exported");
    assert_eq!(rows.len(), 40);
    for who in ["far", "national", "admin"] {
        let refused = people.ask(who, &EXPORT).expect_err("was let");
        assert!(refused.contains("break-glass request --agency local"), "{who}: {refused}");
    }
    let id = asked(people);
    for (who, word) in [
        ("far", "asked for it yourself"),
        ("far-observer", "not for the role observer"),
        ("asker", "does not let you confirm"),
        ("stranger", "has no role here"),
    ] {
        let refused = people.ask(who, &["break-glass", "confirm", &id]).expect_err("was let");
        assert!(refused.contains(word), "{who}: {refused}");
    }
    assert!(people.ask("far", &EXPORT).is_err(), "nobody confirmed it");
    // The agency's own operator is a second person, and names it by the beginning of its id.
    let told = people.ask("own", &["break-glass", "confirm", &id[..8]]).expect("confirmed");
    assert!(told.contains("Open until") && told.contains("local"), "{told}");
    let rows = people.rows("far", &EXPORT);
    assert!(rows.len() == 40 && rows.iter().all(|row| row["agency"] == "local"), "{rows:?}");
    // It is the requester's, of this agency, and for this.
    assert!(people.ask("national", &EXPORT).is_err());
    assert!(people.ask("far", &["export", "--agency", "tk-48"]).is_err());
    let sees = people.rows("far", &["events", "--user", "root"]);
    assert!(sees.is_empty(), "an export was opened, no search: {sees:?}");

    let of_glass = |rows: &[Value]| {
        rows.iter()
            .find(|row| row["rule"] == "break-glass" && row["entity"] == id.as_str())
            .cloned()
    };
    let rows = people.until("own", &["incidents"], |rows| of_glass(rows).is_some());
    let incident = of_glass(&rows).expect("told");
    let title = incident["title"].as_str().expect("a title");
    for word in ["far", "own", "traces of one attacker", "taking its rows away"] {
        assert!(title.contains(word), "{word}: {title}");
    }
    assert_eq!((&incident["agency"], &incident["state"]), (&"local".into(), &"new".into()));
    assert!(people.rows("far", &["incidents"]).is_empty(), "it is the agency's to know");

    people.ask("far", &["break-glass", "end", &id]).expect("ended");
    assert!(people.ask("far", &EXPORT).is_err(), "it is over");
    people.until("own", &["incidents"], |rows| {
        of_glass(rows).is_some_and(|incident| incident["state"] == "resolved")
    });
    let is_told = |rows: &[Value]| {
        rows.iter().any(|row| {
            row["id"] == id.as_str() && row["told_opened"] == true && row["told_over"] == true
        })
    };
    people.until("own", &["break-glass", "list"], is_told);

    expires(people);
    let used =
        people.rows("auditor", &["audit", "--who", "far", "--call", "export", "--outcome", "ok"]);
    assert_eq!(used.len(), 2, "{used:?}");
    let under = |row: &Value| {
        row["words"].as_str().is_some_and(|words| words.contains("under break-glass"))
    };
    assert!(used.iter().all(under), "{used:?}");
    assert!(used.iter().any(|row| row["words"].as_str().is_some_and(|words| words.contains(&id))));
}

fn asked(people: &People) -> String {
    let request = |valid: &'static str| {
        ["break-glass", "request", "--agency", "local", "--what", "export"]
            .into_iter()
            .chain(["--reason", "traces of one attacker", "--valid", valid])
            .collect::<Vec<&str>>()
    };
    let refused = people.ask("far", &request("9h")).expect_err("longer than is allowed");
    assert!(refused.contains("28800 s at most"), "{refused}");
    let refused = people.ask("auditor", &request("1h")).expect_err("was let");
    assert!(refused.contains("not for the role auditor"), "{refused}");
    let rows = people.rows("far", &request("1h"));
    assert_eq!(rows[0]["state"], "asked");
    rows[0]["id"].as_str().expect("an id").to_owned()
}

/// One of ten seconds ends by itself.
fn expires(people: &People) {
    let request = ["break-glass", "request", "--agency", "local", "--what", "export"];
    let rows =
        people.rows("far", &[&request[..], &["--reason", "a look", "--valid", "10s"]].concat());
    let id = rows[0]["id"].as_str().expect("an id").to_owned();
    people.ask("national", &["break-glass", "confirm", &id]).expect("confirmed");
    assert!(people.ask("far", &EXPORT).is_ok());
    let is_over = |rows: &[Value]| {
        rows.iter().any(|row| row["id"] == id.as_str() && row["state"] == "expired")
    };
    people.until("auditor", &["break-glass", "list"], is_over);
    assert!(people.ask("far", &EXPORT).is_err(), "its time is over");
}
