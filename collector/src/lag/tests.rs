use proptest::prelude::*;
use vonggac_wire::{
    AgencyId, AgentId, Batch, Event, Lane,
    event::{Activity, Body, Class, Status},
    proto::Origin,
    topic,
};

use super::*;
use crate::canary::Canary;

const NOW: Time = Time::from_seconds(1_790_000_000);

fn before(seconds: u64) -> Time {
    NOW.minus(Duration::from_secs(seconds))
}

fn head(offset: i64, agency: &str, appended: u64, waited: u64) -> Head {
    Head {
        offset,
        appended: before(appended),
        bytes: 100,
        events: if agency.is_empty() { 0 } else { 10 },
        agency: agency.into(),
        waited: Duration::from_secs(waited),
    }
}

fn looked(stored: i64, high: i64, heads: Vec<Head>) -> Looked {
    Looked { stored: Some(stored), extent: Some(Extent { low: 0, high }), fresh: false, heads }
}

fn key(partition: i32) -> Key {
    (topic::SECURITY.to_owned(), partition)
}

fn judge(of: Vec<Looked>, usual: &Usual) -> Lag {
    let places = (0..).map(key).zip(of).collect();
    Lag::of(&places, usual, NOW)
}

fn batch(agency: &str, events: &[u64], sealed: Time) -> Vec<u8> {
    let event = |ago: &u64| {
        let body = Body::Activity(Activity::of(Class::Authentication, 1, Status::Success));
        let observed = sealed.minus(Duration::from_secs(*ago));
        Event::new(observed, observed, body)
    };
    let batch = Batch {
        agent: AgentId::new("a-1").unwrap(),
        agency: AgencyId::new(agency).unwrap(),
        host: "h".into(),
        boot: [1; 16],
        lane: Lane::Security,
        first_seq: 1,
        previous: None,
        events: events.iter().map(event).collect(),
        simulated: false,
        sealed,
        ahead: false,
    };
    batch.seal().value
}

fn taken(key: &str, value: Vec<u8>) -> Taken {
    Taken {
        origin: Origin { topic: topic::SECURITY.into(), partition: 0, offset: 7 },
        appended: before(30),
        key: key.as_bytes().to_vec(),
        value,
        replay_of: None,
        canary: None,
        certificates: Vec::new(),
        carried: false,
    }
}

#[test]
fn what_is_stored_whole_is_behind_by_nothing_that_was_measured() {
    let lag = judge(vec![looked(50, 50, Vec::new())], &Usual::default());
    let nothing =
        Behind { records: Some(0), seconds: Some(0.0), events: Some(0.0), bytes: Some(0.0) };
    assert_eq!(lag.partitions[&key(0)], nothing);
    assert_eq!((lag.unknown(), lag.seconds(), lag.bytes()), (0, Some(0.0), Some(0.0)));
}

#[test]
fn what_was_not_seen_is_unknown_and_never_nothing() {
    for unseen in [
        Looked { stored: None, ..looked(0, 50, Vec::new()) },
        Looked { extent: None, ..looked(10, 0, Vec::new()) },
        looked(10, 50, Vec::new()),
        // A topic that was made anew ends before what is stored.
        looked(50, 10, Vec::new()),
    ] {
        let mut usual = Usual::default();
        usual.lies("H49", 0);
        let lag = judge(vec![unseen.clone(), looked(5, 5, Vec::new())], &usual);
        assert_eq!(lag.partitions[&key(0)].seconds, None, "{unseen:?}");
        assert_eq!((lag.unknown(), lag.seconds(), lag.bytes()), (1, None, None), "{unseen:?}");
        assert_eq!(lag.agencies.get("H49"), None, "{unseen:?}");
    }
}

#[test]
fn what_came_just_now_is_on_its_way() {
    let mut usual = Usual::default();
    usual.lies("H49", 0);
    let fresh = Looked { fresh: true, ..looked(10, 12, Vec::new()) };
    let lag = judge(vec![fresh], &usual);
    assert_eq!(lag.partitions[&key(0)].records, Some(2));
    assert_eq!(lag.seconds(), Some(0.0));
    assert_eq!(lag.agencies, BTreeMap::from([("H49".to_owned(), 0.0)]));
}

#[test]
fn the_age_is_that_of_the_first_record_and_goes_on_while_kafka_is_away() {
    let heads = vec![head(10, "H49", 600, 0), head(11, "G22", 500, 3_600)];
    let lag =
        judge(vec![looked(10, 12, heads.clone()), looked(5, 5, Vec::new())], &Usual::default());
    assert_eq!(lag.seconds(), Some(600.0));
    let behind = lag.partitions[&key(0)];
    assert_eq!((behind.events, behind.bytes), (Some(20.0), Some(200.0)), "read whole: exact");
    let away = Looked { extent: None, ..looked(10, 0, heads.clone()) };
    let lag = judge(vec![away], &Usual::default());
    assert_eq!((lag.seconds(), lag.bytes(), lag.unknown()), (Some(600.0), None, 1));
    // Stored meanwhile is no head any more.
    let lag = judge(vec![looked(11, 12, heads)], &Usual::default());
    assert_eq!(lag.seconds(), Some(500.0));
}

