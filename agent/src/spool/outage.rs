//! A day without Kafka, in compressed time.

use std::collections::BTreeSet;

use proptest::prelude::*;
use vonggac_wire::event::{Activity, Body, Class, Gap, Heartbeat, Status};

use super::*;
use crate::intake::Position;

const NOON: Time = Time::from_seconds(1_764_000_000);
const MINUTES: u64 = 24 * 60;
/// The least that a spool may be given.
const BYTES: u64 = crate::config::SPOOL_BYTES_LEAST;

/// One minute of a host: what a lane gets, fat enough that the day does not fit.
fn minute(minute: u64, now: Time, counts: [u64; 3], bytes: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    for lane in Lane::ALL {
        for n in 0..counts[lane.index()] {
            let body = match lane {
                Lane::Security => {
                    Body::Activity(Activity::of(Class::Authentication, 1, Status::Failure))
                }
                Lane::Uptime => Body::Heartbeat(Heartbeat::default()),
                Lane::Usage => Body::Activity(Activity::of(Class::Http, 1, Status::Success)),
            };
            let event = Event::new(now, now, body).with_raw(&vec![b'x'; bytes], 0);
            let position = (lane != Lane::Uptime).then(|| Position {
                stream: format!("tail:{}", lane.name()).into(),
                offset: minute * 1_000 + n + 1,
            });
            entries.push(Entry { event, position });
        }
    }
    entries
}

/// What came out of a lane.
#[derive(Default)]
struct Arrived {
    numbers: BTreeSet<u64>,
    doubled: u64,
}

/// Everything that is left goes to Kafka.
fn deliver_all(spool: &mut Spool, arrived: &mut [Arrived; 3], told: &mut Vec<Gap>) {
    for lane in Lane::ALL {
        while let Some(pending) = spool.next(lane, 1_000, 768 * 1024).unwrap() {
            take(lane, &pending, arrived, told);
            spool.acknowledge(lane, pending.first_seq + pending.events.len() as u64 - 1).unwrap();
        }
    }
}

fn take(lane: Lane, pending: &Pending, arrived: &mut [Arrived; 3], told: &mut Vec<Gap>) {
    for (n, event) in pending.events.iter().enumerate() {
        if !arrived[lane.index()].numbers.insert(pending.first_seq + n as u64) {
            arrived[lane.index()].doubled += 1;
        }
        if let Body::Gap(gap) = event.body() {
            told.push(*gap);
        }
    }
}

/// Each number that a lane gave arrived, or is told to be gone; none is both; and the counters say the same.
fn assert_adds_up(spool: &Spool, arrived: &[Arrived; 3], told: &[Gap]) {
    for lane in Lane::ALL {
        let figures = spool.figures(lane, NOON);
        let mut gone = BTreeSet::new();
        let mut events = 0;
        for gap in told.iter().filter(|gap| gap.lane == i32::from(lane)) {
            assert!(gap.first_observed_unix_nano > 0, "its times are told: {gap:?}");
            assert!(gap.first_observed_unix_nano <= gap.last_observed_unix_nano);
            for number in gap.first_seq..=gap.last_seq {
                assert!(gone.insert(number), "{lane:?} {number} is told twice");
            }
            events += gap.events;
        }
        let arrived = &arrived[lane.index()];
        assert_eq!(arrived.doubled, 0, "{lane:?}");
        assert!(arrived.numbers.is_disjoint(&gone), "{lane:?}: dropped and delivered");
        let read = figures.next_seq - 1;
        assert_eq!(arrived.numbers.len() as u64 + gone.len() as u64, read, "{lane:?}: to the line");
        assert_eq!(events, figures.dropped, "{lane:?}: the counter");
        assert_eq!(events, gone.len() as u64, "{lane:?}: the ranges");
    }
}

fn open(dir: &Path) -> Spool {
    Spool::open(dir, "web-1", BYTES, Fsync::Never, NOON).unwrap()
}

#[test]
fn lanes_gaps_and_counters_add_up_to_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let (mut arrived, mut told): ([Arrived; 3], _) = (Default::default(), Vec::new());
    spool.append(minute(0, NOON, [20, 20, 20], 1_000), &[], NOON).unwrap();
    // The link falls while batches are on their way; their reports come when it is back.
    let on_the_way: Vec<_> = Lane::ALL
        .into_iter()
        .filter_map(|lane| Some((lane, spool.next(lane, 10, 1 << 20).unwrap()?)))
        .collect();
    for at in 1..=MINUTES {
        let now = NOON.plus(Duration::from_secs(at * 60));
        spool.append(minute(at, now, [5, 3, 40], 1_000), &[], now).unwrap();
        spool.tick(now).unwrap();
    }
    assert!(spool.bytes() <= BYTES + SEGMENT_BYTES_MAX, "{}", spool.bytes());
    assert_eq!(spool.figures(Lane::Security, NOON).dropped, 0, "within its share");
    assert!(spool.figures(Lane::Usage, NOON).dropped > 40_000);
    for (lane, pending) in &on_the_way {
        take(*lane, pending, &mut arrived, &mut told);
        let last = pending.first_seq + pending.events.len() as u64 - 1;
        spool.acknowledge(*lane, last).unwrap();
    }
    deliver_all(&mut spool, &mut arrived, &mut told);
    assert_adds_up(&spool, &arrived, &told);
}

#[test]
fn an_attack_that_floods_security_leaves_the_other_lanes_their_share() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    for at in 0..60 {
        spool.append(minute(at, NOON, [400, 2, 40], 1_000), &[], NOON).unwrap();
    }
    assert_eq!(spool.figures(Lane::Uptime, NOON).dropped, 0);
    assert_eq!(spool.figures(Lane::Usage, NOON).dropped, 0);
    assert!(spool.figures(Lane::Security, NOON).dropped > 5_000);
    let (mut arrived, mut told): ([Arrived; 3], _) = (Default::default(), Vec::new());
    deliver_all(&mut spool, &mut arrived, &mut told);
    assert_adds_up(&spool, &arrived, &told);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn outages_with_crashes_at_any_minute_still_add_up(
        seed in 1_u64..1_000,
        crashes in proptest::collection::btree_set(1_u64..60, 0..6),
        weights in (1_u64..60, 1_u64..60, 1_u64..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path());
        let (mut arrived, mut told): ([Arrived; 3], _) = (Default::default(), Vec::new());
        for at in 1..60 {
            let now = NOON.plus(Duration::from_secs(at * 60));
            let bytes = usize::try_from(2_000 + (at * seed) % 5_000).unwrap();
            spool.append(minute(at, now, [weights.0, weights.1, weights.2], bytes), &[], now).unwrap();
            if crashes.contains(&at) {
                // What was saved last is all that is known; nothing is said about the end.
                drop(spool);
                spool = open(dir.path());
            }
        }
        deliver_all(&mut spool, &mut arrived, &mut told);
        assert_adds_up(&spool, &arrived, &told);
    }
}
