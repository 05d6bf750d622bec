use std::sync::LazyLock;

use proptest::prelude::*;
use vonggac_wire::proto::{
    Acknowledge, Close, Entity, Note, Origin, Resolve, Verdict, command::Action,
};

use super::*;

mod clocks;
mod history;
mod quiet;

const NOW: Time = Time::from_seconds(1_764_000_000);

/// Read once: two hundred books a test need them.
static KNOWN: LazyLock<(Arc<RuleSet>, Arc<Registry>)> = LazyLock::new(|| {
    (Arc::new(RuleSet::builtin().unwrap()), Arc::new(Registry::builtin().unwrap()))
});

fn book() -> IncidentBook {
    opened(Vec::new(), HashMap::new(), Vec::new())
}

fn opened(
    incidents: Vec<Incident>,
    origins: HashMap<String, i64>,
    commands: Vec<String>,
) -> IncidentBook {
    let (rules, registry) = &*KNOWN;
    IncidentBook::new(Arc::clone(rules), Arc::clone(registry), incidents, origins, commands)
}

fn restored(book: &IncidentBook, steps: &[Step]) -> IncidentBook {
    let mut origins: HashMap<String, i64> = HashMap::new();
    for step in steps.iter().filter(|step| !step.origin_key.is_empty()) {
        let taken = origins.entry(step.origin_key.clone()).or_insert(i64::MIN);
        *taken = step.origin_offset.max(*taken);
    }
    let commands = steps.iter().map(|s| s.command.clone()).filter(|c| !c.is_empty()).collect();
    opened(book.incidents().cloned().collect(), origins, commands)
}

fn brute(address: &str, agency: &str, offset: i64, count: u64) -> Signal {
    Signal {
        rule: "ssh-brute-force".into(),
        kind: SignalKind::Raised.into(),
        severity: 2,
        entity: Some(Entity { kind: "src_ip".into(), value: address.into() }),
        group: address.into(),
        agency: agency.into(),
        host: "web-1".into(),
        count,
        first_time_unix_nano: NOW.0,
        last_time_unix_nano: NOW.0,
        origin: Some(Origin { topic: "vonggac.security.v1".into(), partition: 0, offset }),
        values: BTreeMap::from([("src_ip".to_owned(), address.to_owned())]),
        ..Signal::default()
    }
}

fn down(agency: &str, system: &str, rule: &str, kind: SignalKind, offset: i64) -> Signal {
    let group =
        if rule == "platform-down" { system.to_owned() } else { format!("{agency}/portal") };
    Signal {
        rule: rule.into(),
        kind: kind.into(),
        severity: 2,
        entity: Some(Entity { kind: "check".into(), value: format!("{agency}/a/{system}") }),
        group,
        system: system.into(),
        origin: Some(Origin { topic: "vonggac.uptime.v1".into(), partition: 0, offset }),
        ..brute("x", agency, offset, 1)
    }
}

fn command(id: &str, incident: u64, action: Action) -> Command {
    Command {
        id: id.into(),
        incident,
        actor: "Lan".into(),
        action: Some(action),
        ..Command::default()
    }
}

#[test]
fn ten_thousand_failures_are_one_incident_with_their_count() {
    let mut book = book();
    for offset in 0..10 {
        book.apply_signal(
            &brute("203.0.113.77", if offset % 2 == 0 { "tk-38" } else { "tk-40" }, offset, 1_000),
            NOW,
        );
    }
    let all: Vec<_> = book.incidents().collect();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].count, all[0].agencies.len()), (10_000, 2));
    assert_eq!(all[0].title_vi, "Dò mật khẩu SSH từ 203.0.113.77 (2 cơ quan)");
}

#[test]
fn signals_that_come_again_after_a_crash_change_nothing() {
    let mut book = book();
    let mut steps = book.apply_signal(&brute("203.0.113.77", "tk-38", 5, 10), NOW);
    steps.extend(book.apply_signal(&brute("203.0.113.77", "tk-38", 6, 3), NOW));
    let mut book = restored(&book, &steps);
    assert!(book.apply_signal(&brute("203.0.113.77", "tk-38", 5, 10), NOW).is_empty());
    assert!(book.apply_signal(&brute("203.0.113.77", "tk-38", 6, 3), NOW).is_empty());
    assert_eq!(book.incident(1).unwrap().count, 13);
}

