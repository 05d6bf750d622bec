//! Clocks of service: they pause, end and run out once, and what ran out is told once, whatever book tells it.

use vonggac_wire::proto::{Assign, ClockState, Hold, Judge, Reopen, Report};

use super::*;

const MINUTE: u64 = 60;

fn after(minutes: u64) -> Time {
    NOW.plus(Duration::from_secs(minutes * MINUTE))
}

fn fallen(severity: u32, offset: i64) -> Signal {
    let down = down("local", "local-machine", "service-down", SignalKind::Raised, offset);
    Signal { severity, ..down }
}

/// M2, of grade 3: 15 minutes to answer, 4 hours to solve, around the clock. It is over when somebody says so.
fn grave() -> IncidentBook {
    let mut book = book();
    book.apply_signal(&fallen(2, 1), NOW);
    book
}

fn act(book: &mut IncidentBook, id: &str, action: Action, minutes: u64) {
    book.apply_command(&command(id, 1, action), after(minutes)).unwrap();
}

fn acknowledge() -> Action {
    Action::Acknowledge(Acknowledge {})
}

fn clock(book: &IncidentBook, kind: &str) -> (ClockState, Option<u64>) {
    let clock = book.incident(1).unwrap().clock(kind).unwrap();
    let minutes = clock.due_unix_nano.map(|due| Time(due).since(NOW).as_secs() / MINUTE);
    (clock.state(), minutes)
}

fn told(steps: &[Step]) -> Vec<(&str, &str)> {
    steps.iter().map(|s| (s.transition.action.as_str(), s.transition.text.as_str())).collect()
}

#[test]
fn a_fresh_incident_has_both_clocks_and_the_deadline_of_solving() {
    let book = grave();
    assert_eq!(clock(&book, "answer"), (ClockState::Running, Some(15)));
    assert_eq!(clock(&book, "solve"), (ClockState::Running, Some(240)));
    assert_eq!(book.incident(1).unwrap().deadline_unix_nano, Some(after(240).0));
}

#[test]
fn taking_an_incident_ends_the_first_clock_and_resolving_it_the_second() {
    let mut book = grave();
    act(&mut book, "1", acknowledge(), 3);
    assert_eq!(clock(&book, "answer").0, ClockState::Met);
    act(&mut book, "2", Action::Resolve(Resolve { result: "đã chặn".into() }), 60);
    assert_eq!(clock(&book, "solve").0, ClockState::Met);
    // Opened again, it goes on with what was left.
    act(&mut book, "3", Action::Reopen(Reopen { reason: "lại bị".into() }), 600);
    assert_eq!(clock(&book, "solve"), (ClockState::Running, Some(600 + 180)));
    assert_eq!(clock(&book, "answer").0, ClockState::Met);
}

#[test]
fn a_clock_stands_still_while_the_incident_is_on_hold() {
    let mut book = grave();
    act(&mut book, "1", acknowledge(), 3);
    act(&mut book, "2", Action::Hold(Hold { reason: "chờ nhà thầu".into() }), 40);
    assert_eq!(clock(&book, "solve"), (ClockState::Paused, None));
    assert_eq!(book.incident(1).unwrap().deadline_unix_nano, None, "nothing is due");
    assert!(book.tick(after(10_000)).iter().all(|step| step.transition.action == "resolved"));
    let mut book = grave();
    act(&mut book, "1", acknowledge(), 3);
    act(&mut book, "2", Action::Hold(Hold { reason: "chờ nhà thầu".into() }), 40);
    act(&mut book, "3", acknowledge(), 1_040);
    assert_eq!(clock(&book, "solve"), (ClockState::Running, Some(1_240)));
}

#[test]
fn what_runs_out_is_told_once_and_then_up_the_chain() {
    let mut book = grave();
    assert_eq!(told(&book.tick(after(14))), []);
    let steps = book.tick(after(15));
    assert_eq!(told(&steps), [("breached", "answer"), ("escalated", "answer 1 shift-lead")]);
    assert_eq!(told(&book.tick(after(16))), []);
    // Another book that reads what was stored tells nothing of it again.
    let mut book = restored(&book, &steps);
    assert_eq!(told(&book.tick(after(17))), []);
    let incident = book.incident(1).unwrap();
    assert_eq!(incident.escalations.len(), 1);
    assert_eq!(incident.clock("answer").unwrap().state(), ClockState::Breached);
    act(&mut book, "1", acknowledge(), 20);
    let answer = book.incident(1).unwrap().clock("answer").unwrap().clone();
    assert_eq!((answer.state(), answer.ended_unix_nano), (ClockState::Breached, Some(after(20).0)));
    assert_eq!(told(&book.tick(after(60))), [], "whoever has it needs no second level");
}

