use std::sync::atomic::{AtomicU64, Ordering};

use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane,
    event::{Heartbeat, HostFigures, LaneFigures},
    proto::{IncidentState, Origin},
};

use super::{picture::delta, *};

const NOW: Time = Time::from_seconds(1_764_000_000);

/// An agent never gives a number twice.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

fn nation() -> Nation {
    Nation::new(Arc::new(Registry::builtin().unwrap()), Arc::new(RuleSet::builtin().unwrap()))
}

fn record(agency: &str, agent: &str, at: Time, bodies: Vec<(Body, &str)>) -> Record {
    let events: Vec<Event> = bodies
        .into_iter()
        .map(|(body, system)| Event::new(at, at, body).with_system(system))
        .collect();
    Record {
        origin: Origin::default(),
        appended: at,
        bytes: 0,
        known: Default::default(),
        hash: BatchHash([0; 32]),
        seal: None,
        batch: Batch {
            agent: AgentId::new(agent).unwrap(),
            agency: AgencyId::new(agency).unwrap(),
            host: agent.into(),
            boot: [0; 16],
            lane: Lane::Uptime,
            first_seq: NUMBERS.fetch_add(1_000, Ordering::Relaxed),
            previous: None,
            events,
            simulated: false,
            sealed: at,
            ahead: false,
        },
    }
}

fn beat() -> Body {
    let lanes = vec![LaneFigures {
        lane: Lane::Uptime.into(),
        next_seq: 3,
        acknowledged_seq: 1,
        ..LaneFigures::default()
    }];
    Body::Heartbeat(Heartbeat { interval_seconds: 10.0, lanes, ..Heartbeat::default() })
}

fn state(nation: &Nation, code: &str, now: Time) -> H {
    nation.whole(now).agencies.iter().find(|row| row.code == code).unwrap().state()
}

#[test]
fn nobody_is_fine_by_default() {
    let nation = nation();
    assert_eq!(state(&nation, "tk-12", NOW), H::NotConnected);
    assert_eq!(state(&nation, "G01", NOW), H::Excluded);
}

#[test]
fn who_is_heard_is_fine_and_who_is_not_heard_any_more_is_silent() {
    let mut nation = nation();
    nation.apply(&record("local", "me", NOW, vec![(beat(), "")]), NOW);
    assert_eq!(state(&nation, "local", NOW), H::Fine);
    assert_eq!(state(&nation, "local", NOW.plus(Duration::from_secs(27))), H::Fine);
    assert_eq!(state(&nation, "local", NOW.plus(Duration::from_secs(28))), H::Silent);
}

#[test]
fn a_service_that_fails_twice_is_down_and_unused_portals_are_told_by_their_own_lamp() {
    let mut nation = nation();
    let check = || {
        Body::Check(Check {
            name: "portal".into(),
            outcome: CheckOutcome::Down.into(),
            interval_seconds: 10.0,
            ..Check::default()
        })
    };
    nation.apply(&record("local", "me", NOW, vec![(beat(), ""), (check(), "local-machine")]), NOW);
    assert_eq!(state(&nation, "local", NOW), H::Degraded);
    nation.apply(&record("local", "me", NOW, vec![(check(), "local-machine")]), NOW);
    assert_eq!(state(&nation, "local", NOW), H::Down);
    let portal = Incident {
        id: 1,
        rule: "portal-without-use".into(),
        severity: 1,
        state: IncidentState::New.into(),
        agencies: vec!["tk-48".into()],
        ..Incident::default()
    };
    nation.apply(&record("tk-48", "web", NOW, vec![(beat(), "")]), NOW);
    nation.apply_incident(&Arc::new(portal));
    let row = nation.whole(NOW).agencies.into_iter().find(|row| row.code == "tk-48").unwrap();
    assert_eq!((row.service(), row.usage(), row.state()), (H::Fine, H::Down, H::Down));
}

#[test]
fn a_delta_holds_only_what_changed() {
    let mut nation = nation();
    let before = nation.whole(NOW);
    nation.apply(&record("local", "me", NOW, vec![(beat(), "")]), NOW);
    let delta = delta(&before, &nation.whole(NOW));
    assert_eq!((delta.agencies.len(), delta.agents.len(), delta.snapshot), (1, 1, false));
}

