use std::collections::BTreeSet;

use proptest::prelude::*;
use vonggac_wire::{
    AgencyId, AgentId, Event, Lane, Time,
    event::{Activity, Body, Class, Status},
};

use super::*;

fn batch(first_seq: u64, count: u64, ahead: bool) -> Batch {
    let time = Time::from_seconds(1);
    let event =
        Event::new(time, time, Body::Activity(Activity::of(Class::Process, 1, Status::Success)));
    Batch {
        agent: AgentId::new("a").unwrap(),
        agency: AgencyId::new("H49").unwrap(),
        host: "h".into(),
        boot: [0; 16],
        lane: Lane::Security,
        first_seq,
        previous: None,
        events: (0..count).map(|_| event.clone()).collect(),
        simulated: false,
        sealed: time,
        ahead,
    }
}

fn in_order(first_seq: u64, count: u64) -> Batch {
    batch(first_seq, count, false)
}

fn ahead(first_seq: u64, count: u64) -> Batch {
    batch(first_seq, count, true)
}

#[test]
fn a_batch_sent_again_with_other_cuts_gives_only_what_is_new() {
    let mut state = PartitionState::default();
    assert_eq!(state.judge(0, &in_order(1, 5)).unwrap(), Judged::default());
    assert_eq!(state.judge(1, &in_order(3, 5)).unwrap().known.count(), 3);
    assert_eq!(state.judge(2, &in_order(1, 7)).unwrap().known.count(), 7);
    assert_eq!(state.judge(3, &in_order(10, 1)).unwrap().holes, [(8, 9)]);
}

#[test]
fn what_is_missing_before_a_batch_ahead_is_a_gap_only_when_the_lane_has_passed_it() {
    let mut state = PartitionState::default();
    state.judge(0, &in_order(1, 10)).unwrap();
    assert_eq!(state.judge(1, &ahead(51, 10)).unwrap(), Judged::default());
    assert_eq!(state.judge(2, &in_order(11, 10)).unwrap(), Judged::default());
    // 21 to 30 and 41 to 50 were dropped; of 45 to 70 the agent forgot that a part went ahead.
    assert_eq!(state.judge(3, &in_order(31, 10)).unwrap().holes, [(21, 30)]);
    let judged = state.judge(4, &in_order(45, 26)).unwrap();
    assert_eq!(judged.holes, [(41, 44)]);
    let fresh: Vec<usize> = (0..26).filter(|index| !judged.known.holds(*index)).collect();
    assert_eq!(fresh, (0..6).chain(16..26).collect::<Vec<_>>());
    assert_eq!(state.numbers("a"), Some(&Numbers { mark: Some(70), ahead: vec![] }));
}

#[test]
fn what_went_ahead_lies_between_two_gaps() {
    let mut state = PartitionState::default();
    state.judge(0, &in_order(1, 10)).unwrap();
    state.judge(1, &ahead(21, 10)).unwrap();
    state.judge(2, &ahead(41, 10)).unwrap();
    assert_eq!(state.judge(3, &in_order(61, 1)).unwrap().holes, [(11, 20), (31, 40), (51, 60)]);
}

#[test]
fn where_a_lane_begins_is_told_by_its_own_order_alone() {
    let mut state = PartitionState::default();
    state.judge(0, &ahead(100, 10)).unwrap();
    assert_eq!(state.judge(1, &in_order(40, 10)).unwrap(), Judged::default(), "nothing is known");
    assert_eq!(state.judge(2, &in_order(110, 1)).unwrap().holes, [(50, 99)]);
}

#[test]
fn a_range_too_many_is_set_aside_and_comes_in_its_turn() {
    let mut state = PartitionState::default();
    state.judge(0, &in_order(1, 1)).unwrap();
    for range in 1..=AHEAD_RANGES_MAX as u64 {
        state.judge(1, &ahead(range * 10, 5)).unwrap();
    }
    let before = state.numbers("a").cloned();
    assert_eq!(state.judge(2, &ahead(5, 1)), Err(TooFarAhead { first_seq: 5 }));
    assert_eq!(state.numbers("a").cloned(), before);
    // What joins a range, or is known, opens none.
    assert_eq!(state.judge(3, &ahead(12, 6)).unwrap().known.count(), 3);
    assert_eq!(state.judge(4, &in_order(2, 8)).unwrap(), Judged::default());
    assert_eq!(state.judge(5, &ahead(18, 4)).unwrap().known.count(), 2);
}

#[test]
fn whatever_stands_in_the_store_becomes_ranges_beyond_the_mark() {
    let numbers = Numbers::stored(20, vec![(30, 40), (5, 25), (39, 50), (60, 61)]);
    assert_eq!(numbers, Numbers { mark: Some(25), ahead: vec![(30, 50), (60, 61)] });
    assert_eq!(Numbers::stored(0, vec![(1, 9)]).mark, None);
}

/// The numbers that an agent of this test has; the last always comes.
const NUMBERS: u64 = 150;

/// What happens to a lane.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The lane's own order goes on by so many.
    InOrder(u64),
    /// So far beyond it so many go ahead; the agent knows of it afterwards, or a crash took that from it.
    Ahead { by: u64, count: u64, kept: bool },
    /// A crash took so much of the acknowledgement.
    Back(u64),
    /// A record comes once more.
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..8).prop_map(Step::InOrder),
        4 => (1_u64..60, 1_u64..8, any::<bool>()).prop_map(|(by, count, kept)| Step::Ahead { by, count, kept }),
        1 => (1_u64..20).prop_map(Step::Back),
        1 => any::<usize>().prop_map(Step::Again),
    ]
}

