//! A model of the store that fails and forgets answers at every place, with collectors that crash and take partitions from one another.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard},
};

use proptest::prelude::*;

use super::*;

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

impl Side for &Model {
    async fn roll_up(&self, insert: &Insert) -> Result<(), StoreError> {
        let mut state = self.state();
        let fault = state.faults.pop_front().unwrap_or(Fault::None);
        let token = insert.token();
        let rows: Vec<Row> = state
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
            if fault == Fault::After(written) {
                return Err(broken());
            }
            if !state.tokens.insert((token.clone(), span, month)) {
                continue;
            }
            for row in rows.iter().filter(|row| row.month == month) {
                *state.counted.entry((span, row.key.clone(), row.offset, month)).or_default() += 1;
                let last = state.last.entry((span, month, row.key.clone())).or_insert(-1);
                *last = (*last).max(row.offset);
            }
        }
        if fault == Fault::None { Ok(()) } else { Err(broken()) }
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

    async fn mark(&self, shares: &[Share], whole: bool) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.faults.pop_front().is_some_and(|fault| fault != Fault::None) {
            return Err(broken());
        }
        for share in shares {
            let mark = state.marks.entry((share.topic.clone(), share.partition)).or_default();
            *mark = (mark.0.max(share.to), mark.1 || whole);
        }
        Ok(())
    }

    async fn progress(&self, key: &Key) -> Result<i64, StoreError> {
        Ok(self.state().progress.get(key).copied().unwrap_or(0))
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
    Crash,
    /// A partition goes to the other collector, or comes back.
    Move {
        partition: i32,
        told: bool,
    },
}

fn months() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(prop_oneof![8 => Just(11), 1 => Just(12), 1 => Just(3)], 1..7)
}

fn act() -> impl Strategy<Value = Act> {
    let fault =
        prop_oneof![(0_usize..7).prop_map(Fault::After), Just(Fault::Answer), Just(Fault::None)];
    prop_oneof![
        5 => (0..3, months()).prop_map(|(partition, months)| Act::Store { partition, months }),
        1 => (0..3, months()).prop_map(|(partition, months)| Act::StoreAndCrash { partition, months }),
        5 => (0_usize..2).prop_map(|of| Act::Turn { of }),
        3 => fault.prop_map(Act::Fault),
        1 => Just(Act::Crash),
        2 => (0..3, any::<bool>()).prop_map(|(partition, told)| Act::Move { partition, told }),
    ]
}

/// Two collectors over one store.
struct World<'a> {
    model: &'a Model,
    collectors: [RollUps<&'a Model>; 2],
    held: [Vec<Key>; 2],
    rebalances: u64,
    runtime: tokio::runtime::Runtime,
    /// Offsets are far apart, so that catching up takes several steps.
    apart: i64,
}

impl<'a> World<'a> {
    fn new(model: &'a Model, apart: i64) -> Self {
        let all: Vec<Key> = (0..3).map(key).collect();
        let collectors = [RollUps::new(model), RollUps::new(model)];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { model, collectors, held: [all, Vec::new()], rebalances: 0, runtime, apart }
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
        let collector = &mut self.collectors[usize::from(self.held[1].contains(&key(partition)))];
        let stored: Vec<EventRow> = new
            .iter()
            .map(|row| EventRow {
                time: i64::from(row.month),
                kafka_topic: row.key.0.clone(),
                kafka_partition: row.key.1,
                kafka_offset: row.offset,
                ..EventRow::default()
            })
            .collect();
        collector.rows(&stored);
        let (topic, partition) = key(partition);
        collector.stored(&[ProgressPart {
            topic,
            partition,
            next_offset: next,
            marks: Vec::new(),
        }]);
    }

    fn is_held(&self, partition: i32) -> bool {
        let state = self.model.state();
        let next = state.progress.get(&key(partition)).copied().unwrap_or(0);
        state.rows.iter().any(|row| row.key == key(partition) && row.offset >= next)
    }

    fn take_over(&mut self, partition: i32, by: usize) {
        let from = self.model.state().progress.get(&key(partition)).copied().unwrap_or(0);
        let held: HashSet<(i64, u32)> = self
            .model
            .state()
            .rows
            .iter()
            .filter(|row| row.key == key(partition) && row.offset >= from)
            .map(|row| (row.offset, 0))
            .collect();
        let (topic, partition) = key(partition);
        self.collectors[by].taken_over(&topic, partition, &held);
    }

    fn crash(&mut self, which: usize) {
        self.collectors[which] = RollUps::new(self.model);
        for (_, partition) in self.held[which].clone() {
            self.take_over(partition, which);
        }
    }

    fn turn(&mut self, of: usize) {
        let (collector, held) = (&mut self.collectors[of], &self.held[of]);
        let _fails_now_and_then = self.runtime.block_on(collector.pass(held, self.rebalances));
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
            Act::Crash => self.crash(0),
            Act::Move { partition, told } => {
                let from = self.holder(*partition);
                self.held[from].retain(|held| *held != key(*partition));
                self.held[1 - from].push(key(*partition));
                self.rebalances += 1;
                // It may be given back before the collector saw that it was gone; but who is not told of held rows stores them again.
                if *told || self.is_held(*partition) {
                    self.take_over(*partition, 1 - from);
                }
            }
        }
    }
}

fn key(partition: i32) -> Key {
    ("vonggac.usage.v1".into(), partition)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn each_row_is_in_each_span_once_wherever_engine_and_collectors_fail(
        acts in proptest::collection::vec(act(), 1..60),
        apart in prop_oneof![Just(1_i64), Just(150), Just(1_000)],
        weight in prop_oneof![Just(1_u64), Just(120_000)],
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
        let state = model.state();
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