#[test]
fn nobody_answers_and_each_level_hears_of_it_in_its_turn() {
    let mut book = grave();
    let steps = book.tick(after(15 + 30));
    let all = told(&steps);
    assert_eq!(
        all,
        [
            ("breached", "answer"),
            ("escalated", "answer 1 shift-lead"),
            ("escalated", "answer 2 centre-head")
        ]
    );
    assert!(steps.iter().all(|step| step.transition.actor == SYSTEM));
}

#[test]
fn a_clock_that_ran_out_makes_no_quiet_incident_loud() {
    let mut book = book();
    book.apply_signal(&brute("203.0.113.77", "tk-38", 1, 9), NOW);
    let before = book.incident(1).unwrap().updated_unix_nano;
    let steps = book.tick(after(15));
    assert_eq!(book.incident(1).unwrap().updated_unix_nano, before);
    assert_eq!(steps[0].transition.after.as_ref().unwrap().updated_unix_nano, before);
    assert_eq!(told(&book.tick(after(30))), [("resolved", "quiet")]);
}

#[test]
fn a_graver_incident_has_less_time_and_what_was_used_is_used() {
    let mut book = grave();
    let graver = fallen(1, 2);
    book.apply_signal(&graver, after(4));
    // M1: 5 and 30 minutes.
    assert_eq!(clock(&book, "answer"), (ClockState::Running, Some(5)));
    assert_eq!(clock(&book, "solve"), (ClockState::Running, Some(30)));
    let mut late = grave();
    late.apply_signal(&graver, after(10));
    assert_eq!(clock(&late, "answer"), (ClockState::Running, Some(10)), "it is used up");
    assert_eq!(told(&late.tick(after(10)))[0], ("breached", "answer"));
}

#[test]
fn what_something_graver_opens_again_has_its_limit() {
    let mut book = grave();
    act(&mut book, "1", Action::Resolve(Resolve { result: "xong".into() }), 10);
    book.apply_signal(&fallen(1, 2), after(15));
    assert_eq!(book.incident(1).unwrap().reopened, 1);
    assert_eq!(clock(&book, "solve"), (ClockState::Running, Some(15 + 20)));
}

#[test]
fn a_milder_incident_of_a_general_system_goes_by_working_hours() {
    let friday: Time = "2026-11-27T16:00:00+07:00".parse().unwrap();
    let due = |severity, at: Time| {
        let mut book = book();
        book.apply_signal(&fallen(severity, 1), at);
        book.incident(1).unwrap().clock("answer").unwrap().clone()
    };
    let monday: Time = "2026-11-30T09:00:00+07:00".parse().unwrap();
    let mild = due(3, friday);
    assert_eq!((mild.due_unix_nano, mild.doubt.as_str()), (Some(monday.0), ""));
    assert_eq!(due(2, friday).due_unix_nano, Some(friday.plus(Duration::from_secs(15 * 60)).0));
    // No holidays are known: around the clock, which is the earlier end, and it says so.
    let unknown: Time = "2029-06-01T16:00:00+07:00".parse().unwrap();
    let doubted = due(3, unknown);
    assert_eq!(doubted.due_unix_nano, Some(unknown.plus(Duration::from_secs(2 * 3_600)).0));
    assert_eq!(doubted.doubt, "no-holidays-2029");
}

#[test]
fn a_deadline_that_a_person_gave_stands_whatever_the_clock_does() {
    let mut book = grave();
    let mine = Assign {
        owner: "Minh".into(),
        deadline_unix_nano: Some(after(600).0),
        ..Assign::default()
    };
    act(&mut book, "1", Action::Assign(mine), 3);
    act(&mut book, "2", Action::Hold(Hold { reason: "chờ".into() }), 40);
    assert_eq!(book.incident(1).unwrap().deadline_unix_nano, Some(after(600).0));
    assert_eq!(clock(&book, "solve").0, ClockState::Paused);
}

#[test]
fn an_incident_of_before_stays_without_clocks_and_keeps_its_deadline() {
    let old = Incident {
        id: 1,
        state: IncidentState::New.into(),
        severity: 2,
        rule: "ssh-brute-force".into(),
        deadline_unix_nano: Some(after(240).0),
        updated_unix_nano: NOW.0,
        ..Incident::default()
    };
    let mut book = opened(vec![old], HashMap::new(), Vec::new());
    act(&mut book, "1", acknowledge(), 3);
    let incident = book.incident(1).unwrap();
    assert!(incident.clocks.is_empty());
    assert_eq!(incident.deadline_unix_nano, Some(after(240).0));
}

