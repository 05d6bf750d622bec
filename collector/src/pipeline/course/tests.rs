use std::collections::HashMap;

use proptest::prelude::*;
use vonggac_wire::{
    AgencyId, AgentId, Event, Lane, Time,
    event::{Activity, Body, Class, Status},
    proto::Origin,
};

use super::*;

fn taken(key: &Key, offset: i64) -> Taken {
    Taken {
        origin: Origin { topic: key.0.clone(), partition: key.1, offset },
        appended: Time::from_seconds(1),
        key: Vec::new(),
        value: Vec::new(),
        replay_of: None,
        canary: None,
        certificates: Vec::new(),
        carried: false,
    }
}

fn start(from: i64, signalled: i64, next: i64) -> Start {
    let progress = Progress { next_offset: Some(next), held: HashMap::new() };
    Start { from, signalled, progress }
}

fn batch(agent: &str, first_seq: u64) -> Batch {
    let time = Time::from_seconds(1);
    let event =
        Event::new(time, time, Body::Activity(Activity::of(Class::Process, 1, Status::Success)));
    Batch {
        agent: AgentId::new(agent).unwrap(),
        agency: AgencyId::new("H49").unwrap(),
        host: "h".into(),
        boot: [0; 16],
        lane: Lane::Security,
        first_seq,
        previous: None,
        events: vec![event],
        simulated: false,
        sealed: time,
        ahead: false,
    }
}

/// Kafka, the storing task and detection around the courses; as [`super::super::watching`] does it.
struct World {
    courses: Courses,
    keys: Vec<Key>,
    stored: Vec<i64>,
    /// Where Kafka's next record stands, by key; `None`: it is paused.
    reading: Vec<(i64, bool)>,
    seen: Vec<Vec<(i64, bool)>>,
}

const SIGNALLED: i64 = 6;
const NEXT: i64 = 9;

impl World {
    fn new(from: &[i64]) -> Self {
        let keys: Vec<Key> =
            (0..from.len()).map(|at| (format!("t{}", at / 2), (at % 2) as i32)).collect();
        let mut courses = Courses::default();
        for (key, from) in keys.iter().zip(from) {
            courses.begin(key.clone(), start(*from, SIGNALLED, NEXT));
        }
        let mut world = Self {
            courses,
            stored: vec![NEXT; keys.len()],
            reading: from.iter().map(|from| (*from, false)).collect(),
            seen: vec![Vec::new(); keys.len()],
            keys,
        };
        world.courses.join();
        world
    }

    fn at(&self, key: &Key) -> usize {
        self.keys.iter().position(|held| held == key).unwrap()
    }

    /// Detection never sees what is not stored.
    fn see(&mut self, at: usize, offset: i64, told: bool) {
        assert!(offset < self.stored[at]);
        self.seen[at].push((offset, told));
    }

    fn store(&mut self, counts: &[i64]) {
        let before = self.stored.clone();
        for (at, count) in counts.iter().enumerate() {
            self.stored[at] += count;
            self.courses.stored(&self.keys[at], self.stored[at]);
        }
        for (at, before) in before.into_iter().enumerate() {
            if self.courses.follows(&self.keys[at]) {
                for offset in before..self.stored[at] {
                    self.see(at, offset, false);
                }
            }
        }
        self.courses.shown();
        while let Some((key, early)) = self.courses.ripe() {
            self.again(&key, early.origin.offset);
            let at = self.at(&key);
            self.reading[at].1 = false;
        }
        self.courses.join();
    }

    fn again(&mut self, key: &Key, offset: i64) {
        let again = self.courses.judge(key, offset, &batch("a", offset as u64 + 1)).unwrap();
        self.see(self.at(key), offset, again.unwrap().told);
        self.courses.passed(key, offset);
    }

