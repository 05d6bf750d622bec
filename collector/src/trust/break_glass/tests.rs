use std::path::Path;

use proptest::prelude::*;
use vonggac_daemon::settings::Document;
use vonggac_wire::proto::{AskBreakGlass, SignalKind, change_break_glass_request::Change};

use super::{
    decide::{OF_PERSON_MAX, Refusal, decide, is_shown},
    *,
};
use crate::{
    registry::Registry,
    rule::RuleSet,
    trust::{
        denial::Denial,
        door::Guest,
        role::{Grant, Role},
        scope::Scope,
    },
};

const HOUR: Duration = Duration::from_secs(3_600);

fn guest(name: &str, role: Role, agencies: &[&str]) -> Guest {
    let scope = match agencies {
        [] => Scope::Nation,
        some => Scope::Agencies(some.iter().map(|code| (*code).to_owned()).collect()),
    };
    let Grant { role, scope, duty } = Grant::new(role, scope);
    Guest { name: name.into(), role, scope, is_proven: true, duty }
}

fn national(name: &str) -> Guest {
    guest(name, Role::NationalOperator, &[])
}

fn ask(agency: &str) -> Change {
    Change::Ask(AskBreakGlass {
        agency: agency.into(),
        what: "export".into(),
        reason: "traces of one attacker".into(),
        valid_seconds: 3_600,
    })
}

type Records = BTreeMap<String, Record>;

/// Carries out a step, as the service does.
fn step(
    records: &mut Records,
    change: &Change,
    guest: &Guest,
    fresh: &str,
    now: Time,
) -> Result<Event, Refusal> {
    let settings = Settings::default();
    let event = decide(records, change, guest, &settings, |code| code != "nowhere", fresh, now)?;
    let before = records.remove(&event.id);
    records.extend(Record::apply(before, &event).map(|record| (event.id.clone(), record)));
    Ok(event)
}

fn at(hours: f64) -> Time {
    Time::from_seconds(1_000_000).plus(HOUR.mul_f64(hours))
}

#[test]
fn it_opens_when_a_second_person_confirms_and_is_over_when_its_time_is() {
    let mut records = Records::new();
    step(&mut records, &ask("H49"), &national("lan"), "glass-1", at(0.0)).unwrap();
    let own = step(&mut records, &Change::Confirm("glass".into()), &national("lan"), "", at(0.1));
    assert_eq!(own, Err(Refusal::OwnRequest));
    let state = |records: &Records, hours| records["glass-1"].state(at(hours)).name();
    assert_eq!((state(&records, 0.1), state(&records, 23.0)), ("asked", "asked"));
    assert_eq!(state(&records, 24.0), "lapsed");
    let minh = national("minh");
    step(&mut records, &Change::Confirm("glass-1".into()), &minh, "", at(2.0)).unwrap();
    assert_eq!((state(&records, 2.5), state(&records, 3.0)), ("open", "expired"));
    let again = step(&mut records, &Change::Confirm("glass-1".into()), &minh, "", at(2.1));
    assert_eq!(again, Err(Refusal::WrongState("open")));
    step(&mut records, &Change::End("glass-1".into()), &national("lan"), "", at(2.5)).unwrap();
    assert_eq!(state(&records, 2.6), "ended");
    assert_eq!(records["glass-1"].over(at(2.6)), Some(at(2.5)));
}

#[test]
fn who_asks_answers_and_ends_is_told_by_role_and_agency() {
    // Of a request for H49 by national operator lan: confirm, refuse, end.
    let rows: [(Guest, [&str; 3]); 7] = [
        (national("minh"), ["", "", ""]),
        (guest("own", Role::AgencyOperator, &["H49"]), ["", "", ""]),
        (guest("above", Role::AgencyOperator, &["H26"]), ["not-found", "not-found", "not-found"]),
        (national("lan"), ["own-request", "own-request", ""]),
        (guest("sees", Role::Auditor, &[]), ["not-for-you", "not-for-you", "not-your-agency"]),
        (Guest { is_proven: false, ..national("plain") }, ["unproven", "unproven", "unproven"]),
        (
            guest("looks", Role::Observer, &["H49"]),
            ["not-for-you", "not-for-you", "not-your-agency"],
        ),
    ];
    for (guest, expected) in rows {
        for (change, expected) in
            [Change::Confirm, Change::Refuse, Change::End].iter().zip(expected)
        {
            let mut records = Records::new();
            step(&mut records, &ask("H49"), &national("lan"), "glass-1", at(0.0)).unwrap();
            let done = step(&mut records, &change("glass-1".into()), &guest, "", at(1.0));
            let word = done.err().map(|refusal| refusal.to_string()).unwrap_or_default();
            assert_eq!(word.split(' ').next(), Some(expected), "{guest:?}");
        }
    }
    let mut records = Records::new();
    let of = |guest: &Guest, change: &Change, records: &mut Records| {
        let done = step(records, change, guest, "x", at(0.0));
        done.err().map(|refusal| refusal.to_string()).unwrap_or_default()
    };
    let auditor = guest("a", Role::Auditor, &[]);
    assert_eq!(of(&auditor, &ask("H49"), &mut records), "not-for-you request");
    assert_eq!(of(&national("a"), &ask("nowhere"), &mut records), "agency-unknown nowhere");
    let with = |change: fn(&mut AskBreakGlass)| {
        let Change::Ask(mut asked) = ask("H49") else { unreachable!() };
        change(&mut asked);
        Change::Ask(asked)
    };
    for (change, word) in [
        (with(|ask| ask.reason = " ".into()), "reason-missing"),
        (with(|ask| ask.reason = "x".repeat(301)), "reason-too-long 300"),
        (with(|ask| ask.what = "all".into()), "what-unknown all"),
        (with(|ask| ask.valid_seconds = 8 * 3_600 + 1), "valid-too-long 28800"),
    ] {
        assert_eq!(of(&national("a"), &change, &mut records), word);
    }
    assert!(records.is_empty());
}

