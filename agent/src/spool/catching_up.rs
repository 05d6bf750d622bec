//! What is fresh goes ahead of a backlog, whatever happens to the agent, its link and its disk.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use proptest::prelude::*;
use vonggac_wire::event::{Activity, Body, Class, Gap, Status};

use super::*;

const NOW: Time = Time::from_seconds(1_764_000_000);
const AFTER: Duration = Duration::from_secs(60);
const LANE: Lane = Lane::Security;

fn at(seconds: u64) -> Time {
    NOW.plus(Duration::from_secs(seconds))
}

fn open(dir: &Path, bytes_max: u64, now: Time) -> Spool {
    Spool::open(dir, "web-1", bytes_max, Fsync::Never, now).unwrap()
}

/// Lines behind the one at `from`.
fn lines(from: u64, count: u64, bytes: usize) -> Vec<Entry> {
    let event =
        Event::new(NOW, NOW, Body::Activity(Activity::of(Class::Process, 1, Status::Failure)))
            .with_raw(&vec![b'x'; bytes], 0);
    let position = |n| Some(Position { stream: Arc::from("a"), offset: from + n });
    (1..=count).map(|n| Entry { event: event.clone(), position: position(n) }).collect()
}

/// A lane of twelve hundred lines of which two hundred came lately.
fn behind(dir: &Path) -> Spool {
    let mut spool = open(dir, 64 << 20, NOW);
    spool.append(lines(0, 1_000, 100), &[], NOW).unwrap();
    spool.append(lines(1_000, 200, 100), &[], at(100)).unwrap();
    spool
}

fn run(pending: &Encoded) -> (u64, u64) {
    (pending.first_seq, pending.first_seq + pending.len() as u64 - 1)
}

fn in_order(spool: &mut Spool) -> Option<(u64, u64)> {
    spool.next_encoded(LANE, 400, 1 << 20).unwrap().as_ref().map(run)
}

fn ahead(spool: &mut Spool) -> Option<(u64, u64)> {
    spool.next_ahead(LANE, 150, 1 << 20).unwrap().as_ref().map(run)
}

#[test]
fn what_came_lately_goes_ahead_and_the_order_passes_over_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = behind(dir.path());
    spool.look_ahead(LANE, AFTER, 1_000, at(30)).unwrap();
    assert_eq!(ahead(&mut spool), None, "nothing is old yet");
    spool.look_ahead(LANE, AFTER, 1_000, at(101)).unwrap();
    assert_eq!(spool.waiting_ahead(LANE), (200, Some(at(100))));
    assert_eq!(ahead(&mut spool), Some((1_001, 1_150)));
    for wanted in [(1, 400), (401, 800), (801, 1_000)] {
        assert_eq!(in_order(&mut spool), Some(wanted));
    }
    assert_eq!((in_order(&mut spool), spool.waiting(LANE).0), (None, 0), "it waits for the report");
    assert_eq!(
        (ahead(&mut spool), spool.waiting_ahead(LANE).0),
        (None, 0),
        "and nothing overtakes"
    );
    spool.acknowledge_ahead(LANE, 1_001, 1_150).unwrap();
    assert_eq!((spool.waiting(LANE).0, in_order(&mut spool)), (50, Some((1_151, 1_200))));
    spool.acknowledge(LANE, 1_000).unwrap();
    assert_eq!(spool.figures(LANE, at(102)).acknowledged, 1_150);
    spool.look_ahead(LANE, AFTER, 1_000, at(300)).unwrap();
    assert_eq!(spool.waiting_ahead(LANE).0, 0, "there is no backlog any more");
}

#[test]
fn a_restart_goes_on_with_the_same_range() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = behind(dir.path());
    spool.look_ahead(LANE, AFTER, 1_000, at(101)).unwrap();
    assert_eq!(ahead(&mut spool), Some((1_001, 1_150)));
    // The ledger knows where it began and not that it arrived.
    drop(spool);
    let mut spool = open(dir.path(), 64 << 20, at(102));
    assert_eq!(ahead(&mut spool), Some((1_001, 1_150)));
    spool.acknowledge_ahead(LANE, 1_001, 1_150).unwrap();
    spool.save().unwrap();
    drop(spool);
    let mut spool = open(dir.path(), 64 << 20, at(103));
    assert_eq!(spool.figures(LANE, at(103)).ahead, 150);
    assert_eq!(ahead(&mut spool), Some((1_151, 1_200)));
    let order: Vec<_> = std::iter::from_fn(|| in_order(&mut spool)).collect();
    assert_eq!(order, [(1, 400), (401, 800), (801, 1_000)]);
}