#[test]
fn an_events_age_is_what_it_waited_before_and_since_it_came_to_kafka() {
    let heads = vec![head(10, "H49", 600, 30), head(11, "G22", 500, 3_600), head(12, "", 400, 0)];
    let mut usual = Usual::default();
    for agency in ["H49", "H29"] {
        usual.lies(agency, 0);
    }
    let whole = judge(vec![looked(10, 13, heads.clone())], &usual);
    let expected = [("G22", 4_100.0), ("H29", 0.0), ("H49", 630.0)];
    assert_eq!(whole.agencies, expected.map(|(name, age)| (name.to_owned(), age)).into());
    assert_eq!(whole.oldest(), Some(Oldest { agency: "G22".into(), seconds: 4_100.0 }));
    // Behind what was read there may be anybody's.
    let more = judge(vec![looked(10, 900, heads)], &usual);
    assert_eq!(more.agencies.get("H29"), None);
    assert_eq!(more.agencies.get("H49"), Some(&630.0));
}

#[test]
fn what_was_not_read_is_estimated_by_what_was_stored_last() {
    let heads = vec![head(10, "H49", 600, 0)];
    let by_heads = judge(vec![looked(10, 20, heads.clone())], &Usual::default());
    assert_eq!(by_heads.partitions[&key(0)].bytes, Some(1_000.0));
    let registry = Registry::builtin().unwrap();
    let value = batch("H49", &[1, 2, 3, 4], before(30));
    let bytes = value.len() as f64;
    let record = decode::decode(&taken("H49", value), &registry).unwrap();
    let mut usual = Usual::default();
    usual.stored(&record);
    let by_usual = judge(vec![looked(10, 20, heads)], &usual);
    let behind = by_usual.partitions[&key(0)];
    assert_eq!(behind.events, Some(10.0 + 9.0 * 4.0));
    assert!((behind.bytes.unwrap() - (100.0 + 9.0 * bytes)).abs() < 1e-6, "{behind:?}");
}

#[test]
fn a_head_is_whose_it_says_only_if_the_chain_would_take_it() {
    let registry = Registry::builtin().unwrap();
    let sealed = before(40);
    let value = batch("H49", &[5, 120, 1], sealed);
    let bytes = value.len() as u64;
    let head = Head::of(&taken("H49", value.clone()), &registry);
    assert_eq!((head.agency.as_str(), head.events, head.bytes), ("H49", 3, bytes));
    assert_eq!(head.waited, Duration::from_secs(120));
    for (key, value) in [("G22", value), ("H49", b"\xff\x00no batch".to_vec()), ("", Vec::new())] {
        let head = Head::of(&taken(key, value), &registry);
        assert_eq!((head.agency.as_str(), head.events), ("", 0));
    }
    let canary = Some(Canary { sender: "c".into(), sent: before(30) });
    let head = Head::of(&Taken { canary, ..taken("H49", Vec::new()) }, &registry);
    assert_eq!((head.events, head.bytes), (0, 0));
}

#[test]
fn a_clock_that_was_set_meanwhile_does_not_make_an_event_years_old() {
    let registry = Registry::builtin().unwrap();
    let years = 40 * 366 * 86_400;
    let head = Head::of(&taken("H49", batch("H49", &[5, years], before(40))), &registry);
    assert_eq!(head.waited, Duration::from_secs(5));
}

proptest! {
    /// Whatever was seen: nothing that waits is told as nothing, and nothing is negative.
    #[test]
    fn nothing_that_waits_is_told_as_nothing(
        stored in proptest::option::of(0i64..100),
        extent in proptest::option::of((0i64..100, 0i64..100)),
        fresh: bool,
        first in 0i64..100,
        ages in proptest::collection::vec(0u64..10_000, 0..5),
    ) {
        let extent = extent.map(|(low, more)| Extent { low, high: low + more });
        let heads = ages.iter().zip(first..).map(|(age, offset)| head(offset, "H49", *age + 6, 1));
        let of = Looked { stored, extent, fresh, heads: heads.collect() };
        let mut usual = Usual::default();
        usual.lies("H49", 0);
        let lag = judge(vec![of.clone()], &usual);
        let behind = lag.partitions[&key(0)];
        for figure in [behind.seconds, behind.events, behind.bytes].into_iter().flatten() {
            prop_assert!(figure >= 0.0);
        }
        if behind.seconds == Some(0.0) {
            prop_assert!(of.waiting() == Some(0) || fresh);
        }
        if lag.agencies.get("H49") == Some(&0.0) {
            prop_assert!(of.waiting() == Some(0) || fresh || of.unstored().next().is_none_or(|head| head.events == 0));
        }
        prop_assert_eq!(behind.is_known(), lag.unknown() == 0);
    }
}
