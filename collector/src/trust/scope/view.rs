//! The picture as a scope sees it: rows of its own, incidents without what others have in them, and no figure that would tell of others. Pure.

use vonggac_wire::proto::{Flow, Incident, WatchReply};

use super::Scope;

/// A reply with what the scope sees. `whole`: the picture that it belongs to, for figures over all of its own.
#[must_use]
pub fn seen(scope: &Scope, reply: &WatchReply, whole: &WatchReply) -> WatchReply {
    if scope.is_nation() {
        return reply.clone();
    }
    let has = |agency: &str| scope.has_agency(agency);
    WatchReply {
        snapshot: reply.snapshot,
        time_unix_nano: reply.time_unix_nano,
        newest_event_unix_nano: reply.newest_event_unix_nano,
        simulated: reply.simulated,
        agencies: reply.agencies.iter().filter(|row| has(&row.code)).cloned().collect(),
        systems: reply.systems.iter().filter(|row| has(&row.agency)).cloned().collect(),
        agents: reply.agents.iter().filter(|row| has(&row.agency)).cloned().collect(),
        checks: reply.checks.iter().filter(|row| has(&row.agency)).cloned().collect(),
        incidents: reply.incidents.iter().filter_map(|known| incident(scope, known)).collect(),
        // The nation's are sums over others, too.
        indicators: reply.indicators.iter().filter(|row| has(&row.agency)).cloned().collect(),
        flow: reply.flow.as_ref().map(|national| flow(scope, national, whole)),
        // The law is everybody's.
        duties: reply.duties.clone(),
    }
}

/// An incident as the scope sees it; `None`: there is none.
#[must_use]
pub fn incident(scope: &Scope, known: &Incident) -> Option<Incident> {
    if !scope.has_incident(known) {
        return None;
    }
    let own = |agency: &str| scope.has_agency(agency);
    let whole = !matches!(scope, Scope::Agencies(_))
        || (own(&known.agency) && known.agencies.iter().all(|agency| own(agency)));
    if whole {
        return Some(known.clone());
    }
    let shares: Vec<_> = known.shares.iter().filter(|share| own(&share.agency)).cloned().collect();
    let mut seen = Incident {
        agencies: known.agencies.iter().filter(|agency| own(agency)).cloned().collect(),
        systems: shares.iter().flat_map(|share| share.systems.clone()).collect(),
        hosts: shares.iter().flat_map(|share| share.hosts.clone()).collect(),
        evidence: shares.iter().flat_map(|share| share.evidence.clone()).collect(),
        count: shares.iter().map(|share| share.count).sum(),
        // Values and the estimate speak of all that are in it; a host, an account or a check belongs to somebody.
        values: Default::default(),
        unserved: None,
        ..known.clone()
    };
    for names in [&mut seen.systems, &mut seen.hosts] {
        names.sort();
        names.dedup();
    }
    if let Some(first) = shares.iter().map(|share| share.first_time_unix_nano).min() {
        seen.first_time_unix_nano = first;
    }
    if let Some(last) = shares.iter().map(|share| share.last_time_unix_nano).max() {
        seen.last_time_unix_nano = last;
    }
    if !own(&seen.agency) {
        seen.agency = seen.agencies.first().cloned().unwrap_or_default();
    }
    // Words that were written for whoever leads it.
    for text in [&mut seen.task, &mut seen.result, &mut seen.last_note, &mut seen.hidden_reason] {
        text.clear();
    }
    seen.reports.clear();
    if seen.entity.as_ref().is_none_or(|entity| entity.kind != "src_ip") {
        seen.entity = None;
        seen.group.clear();
        seen.title_vi.clear();
        seen.title_en.clear();
    }
    seen.shares = shares;
    Some(seen)
}