#[test]
fn a_service_that_is_back_resolves_its_incident_with_its_duration() {
    let mut book = book();
    book.apply_signal(&down("local", "local-machine", "service-down", SignalKind::Raised, 1), NOW);
    let later = NOW.plus(Duration::from_secs(90));
    let mut up = down("local", "local-machine", "service-down", SignalKind::Cleared, 2);
    up.last_time_unix_nano = later.0;
    book.apply_signal(&up, later);
    let incident = book.incident(1).unwrap();
    assert_eq!(incident.current_state(), IncidentState::Resolved);
    assert_eq!(incident.duration(later), Duration::from_secs(90));
    // Down again within ten minutes: the same incident.
    book.apply_signal(
        &down("local", "local-machine", "service-down", SignalKind::Raised, 3),
        later,
    );
    assert_eq!((book.incidents().count(), book.incident(1).unwrap().reopened), (1, 1));
}

#[test]
fn a_fallen_platform_pulls_its_dependents_along_before_and_after() {
    let mut book = book();
    assert!(
        book.apply_signal(
            &down("tk-38", "agency-one-stop", "service-down", SignalKind::Raised, 1),
            NOW
        )
        .is_empty()
    );
    let fallen =
        book.apply_signal(&down("tk-01", "ndxp", "platform-down", SignalKind::Raised, 2), NOW);
    assert_eq!(fallen.len(), 2);
    book.apply_signal(
        &down("tk-40", "agency-one-stop", "service-down", SignalKind::Raised, 3),
        NOW,
    );
    assert_eq!(book.incidents().count(), 1);
    let platform = book.incident(1).unwrap();
    assert_eq!(platform.agencies, ["tk-01", "tk-38", "tk-40"]);
    assert_eq!(platform.responsible_agency, "G06");
    // Without a platform the service opens its own after a while.
    let mut alone = self::book();
    alone.apply_signal(
        &down("tk-38", "agency-one-stop", "service-down", SignalKind::Raised, 1),
        NOW,
    );
    assert_eq!(alone.tick(NOW.plus(SETTLE)).len(), 1);
}

#[test]
fn a_case_goes_through_its_states_and_closes_only_with_result_and_verdict() {
    let mut book = book();
    book.apply_signal(&brute("203.0.113.77", "tk-38", 1, 9), NOW);
    let act = |book: &mut IncidentBook, id: &str, action| {
        book.apply_command(&command(id, 1, action), NOW)
    };
    act(&mut book, "1", Action::Acknowledge(Acknowledge {})).unwrap();
    assert_eq!(book.incident(1).unwrap().owner, "Lan");
    assert_eq!(act(&mut book, "2", Action::Close(Close::default())), Err(Refusal::ResultMissing));
    act(&mut book, "3", Action::Resolve(Resolve { result: "đã chặn".into() })).unwrap();
    assert_eq!(act(&mut book, "4", Action::Close(Close::default())), Err(Refusal::VerdictMissing));
    act(
        &mut book,
        "5",
        Action::Close(Close { verdict: Verdict::TruePositive.into(), ..Close::default() }),
    )
    .unwrap();
    assert_eq!(book.incident(1).unwrap().current_state(), IncidentState::Closed);
    assert_eq!(
        act(&mut book, "6", Action::Note(Note { text: " ".into() })),
        Err(Refusal::TextMissing)
    );
    assert_eq!(
        act(&mut book, "5", Action::Acknowledge(Acknowledge {})),
        Ok(Vec::new()),
        "a repeated command does nothing"
    );
}

proptest! {
    #[test]
    fn counts_do_not_depend_on_what_is_delivered_twice(order in proptest::collection::vec((0_i64..30, 0_usize..3), 1..80)) {
        let addresses = ["203.0.113.1", "203.0.113.2", "203.0.113.3"];
        let mut book = book();
        let mut highest = [-1_i64; 3];
        let mut wanted = [0_u64; 3];
        for (offset, which) in order {
            book.apply_signal(&brute(addresses[which], "tk-38", offset, 2), NOW);
            if offset > highest[which] {
                highest[which] = offset;
                wanted[which] += 2;
            }
        }
        for incident in book.incidents() {
            let which = addresses.iter().position(|a| *a == incident.group).unwrap();
            prop_assert_eq!(incident.count, wanted[which]);
            prop_assert!(incident.version >= 1);
        }
    }
}

