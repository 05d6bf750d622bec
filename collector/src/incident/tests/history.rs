//! Splits, merges and their undoing: what is counted stands in one place, and a history that is read again says the same.

use std::collections::{BTreeSet, HashSet};

use vonggac_wire::proto::{EventRef, Merge, Reopen, Resolve, Split};

use super::*;

const AGENCIES: [&str; 3] = ["tk-38", "tk-40", "tk-42"];
const ADDRESSES: [&str; 2] = ["203.0.113.1", "203.0.113.2"];

#[derive(Clone, Debug)]
enum Move {
    /// An address at an agency, with so many events.
    Attack(usize, usize, u64),
    /// A platform, seen from an agency.
    Platform(usize, SignalKind),
    /// A service that needs it.
    Dependent(usize, SignalKind),
    Split(u64, usize),
    Merge(u64, u64),
    Reopen(u64),
    Resolve(u64),
    Wait,
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let kind = || prop_oneof![Just(SignalKind::Raised), Just(SignalKind::Cleared)];
    let one = prop_oneof![
        4 => (0..2_usize, 0..3_usize, 1..4_u64).prop_map(|(a, b, n)| Move::Attack(a, b, n)),
        3 => (0..3_usize, kind()).prop_map(|(agency, kind)| Move::Platform(agency, kind)),
        2 => (0..3_usize, kind()).prop_map(|(agency, kind)| Move::Dependent(agency, kind)),
        3 => (1..8_u64, 0..3_usize).prop_map(|(id, agency)| Move::Split(id, agency)),
        3 => (1..8_u64, 1..8_u64).prop_map(|(id, into)| Move::Merge(id, into)),
        2 => (1..8_u64).prop_map(Move::Reopen),
        1 => (1..8_u64).prop_map(Move::Resolve),
        1 => Just(Move::Wait),
        1 => Just(Move::Restart),
    ];
    proptest::collection::vec(one, 1..60)
}

/// The book, and beside it what plainly has to be true.
struct Told {
    book: IncidentBook,
    now: Time,
    steps: Vec<Step>,
    signals: Vec<Signal>,
    counted: u64,
    evidence: HashSet<u64>,
    held: HashSet<(String, String)>,
    waiting: Vec<Signal>,
    /// Signals whose reading is done for good.
    read: usize,
}

impl Told {
    fn new() -> Self {
        Self {
            book: book(),
            now: NOW,
            steps: Vec::new(),
            signals: Vec::new(),
            counted: 0,
            evidence: HashSet::new(),
            held: HashSet::new(),
            waiting: Vec::new(),
            read: 0,
        }
    }

    fn signal(&mut self, mut signal: Signal, machine: bool) {
        let offset = i64::try_from(self.signals.len()).unwrap();
        let number = self.signals.len() as u64 + 1;
        signal.origin.as_mut().unwrap().offset = offset;
        (signal.first_time_unix_nano, signal.last_time_unix_nano) = (self.now.0, self.now.0);
        let waits = signal.rule == "service-down";
        if !waits {
            signal.evidence =
                vec![EventRef { agent: "a".into(), seq: number, ..EventRef::default() }];
        }
        self.signals.push(signal.clone());
        let key = (signal.rule.clone(), signal.entity.clone().unwrap().value);
        let before = self.book.pending();
        self.steps.extend(self.book.apply_signal(&signal, self.now));
        match signal.kind() {
            SignalKind::Cleared => {
                self.held.remove(&key);
                self.waiting.retain(|w| w.entity != signal.entity);
            }
            _ if self.book.pending() > before => self.waiting.push(signal),
            _ if machine && !self.held.insert(key) => {}
            _ => {
                self.counted += signal.count;
                self.evidence.extend((!waits).then_some(number));
            }
        }
        self.settle();
    }

    /// Who waited has been counted once the book holds nobody back.
    fn settle(&mut self) {
        if self.book.pending() > 0 {
            return;
        }
        self.read = self.signals.len();
        for signal in std::mem::take(&mut self.waiting) {
            if self.held.insert((signal.rule, signal.entity.unwrap().value)) {
                self.counted += signal.count;
            }
        }
    }

    fn command(&mut self, incident: u64, action: Action) {
        let id = format!("{}", self.steps.len() + 1_000 * self.signals.len());
        let before: Vec<Incident> = self.book.incidents().cloned().collect();
        match self.book.apply_command(&command(&id, incident, action), self.now) {
            Ok(steps) => self.steps.extend(steps),
            Err(_) => assert_eq!(before, self.book.incidents().cloned().collect::<Vec<_>>()),
        }
        self.settle();
    }