/// Whether parts of the centre work, and figures over what is its own.
fn flow(scope: &Scope, national: &Flow, whole: &WatchReply) -> Flow {
    let agents: Vec<_> =
        whole.agents.iter().filter(|agent| scope.has_agency(&agent.agency)).collect();
    let agencies = || whole.agencies.iter().filter(|agency| scope.has_agency(&agency.code));
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let sum =
        |of: fn(&vonggac_wire::proto::Agent) -> u64| agents.iter().map(|agent| of(agent)).sum();
    let open = whole
        .incidents
        .iter()
        .filter(|incident| scope.has_incident(incident) && incident.closed_unix_nano.is_none());
    Flow {
        agents_heard: agencies().map(|agency| agency.hosts_heard).sum(),
        agents_enrolled: count(agents.len()),
        events_held: agencies().map(|agency| agency.events_held).sum(),
        events_numbered: agencies().map(|agency| agency.events_numbered).sum(),
        events_waiting: sum(|agent| agent.backlog_events),
        spool_bytes: sum(|agent| agent.spool_bytes),
        dropped_security: sum(|agent| agent.dropped_security),
        dropped_uptime: sum(|agent| agent.dropped_uptime),
        dropped_usage: sum(|agent| agent.dropped_usage),
        oldest_age_seconds: agents.iter().map(|agent| agent.oldest_age_seconds).fold(0.0, f64::max),
        incidents_open: count(open.count()),
        kafka: national.kafka,
        engine: national.engine,
        detection: national.detection,
        book: national.book,
        rules: national.rules,
        delay_p50_seconds: national.delay_p50_seconds,
        delay_p99_seconds: national.delay_p99_seconds,
        lag_seconds: national.lag_seconds,
        engine_trouble: national.engine_trouble.clone(),
        engine_since_unix_nano: national.engine_since_unix_nano,
        gaps: national.gaps.iter().filter(|gap| scope.has_agency(&gap.agency)).cloned().collect(),
        dead_letters: national
            .dead_letters
            .iter()
            .filter(|letter| scope.has_agency(&letter.agency))
            .cloned()
            .collect(),
        ..Flow::default()
    }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::proto::{
        Agency, Agent, CheckRow, DeadLetter, Entity, EventRef, GapRow, Indicator, Share, System,
    };

    use super::*;

    fn share(agency: &str) -> Share {
        Share {
            agency: agency.into(),
            count: 3,
            hosts: vec![format!("host-of-{agency}")],
            systems: vec![format!("system-of-{agency}")],
            evidence: vec![EventRef { agent: format!("agent-of-{agency}"), ..EventRef::default() }],
            ..Share::default()
        }
    }

    fn shared() -> Incident {
        Incident {
            id: 7,
            agency: "tk-48".into(),
            agencies: vec!["tk-48".into(), "H49".into()],
            hosts: vec!["host-of-tk-48".into(), "host-of-H49".into()],
            systems: vec!["system-of-tk-48".into()],
            evidence: share("tk-48").evidence,
            values: [("host".to_owned(), "host-of-tk-48".to_owned())].into(),
            entity: Some(Entity { kind: "src_ip".into(), value: "203.0.113.7".into() }),
            count: 6,
            last_note: "of tk-48".into(),
            shares: vec![share("tk-48"), share("H49")],
            ..Incident::default()
        }
    }

    /// A picture in which everything of `tk-48` has that word in it.
    fn picture() -> WatchReply {
        let of = |agency: &str| {
            (
                Agency { code: agency.into(), hosts_heard: 1, ..Agency::default() },
                System { agency: agency.into(), ..System::default() },
                Agent {
                    agency: agency.into(),
                    agent: agency.into(),
                    backlog_events: 5,
                    ..Agent::default()
                },
                CheckRow { agency: agency.into(), ..CheckRow::default() },
                Indicator { agency: agency.into(), ..Indicator::default() },
                GapRow { agency: agency.into(), ..GapRow::default() },
                DeadLetter { agency: agency.into(), ..DeadLetter::default() },
            )
        };
        let mut reply = WatchReply { snapshot: true, ..WatchReply::default() };
        let mut flow = Flow {
            events_per_second: 99.0,
            oldest_agency: "tk-48".into(),
            engine_said: "tk-48".into(),
            ..Flow::default()
        };
        for agency in ["H49", "tk-48"] {
            let (row, system, agent, check, indicator, gap, letter) = of(agency);
            reply.agencies.push(row);
            reply.systems.push(system);
            reply.agents.push(agent);
            reply.checks.push(check);
            reply.indicators.push(indicator);
            flow.gaps.push(gap);
            flow.dead_letters.push(letter);
        }
        reply
            .indicators
            .push(Indicator { unit: "tk-48, of the nation".into(), ..Indicator::default() });
        reply.incidents = vec![
            shared(),
            Incident {
                id: 8,
                agency: "tk-48".into(),
                agencies: vec!["tk-48".into()],
                ..Incident::default()
            },
        ];
        reply.flow = Some(flow);
        reply
    }

    #[test]
    fn nothing_of_another_agency_is_in_what_an_operator_is_shown() {
        let whole = picture();
        let seen = seen(&Scope::Agencies(vec!["H49".into()]), &whole, &whole);
        assert!(!format!("{seen:?}").contains("tk-48"), "{seen:?}");
        assert_eq!((seen.agencies.len(), seen.checks.len(), seen.incidents.len()), (1, 1, 1));
        assert_eq!((seen.incidents[0].count, seen.incidents[0].hosts.len()), (3, 1));
        let flow = seen.flow.unwrap();
        assert_eq!((flow.agents_heard, flow.events_waiting, flow.gaps.len()), (1, 5, 1));
        assert_eq!((flow.events_per_second, flow.incidents_open), (0.0, 1));
    }

    #[test]
    fn the_nation_sees_all_and_a_responder_their_cases_alone() {
        let mut whole = picture();
        assert_eq!(seen(&Scope::Nation, &whole, &whole), whole);
        whole.incidents[0].owner = "lan".into();
        let seen = seen(&Scope::Cases("lan".into()), &whole, &whole);
        assert_eq!(seen.incidents, [whole.incidents[0].clone()]);
        assert!(seen.agencies.is_empty() && seen.agents.is_empty() && seen.indicators.is_empty());
    }
}