#[test]
fn an_older_state_never_replaces_a_newer_one() {
    let check = |outcome: CheckOutcome| {
        let check = Check { name: "portal".into(), outcome: outcome.into(), ..Check::default() };
        (Body::Check(check), "local-machine")
    };
    let figures = |utilization: f64| {
        let figures = HostFigures { cpu_utilization: utilization, ..HostFigures::default() };
        (Body::HostFigures(figures), "")
    };
    let version = |version: &str| {
        let beat = Heartbeat {
            interval_seconds: 10.0,
            agent_version: version.into(),
            ..Heartbeat::default()
        };
        (Body::Heartbeat(beat), "")
    };
    let minute = Duration::from_secs(60);
    let mut nation = nation();
    // Read in this order, and sent in another.
    let then = NOW.minus(3 * minute);
    let old =
        vec![version("1"), check(CheckOutcome::Down), check(CheckOutcome::Down), figures(0.9)];
    let mut old = record("local", "me", then, old);
    let new = vec![version("2"), check(CheckOutcome::Up), figures(0.1)];
    nation.apply(&record("local", "me", NOW, new), NOW);
    old.appended = NOW.plus(minute);
    nation.apply(&old, NOW.plus(minute));
    let picture = nation.whole(NOW.plus(minute));
    let agent = &picture.agents[0];
    assert_eq!((agent.version.as_str(), agent.cpu_utilization), ("2", Some(0.1)));
    assert_eq!(agent.last_heard_unix_nano, Some(NOW.plus(minute).0), "who sends is heard");
    let row = &picture.checks[0];
    assert_eq!((row.last_time_unix_nano, row.recent_all, row.recent_up), (Some(NOW.0), 1, 1));
    let system = picture.systems.iter().find(|row| row.id == "local-machine").unwrap();
    assert_eq!((system.minutes_up, system.minutes_open), (Some(1), Some(2)), "minutes all count");
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_fresh() {
    let mut nation = nation();
    nation.apply(&record("H49", "a", NOW, vec![(beat(), "")]), NOW);
    let back = NOW.minus(Duration::from_secs(3_600));
    nation.tick(back);
    let whole = nation.whole(back.plus(Duration::from_secs(60)));
    let agent = whole.agents.iter().find(|row| row.agent == "a").unwrap();
    assert_eq!((agent.state(), agent.last_heard_unix_nano), (H::Silent, Some(back.0)));
    assert_eq!(whole.newest_event_unix_nano, back.0);
}

#[test]
fn what_is_maintained_is_neither_green_nor_red_and_its_minutes_are_planned() {
    use crate::quiet::{Event, Kind, Period, Periods, Step, Terms, scope::Scope};
    let check = |outcome: CheckOutcome| {
        let check = Check {
            name: "portal".into(),
            outcome: outcome.into(),
            interval_seconds: 60.0,
            ..Check::default()
        };
        (Body::Check(check), "local-machine")
    };
    let minute = Duration::from_secs(60);
    let terms = Terms {
        kind: Kind::Maintenance,
        owner: "lan".into(),
        reason: "a new version".into(),
        scope: Scope { system: "local-machine".into(), ..Scope::default() },
        gravest: 1,
        begins: NOW.plus(minute),
        ends: NOW.plus(3 * minute),
    };
    let step = Step::Added(Box::new(terms));
    let event = Event { id: "p-1".into(), time: NOW, who: "lan".into(), step };
    let mut nation = nation();
    nation.apply_quiet(Arc::new(Periods::of(Period::all(&[event]))));
    let mut seen = Vec::new();
    for turn in 0..5 {
        let now = NOW.plus(minute * turn);
        let outcome = if turn == 0 { CheckOutcome::Up } else { CheckOutcome::Down };
        let bodies = vec![(beat(), "local-machine"), check(outcome), check(outcome)];
        nation.apply(&record("local", "me", now, bodies), now);
        let whole = nation.whole(now);
        let system = whole.systems.iter().find(|row| row.id == "local-machine").unwrap();
        let minutes = (system.minutes_up, system.minutes_open, system.minutes_maintained);
        let lamp = whole.agencies.iter().find(|row| row.code == "local").unwrap().service();
        seen.push((lamp, system.state(), whole.agents[0].state(), minutes));
    }
    let planned = H::Maintenance;
    assert_eq!(
        seen,
        [
            (H::Fine, H::Fine, H::Fine, (Some(1), Some(1), 0)),
            (planned, planned, planned, (Some(1), Some(1), 1)),
            (planned, planned, planned, (Some(1), Some(1), 2)),
            (H::Down, H::Down, H::Fine, (Some(1), Some(2), 2)),
            (H::Down, H::Down, H::Fine, (Some(1), Some(3), 2)),
        ]
    );
}