#[test]
fn nobody_pushes_others_requests_out_of_sight() {
    let mut records = Records::new();
    for number in 0..OF_PERSON_MAX {
        step(&mut records, &ask("H49"), &national("lan"), &format!("glass-{number}"), at(0.0))
            .unwrap();
    }
    let more = step(&mut records, &ask("H49"), &national("lan"), "more", at(1.0));
    assert_eq!(more, Err(Refusal::TooMany(OF_PERSON_MAX)));
    assert!(step(&mut records, &ask("H49"), &national("minh"), "other", at(1.0)).is_ok());
    assert!(step(&mut records, &ask("H49"), &national("lan"), "next-day", at(24.0)).is_ok());
    let ambiguous = step(&mut records, &Change::End("glass".into()), &national("lan"), "", at(1.0));
    assert!(matches!(ambiguous, Err(Refusal::Ambiguous(_))));
}

#[test]
fn an_export_needs_an_open_record_unless_role_or_data_say_otherwise() {
    let mut records = Records::new();
    let foreign = guest("lan", Role::AgencyOperator, &["H26"]);
    let settings = Settings::default();
    let may = |guest: &Guest, agency: &str, records: &Records, hours| {
        export::may(guest, agency, records, &settings, at(hours))
    };
    let closed = Err(Denial::NotOpen("H49".into()));
    assert_eq!(may(&foreign, "H26", &records, 0.0), Ok(None));
    assert_eq!(may(&foreign, "000.00.15.H26", &records, 0.0), Ok(None));
    assert_eq!(may(&foreign, "H49", &records, 0.0), closed);
    step(&mut records, &ask("H49"), &foreign, "glass-1", at(0.0)).unwrap();
    assert_eq!(may(&foreign, "H49", &records, 0.0), closed, "it was asked for, no more");
    step(&mut records, &Change::Confirm("glass-1".into()), &national("minh"), "", at(1.0)).unwrap();
    let open = Ok(Some("glass-1".to_owned()));
    assert_eq!(may(&foreign, "H49", &records, 1.5), open);
    assert_eq!(may(&foreign, "000.00.15.H49", &records, 1.5), open, "and those under it");
    assert_eq!(may(&foreign, "H49", &records, 2.0), closed, "its time is over");
    // It is the requester's, and for this agency.
    assert_eq!(may(&national("minh"), "H49", &records, 1.5), closed);
    assert!(may(&foreign, "tk-48", &records, 1.5).is_err());
    let mut local = national("local");
    local.duty.exports_alone = true;
    assert_eq!(may(&local, "H49", &records, 1.5), Ok(None));
    let plain = Guest { is_proven: false, ..national("plain") };
    assert_eq!(may(&plain, "H49", &records, 1.5), Ok(None));
    let lax = Settings { required: false, ..Settings::default() };
    assert_eq!(export::may(&national("minh"), "H49", &records, &lax, at(1.5)), Ok(None));
    assert!(export::may(&foreign, "tk-48", &records, &lax, at(1.5)).is_err());
    // Pseudonyms are another thing.
    records.get_mut("glass-1").unwrap().what = What::Pseudonyms;
    assert_eq!(may(&foreign, "H49", &records, 1.5), closed);
}

