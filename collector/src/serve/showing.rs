//! One incident with all that belongs to it, and figures: as far as the caller reaches.

use std::time::Duration;

use tonic::Status;
use vonggac_wire::{
    Time,
    limits::EVIDENCE_EVENTS_MAX,
    proto::{
        IncidentDetail, Notification, NotificationsReply, NotificationsRequest, UsageReply,
        UsageRequest,
    },
};

use super::{Parts, status};
use crate::{
    duty, indicator,
    notify::queue::{Queued, State},
    store::{Store, notify::NoteFilter, query::Reach},
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
    let mut notes = Vec::new();
    if *known == incident {
        let filter = NoteFilter { incident: Some(id), ..NoteFilter::default() };
        notes = parts.store.notes(&filter, NOTES_OF_INCIDENT_MAX).await.map_err(status)?;
    } else {
        // Steps and messages tell of all who are in it.
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
        notifications: notes.into_iter().map(notification).collect(),
        incident: Some(incident),
    })
}

/// Notes of an answer that names no limit.
const NOTES_DEFAULT: u32 = 100;

/// Notes that stand beside an incident: the last word of each of a dozen channels is among them.
const NOTES_OF_INCIDENT_MAX: u32 = 50;

/// What was told, as far as it is about agencies that are reached.
pub(super) async fn notifications(
    store: &Store,
    reach: &Reach,
    request: NotificationsRequest,
) -> Result<NotificationsReply, Status> {
    let text = |text: String| (!text.is_empty()).then_some(text);
    let time = |nanos: i64| (nanos != 0).then_some(Time(nanos));
    let state = match text(request.state) {
        Some(name) => Some(State::from_name(&name).ok_or_else(|| {
            let known = State::ALL.map(State::name).join(", ");
            Status::invalid_argument(format!("{name:?} is no state of a notification: {known}"))
        })?),
        None => None,
    };
    let filter = NoteFilter {
        id: None,
        channel: text(request.channel),
        state,
        incident: (request.incident != 0).then_some(request.incident),
        agency: text(request.agency),
        since: time(request.since_unix_nano),
        until: time(request.until_unix_nano),
    };
    let limit = if request.limit == 0 { NOTES_DEFAULT } else { request.limit };
    let notes = store.notes_within(&filter, limit, reach).await.map_err(status)?;
    Ok(NotificationsReply { notifications: notes.into_iter().map(notification).collect() })
}

fn notification(one: Queued) -> Notification {
    let is_open = one.state.is_open();
    Notification {
        id: one.id,
        time_unix_nano: one.time.0,
        state: one.state.name().into(),
        channel: one.channel,
        route: one.route,
        event: one.note.event.name().into(),
        incident: one.note.incident,
        severity: one.note.severity,
        agency: one.note.agency,
        tlp: one.tlp,
        recipients: one.recipients,
        attempts: one.attempts,
        next_try_unix_nano: if is_open { one.next_try.0 } else { 0 },
        sent_unix_nano: one.sent.0,
        error: one.error,
        title_vi: one.note.title_vi,
        title_en: one.note.title_en,
        actor: one.by,
        why: one.why,
    }
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
