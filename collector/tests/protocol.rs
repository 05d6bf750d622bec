//! How a partition is stored by several collectors, each of which may crash or freeze between any two steps while the engine goes on with what
//! it was given: every order is tried. A step that is left out is found out, so that the model shows what each of them is for.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops where its ground is missing, and tells the way to what it found"
)]

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Checker, Model, Property};
use vonggac_collector::tenure::{self, Doubted, End, Key, Kind, Taking};

/// Records of the partition: one row each.
const ROWS: usize = 2;

/// Months of these: an insert is written for each month as a whole.
const MONTHS: [[u8; ROWS]; 2] = [[1, 2], [1, 1]];

/// Collectors, and how often the group may give the partition.
const COLLECTORS: usize = 2;
const TAKINGS_MAX: usize = 3;

/// What a wrong collector leaves out or does the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// It does not take the tokens of those before away.
    NoSettling,
    /// It takes them away, the youngest first.
    YoungestFirst,
    /// It does not look behind the insert whether it was superseded.
    NotSureBehind,
    /// Nor before the next one.
    NotSureBefore,
    /// It writes its progress before the rows.
    ProgressFirst,
    /// Its inserts have tokens of their own each time.
    NoToken,
    /// It does not write down what it makes sure of.
    NotTold,
    /// It does not ask which rows are stored.
    NotAsked,
}

