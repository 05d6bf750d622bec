//! What an operator of one agency does to the incidents of another, and what a person asks for that their role has not.

use anyhow::ensure;
use tonic::{Code, Status};
use vonggac_wire::proto::{
    Acknowledge, ActReply, Assign, Close, Command, HandOver, Hide, Hold, Judge, Merge, Note,
    Reopen, Report, Resolve, Split, Verdict, command::Action,
};

use super::{
    ground::{FOREIGN, Ground},
    questions::incident_of,
    tally::Tally,
};

/// Which incident is meant.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Own,
    Foreign,
    /// There is none.
    None,
}

struct Case {
    sentence: &'static str,
    who: &'static str,
    on: On,
    /// `foreign` and `own` are the incidents' numbers.
    action: fn(foreign: u64, own: u64) -> Action,
    answered: Code,
}

const fn case(
    sentence: &'static str,
    who: &'static str,
    on: On,
    action: fn(u64, u64) -> Action,
    answered: Code,
) -> Case {
    Case { sentence, who, on, action, answered }
}

use On::{Foreign, Own};

const HIDDEN: Code = Code::NotFound;
const DENIED: Code = Code::PermissionDenied;

fn acknowledge(_: u64, _: u64) -> Action {
    Action::Acknowledge(Acknowledge {})
}

fn assign(_: u64, _: u64) -> Action {
    Action::Assign(Assign { owner: "lan".into(), ..Assign::default() })
}

fn close(_: u64, _: u64) -> Action {
    Action::Close(Close { result: "x".into(), verdict: Verdict::FalsePositive.into() })
}

const CASES: [Case; 21] = [
    case("a foreign incident is not acknowledged", "lan", Foreign, acknowledge, HIDDEN),
    case("a foreign incident is not assigned", "lan", Foreign, assign, HIDDEN),
    case(
        "nothing is noted on a foreign incident",
        "lan",
        Foreign,
        |_, _| Action::Note(Note { text: "x".into() }),
        HIDDEN,
    ),
    case(
        "a foreign incident is not put on hold",
        "lan",
        Foreign,
        |_, _| Action::Hold(Hold { reason: "x".into() }),
        HIDDEN,
    ),
    case(
        "a foreign incident is not resolved",
        "lan",
        Foreign,
        |_, _| Action::Resolve(Resolve { result: "x".into() }),
        HIDDEN,
    ),
    case("a foreign incident is not closed", "lan", Foreign, close, HIDDEN),
    case(
        "a foreign incident is not opened again",
        "lan",
        Foreign,
        |_, _| Action::Reopen(Reopen { reason: "x".into() }),
        HIDDEN,
    ),
    case(
        "a foreign incident is not judged",
        "lan",
        Foreign,
        |_, _| Action::Judge(Judge { verdict: Verdict::FalsePositive.into() }),
        HIDDEN,
    ),
    case(
        "a foreign incident is not handed over",
        "lan",
        Foreign,
        |_, _| Action::HandOver(HandOver { owner: "lan".into(), ..HandOver::default() }),
        HIDDEN,
    ),
    case(
        "a foreign incident is not merged away",
        "lan",
        Foreign,
        |_, own| Action::Merge(Merge { into: own }),
        HIDDEN,
    ),
    case(
        "a foreign incident is not split",
        "lan",
        Foreign,
        |_, _| Action::Split(Split { agencies: vec![FOREIGN.into()], reason: "x".into() }),
        HIDDEN,
    ),
    case(
        "a foreign incident is not hidden",
        "lan",
        Foreign,
        |_, _| Action::Hide(Hide::default()),
        HIDDEN,
    ),
    case(
        "a foreign incident is not reported",
        "lan",
        Foreign,
        |_, _| Action::Report(Report { reference: "1/BC".into(), ..Report::default() }),
        HIDDEN,
    ),
    case(
        "an incident that is not there is answered like a foreign one",
        "lan",
        On::None,
        acknowledge,
        HIDDEN,
    ),
    case(
        "one's own incident is not merged into a foreign one",
        "lan",
        Own,
        |foreign, _| Action::Merge(Merge { into: foreign }),
        HIDDEN,
    ),
    case(
        "one's own incident is not put upon another agency",
        "lan",
        Own,
        |_, _| {
            Action::Assign(Assign {
                owner: "minh".into(),
                responsible_agency: FOREIGN.into(),
                ..Assign::default()
            })
        },
        DENIED,
    ),
    case(
        "another agency is not split off one's own incident",
        "lan",
        Own,
        |_, _| Action::Split(Split { agencies: vec![FOREIGN.into()], reason: "x".into() }),
        DENIED,
    ),
    case("a responder takes no case that was not given to them", "ung", Own, assign, HIDDEN),
    case("an observer of the same agency acknowledges nothing", "xem", Own, acknowledge, DENIED),
    case("an auditor closes nothing", "kiem", Foreign, close, DENIED),
    case("who has no role closes nothing", "nobody", Foreign, close, DENIED),
];