#[test]
fn who_is_behind_ahead_too_leaves_the_rest_to_the_order_up_to_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = behind(dir.path());
    let mut end = 1_200;
    let mut begun = BTreeSet::new();
    for turn in 1..100 {
        let now = at(100 + turn * 100);
        spool.append(lines(end, 200, 100), &[], now).unwrap();
        end += 200;
        spool.look_ahead(LANE, AFTER, 1_000, now).unwrap();
        assert!(!spool.lanes[LANE.index()].look_ahead(AFTER, 1_000, now), "once is enough");
        let (first, last) = ahead(&mut spool).unwrap();
        begun.insert(first);
        spool.acknowledge_ahead(LANE, first, last).unwrap();
    }
    // They come ever more slowly, so that they last.
    let known = spool.lanes[LANE.index()].entry().ahead.len();
    assert!((8..=ahead::RANGES_MAX).contains(&known), "{known}");
    let found = inspect::inspect(dir.path()).unwrap();
    assert!(found.is_whole(), "{found:?}");
    // In order the rest comes, each once.
    let mut left = 0;
    while let Some((first, last)) = in_order(&mut spool) {
        left += last - first + 1;
        spool.acknowledge(LANE, last).unwrap();
    }
    assert_eq!(left + 99 * 150, end, "{begun:?}");
    assert_eq!(spool.figures(LANE, NOW).acknowledged, end);
}

#[test]
fn a_segment_that_went_ahead_leaves_the_disk_and_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path(), 1 << 20, NOW);
    for turn in 0..10 {
        spool.append(lines(turn * 100, 100, 600), &[], at(turn * 100)).unwrap();
    }
    let full = spool.bytes();
    spool.look_ahead(LANE, AFTER, 1_000, at(901)).unwrap();
    let mut sent = 0;
    while let Some((first, last)) = ahead(&mut spool) {
        spool.acknowledge_ahead(LANE, first, last).unwrap();
        sent += last - first + 1;
    }
    assert_eq!(sent, 100);
    spool.save().unwrap();
    // Another start begins another segment, so that the last one is not written to.
    drop(spool);
    let mut spool = open(dir.path(), 1 << 20, at(902));
    assert!(spool.bytes() < full, "{} of {full}", spool.bytes());
    assert!(inspect::inspect(dir.path()).unwrap().is_whole());
    assert_eq!(spool.figures(Lane::Uptime, NOW).next_seq, 1, "no gap is told");
    let left: u64 = std::iter::from_fn(|| in_order(&mut spool)).map(|(a, b)| b - a + 1).sum();
    assert_eq!(left, 900);
}

/// What the centre knows of the lane, by the rules that it goes by.
#[derive(Default)]
struct Centre {
    stored: BTreeSet<u64>,
    passed: u64,
    gaps: BTreeSet<u64>,
    ranges_most: usize,
}

impl Centre {
    fn take(&mut self, (first, last): (u64, u64), ahead: bool) {
        let passed = self.passed;
        if !ahead {
            let missing = (passed + 1..first).filter(|number| !self.stored.contains(number));
            self.gaps.extend(missing);
            self.passed = passed.max(last);
        }
        self.stored.extend((first..=last).filter(|number| *number > passed));
        while self.stored.contains(&(self.passed + 1)) {
            self.passed += 1;
        }
        let beyond: Vec<u64> = self.stored.range(self.passed + 1..).copied().collect();
        let ranges = beyond.chunk_by(|a, b| a + 1 == *b).count();
        self.ranges_most = self.ranges_most.max(ranges);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(u64),
    InOrder(usize),
    Ahead(usize),
    Report,
    Rest(u64),
    /// The connection broke, or with it the agent: so many of what was on its way arrived.
    Broken {
        arrived: usize,
        crash: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..40).prop_map(Step::Append),
        3 => (1_usize..30).prop_map(Step::InOrder),
        4 => (1_usize..30).prop_map(Step::Ahead),
        5 => Just(Step::Report),
        2 => (0_u64..20).prop_map(Step::Rest),
        1 => (0_usize..6, any::<bool>())
            .prop_map(|(arrived, crash)| Step::Broken { arrived, crash }),
    ]
}

/// A lane, what is on its way from it, and the centre.
struct World {
    spool: Spool,
    on_way: VecDeque<((u64, u64), bool)>,
    centre: Centre,
    now: Time,
    offset: u64,
    /// What arrived, and was never reported or was forgotten in a crash: the agent may drop it, and tells it to be gone.
    unreported: BTreeSet<u64>,
}

impl World {
    fn new(dir: &Path, bytes_max: u64) -> Self {
        Self {
            spool: open(dir, bytes_max, NOW),
            on_way: VecDeque::new(),
            centre: Centre::default(),
            now: NOW,
            offset: 0,
            unreported: BTreeSet::new(),
        }
    }