#[test]
fn incidents_are_merged_split_hidden_and_handed_over() {
    use vonggac_wire::proto::{HandOver, Hide, Merge, Split};
    let mut book = book();
    book.apply_signal(&brute("203.0.113.77", "tk-38", 1, 9), NOW);
    book.apply_signal(&brute("203.0.113.77", "tk-40", 2, 5), NOW);
    book.apply_signal(&brute("203.0.113.78", "tk-42", 1, 3), NOW);
    let mut act =
        |id: &str, incident, action| book.apply_command(&command(id, incident, action), NOW);
    let over = |note: &str| Action::HandOver(HandOver { owner: "Minh".into(), note: note.into() });
    assert_eq!(act("1", 1, over("")), Err(Refusal::TextMissing));
    act("2", 1, over("đang chờ nhà thầu")).unwrap();
    let all = |reason: &str| {
        Action::Split(Split {
            agencies: vec!["tk-38".into(), "tk-40".into()],
            reason: reason.into(),
        })
    };
    assert_eq!(act("3", 1, all("khác nguyên nhân")), Err(Refusal::SplitNamesNoneOrAll));
    let one = Action::Split(Split { agencies: vec!["tk-40".into()], reason: "khác".into() });
    let steps = act("4", 1, one).unwrap();
    assert_eq!(steps.len(), 2, "both sides are told");
    assert_eq!(act("5", 1, Action::Merge(Merge { into: 1 })), Err(Refusal::NoSuchTarget));
    let until = |seconds| {
        let until_unix_nano = NOW.plus(std::time::Duration::from_secs(seconds)).0;
        Action::Hide(Hide { reason: "máy quét được phép".into(), until_unix_nano })
    };
    assert_eq!(act("6", 1, until(90 * 86_400)), Err(Refusal::HideEnd));
    act("7", 1, until(3600)).unwrap();
    act("8", 2, Action::Merge(Merge { into: 1 })).unwrap();
    let first = book.incident(1).unwrap();
    assert_eq!((first.owner.as_str(), first.last_note.as_str()), ("Minh", "đang chờ nhà thầu"));
    assert_eq!(
        (first.agencies.as_slice(), first.count),
        (&["tk-38".to_owned(), "tk-42".to_owned()][..], 9 + 3)
    );
    assert!(first.hidden_until_unix_nano.is_some_and(|until| until > NOW.0));
    let second = book.incident(2).unwrap();
    assert_eq!((second.current_state(), second.merged_into), (IncidentState::Closed, 1));
    let third = book.incident(3).unwrap();
    assert_eq!((third.split_from, third.agencies.as_slice()), (1, &["tk-40".to_owned()][..]));
    assert_eq!(third.count, 5, "and what it was split off with is counted there alone");
}

#[test]
fn hiding_is_ended_and_a_merge_is_taken_back_by_opening_again() {
    use vonggac_wire::proto::{Hide, Merge, Reopen};
    let mut book = book();
    book.apply_signal(&brute("203.0.113.77", "tk-38", 1, 9), NOW);
    book.apply_signal(&brute("203.0.113.78", "tk-42", 1, 3), NOW);
    let mut act =
        |id: &str, incident, action| book.apply_command(&command(id, incident, action), NOW);
    let hide = |until_unix_nano| Action::Hide(Hide { reason: "đã rõ".into(), until_unix_nano });
    assert_eq!(
        act("1", 1, hide(0)),
        Err(Refusal::HideEnd),
        "what is not hidden is not shown again"
    );
    act("2", 1, hide(NOW.plus(std::time::Duration::from_secs(60)).0)).unwrap();
    let steps = act("3", 1, hide(0)).unwrap();
    assert_eq!(steps[0].transition.action, "shown");
    act("4", 2, Action::Merge(Merge { into: 1 })).unwrap();
    act("5", 2, Action::Reopen(Reopen { reason: "khác nguyên nhân".into() })).unwrap();
    let first = book.incident(1).unwrap();
    assert_eq!((first.hidden_until_unix_nano, first.hidden_by.as_str()), (None, ""));
    let second = book.incident(2).unwrap();
    assert_eq!((second.current_state(), second.merged_into), (IncidentState::InProgress, 0));
}
