//! One incident with all that belongs to it, and figures: as far as the caller reaches.

use std::time::Duration;

use tonic::Status;
use vonggac_wire::{
    Time,
    limits::EVIDENCE_EVENTS_MAX,
    proto::{IncidentDetail, UsageReply, UsageRequest},
};

use super::{Parts, status};
use crate::{
    duty, indicator,
    store::query::Reach,
    trust::{door::Guest, role::Role, scope::view},
};

/// An incident. Whoever may not see it is told that there is none.
pub(super) async fn incident(
    parts: &Parts,
    guest: &Guest,
    id: u64,
) -> Result<IncidentDetail, Status> {
    let picture = parts.nation.now();
    let known = picture.incidents.iter().find(|incident| incident.id == id);
    let seen = known.and_then(|incident| view::incident(&guest.scope, incident));
    let (Some(known), Some(incident)) = (known, seen) else {
        return Err(Status::not_found(format!("no incident #{id}")));
    };
    let mut timeline = parts.store.timeline(id).await.map_err(status)?;
    if *known != incident {
        // Steps tell of all who are in it.
        timeline.iter_mut().for_each(|step| step.text.clear());
    }
    // An auditor reads what was done, no lines of others' machines.
    let references = match guest.role {
        Role::Auditor => &[],
        _ => &incident.evidence[..incident.evidence.len().min(EVIDENCE_EVENTS_MAX)],
    };
    let reach = Reach::of(&guest.scope, std::slice::from_ref(&incident));
    let evidence = parts.store.evidence(references, &reach).await.map_err(status)?;
    let rules = parts.rules.rules();
    let meta = rules.meta(&incident.rule);
    let is_attack = meta.is_some_and(|meta| meta.attack);
    let clocks = duty::of_incident(&parts.registry, &incident, is_attack, Time::now());
    let recipients = duty::recipients(&clocks);
    Ok(IncidentDetail {
        timeline,
        evidence,
        runbook_vi: meta.map(|meta| meta.steps_vi.clone()).unwrap_or_default(),
        runbook_en: meta.map(|meta| meta.steps_en.clone()).unwrap_or_default(),
        clocks,
        recipients,
        incident: Some(incident),
    })
}

/// Figures; whoever does not reach the nation has them by agency, never as the nation's.
pub(super) async fn usage(
    parts: &Parts,
    guest: &Guest,
    request: UsageRequest,
) -> Result<UsageReply, Status> {
    let now = Time::now();
    let since = if request.since_unix_nano == 0 {
        now.minus(Duration::from_secs(86_400))
    } else {
        Time(request.since_unix_nano)
    };
    let until = if request.until_unix_nano == 0 {
        now.plus(Duration::from_secs(600))
    } else {
        Time(request.until_unix_nano)
    };
    let scope = &guest.scope;
    let reach = Reach::of(scope, &[]);
    let sums = parts.store.usage(since, until, &request.agency, &reach).await.map_err(status)?;
    let by_agency = request.by_agency || !request.agency.is_empty() || !scope.is_nation();
    let mut indicators =
        if by_agency { indicator::by_agency(&sums) } else { indicator::national(&sums) };
    let picture = parts.nation.now();
    let connected = picture
        .agencies
        .iter()
        .filter(|agency| agency.hosts_enrolled > 0 && scope.has_agency(&agency.code))
        .count();
    for indicator in &mut indicators {
        let missing = connected.saturating_sub(indicator.agencies_counted as usize);
        indicator.agencies_missing = u32::try_from(missing).unwrap_or(0);
    }
    Ok(UsageReply { indicators })
}