#[test]
fn a_report_by_law_is_written_down_with_who_when_and_its_number() {
    let mut book = grave();
    let report = |duty: &str, reference: &str, sent: i64| {
        Action::Report(Report {
            duty: duty.into(),
            to: "VNCERT".into(),
            reference: reference.into(),
            sent_unix_nano: sent,
        })
    };
    let mut tried = |id: &str, action| book.apply_command(&command(id, 1, action), after(60));
    let refused = Refusal::UnknownDuty("report-mid-year".into());
    assert_eq!(tried("1", report("report-mid-year", "1/BC", 0)), Err(refused));
    assert_eq!(tried("2", report("incident-notice", " ", 0)), Err(Refusal::TextMissing));
    let late = after(61).0;
    assert_eq!(tried("3", report("incident-notice", "1/BC", late)), Err(Refusal::ReportTime));
    let early = NOW.0 - 1;
    assert_eq!(tried("4", report("incident-notice", "1/BC", early)), Err(Refusal::ReportTime));
    let steps = tried("5", report("incident-notice", "1/BC", after(30).0)).unwrap();
    let (transition, sent) = (&steps[0].transition, after(30));
    assert_eq!((transition.action.as_str(), transition.actor.as_str()), ("reported", "Lan"));
    assert_eq!(transition.text, format!("incident-notice {sent}: 1/BC"));
    let reports = &book.incident(1).unwrap().reports;
    assert_eq!((reports.len(), reports[0].sent_unix_nano), (1, sent.0));
    assert_eq!(reports[0].told_unix_nano, after(60).0);
}

#[test]
fn an_incident_keeps_no_more_reports_than_it_may() {
    use vonggac_wire::limits::REPORTS_MAX;
    let mut book = grave();
    for number in 0..=REPORTS_MAX {
        let report = Report {
            duty: "incident-notice".into(),
            reference: number.to_string(),
            ..Report::default()
        };
        let told = command(&number.to_string(), 1, Action::Report(report));
        let done = book.apply_command(&told, after(60));
        assert_eq!(done.err(), (number == REPORTS_MAX).then_some(Refusal::TooManyReports));
    }
}

#[test]
fn a_verdict_says_when_it_was_given() {
    let mut book = grave();
    let judge = Judge { verdict: Verdict::TruePositive.into() };
    act(&mut book, "1", Action::Judge(judge), 7);
    assert_eq!(book.incident(1).unwrap().judged_unix_nano, Some(after(7).0));
}

#[derive(Clone, Debug)]
enum Turn {
    Wait(u64),
    Take,
    Hold,
    Resolve,
    Reopen,
    Graver,
    Restart,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let one = prop_oneof![
        4 => (1_u64..120).prop_map(Turn::Wait),
        2 => Just(Turn::Take),
        2 => Just(Turn::Hold),
        1 => Just(Turn::Resolve),
        1 => Just(Turn::Reopen),
        1 => Just(Turn::Graver),
        2 => Just(Turn::Restart),
    ];
    proptest::collection::vec(one, 1..40)
}

proptest! {
    #[test]
    fn nothing_is_told_twice_and_a_clock_uses_only_the_time_that_it_ran(turns in turns()) {
        let mut book = grave();
        let (mut minutes, mut ran, mut steps) = (0, 0, Vec::new());
        let mut offset = 1;
        for (number, turn) in turns.into_iter().enumerate() {
            let state = book.incident(1).unwrap().current_state();
            let runs = state.is_open() && state != IncidentState::OnHold;
            let id = number.to_string();
            let action = match turn {
                Turn::Wait(more) => {
                    minutes += more;
                    ran += if runs { more } else { 0 };
                    steps.extend(book.tick(after(minutes)));
                    continue;
                }
                Turn::Graver => {
                    offset += 1;
                    steps.extend(book.apply_signal(&fallen(1, offset), after(minutes)));
                    continue;
                }
                Turn::Restart => {
                    book = restored(&book, &steps);
                    continue;
                }
                Turn::Take => acknowledge(),
                Turn::Hold => Action::Hold(Hold { reason: "chờ".into() }),
                Turn::Resolve => Action::Resolve(Resolve { result: "xong".into() }),
                Turn::Reopen => Action::Reopen(Reopen { reason: "lại".into() }),
            };
            steps.extend(book.apply_command(&command(&id, 1, action), after(minutes)).into_iter().flatten());
        }
        let mut once: Vec<(u64, &str, &str)> = steps
            .iter()
            .map(|s| (s.transition.incident, s.transition.action.as_str(), s.transition.text.as_str()))
            .filter(|(_, action, _)| matches!(*action, "breached" | "escalated"))
            .collect();
        let all = once.len();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), all);
        let incident = book.incident(1).unwrap();
        let solve = incident.clock("solve").unwrap();
        // What became graver may have used more than it has by then.
        if solve.state() != ClockState::Breached && ran <= solve.limit_seconds / MINUTE {
            let left = match solve.state() {
                ClockState::Running => Time(solve.due_unix_nano.unwrap()).since(after(minutes)).as_secs() / MINUTE,
                _ => solve.left_seconds / MINUTE,
            };
            prop_assert_eq!(left + ran, solve.limit_seconds / MINUTE);
        }
    }
}