fn act(ground: &Ground, who: &str, command: Command) -> anyhow::Result<Result<ActReply, Status>> {
    let mut client = ground.client(who)?;
    Ok(ground.runtime.block_on(client.act(command)).map(tonic::Response::into_inner))
}

/// Steps of an incident's history.
fn steps(ground: &Ground, incident: u64) -> anyhow::Result<u64> {
    ground.machine.count(&format!("SELECT count() FROM transitions WHERE incident = {incident}"))
}

fn refusals(ground: &Ground, who: &str) -> anyhow::Result<u64> {
    ground.machine.count(&format!(
        "SELECT count() FROM audit WHERE who = '{who}' AND call = 'act' AND outcome IN ('not-found', 'permission-denied')"
    ))
}

fn try_one(ground: &Ground, case: &Case, foreign: u64, own: u64) -> anyhow::Result<()> {
    let incident = match case.on {
        Own => own,
        Foreign => foreign,
        On::None => 4_000_000,
    };
    let (steps_before, written) = (steps(ground, incident)?, refusals(ground, case.who)?);
    // Whoever acts says that they are somebody else.
    let command = Command {
        incident,
        actor: "administrator".into(),
        action: Some((case.action)(foreign, own)),
        ..Command::default()
    };
    let answered = act(ground, case.who, command)?;
    let refused = answered.err().map(|status| (status.code(), status.message().to_owned()));
    ensure!(
        refused.as_ref().is_some_and(|(code, _)| *code == case.answered),
        "answered {refused:?}"
    );
    let words = refused.unwrap_or((Code::Ok, String::new())).1;
    ensure!(!words.is_empty() && !words.contains(FOREIGN), "it says {words:?}");
    ensure!(steps(ground, incident)? == steps_before, "the incident has another step");
    ground.wait("the audit log tells it", || Ok(refusals(ground, case.who)? > written))
}

/// A command of the operator's own has their certificate's name on it, whatever it says; and its number answers nobody else.
fn actor(ground: &Ground, own: u64) -> anyhow::Result<()> {
    let command = Command {
        id: "4f6d3c1e-1111-4222-8333-944455566677".into(),
        incident: own,
        actor: "administrator".into(),
        action: Some(Action::Note(Note { text: "seen".into() })),
        ..Command::default()
    };
    let answered = act(ground, "lan", command)?;
    ensure!(answered.as_ref().is_ok_and(|reply| reply.refused.is_empty()), "answered {answered:?}");
    let named = format!("SELECT count() FROM transitions WHERE incident = {own} AND actor = 'lan'");
    ground.wait("the step", || Ok(ground.machine.count(&named)? > 0))?;
    let lied = format!(
        "SELECT count() FROM transitions WHERE actor = 'administrator' AND incident = {own}"
    );
    ensure!(ground.machine.count(&lied)? == 0, "the lie is in the history");
    Ok(())
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    let (foreign, own) = (incident_of(ground, "db-1")?, incident_of(ground, "web-1")?);
    for case in &CASES {
        tally.note(case.sentence, try_one(ground, case, foreign, own));
    }
    tally.note(
        "who acts is named by their certificate and not by what they say",
        actor(ground, own),
    );
    Ok(())
}
