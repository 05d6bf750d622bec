use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane,
    event::{Heartbeat, LaneFigures},
    proto::{IncidentState, Origin},
};

use super::{picture::delta, *};

const NOW: Time = Time::from_seconds(1_764_000_000);

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
        batch: Batch {
            agent: AgentId::new(agent).unwrap(),
            agency: AgencyId::new(agency).unwrap(),
            host: agent.into(),
            boot: [0; 16],
            lane: Lane::Uptime,
            first_seq: 1,
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
