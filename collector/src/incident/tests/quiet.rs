use super::*;
use crate::quiet::{Event, Kind, Period, Periods, Terms, scope::Scope};

const MINUTE: Duration = Duration::from_secs(60);

/// What is quiet until an hour from now.
fn quiet(kind: Kind, scope: Scope) -> Arc<Periods> {
    let terms = Terms {
        kind,
        owner: "lan".into(),
        reason: "known".into(),
        scope,
        gravest: 1,
        begins: NOW,
        ends: NOW.plus(60 * MINUTE),
    };
    let step = crate::quiet::Step::Added(Box::new(terms));
    let event = Event { id: "p-1".into(), time: NOW, who: "lan".into(), step };
    Arc::new(Periods::of(Period::all(&[event])))
}

fn of_address(address: &str) -> Arc<Periods> {
    let address = Some(address.parse().unwrap());
    quiet(Kind::Suppression, Scope { address, ..Scope::default() })
}

fn of_portal() -> Arc<Periods> {
    quiet(Kind::Maintenance, Scope { agency: "H49".into(), ..Scope::default() })
}

fn actions(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.transition.action.as_str()).collect()
}

fn portal(kind: SignalKind, offset: i64) -> Signal {
    down("H49", "local-machine", "service-down", kind, offset)
}

/// The book as a collector that takes over reads it from the store.
fn taken_over(book: &IncidentBook, steps: &[Step], periods: &Arc<Periods>) -> IncidentBook {
    let mut held = withheld::Held::default();
    for step in steps.iter().filter(|step| step.transition.incident == 0) {
        held.version = held.version.max(step.transition.version);
        let signal = withheld::Held::signal(&step.transition.text).unwrap();
        held.signals.retain(|known| known.entity != signal.entity);
        let is_state = step.transition.text.contains("\"state\":true");
        if is_state && step.transition.action == withheld::WITHHELD {
            held.signals.push(signal);
        }
    }
    let mut again = restored(book, steps).holding_back(held);
    again.follow_quiet(Arc::clone(periods));
    again
}

#[test]
fn what_is_suppressed_opens_nothing_and_is_counted_once() {
    let mut book = book();
    let periods = of_address("203.0.113.7");
    book.follow_quiet(Arc::clone(&periods));
    let mut steps = Vec::new();
    for offset in [1, 2, 2, 1, 3] {
        steps.extend(book.apply_signal(&brute("203.0.113.7", "H49", offset, 5), NOW));
    }
    assert_eq!(actions(&steps), ["withheld"; 3]);
    assert_eq!(book.incidents().count(), 0);
    let versions: Vec<u64> = steps.iter().map(|step| step.transition.version).collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    assert!(steps.iter().all(|step| step.transition.after.is_none()));
    assert!(steps[0].transition.text.contains("\"by\":[\"p-1\"]"), "{:?}", steps[0]);
    // Whoever takes over and reads them again counts none of them a second time.
    let mut again = taken_over(&book, &steps, &periods);
    for offset in [1, 2, 3] {
        let none = again.apply_signal(&brute("203.0.113.7", "H49", offset, 5), NOW);
        assert_eq!(none, Vec::new());
    }
    let other = again.apply_signal(&brute("203.0.113.8", "H49", 4, 5), NOW);
    assert_eq!(actions(&other), ["opened"], "another address is told");
    let later = NOW.plus(60 * MINUTE);
    let end = again.tick(later);
    assert!(!actions(&end).contains(&"opened"), "an attack that is over is not told at the end");
    let next = again.apply_signal(&brute("203.0.113.7", "H49", 5, 5), later);
    assert_eq!(actions(&next), ["opened"], "the next one is");
    assert_eq!(again.incident(2).unwrap().count, 5);
}

#[test]
fn an_incident_that_is_open_goes_on_and_is_cleared_while_its_rule_is_quiet() {
    let mut book = book();
    book.apply_signal(&portal(SignalKind::Raised, 1), NOW);
    book.follow_quiet(of_portal());
    assert_eq!(book.apply_signal(&portal(SignalKind::Cleared, 2), NOW).len(), 1);
    assert_eq!(book.incident(1).unwrap().current_state(), IncidentState::Resolved);
}