/// What an agent sends that does this and never has the numbers that are gone.
fn log(steps: &[Step], gone: &BTreeSet<u64>) -> Vec<Batch> {
    let mut log: Vec<Batch> = Vec::new();
    let (mut next, mut sent_ahead) = (1, BTreeSet::new());
    let steps = steps.iter().copied().chain(std::iter::repeat(Step::InOrder(9)));
    for step in steps {
        // A batch is a run of consecutive numbers that are there.
        let run = |from: u64, count: u64, left_out: &dyn Fn(u64) -> bool| {
            let first = (from..=NUMBERS).find(|number| !left_out(*number))?;
            let end = (first..(first + count).min(NUMBERS + 1)).find(|number| left_out(*number));
            Some((first, end.unwrap_or((first + count).min(NUMBERS + 1)) - first))
        };
        match step {
            Step::InOrder(count) => {
                let done = |number: u64| gone.contains(&number) || sent_ahead.contains(&number);
                let Some((first, count)) = run(next, count, &done) else { break };
                log.push(in_order(first, count));
                next = first + count;
            }
            Step::Ahead { by, count, kept } => {
                let Some((first, count)) = run(next + by, count, &|n| gone.contains(&n)) else {
                    continue;
                };
                // The last number comes in order, so that every gap is passed.
                let count = count.min(NUMBERS - first);
                if count > 0 {
                    log.push(ahead(first, count));
                    sent_ahead.extend((first..first + count).filter(|_| kept));
                }
            }
            Step::Back(by) => next = next.saturating_sub(by).max(1),
            Step::Again(place) => log.extend(log.get(place % log.len().max(1)).cloned()),
        }
    }
    log
}

/// A simulation of the store: rows by the agent's number, gaps, progress as one block.
#[derive(Default, Clone)]
struct Store {
    rows: Vec<u64>,
    gaps: BTreeSet<(u64, u64)>,
    places: HashSet<(i64, u32)>,
    progress: Progress,
}

/// A collector that takes the log, with these crashes: progress is written each so many records, and so many rows are stored till then.
fn take(log: &[Batch], crashes: Vec<(usize, usize)>) -> Store {
    let mut store = Store::default();
    let mut crashes = crashes.into_iter();
    loop {
        let start = store.progress.next_offset.unwrap_or(0);
        let held = store.places.iter().filter(|(offset, _)| *offset >= start).copied().collect();
        let mut state = PartitionState::new(store.progress.clone(), held, start);
        let crash = crashes.next();
        let mut budget = crash.map(|(_, rows)| rows);
        for (offset, batch) in log.iter().enumerate().skip(usize::try_from(start).unwrap()) {
            let offset = i64::try_from(offset).unwrap();
            let judged = state.judge(offset, batch).unwrap();
            for index in (0..batch.events.len()).filter(|index| !judged.known.holds(*index)) {
                let place = (offset, u32::try_from(index).unwrap());
                if state.holds(place.0, place.1) {
                    continue;
                }
                if budget == Some(0) {
                    break;
                }
                budget = budget.map(|budget| budget - 1);
                store.rows.push(batch.first_seq + index as u64);
                store.places.insert(place);
            }
            if budget == Some(0) {
                break;
            }
            store.gaps.extend(judged.holes);
            let saves =
                |(every, _): (usize, usize)| every == 0 || (offset as usize).is_multiple_of(every);
            if crash.is_none_or(saves) {
                store.progress.next_offset = Some(offset + 1);
                let numbers = state.numbers("a").cloned().unwrap();
                let stored = Numbers::stored(numbers.mark.unwrap_or(0), numbers.ahead.clone());
                assert_eq!(stored, numbers, "as it reads back");
                store.progress.held.insert("a".into(), stored);
                state.done(offset + 1);
            }
        }
        if crash.is_none() {
            return store;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// A log of batches in order and ahead, repeated and cut anew; crashes after any row, and before any progress: each number is stored
    /// once, and each that never comes is in one gap, whose ends are the same whatever the crashes were.
    #[test]
    fn every_number_is_stored_once_and_every_gap_is_exact_whatever_is_cut(
        steps in proptest::collection::vec(step(), 1..60),
        gone in proptest::collection::vec((1_u64..NUMBERS, 1_u64..9), 0..5),
        crashes in proptest::collection::vec((0_usize..6, 0_usize..60), 0..12),
    ) {
        let gone: BTreeSet<u64> =
            gone.into_iter().flat_map(|(first, count)| first..(first + count).min(NUMBERS)).collect();
        let log = log(&steps, &gone);
        let store = take(&log, crashes);
        let mut rows = store.rows.clone();
        rows.sort_unstable();
        let all: Vec<u64> = (1..=NUMBERS).filter(|number| !gone.contains(number)).collect();
        let begins = log.iter().find(|batch| !batch.ahead).map_or(1, |batch| batch.first_seq);
        prop_assert_eq!(&rows, &all);
        let told: Vec<u64> = store.gaps.iter().flat_map(|(first, last)| *first..=*last).collect();
        let missing: Vec<u64> = gone.into_iter().filter(|number| *number > begins).collect();
        prop_assert_eq!(told, missing);
        let end = Numbers { mark: Some(NUMBERS), ahead: Vec::new() };
        prop_assert_eq!(store.progress.held.get("a"), Some(&end));
        prop_assert_eq!(take(&log, Vec::new()).gaps, store.gaps);
    }
}
