//! How signals gather in one incident. Pure.
//!
//! `values["active"]` holds the entities that are raised and not cleared, one a line; `values["pulled"]` those of dependents.

use vonggac_wire::{
    Time,
    limits::EVIDENCE_EVENTS_MAX,
    proto::{Incident, IncidentState, Signal},
};

/// Agencies, systems and hosts that an incident names; a count tells the rest.
pub(super) const NAMES_MAX: usize = 200;

/// Entities that are followed as raised.
const ACTIVE_MAX: usize = 2_000;

const ACTIVE: &str = "active";
const PULLED: &str = "pulled";

/// A fresh incident, before its first step.
pub(super) fn open(id: u64, signal: &Signal, now: Time) -> Incident {
    let mut incident = Incident {
        id,
        state: IncidentState::New.into(),
        severity: signal.severity,
        rule: signal.rule.clone(),
        entity: signal.entity.clone(),
        group: signal.group.clone(),
        agency: signal.agency.clone(),
        first_time_unix_nano: signal.first_time_unix_nano,
        opened_unix_nano: now.0,
        simulated: signal.simulated,
        ..Incident::default()
    };
    count(&mut incident, signal, false);
    incident
}

/// Adds a signal. A machine's signal about an entity that is raised already adds nothing; then `false`.
pub(super) fn count(incident: &mut Incident, signal: &Signal, machine: bool) -> bool {
    let fresh = add_line(incident, ACTIVE, &entity(signal));
    let worse = signal.severity < incident.severity;
    if machine && !fresh && !worse {
        return false;
    }
    incident.count += signal.count;
    incident.severity = incident.severity.min(signal.severity);
    incident.first_time_unix_nano = incident.first_time_unix_nano.min(signal.first_time_unix_nano);
    incident.last_time_unix_nano = incident.last_time_unix_nano.max(signal.last_time_unix_nano);
    name(&mut incident.agencies, &signal.agency);
    name(&mut incident.systems, &signal.system);
    name(&mut incident.hosts, &signal.host);
    for reference in &signal.evidence {
        if incident.evidence.len() < EVIDENCE_EVENTS_MAX && !incident.evidence.contains(reference) {
            incident.evidence.push(reference.clone());
        }
    }
    for (key, value) in &signal.values {
        incident.values.insert(key.clone(), value.clone());
    }
    true
}

/// A dependent service fell with this platform.
pub(super) fn pull(incident: &mut Incident, signal: &Signal) {
    if add_line(incident, PULLED, &entity(signal)) {
        incident.count += signal.count;
        name(&mut incident.agencies, &signal.agency);
        name(&mut incident.systems, &signal.system);
        incident.last_time_unix_nano = incident.last_time_unix_nano.max(signal.last_time_unix_nano);
    }
}

/// Whether this entity was pulled along.
pub(super) fn is_pulled(incident: &Incident, signal: &Signal) -> bool {
    let entity = entity(signal);
    incident.values.get(PULLED).is_some_and(|lines| lines.lines().any(|line| line == entity))
}

/// A dependent is back.
pub(super) fn release(incident: &mut Incident, signal: &Signal) {
    remove_line(incident, PULLED, &entity(signal));
}

/// An entity is fine again; `false` if it was not raised.
pub(super) fn deactivate(incident: &mut Incident, signal: &Signal) -> bool {
    remove_line(incident, ACTIVE, &entity(signal))
}

/// Entities that are raised.
pub(super) fn active(incident: &Incident) -> usize {
    incident.values.get(ACTIVE).map_or(0, |lines| lines.lines().count())
}

fn entity(signal: &Signal) -> String {
    signal.entity.as_ref().map(|entity| entity.value.replace('\n', " ")).unwrap_or_default()
}

fn name(names: &mut Vec<String>, name: &str) {
    if !name.is_empty() && names.len() < NAMES_MAX && !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

fn add_line(incident: &mut Incident, key: &str, line: &str) -> bool {
    let lines = incident.values.entry(key.to_owned()).or_default();
    if lines.lines().any(|known| known == line) || lines.lines().count() >= ACTIVE_MAX {
        return false;
    }
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines.push_str(line);
    true
}

fn remove_line(incident: &mut Incident, key: &str, line: &str) -> bool {
    let Some(lines) = incident.values.get_mut(key) else { return false };
    let before = lines.lines().count();
    let kept: Vec<&str> = lines.lines().filter(|known| *known != line).collect();
    let removed = kept.len() < before;
    *lines = kept.join("\n");
    removed
}
