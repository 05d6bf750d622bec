//! A model of the store that fails and forgets answers at every place, with collectors that crash and take partitions from one another.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard},
};

use proptest::prelude::*;
use vonggac_wire::limits::BATCH_EVENTS_MAX;

use super::*;
use crate::tenure::{self, End, Taking};

#[derive(Clone, Debug)]
struct Row {
    key: Key,
    offset: i64,
    /// Stands for the time, and for the month.
    month: u32,
}

/// What happens to an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// So many of its parts are written, then the engine dies.
    After(usize),
    /// All is written, and the answer is lost; so is the mark behind it.
    Answer,
    /// The engine goes on with it, and it is written at some later time.
    Late,
}

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    progress: BTreeMap<Key, i64>,
    marks: HashMap<Key, (i64, bool)>,
    /// How often a row is in a span.
    counted: BTreeMap<(&'static str, Key, i64, u32), usize>,
    last: BTreeMap<(&'static str, u32, Key), i64>,
    tokens: BTreeSet<(String, &'static str, u32)>,
    faults: VecDeque<Fault>,
    weight: u64,
    takings: Vec<Taking>,
    numbers: BTreeMap<String, u64>,
    /// Inserts that the engine still works on.
    flying: VecDeque<(Insert, String)>,
}

#[derive(Default)]
struct Model(Mutex<State>);

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn broken() -> StoreError {
    StoreError::Forbidden("the engine is away".into())
}

fn within(share: &Share, row: &Row) -> bool {
    (&share.topic, share.partition) == (&row.key.0, row.key.1)
        && (share.from..share.to).contains(&row.offset)
}

impl State {
    /// What the engine does with an insert: all rows that are there now, each span and month as a whole, unless their token was there.
    fn write(&mut self, insert: &Insert, token: &str, parts_max: usize) -> bool {
        let rows: Vec<Row> = self
            .rows
            .iter()
            .filter(|row| insert.shares.iter().any(|share| within(share, row)))
            .filter(|row| {
                insert.extent.is_none_or(|extent| {
                    (extent.time.0..=extent.time.1).contains(&i64::from(row.month))
                })
            })
            .filter(|row| {
                !insert.without.iter().any(|held| {
                    (&held.topic, held.partition) == (&row.key.0, row.key.1)
                        && held.month == row.month
                        && row.offset <= held.last
                })
            })
            .cloned()
            .collect();
        let parts: BTreeSet<(&'static str, u32)> = insert
            .spans
            .iter()
            .flat_map(|span| rows.iter().map(|row| (span.name(), row.month)))
            .collect();
        for (written, (span, month)) in parts.into_iter().enumerate() {
            if written == parts_max {
                return false;
            }
            if !self.tokens.insert((token.to_owned(), span, month)) {
                continue;
            }
            for row in rows.iter().filter(|row| row.month == month) {
                *self.counted.entry((span, row.key.clone(), row.offset, month)).or_default() += 1;
                let last = self.last.entry((span, month, row.key.clone())).or_insert(-1);
                *last = (*last).max(row.offset);
            }
        }
        true
    }

    fn land(&mut self) {
        if let Some((insert, token)) = self.flying.pop_front() {
            self.write(&insert, &token, usize::MAX);
        }
    }
}

impl Side for &Model {
    async fn roll_up(&self, insert: &Insert, token: &str) -> Result<(), StoreError> {
        let mut state = self.state();
        let fault = state.faults.pop_front().unwrap_or(Fault::None);
        let parts_max = if let Fault::After(parts) = fault { parts } else { usize::MAX };
        if fault == Fault::Late {
            state.flying.push_back((insert.clone(), token.to_owned()));
            return Err(broken());
        }
        let whole = state.write(insert, token, parts_max);
        if whole && fault != Fault::Answer { Ok(()) } else { Err(broken()) }
    }

    async fn held(&self, shares: &[Share]) -> Result<Vec<Held>, StoreError> {
        let held = |((span, month, key), last): (&(&'static str, u32, Key), &i64)| Held {
            topic: key.0.clone(),
            partition: key.1,
            span: (*span).into(),
            month: *month,
            last: *last,
        };
        let of_shares =
            |held: &Held| shares.iter().any(|share| held.is_of(share) && held.last >= share.from);
        Ok(self.state().last.iter().map(held).filter(of_shares).collect())
    }

    async fn rows(&self, shares: &[Share]) -> Result<u64, StoreError> {
        let state = self.state();
        let rows = state.rows.iter().filter(|row| shares.iter().any(|share| within(share, row)));
        // So that some are too many for one step.
        Ok(rows.count() as u64 * state.weight)
    }

    async fn marks(&self) -> Result<HashMap<Key, (i64, bool)>, StoreError> {
        Ok(self.state().marks.clone())
    }

    async fn mark(&self, shares: &[Share], whole: bool, next: &Next) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.faults.pop_front().is_some_and(|fault| fault != Fault::None) {
            return Err(broken());
        }
        for share in shares {
            let mark = state.marks.entry((share.topic.clone(), share.partition)).or_default();
            *mark = (mark.0.max(share.to), mark.1 || whole);
        }
        state.numbers.insert(next.name.clone(), next.number);
        Ok(())
    }

    async fn progress(&self, keys: &[Key]) -> Result<HashMap<Key, i64>, StoreError> {
        let state = self.state();
        let next = |key: &Key| (key.clone(), state.progress.get(key).copied().unwrap_or(0));
        Ok(keys.iter().map(next).collect())
    }

    async fn sure_of(&self, tenure: &Tenure) -> Result<(), StoreError> {
        let state = self.state();
        let newer =
            |taking: &Taking| taking.epoch > tenure.epoch && tenure.keys.contains(&taking.key);
        if state.takings.iter().any(newer) { Err(StoreError::Superseded) } else { Ok(()) }
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Act {
    /// Records of a partition, as a block: their months.
    Store {
        partition: i32,
        months: Vec<u32>,
    },
    /// A block whose progress was not written: its rows are held after the crash that follows.
    StoreAndCrash {
        partition: i32,
        months: Vec<u32>,
    },
    Turn {
        of: usize,
    },
    Fault(Fault),
    /// The engine comes to an insert whose answer nobody awaits any more.
    Land,
    Crash {
        which: usize,
    },
    /// A partition goes to the other collector. The one before learns of it, or goes on until it finds out.
    Move {
        partition: i32,
        told: bool,
    },
}

fn months() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(prop_oneof![8 => Just(11), 1 => Just(12), 1 => Just(3)], 1..7)
}

fn act() -> impl Strategy<Value = Act> {
    let fault = prop_oneof![
        (0_usize..7).prop_map(Fault::After),
        Just(Fault::Answer),
        Just(Fault::Late),
        Just(Fault::None)
    ];
    prop_oneof![
        5 => (0..3, months()).prop_map(|(partition, months)| Act::Store { partition, months }),
        1 => (0..3, months()).prop_map(|(partition, months)| Act::StoreAndCrash { partition, months }),
        5 => (0_usize..2).prop_map(|of| Act::Turn { of }),
        3 => fault.prop_map(Act::Fault),
        2 => Just(Act::Land),
        1 => (0_usize..2).prop_map(|which| Act::Crash { which }),
        2 => (0..3, any::<bool>()).prop_map(|(partition, told)| Act::Move { partition, told }),
    ]
}

/// Two collectors over one store.
struct World<'a> {
    model: &'a Model,
    collectors: [RollUps<&'a Model>; 2],
    held: [Vec<Key>; 2],
    tenures: [Tenure; 2],
    runtime: tokio::runtime::Runtime,
    /// Offsets are far apart, so that catching up takes several steps.
    apart: i64,
}

impl<'a> World<'a> {
    fn new(model: &'a Model, apart: i64) -> Self {
        let all: Vec<Key> = (0..3).map(key).collect();
        let collectors = [RollUps::new(model), RollUps::new(model)];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tenures = [0, 0].map(|epoch| Tenure::new(String::new(), epoch, Vec::new()));
        let mut world =
            Self { model, collectors, held: [all, Vec::new()], tenures, runtime, apart };
        world.begin(0);
        world.begin(1);
        world
    }

    /// A collector takes over all that it holds.
    fn begin(&mut self, which: usize) {
        let keys = self.held[which].clone();
        let mut state = self.model.state();
        let epoch = state.takings.iter().map(|taking| taking.epoch).max().unwrap_or(0) + 1;
        let tenure = Tenure::new(format!("t{epoch}"), epoch, keys.clone());
        let mut highs = BTreeMap::new();
        for key in &keys {
            let high = state.progress.get(key).copied().unwrap_or(0);
            highs.insert(key.clone(), high);
            let name = tenure.name.clone();
            let valid = Some(true);
            state.takings.push(Taking { key: key.clone(), epoch, name, end: None, valid });
        }
        let marks = state.marks.iter().map(|(key, mark)| (key.clone(), mark.0)).collect();
        let numbers = state.numbers.iter().map(|(name, n)| ((Kind::Sums, name.clone()), *n));
        let numbers = numbers.collect();
        let doubts = tenure::doubted(&state.takings, &marks, epoch, Kind::Sums, &numbers);
        self.collectors[which].begin_tenure();
        for key in &keys {
            let from = state.progress.get(key).copied().unwrap_or(0);
            let held: HashSet<(i64, u32)> = state
                .rows
                .iter()
                .filter(|row| row.key == *key && row.offset >= from)
                .map(|row| (row.offset, 0))
                .collect();
            let mut sums = doubts.get(key).cloned().unwrap_or_default();
            let high = highs[key];
            let told = sums.keys().cloned().collect();
            for below in sums.values_mut() {
                *below = high.min(*below);
            }
            let end = Some(End { high, sums: told, blocks: Vec::new() });
            let own = |taking: &&mut Taking| taking.epoch == epoch && taking.key == *key;
            if let Some(taking) = state.takings.iter_mut().find(own) {
                taking.end = end;
            }
            self.collectors[which].taken_over(key, &held, sums);
        }
        self.tenures[which] = tenure;
    }

    fn holder(&self, partition: i32) -> usize {
        usize::from(self.held[1].contains(&key(partition)))
    }

    fn rows(&self, partition: i32, months: &[u32]) -> (Vec<Row>, i64) {
        let start = self.model.state().progress.get(&key(partition)).copied().unwrap_or(0);
        let rows: Vec<Row> = months
            .iter()
            .enumerate()
            .map(|(at, month)| Row {
                key: key(partition),
                offset: start + at as i64 * self.apart,
                month: *month,
            })
            .collect();
        let next = start + months.len() as i64 * self.apart;
        (rows, next)
    }

    fn store(&mut self, partition: i32, months: &[u32]) {
        let (rows, next) = self.rows(partition, months);
        let held: BTreeSet<i64> = self
            .model
            .state()
            .rows
            .iter()
            .filter(|row| row.key == key(partition))
            .map(|row| row.offset)
            .collect();
        let new: Vec<Row> = rows.into_iter().filter(|row| !held.contains(&row.offset)).collect();
        // Rows that a crash left may reach further than this block, which then only moves the progress.
        self.model.state().rows.extend(new.iter().cloned());
        self.model.state().progress.insert(key(partition), next);
        let weight = self.model.state().weight as usize;
        let collector = &mut self.collectors[usize::from(self.held[1].contains(&key(partition)))];
        for row in &new {
            let times = Times { time: i64::from(row.month), stored: 0 };
            collector.ledger.seen(times, weight);
        }
        let (topic, partition) = key(partition);
        collector.stored(&[ProgressPart { topic, partition, next_offset: next, held: Vec::new() }]);
    }

    fn crash(&mut self, which: usize) {
        self.collectors[which] = RollUps::new(self.model);
        self.begin(which);
    }

    fn turn(&mut self, of: usize) {
        let pass = self.collectors[of].pass(&mut self.tenures[of]);
        if let Err(StoreError::Superseded) = self.runtime.block_on(pass) {
            self.begin(of);
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Store { partition, months } => self.store(*partition, months),
            Act::StoreAndCrash { partition, months } => {
                let (rows, _) = self.rows(*partition, months);
                let known: BTreeSet<i64> = self
                    .model
                    .state()
                    .rows
                    .iter()
                    .filter(|row| row.key == key(*partition))
                    .map(|row| row.offset)
                    .collect();
                self.model
                    .state()
                    .rows
                    .extend(rows.into_iter().filter(|row| !known.contains(&row.offset)));
                self.crash(self.holder(*partition));
            }
            Act::Turn { of } => self.turn(*of),
            Act::Fault(fault) => self.model.state().faults.push_back(*fault),
            Act::Land => self.model.state().land(),
            Act::Crash { which } => self.crash(*which),
            Act::Move { partition, told } => {
                let from = self.holder(*partition);
                self.held[from].retain(|held| *held != key(*partition));
                self.held[1 - from].push(key(*partition));
                self.begin(1 - from);
                if *told {
                    self.begin(from);
                }
            }
        }
    }
}

fn key(partition: i32) -> Key {
    ("vonggac.usage.v1".into(), partition)
}

/// How far apart offsets are, and how many rows each stands for: a record has at most a thousand, and what one insert of another can have
/// covered is judged by that.
fn apart_and_weight() -> impl Strategy<Value = (i64, u64)> {
    prop_oneof![
        Just((1, 1)),
        Just((1, BATCH_EVENTS_MAX as u64)),
        Just((150, 1)),
        Just((150, 120_000)),
        Just((1_000, 1)),
        Just((1_000, 120_000)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn each_row_is_in_each_span_once_wherever_engine_and_collectors_fail(
        acts in proptest::collection::vec(act(), 1..60),
        (apart, weight) in apart_and_weight(),
    ) {
        let model = Model::default();
        model.state().weight = weight;
        let mut world = World::new(&model, apart);
        for act in &acts {
            world.act(act);
        }
        model.state().faults.clear();
        for turn in 0..8 {
            world.turn(turn % 2);
        }
        let mut state = model.state();
        // Whatever the engine still has comes too late for everything.
        while !state.flying.is_empty() {
            state.land();
        }
        for row in &state.rows {
            let below = row.offset < state.progress.get(&row.key).copied().unwrap_or(0);
            for span in Span::ALL {
                let times = state
                    .counted
                    .get(&(span.name(), row.key.clone(), row.offset, row.month))
                    .copied()
                    .unwrap_or(0);
                prop_assert_eq!(times, usize::from(below), "{:?} {:?}", span, row);
            }
        }
        for (key, stored) in &state.progress {
            prop_assert_eq!(state.marks.get(key), Some(&(*stored, true)), "{:?}", key);
        }
    }
}