#[test]
fn what_is_still_down_when_maintenance_ends_is_told_at_once_and_once() {
    let mut book = book();
    let periods = of_portal();
    book.follow_quiet(Arc::clone(&periods));
    let mut steps = book.apply_signal(&portal(SignalKind::Raised, 1), NOW);
    assert_eq!((actions(&steps), book.held()), (vec!["withheld"], 1));
    // A detection that was rebuilt tells it again.
    steps.extend(book.apply_signal(&portal(SignalKind::Raised, 2), NOW));
    assert_eq!(actions(&steps), ["withheld"], "one state is one");
    assert_eq!(book.tick(NOW.plus(59 * MINUTE)), Vec::new());
    let mut again = taken_over(&book, &steps, &periods);
    assert_eq!(again.held(), 1);
    let end = NOW.plus(60 * MINUTE);
    let raised = again.tick(end);
    assert_eq!((actions(&raised), again.held()), (vec!["let-go", "opened"], 0));
    let incident = again.incident(1).unwrap();
    assert_eq!((incident.first_time_unix_nano, incident.last_time_unix_nano), (NOW.0, end.0));
    steps.extend(raised);
    let mut third = taken_over(&again, &steps, &periods);
    assert_eq!((third.held(), third.tick(end)), (0, Vec::new()));
    let cleared = third.apply_signal(&portal(SignalKind::Cleared, 3), end);
    assert_eq!(actions(&cleared), ["resolved"]);
}

#[test]
fn what_is_up_again_before_maintenance_ends_is_never_told() {
    let mut book = book();
    let periods = of_portal();
    book.follow_quiet(Arc::clone(&periods));
    let mut steps = book.apply_signal(&portal(SignalKind::Raised, 1), NOW);
    steps.extend(book.apply_signal(&portal(SignalKind::Cleared, 2), NOW));
    assert_eq!(actions(&steps), ["withheld", "let-go"]);
    let mut again = taken_over(&book, &steps, &periods);
    assert_eq!((again.held(), again.tick(NOW.plus(61 * MINUTE))), (0, Vec::new()));
    let late = again.apply_signal(&portal(SignalKind::Raised, 1), NOW);
    assert_eq!(late, Vec::new(), "read again, it does not undo what came after it");
}

#[test]
fn an_end_before_the_time_raises_what_is_held() {
    let mut book = book();
    book.follow_quiet(of_portal());
    book.apply_signal(&portal(SignalKind::Raised, 1), NOW);
    book.follow_quiet(Arc::default());
    assert_eq!(actions(&book.tick(NOW)), ["let-go", "opened"]);
}

#[test]
fn what_is_held_is_bounded_and_what_comes_beyond_is_told() {
    let mut book = book();
    book.follow_quiet(of_portal());
    let of = |n: usize| {
        let entity = Some(Entity { kind: "check".into(), value: format!("H49/a/{n}") });
        let group = format!("H49/{n}");
        Signal { entity, group, ..portal(SignalKind::Raised, 1) }
    };
    for n in 0..withheld::HELD_MAX {
        assert_eq!(book.apply_signal(&of(n), NOW).len(), 1);
    }
    let beyond = book.apply_signal(&of(withheld::HELD_MAX), NOW);
    assert_eq!((actions(&beyond), book.held()), (vec!["opened"], withheld::HELD_MAX));
}

proptest! {
    /// Whatever comes in whatever order and how often, a signal is withheld, or it is in an incident, and never both.
    #[test]
    fn each_signal_is_counted_in_one_place(
        taken in prop::collection::vec((0_i64..40, any::<bool>()), 1..60),
    ) {
        let mut book = book();
        let quiet = of_address("203.0.113.7");
        let (mut steps, mut highest, mut fresh) = (Vec::new(), i64::MIN, 0_u64);
        for (offset, is_quiet) in taken {
            book.follow_quiet(if is_quiet { Arc::clone(&quiet) } else { Arc::default() });
            steps.extend(book.apply_signal(&brute("203.0.113.7", "H49", offset, 1), NOW));
            fresh += u64::from(offset > highest);
            highest = highest.max(offset);
            book = taken_over(&book, &steps, &quiet);
        }
        let counted: u64 = book.incidents().map(|incident| incident.count).sum();
        let withheld = steps.iter().filter(|step| step.transition.incident == 0).count() as u64;
        prop_assert_eq!(counted + withheld, fresh);
    }
}