    /// Kafka has a hundred records of each.
    fn read(&mut self, at: usize) {
        let (offset, paused) = self.reading[at];
        if paused || offset >= 100 {
            return;
        }
        self.reading[at].0 += 1;
        let key = self.keys[at].clone();
        match self.courses.turn(&key, offset) {
            Turn::Passed => {}
            Turn::Due => self.again(&key, offset),
            Turn::Early => {
                self.courses.hold(&key, taken(&key, offset));
                self.reading[at].1 = true;
            }
        }
        self.courses.join();
    }
}

proptest! {
    #[test]
    fn whatever_comes_first_detection_sees_each_record_once_and_in_order(
        from in proptest::collection::vec(0..=NEXT, 4),
        steps in proptest::collection::vec((0..4_usize, 0..8_i64, any::<bool>()), 0..200),
    ) {
        let mut world = World::new(&from);
        for (at, count, stores) in steps {
            if stores {
                let mut counts = [0; 4];
                counts[at] = count.min(100 - world.stored[at]);
                world.store(&counts);
            } else {
                world.read(at);
            }
        }
        // Storing ends, and all is read.
        for at in 0..4 {
            for _ in 0..100 {
                world.read(at);
            }
        }
        world.store(&[0; 4]);
        for (at, seen) in world.seen.iter().enumerate() {
            prop_assert!(world.courses.follows(&world.keys[at]));
            let offsets: Vec<i64> = seen.iter().map(|(offset, _)| *offset).collect();
            prop_assert_eq!(offsets, (from[at]..world.stored[at]).collect::<Vec<_>>());
            prop_assert!(seen.iter().all(|(offset, told)| *told == (*offset < SIGNALLED)));
        }
        prop_assert_eq!(world.courses.owed(), 0);
        prop_assert!(world.courses.behind().next().is_none());
        world.courses.signalled();
        let given: Vec<i64> = world.courses.unwritten().into_iter().map(|(_, next)| next).collect();
        prop_assert_eq!(given, world.stored);
    }
}

#[test]
fn topics_of_one_number_are_followed_together() {
    let key = |topic: &str| (topic.to_owned(), 0);
    let mut courses = Courses::default();
    courses.begin(key("a"), start(9, 9, 9));
    courses.begin(key("b"), start(8, 9, 9));
    assert!(courses.join().is_empty());
    assert!(!courses.follows(&key("a")) && courses.is_behind(0) && !courses.is_behind(1));
    courses.passed(&key("b"), 8);
    assert_eq!(courses.join(), BTreeSet::from([0]));
    assert!(courses.follows(&key("a")) && courses.follows(&key("b")));
}

#[test]
fn what_kafka_gave_up_is_not_waited_for() {
    let key = ("a".to_owned(), 0);
    let mut courses = Courses::default();
    courses.begin(key.clone(), start(0, 9, 9));
    courses.bounded(&key, 5, 20);
    assert_eq!(courses.behind().next(), Some((&key, 5)));
    assert_eq!(courses.owed(), 4);
    // Nor is what it does not have at all.
    courses.bounded(&key, 0, 3);
    assert_eq!(courses.join(), BTreeSet::from([0]));
}

#[test]
fn the_store_is_asked_of_batches_without_a_forerunner_until_it_knows_nothing_of_one() {
    let key = ("a".to_owned(), 0);
    let mut courses = Courses::default();
    courses.begin(key.clone(), start(0, 3, 20));
    let doubtful = |courses: &mut Courses, offset, agent: &str, seq| {
        let again = courses.judge(&key, offset, &batch(agent, seq)).unwrap().unwrap();
        courses.passed(&key, offset);
        again.doubtful
    };
    // Signals of these were given: nothing hangs on them.
    assert!(!doubtful(&mut courses, 0, "known", 7));
    assert!(!doubtful(&mut courses, 3, "known", 8));
    assert!(doubtful(&mut courses, 4, "known", 12));
    assert!(doubtful(&mut courses, 5, "new", 30));
    courses.answered(&("a".to_owned(), 0), "new", true);
    assert!(doubtful(&mut courses, 6, "new", 31));
    courses.answered(&("a".to_owned(), 0), "new", false);
    assert!(!doubtful(&mut courses, 7, "new", 32));
}