    fn restart(&mut self) {
        let told = self.newest();
        let mut origins: HashMap<String, i64> = HashMap::new();
        for step in self.steps.iter().filter(|step| !step.origin_key.is_empty()) {
            let taken = origins.entry(step.origin_key.clone()).or_insert(i64::MIN);
            *taken = step.origin_offset.max(*taken);
        }
        self.book = opened(told, origins, Vec::new());
        // Progress stands still while a signal waits, so it is read again with all that came after it.
        for signal in &self.signals[self.read..] {
            self.steps.extend(self.book.apply_signal(signal, self.now));
        }
        self.settle();
    }

    fn newest(&self) -> Vec<Incident> {
        let afters = self.steps.iter().filter_map(|step| step.transition.after.clone());
        let newest: BTreeMap<u64, Incident> = afters.map(|after| (after.id, after)).collect();
        newest.into_values().collect()
    }

    fn make(&mut self, one: &Move) {
        self.now = self.now.plus(Duration::from_secs(1));
        match *one {
            Move::Attack(address, agency, count) => {
                self.signal(brute(ADDRESSES[address], AGENCIES[agency], 0, count), false);
            }
            Move::Platform(agency, kind) => {
                let platform = down(AGENCIES[agency], "ndxp", "platform-down", kind, 0);
                // Told again while it is down: not where somebody has said that it is solved, for then it begins anew.
                let key = (platform.rule.clone(), platform.entity.clone().unwrap().value);
                let goes_on = self
                    .book
                    .incidents()
                    .filter(|incident| incident.current_state().is_open())
                    .any(|incident| grouping::is_raised(incident, &platform, false));
                if kind == SignalKind::Cleared || !self.held.contains(&key) || goes_on {
                    self.signal(platform, true);
                }
            }
            Move::Dependent(agency, kind) => {
                let dependent = down(AGENCIES[agency], "agency-one-stop", "service-down", kind, 0);
                // Detection raises what is down once.
                let key = (dependent.rule.clone(), dependent.entity.clone().unwrap().value);
                if kind == SignalKind::Cleared || !self.held.contains(&key) {
                    self.signal(dependent, true);
                }
            }
            Move::Split(id, agency) => {
                let agencies = vec![AGENCIES[agency].to_owned()];
                self.command(id, Action::Split(Split { agencies, reason: "khác".into() }));
            }
            Move::Merge(id, into) => self.command(id, Action::Merge(Merge { into })),
            Move::Reopen(id) => self.command(id, Action::Reopen(Reopen { reason: "nhầm".into() })),
            Move::Resolve(id) => {
                self.command(id, Action::Resolve(Resolve { result: "xong".into() }));
            }
            Move::Wait => {
                self.now = self.now.plus(Duration::from_secs(60));
                self.steps.extend(self.book.tick(self.now));
                self.settle();
            }
            Move::Restart => self.restart(),
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let standing = || self.book.incidents().filter(|incident| incident.merged_into == 0);
        prop_assert_eq!(standing().map(|incident| incident.count).sum::<u64>(), self.counted);
        let evidence: Vec<u64> =
            standing().flat_map(|incident| &incident.evidence).map(|event| event.seq).collect();
        let different: HashSet<u64> = evidence.iter().copied().collect();
        prop_assert_eq!(different.len(), evidence.len(), "no event stands in two incidents");
        prop_assert!(different.is_subset(&self.evidence));
        if self.evidence.len() <= vonggac_wire::limits::EVIDENCE_EVENTS_MAX {
            prop_assert_eq!(&different, &self.evidence);
        }
        let raised: BTreeSet<(String, String)> = standing()
            .flat_map(|incident| &incident.shares)
            .flat_map(|share| &share.raised)
            .map(|raised| (raised.rule.clone(), raised.entity.clone()))
            .collect();
        prop_assert_eq!(raised, self.held.iter().cloned().collect::<BTreeSet<_>>());
        let all: Vec<Incident> = self.book.incidents().cloned().collect();
        prop_assert_eq!(self.newest(), all, "the history replayed is the state");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_split_merged_and_opened_again_is_counted_once(moves in moves()) {
        let mut told = Told::new();
        for one in &moves {
            told.make(one);
            told.check()?;
        }
    }
}

fn act(book: &mut IncidentBook, id: &str, incident: u64, action: Action) -> Vec<Step> {
    book.apply_command(&command(id, incident, action), NOW).unwrap()
}

fn split(agency: &str) -> Action {
    Action::Split(Split { agencies: vec![agency.into()], reason: "khác".into() })
}

#[test]
fn a_split_that_is_merged_back_counts_as_before() {
    let mut book = book();
    book.apply_signal(&brute("203.0.113.77", "tk-38", 1, 9), NOW);
    book.apply_signal(&brute("203.0.113.77", "tk-40", 2, 5), NOW);
    act(&mut book, "1", 1, split("tk-40"));
    let counts = |book: &IncidentBook| -> Vec<u64> { book.incidents().map(|i| i.count).collect() };
    assert_eq!(counts(&book), [9, 5]);
    // What its agency tells goes on counting where the operator put it.
    book.apply_signal(&brute("203.0.113.77", "tk-40", 3, 2), NOW);
    book.apply_signal(&brute("203.0.113.77", "tk-38", 4, 1), NOW);
    assert_eq!(counts(&book), [10, 7]);
    act(&mut book, "2", 2, Action::Merge(Merge { into: 1 }));
    book.apply_signal(&brute("203.0.113.77", "tk-40", 5, 3), NOW);
    assert_eq!(book.incident(1).unwrap().count, 20);
}

#[test]
fn what_comes_after_a_merge_is_counted_in_the_one_that_took_it_in() {
    let mut book = book();
    book.apply_signal(&brute("203.0.113.77", "tk-38", 1, 9), NOW);
    book.apply_signal(&brute("203.0.113.78", "tk-42", 1, 3), NOW);
    act(&mut book, "1", 2, Action::Merge(Merge { into: 1 }));
    let steps = book.apply_signal(&brute("203.0.113.78", "tk-42", 2, 4), NOW);
    assert_eq!((steps[0].transition.incident, book.incidents().count()), (1, 2));
    assert_eq!(book.incident(1).unwrap().count, 16);
    // Taken back: each has its own again, also of what came in between.
    let steps = act(&mut book, "2", 2, Action::Reopen(Reopen { reason: "nhầm".into() }));
    assert_eq!(steps.len(), 2, "both sides are told");
    let counts: Vec<u64> = book.incidents().map(|incident| incident.count).collect();
    assert_eq!(counts, [9, 7]);
    assert_eq!(book.incident(1).unwrap().agencies, ["tk-38"]);
}

#[test]
fn one_that_was_split_off_ends_when_its_cause_does() {
    let mut book = book();
    for (offset, agency) in [(1, "tk-38"), (2, "tk-40")] {
        book.apply_signal(&down(agency, "ndxp", "platform-down", SignalKind::Raised, offset), NOW);
    }
    act(&mut book, "1", 1, split("tk-40"));
    book.apply_signal(&down("tk-40", "ndxp", "platform-down", SignalKind::Cleared, 3), NOW);
    assert_eq!(book.incident(2).unwrap().current_state(), IncidentState::Resolved);
    assert_eq!(book.incident(1).unwrap().current_state(), IncidentState::New);
    book.apply_signal(&down("tk-38", "ndxp", "platform-down", SignalKind::Cleared, 4), NOW);
    assert_eq!(book.incident(1).unwrap().current_state(), IncidentState::Resolved);
}

#[test]
fn a_clear_that_is_read_again_does_not_end_what_was_raised_after_it() {
    let mut book = book();
    let cleared = down("tk-38", "ndxp", "platform-down", SignalKind::Cleared, 3);
    let mut steps = book.apply_signal(&cleared, NOW);
    steps.extend(
        book.apply_signal(&down("tk-38", "ndxp", "platform-down", SignalKind::Raised, 4), NOW),
    );
    let mut book = restored(&book, &steps);
    assert_eq!(book.apply_signal(&cleared, NOW), []);
    assert!(book.incident(1).unwrap().current_state().is_open());
}

#[test]
fn an_incident_of_before_shares_is_split_and_cleared_as_far_as_it_tells() {
    let old = Incident {
        id: 7,
        state: IncidentState::New.into(),
        severity: 2,
        rule: "platform-down".into(),
        group: "ndxp".into(),
        agency: "tk-38".into(),
        agencies: vec!["tk-38".into(), "tk-40".into()],
        count: 12,
        values: BTreeMap::from([("active".to_owned(), "tk-38/a/ndxp\ntk-40/a/ndxp".to_owned())]),
        ..Incident::default()
    };
    let mut book = restored(&book(), &[]);
    book.keep(grouping::with_shares(old));
    book.next_id = 8;
    act(&mut book, "1", 7, split("tk-40"));
    let told: Vec<(u64, u64, &[String])> =
        book.incidents().map(|i| (i.id, i.count, i.agencies.as_slice())).collect();
    assert_eq!(told, [(7, 12, &["tk-38".to_owned()][..]), (8, 0, &["tk-40".to_owned()][..])]);
    for (offset, agency) in [(1, "tk-38"), (2, "tk-40")] {
        book.apply_signal(&down(agency, "ndxp", "platform-down", SignalKind::Cleared, offset), NOW);
    }
    assert_eq!(book.incident(7).unwrap().current_state(), IncidentState::Resolved);
}