/// A token: tenure, number.
type Token = (usize, u64);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum At {
    /// It holds nothing.
    Idle,
    /// It was given the partition.
    Given,
    /// It said so.
    Claimed,
    /// It made those before void that came to nothing.
    Decided,
    /// It asked what it has to make sure of.
    Asked,
    /// It wrote that down.
    Ended,
    /// It is ready for a block.
    Ready,
    /// It makes sure of tenures before it, in these months.
    Settling(Vec<(Token, u8)>),
    /// It looks whether it was superseded.
    Before,
    /// It waits for so many answers, then goes on there.
    Waiting(usize, Box<At>),
    /// It asks which rows are stored.
    Asking(Vec<(Token, u8)>),
    /// It looks again.
    Behind,
    /// It writes how far it came.
    Progress,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Collector {
    at: At,
    tenure: usize,
    number: u64,
    next: usize,
    end: usize,
    /// Tokens in doubt, the oldest first.
    doubts: Vec<Token>,
    settled: Vec<(Token, u8)>,
    held: BTreeSet<usize>,
}

/// An insert that the engine was given: rows of one month.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Insert {
    token: Token,
    rows: Vec<usize>,
    /// Who waits, if it still does.
    by: Option<(usize, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    stored: [u8; ROWS],
    tokens: BTreeSet<(Token, u8)>,
    progress: usize,
    numbers: BTreeMap<usize, u64>,
    /// Tenures in the order of their epochs, with what they make sure of, and whether they came to anything.
    takings: Vec<(usize, Option<Vec<Token>>, Option<bool>)>,
    given: usize,
    fresh: u64,
    flying: Vec<Insert>,
    collectors: Vec<Collector>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// The group gives the partition.
    Give(usize),
    /// A collector dies; its inserts go on.
    Crash(usize),
    /// A collector does its next step; a block ends there.
    Step(usize, usize),
    /// The engine writes an insert.
    Land(usize),
}

struct Protocol {
    wrong: Wrong,
    months: [u8; ROWS],
}

fn key() -> Key {
    ("t".into(), 0)
}

impl Protocol {
    fn insert(&self, state: &mut State, which: usize, token: Token, rows: &[usize], then: At) {
        let mut months: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for row in rows {
            months.entry(self.months[*row]).or_default().push(*row);
        }
        let by = Some((which, state.collectors[which].tenure));
        for rows in months.values() {
            let token = if self.wrong == Wrong::NoToken {
                state.fresh += 1;
                (usize::MAX, state.fresh)
            } else {
                token
            };
            state.flying.push(Insert { token, rows: rows.clone(), by });
        }
        state.flying.sort();
        let collector = &mut state.collectors[which];
        collector.at =
            if months.is_empty() { then } else { At::Waiting(months.len(), Box::new(then)) };
    }

    /// Whether it goes on.
    fn sure(&self, state: &mut State, which: usize, skip: Wrong, then: At) {
        let newest = state.takings.last().map(|taking| taking.0);
        let collector = &mut state.collectors[which];
        let sure = self.wrong == skip || newest == Some(collector.tenure);
        collector.at = if sure { then } else { At::Idle };
    }

    fn epoch(state: &State, which: usize) -> usize {
        let own = state.collectors[which].tenure;
        state.takings.iter().position(|taking| taking.0 == own).unwrap()
    }

    fn takings(state: &State) -> Vec<Taking> {
        let doubted = |(tenure, number): &Token| Doubted {
            epoch: state.takings.iter().position(|taking| taking.0 == *tenure).unwrap() as u64,
            number: *number,
            token: tenure.to_string(),
        };
        let taking = |(epoch, (tenure, told, valid)): (usize, &(usize, Option<Vec<Token>>, _))| {
            let end = told.as_ref().map(|told| End {
                high: ROWS as i64,
                blocks: told.iter().map(doubted).collect(),
                sums: Vec::new(),
            });
            let name = tenure.to_string();
            Taking { key: key(), epoch: epoch as u64, name, end, valid: *valid }
        };
        state.takings.iter().enumerate().map(taking).collect()
    }

    /// Makes void whoever came to nothing before.
    fn decide(state: &mut State, which: usize) {
        let before = Self::epoch(state, which);
        for taking in &mut state.takings[..before] {
            taking.2.get_or_insert(false);
        }
        state.collectors[which].at = At::Decided;
    }

    fn ask(&self, state: &mut State, which: usize) {
        let takings = Self::takings(state);
        let passed = BTreeMap::from([(key(), state.progress as i64)]);
        let numbers = state
            .numbers
            .iter()
            .map(|(tenure, number)| ((Kind::Blocks, tenure.to_string()), *number))
            .collect();
        let epoch = Self::epoch(state, which) as u64;
        let doubts = tenure::doubted(&takings, &passed, epoch, Kind::Blocks, &numbers);
        let mut doubts: Vec<Token> = doubts
            .into_values()
            .flat_map(BTreeMap::into_keys)
            .map(|doubted| (state.takings[doubted.epoch as usize].0, doubted.number))
            .collect();
        match self.wrong {
            Wrong::NoSettling => doubts.clear(),
            Wrong::YoungestFirst => doubts.reverse(),
            _ => {}
        }
        let held = self.held(state, state.progress);
        let collector = &mut state.collectors[which];
        (collector.next, collector.number, collector.doubts) = (state.progress, 0, doubts);
        (collector.held, collector.at) = (held, At::Asked);
    }

    fn tell(&self, state: &mut State, which: usize) {
        let (epoch, doubts) = (Self::epoch(state, which), state.collectors[which].doubts.clone());
        let told = if self.wrong == Wrong::NotTold { Vec::new() } else { doubts };
        state.takings[epoch].1 = Some(told);
        state.collectors[which].at = At::Ended;
    }

    fn make_valid(state: &mut State, which: usize) {
        let epoch = Self::epoch(state, which);
        let valid = *state.takings[epoch].2.get_or_insert(true);
        state.collectors[which].at = if valid { At::Ready } else { At::Idle };
    }

    fn held(&self, state: &State, next: usize) -> BTreeSet<usize> {
        if self.wrong == Wrong::NotAsked {
            return BTreeSet::new();
        }
        (next..ROWS).filter(|row| state.stored[*row] > 0).collect()
    }

    fn block(collector: &Collector) -> Vec<usize> {
        (collector.next..collector.end).filter(|row| !collector.held.contains(row)).collect()
    }

    fn settle(&self, state: &mut State, which: usize, mut owed: Vec<(Token, u8)>) {
        let collector = &mut state.collectors[which];
        if owed.is_empty() {
            collector.at = At::Before;
            return;
        }
        let (token, month) = owed.remove(0);
        collector.settled.push((token, month));
        let row = Self::block(collector).into_iter().find(|row| self.months[*row] == month);
        match row {
            Some(row) => self.insert(state, which, token, &[row], At::Asking(owed)),
            None => collector.at = At::Settling(owed),
        }
    }

    fn step(&self, state: &mut State, which: usize, end: usize) {
        match state.collectors[which].at.clone() {
            At::Given => {
                let tenure = state.collectors[which].tenure;
                state.takings.push((tenure, None, None));
                state.collectors[which].at = At::Claimed;
            }
            At::Claimed => Self::decide(state, which),
            At::Decided => self.ask(state, which),
            At::Asked => self.tell(state, which),
            At::Ended => Self::make_valid(state, which),
            At::Ready => {
                let collector = &mut state.collectors[which];
                collector.end = end;
                let months: BTreeSet<u8> =
                    Self::block(collector).iter().map(|row| self.months[*row]).collect();
                let owed = collector
                    .doubts
                    .iter()
                    .flat_map(|token| months.iter().map(move |month| (*token, *month)))
                    .filter(|place| !collector.settled.contains(place))
                    .collect();
                collector.at = At::Settling(owed);
            }
            At::Settling(owed) => self.settle(state, which, owed),
            At::Asking(owed) => {
                let held = self.held(state, state.collectors[which].next);
                state.collectors[which].held = held;
                state.collectors[which].at = At::Settling(owed);
            }
            At::Before if self.wrong == Wrong::ProgressFirst => {
                self.sure(state, which, Wrong::Nothing, At::Progress);
            }
            At::Before => {
                // The insert is its own step: it may be given to the engine much later.
                self.sure(state, which, Wrong::NotSureBefore, At::Waiting(0, Box::new(At::Behind)));
            }
            At::Waiting(0, then) => {
                let collector = &mut state.collectors[which];
                let (token, rows) = ((collector.tenure, collector.number), Self::block(collector));
                if self.wrong == Wrong::ProgressFirst {
                    (collector.next, collector.number) = (collector.end, token.1 + 1);
                }
                self.insert(state, which, token, &rows, *then);
            }
            At::Behind => self.sure(state, which, Wrong::NotSureBehind, At::Progress),
            At::Progress => {
                let collector = &mut state.collectors[which];
                let next = collector.number + 1;
                state.numbers.insert(collector.tenure, next);
                state.progress = state.progress.max(collector.end);
                if self.wrong == Wrong::ProgressFirst {
                    collector.at = At::Waiting(0, Box::new(At::Ready));
                } else {
                    (collector.next, collector.number) = (collector.end, next);
                    collector.at = At::Ready;
                }
            }
            At::Idle | At::Waiting(..) => {}
        }
    }

    fn land(&self, state: &mut State, which: usize) {
        let insert = state.flying.remove(which);
        let month = self.months[insert.rows[0]];
        if state.tokens.insert((insert.token, month)) {
            for row in &insert.rows {
                state.stored[*row] += 1;
            }
        }
        let Some((which, tenure)) = insert.by else { return };
        let collector = &mut state.collectors[which];
        if collector.tenure != tenure {
            return;
        }
        if let At::Waiting(answers, then) = &mut collector.at {
            *answers -= 1;
            if *answers == 0 {
                collector.at = (**then).clone();
            }
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let idle = Collector {
            at: At::Idle,
            tenure: usize::MAX,
            number: 0,
            next: 0,
            end: 0,
            doubts: Vec::new(),
            settled: Vec::new(),
            held: BTreeSet::new(),
        };
        vec![State {
            stored: [0; ROWS],
            tokens: BTreeSet::new(),
            progress: 0,
            numbers: BTreeMap::new(),
            takings: Vec::new(),
            given: 0,
            fresh: 0,
            flying: Vec::new(),
            collectors: vec![idle; COLLECTORS],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (which, collector) in state.collectors.iter().enumerate() {
            // Who holds it already is given it anew only when it was taken: that is a crash, or another one's turn.
            if state.given < TAKINGS_MAX && collector.at == At::Idle {
                actions.push(Action::Give(which));
            }
            match &collector.at {
                At::Idle => {}
                At::Waiting(answers, _) if *answers > 0 => actions.push(Action::Crash(which)),
                At::Ready => {
                    let ends = collector.next + 1..=ROWS;
                    actions.extend(ends.map(|end| Action::Step(which, end)));
                }
                _ => {
                    actions.push(Action::Step(which, 0));
                    actions.push(Action::Crash(which));
                }
            }
        }
        actions.extend((0..state.flying.len()).map(Action::Land));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Give(which) => {
                let collector = &mut state.collectors[which];
                (collector.tenure, collector.at) = (state.given, At::Given);
                collector.settled.clear();
                state.given += 1;
            }
            Action::Crash(which) => state.collectors[which].at = At::Idle,
            Action::Step(which, end) => self.step(&mut state, which, end),
            Action::Land(which) => self.land(&mut state, which),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no row is stored twice", |_, state: &State| {
                state.stored.iter().all(|times| *times <= 1)
            }),
            Property::always(
                "what is below the progress is stored",
                |model: &Self, state: &State| {
                    let below = &state.stored[..state.progress];
                    // Rows whose progress is written first are on their way for a while: only when nobody brings them any more they are lost.
                    let idle = |collector: &Collector| collector.at == At::Idle;
                    let on_their_way =
                        !state.flying.is_empty() || !state.collectors.iter().all(idle);
                    let lost = below.contains(&0);
                    !lost || (model.wrong == Wrong::ProgressFirst && on_their_way)
                },
            ),
            Property::sometimes("all is stored", |_, state: &State| state.progress == ROWS),
        ]
    }
}

/// Whether it is found to be wrong with these months, and after how many states.
fn check(wrong: Wrong, months: [u8; ROWS]) -> (bool, usize) {
    let checker = Protocol { wrong, months }.checker().threads(2).spawn_bfs().join();
    let found = checker.discoveries();
    let broken = found.keys().any(|name| *name != "all is stored");
    if wrong == Wrong::Nothing {
        let broken = found.iter().filter(|(name, _)| **name != "all is stored");
        broken.for_each(|(name, path)| eprintln!("{name}: {:?}", path.clone().into_actions()));
    }
    assert!(found.contains_key("all is stored") || broken, "{wrong:?}: nothing is ever stored");
    (broken, checker.unique_state_count())
}

#[test]
fn no_order_of_steps_loses_a_row_or_stores_it_twice() {
    for months in MONTHS {
        let (broken, states) = check(Wrong::Nothing, months);
        assert!(!broken, "the protocol is broken");
        assert!(states > 10_000, "{states} states: the model tries too little");
    }
}

#[test]
fn each_step_that_is_left_out_is_found_out() {
    for wrong in [
        Wrong::NoSettling,
        Wrong::YoungestFirst,
        Wrong::NotSureBehind,
        Wrong::NotSureBefore,
        Wrong::ProgressFirst,
        Wrong::NoToken,
        Wrong::NotTold,
        Wrong::NotAsked,
    ] {
        let found = MONTHS.into_iter().rev().any(|months| check(wrong, months).0);
        assert!(found, "{wrong:?} is not found out");
    }
}