#[test]
fn the_agency_is_told_once_that_it_opened_and_once_that_it_is_over() {
    let (registry, rules) = (Registry::builtin().unwrap(), RuleSet::builtin().unwrap());
    let mut records = Records::new();
    step(&mut records, &ask("H49"), &national("lan"), "glass-1", at(0.0)).unwrap();
    assert_eq!(tell::untold(&records["glass-1"], at(0.5)), None);
    step(&mut records, &Change::Confirm("glass-1".into()), &national("minh"), "", at(1.0)).unwrap();
    let told = |record: &Record, step: Step, hours| {
        let event = Event { id: "glass-1".into(), time: at(hours), who: "centre".into(), step };
        Record::apply(Some(record.clone()), &event).unwrap()
    };
    let record = records["glass-1"].clone();
    assert_eq!(tell::untold(&record, at(1.1)), Some(Step::ToldOpened));
    // One that was over before anybody looked is told of all the same.
    assert_eq!(tell::untold(&record, at(9.0)), Some(Step::ToldOpened));
    assert!(!told(&record, Step::ToldOver, 9.0).told_over, "that it is over comes behind");
    let raised = tell::signal(&record, &Step::ToldOpened, &registry, &rules, at(1.1)).unwrap();
    assert_eq!((raised.kind(), raised.agency.as_str()), (SignalKind::Raised, "H49"));
    for (name, value) in
        [("requester", "lan"), ("confirmer", "minh"), ("reason", "traces of one attacker")]
    {
        assert_eq!(raised.values[name], value);
    }
    for name in ["what_vi", "what_en"] {
        assert!(!raised.values[name].starts_with("break-glass"), "{name} has no words");
    }
    let record = told(&record, Step::ToldOpened, 1.2);
    assert_eq!(tell::untold(&record, at(1.5)), None);
    assert!(!told(&record, Step::ToldOver, 1.5).told_over, "it is open");
    assert_eq!(tell::untold(&record, at(2.0)), Some(Step::ToldOver));
    let cleared = tell::signal(&record, &Step::ToldOver, &registry, &rules, at(2.5)).unwrap();
    assert_eq!((cleared.kind(), &cleared.group), (SignalKind::Cleared, &raised.group));
    assert_eq!(cleared.last_time_unix_nano, at(2.0).0);
    assert_eq!(tell::untold(&told(&record, Step::ToldOver, 2.5), at(3.0)), None);
}

#[test]
fn every_mistake_of_its_table_is_told_and_what_is_unsaid_is_usual() {
    let read = |text: &str| {
        Document::from_text(Path::new("c"), text.into())
            .finish(|root| root.table("break_glass", Settings::take))
            .map_err(|error| error.to_string())
    };
    assert_eq!(read("").unwrap(), Settings::default());
    let set = read("[break_glass]\nrequired = false\nvalid_max = \"30m\"").unwrap();
    assert_eq!((set.required, set.valid), (false, HOUR / 2), "never longer than the ceiling");
    let wrong =
        read("[break_glass]\nrequired = 1\nvalid = \"9h\"\nanswer_within = \"1s\"\nvald = 2")
            .unwrap_err();
    for told in ["required", "break_glass.valid", "answer_within", "vald", "valid_max"] {
        assert!(wrong.contains(told), "{told}: {wrong}");
    }
    assert!(read("[break_glass]\nvalid_max = \"8d\"").is_err());
}

#[derive(Clone, Debug)]
struct Try {
    who: usize,
    change: usize,
    minutes: u64,
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let one = (0_usize..5, 0_usize..4, 0_u64..180);
    let one = one.prop_map(|(who, change, minutes)| Try { who, change, minutes });
    proptest::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn whatever_is_tried_what_is_open_has_two_persons_and_an_end(all in tries()) {
        let people = [
            national("a"),
            national("b"),
            guest("c", Role::AgencyOperator, &["H49"]),
            guest("d", Role::AgencyOperator, &["H26"]),
            guest("e", Role::Auditor, &[]),
        ];
        let (mut records, mut events, mut now) = (Records::new(), Vec::new(), at(0.0));
        for tried in &all {
            now = now.plus(Duration::from_secs(60 * tried.minutes));
            let change = match tried.change {
                0 => ask("H49"),
                1 => Change::Confirm("glass-1".into()),
                2 => Change::Refuse("glass-1".into()),
                _ => Change::End("glass-1".into()),
            };
            let fresh = if records.is_empty() { "glass-1".into() } else { format!("other-{}", events.len()) };
            events.extend(step(&mut records, &change, &people[tried.who], &fresh, now));
            for record in records.values() {
                if record.state(now) == State::Open {
                    let (confirmer, time) = record.confirmed.clone().unwrap();
                    prop_assert_ne!(&confirmer, &record.asked.0);
                    prop_assert!(["a", "b", "c"].contains(&confirmer.as_str()));
                    prop_assert!(now.since(time) < record.valid);
                    let shown = is_shown(record, &people[3]);
                    prop_assert_eq!(shown, record.asked.0 == "d");
                }
            }
        }
        // What was stored makes the same records again.
        prop_assert_eq!(&Record::all(&events), &records);
    }

    #[test]
    fn no_row_of_the_requesters_own_opens_anything(steps in proptest::collection::vec(0_usize..5, 0..12)) {
        let mut record = None;
        for (number, step) in steps.into_iter().enumerate() {
            let step = match step {
                0 => Step::Asked {
                    agency: "H49".into(),
                    what: What::Export,
                    reason: "r".into(),
                    valid: HOUR,
                    answer_within: HOUR,
                },
                1 => Step::Confirmed,
                2 => Step::Ended,
                3 => Step::ToldOpened,
                _ => Step::Refused,
            };
            let time = at(0.0).plus(Duration::from_secs(number as u64));
            let event = Event { id: "i".into(), time, who: "lan".into(), step };
            record = Record::apply(record, &event);
            let is_open = record.as_ref().is_some_and(|record| record.state(time) == State::Open);
            prop_assert!(!is_open);
        }
    }
}