    /// As the shipper does: a look, and at most four on their way.
    fn send(&mut self, ahead: bool, events: usize) -> bool {
        if self.on_way.len() >= 4 {
            return false;
        }
        self.spool.look_ahead(LANE, Duration::from_secs(10), 1_000, self.now).unwrap();
        let pending = if ahead {
            self.spool.next_ahead(LANE, events, 1 << 20)
        } else {
            self.spool.next_encoded(LANE, events, 1 << 20)
        };
        let Some(pending) = pending.unwrap() else { return false };
        self.on_way.push_back((run(&pending), ahead));
        true
    }

    fn report(&mut self) {
        let Some(((first, last), ahead)) = self.on_way.pop_front() else { return };
        self.centre.take((first, last), ahead);
        if ahead {
            self.spool.acknowledge_ahead(LANE, first, last).unwrap();
        } else {
            self.spool.acknowledge(LANE, last).unwrap();
        }
    }

    fn append(&mut self, count: u64, bytes: usize) {
        self.spool.append(lines(self.offset, count, bytes), &[], self.now).unwrap();
        self.offset += count;
    }

    fn break_off(&mut self, arrived: usize) {
        for (numbers, ahead) in self.on_way.drain(..).take(arrived) {
            self.centre.take(numbers, ahead);
            self.unreported.extend(numbers.0..=numbers.1);
        }
        self.spool.rewind(LANE);
    }

    /// All that is left goes, and what the uptime lane tells of gaps is read.
    fn finish(&mut self) -> Vec<Gap> {
        while self.send(true, 7) | self.send(false, 9) || !self.on_way.is_empty() {
            self.report();
        }
        self.spool.rewind(Lane::Uptime);
        let mut told = Vec::new();
        while let Some(pending) = self.spool.next(Lane::Uptime, 100, 1 << 20).unwrap() {
            told.extend(pending.events.iter().filter_map(|event| match event.body() {
                Body::Gap(gap) => Some(*gap),
                _ => None,
            }));
        }
        told
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Fresh and old, reports and broken connections, crashes with a ledger that lags, and a spool that is too small: each line is at the centre
    /// or told to be gone, and the centre sees the same gaps as the agent tells.
    #[test]
    fn whatever_goes_ahead_each_line_arrives_or_is_told(
        steps in proptest::collection::vec(step(), 1..120),
        bytes in prop_oneof![Just(100_usize), Just(6_000)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let bytes_max = 1 << 20;
        let mut world = World::new(dir.path(), bytes_max);
        for step in steps {
            match step {
                Step::Append(count) => world.append(count, bytes),
                Step::InOrder(events) => { world.send(false, events); }
                Step::Ahead(events) => { world.send(true, events); }
                Step::Report => world.report(),
                Step::Rest(seconds) => {
                    world.now = world.now.plus(Duration::from_secs(seconds));
                    world.spool.tick(world.now).unwrap();
                }
                Step::Broken { arrived, crash } => {
                    world.break_off(arrived);
                    if crash {
                        // What was reported since the ledger was written is forgotten.
                        world.unreported.extend(&world.centre.stored);
                        let World { spool, on_way, centre, now, offset, unreported } = world;
                        drop(spool);
                        let spool = open(dir.path(), bytes_max, now);
                        world = World { spool, on_way, centre, now, offset, unreported };
                    }
                }
            }
            prop_assert!(world.spool.lanes[LANE.index()].entry().ahead.len() <= ahead::RANGES_MAX);
        }
        let told = world.finish();
        let mut gone = BTreeSet::new();
        for gap in &told {
            for number in gap.first_seq..=gap.last_seq {
                prop_assert!(gone.insert(number), "{} is told twice: {:?}", number, told);
            }
        }
        let figures = world.spool.figures(LANE, world.now);
        prop_assert_eq!(figures.ahead, 0);
        prop_assert_eq!(figures.acknowledged + 1, figures.next_seq);
        prop_assert_eq!(figures.dropped, gone.len() as u64);
        let stored = &world.centre.stored;
        prop_assert!(stored.intersection(&gone).all(|number| world.unreported.contains(number)));
        let lost = (1..figures.next_seq).find(|n| !stored.contains(n) && !gone.contains(n));
        prop_assert_eq!(lost, None);
        // What is gone behind the last that came is told by the agent alone.
        let last = world.centre.passed;
        let missing: BTreeSet<u64> =
            gone.difference(stored).copied().filter(|number| *number <= last).collect();
        prop_assert_eq!(&world.centre.gaps, &missing);
        prop_assert!(world.centre.ranges_most <= vonggac_wire::limits::AHEAD_RANGES_MAX);
    }
}
