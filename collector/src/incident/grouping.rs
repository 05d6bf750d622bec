//! How signals gather in one incident. Pure.
//!
//! An incident consists of shares, one for each agency and for each incident that it was counted for (its home). Count, severity, times,
//! names and evidence are made of them, so that a split and a merge move what they say and nothing is counted twice.

use vonggac_wire::{
    Time,
    limits::EVIDENCE_EVENTS_MAX,
    proto::{EventRef, Incident, IncidentState, Raised, Share, Signal},
};

/// Agencies, systems and hosts that an incident names; a count tells the rest.
pub(super) const NAMES_MAX: usize = 200;

/// Entities that are followed as raised.
const RAISED_MAX: usize = 2_000;

/// Shares of an incident; those of further merges are kept as one, which no undoing finds.
const SHARES_MAX: usize = 1_000;

/// Evidence that the shares of merged incidents keep for the undoing: of ten incidents.
const EVIDENCE_KEPT_MAX: usize = 10 * EVIDENCE_EVENTS_MAX;

/// Where an incident of before kept what is raised.
const OLD_RAISED: [(&str, bool); 2] = [("active", false), ("pulled", true)];

/// A fresh incident, before its first step.
pub(super) fn open(id: u64, signal: &Signal, machine: bool, now: Time) -> Incident {
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
    count(&mut incident, id, signal, machine);
    incident
}

/// Gives an incident that was stored before shares were kept the shares that can be told of it: its agencies, and all the rest in one.
pub(super) fn with_shares(mut incident: Incident) -> Incident {
    let old = OLD_RAISED.map(|(key, pulled)| (incident.values.remove(key), pulled));
    // One whose events all went elsewhere has none, and names nobody.
    if !incident.shares.is_empty() || incident.agencies.is_empty() {
        return incident;
    }
    let raised = old.into_iter().flat_map(|(lines, pulled)| {
        let lines: Vec<String> =
            lines.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        let rule = if pulled { "service-down" } else { incident.rule.as_str() }.to_owned();
        lines.into_iter().map(move |entity| Raised { rule: rule.clone(), entity, pulled })
    });
    let rest = Share {
        home: incident.id,
        agency: String::new(),
        count: incident.count,
        severity: incident.severity,
        first_time_unix_nano: incident.first_time_unix_nano,
        last_time_unix_nano: incident.last_time_unix_nano,
        systems: incident.systems.clone(),
        hosts: incident.hosts.clone(),
        evidence: incident.evidence.clone(),
        raised: raised.collect(),
    };
    let named = incident.agencies.iter().map(|agency| Share {
        home: incident.id,
        agency: agency.clone(),
        ..Share::default()
    });
    incident.shares = named.chain([rest]).collect();
    incident
}

/// Adds a signal that belongs to `home`. A machine's signal about an entity that is raised already adds nothing; then `false`.
pub(super) fn count(incident: &mut Incident, home: u64, signal: &Signal, machine: bool) -> bool {
    let raised = raised(signal, false);
    let known = holds(incident, &raised);
    if machine && known && signal.severity >= incident.severity {
        return false;
    }
    let evidence = EVIDENCE_EVENTS_MAX.saturating_sub(incident.evidence.len());
    let (system, host) =
        (room(&incident.systems, &signal.system), room(&incident.hosts, &signal.host));
    let fresh: Vec<EventRef> = signal
        .evidence
        .iter()
        .filter(|reference| !incident.evidence.contains(reference))
        .take(evidence)
        .cloned()
        .collect();
    let follow = machine && !known && raised_in(incident) < RAISED_MAX;
    let share = share(incident, home, &signal.agency);
    add_times(share, signal);
    share.severity = graver(share.severity, signal.severity);
    add_name(&mut share.systems, &signal.system, system);
    add_name(&mut share.hosts, &signal.host, host);
    share.evidence.extend(fresh);
    share.raised.extend(follow.then_some(raised));
    incident.values.extend(signal.values.clone());
    fold(incident);
    true
}

/// A dependent service fell with this platform.
pub(super) fn pull(incident: &mut Incident, home: u64, signal: &Signal) {
    let raised = raised(signal, true);
    if holds(incident, &raised) || raised_in(incident) >= RAISED_MAX {
        return;
    }
    let system = room(&incident.systems, &signal.system);
    let share = share(incident, home, &signal.agency);
    add_times(share, signal);
    add_name(&mut share.systems, &signal.system, system);
    share.raised.push(raised);
    fold(incident);
}

/// Whether the signal's entity is raised here, or was pulled along.
pub(super) fn is_raised(incident: &Incident, signal: &Signal, pulled: bool) -> bool {
    holds(incident, &raised(signal, pulled))
}

/// Whether anything is raised here, or was pulled along.
pub(super) fn holds_any(incident: &Incident) -> bool {
    incident.shares.iter().any(|share| !share.raised.is_empty())
}

/// The home for which the signal's entity is raised here.
pub(super) fn raised_home(incident: &Incident, signal: &Signal) -> Option<u64> {
    let raised = raised(signal, false);
    let share = incident.shares.iter().find(|share| share.raised.contains(&raised));
    share.map(|share| share.home)
}

/// An entity is fine again, or a dependent is back.
pub(super) fn release(incident: &mut Incident, signal: &Signal, pulled: bool) {
    let gone = raised(signal, pulled);
    for share in &mut incident.shares {
        let before = share.raised.len();
        share.raised.retain(|raised| *raised != gone);
        if share.raised.len() < before {
            share.last_time_unix_nano = share.last_time_unix_nano.max(signal.last_time_unix_nano);
        }
    }
    fold(incident);
}

/// Entities that are raised, without those pulled along.
pub(super) fn active(incident: &Incident) -> usize {
    incident.shares.iter().flat_map(|share| &share.raised).filter(|raised| !raised.pulled).count()
}

/// Takes the shares that are wanted out.
pub(super) fn take(incident: &mut Incident, wanted: impl Fn(&Share) -> bool) -> Vec<Share> {
    let (taken, kept) = std::mem::take(&mut incident.shares).into_iter().partition(wanted);
    incident.shares = kept;
    fold(incident);
    taken
}

/// Puts shares in; one of the same home and agency grows.
pub(super) fn put(incident: &mut Incident, shares: Vec<Share>) {
    for mut share in shares {
        let known =
            incident.shares.iter().any(|s| s.home == share.home && s.agency == share.agency);
        if !known && incident.shares.len() >= SHARES_MAX {
            (share.home, share.agency) = (incident.id, String::new());
        }
        let kept: usize = incident.shares.iter().map(|share| share.evidence.len()).sum();
        share.evidence.truncate(EVIDENCE_KEPT_MAX.saturating_sub(kept));
        let room = RAISED_MAX.saturating_sub(raised_in(incident));
        share.raised.truncate(room);
        join(self::share(incident, share.home, &share.agency.clone()), share);
    }
    fold(incident);
}

fn join(into: &mut Share, from: Share) {
    into.count += from.count;
    into.severity = graver(into.severity, from.severity);
    widen(into, from.first_time_unix_nano, from.last_time_unix_nano);
    for name in &from.systems {
        add_name(&mut into.systems, name, NAMES_MAX);
    }
    for name in &from.hosts {
        add_name(&mut into.hosts, name, NAMES_MAX);
    }
    for reference in from.evidence {
        if !into.evidence.contains(&reference) {
            into.evidence.push(reference);
        }
    }
    for raised in from.raised {
        if !into.raised.contains(&raised) {
            into.raised.push(raised);
        }
    }
}

/// Makes the incident's own figures of its shares. What nothing is left of keeps its severity and times.
fn fold(incident: &mut Incident) {
    incident.count = incident.shares.iter().map(|share| share.count).sum();
    incident.agencies.clear();
    incident.systems.clear();
    incident.hosts.clear();
    incident.evidence.clear();
    let told = |share: &&Share| share.count > 0;
    let shares = &incident.shares;
    if let Some(worst) = shares.iter().map(|share| share.severity).filter(|s| *s > 0).min() {
        incident.severity = worst;
    }
    if let Some(first) = shares.iter().filter(told).map(|share| share.first_time_unix_nano).min() {
        incident.first_time_unix_nano = first;
    }
    if let Some(last) = shares.iter().filter(told).map(|share| share.last_time_unix_nano).max() {
        incident.last_time_unix_nano = last;
    }
    for share in &incident.shares {
        add_name(&mut incident.agencies, &share.agency, NAMES_MAX);
        for name in &share.systems {
            add_name(&mut incident.systems, name, NAMES_MAX);
        }
        for name in &share.hosts {
            add_name(&mut incident.hosts, name, NAMES_MAX);
        }
        for reference in &share.evidence {
            if incident.evidence.len() < EVIDENCE_EVENTS_MAX
                && !incident.evidence.contains(reference)
            {
                incident.evidence.push(reference.clone());
            }
        }
    }
}

/// The share of an agency, made where it is missing. Agencies that are not named any more have one together.
fn share<'a>(incident: &'a mut Incident, home: u64, agency: &str) -> &'a mut Share {
    let named =
        incident.agencies.len() < NAMES_MAX || incident.agencies.iter().any(|a| a == agency);
    let agency = if named { agency } else { "" };
    let at = incident.shares.iter().position(|s| s.home == home && s.agency == agency);
    let at = at.unwrap_or_else(|| {
        incident.shares.push(Share { home, agency: agency.to_owned(), ..Share::default() });
        incident.shares.len() - 1
    });
    &mut incident.shares[at]
}

fn add_times(share: &mut Share, signal: &Signal) {
    widen(share, signal.first_time_unix_nano, signal.last_time_unix_nano);
    share.count += signal.count;
}

/// The times of a share that holds nothing yet are not times.
fn widen(share: &mut Share, first: i64, last: i64) {
    if share.first_time_unix_nano == 0 || first < share.first_time_unix_nano {
        share.first_time_unix_nano = first;
    }
    share.last_time_unix_nano = share.last_time_unix_nano.max(last);
}

/// The graver of two severities, of which 0 is none.
fn graver(one: u32, other: u32) -> u32 {
    [one, other].into_iter().filter(|severity| *severity > 0).min().unwrap_or(0)
}

fn raised(signal: &Signal, pulled: bool) -> Raised {
    let entity = signal.entity.as_ref().map(|entity| entity.value.clone()).unwrap_or_default();
    Raised { rule: signal.rule.clone(), entity, pulled }
}

fn holds(incident: &Incident, raised: &Raised) -> bool {
    incident.shares.iter().any(|share| share.raised.contains(raised))
}

fn raised_in(incident: &Incident) -> usize {
    incident.shares.iter().map(|share| share.raised.len()).sum()
}

/// How many names a share may have if the incident is to name this one.
fn room(names: &[String], name: &str) -> usize {
    let named = names.len() < NAMES_MAX || names.iter().any(|known| known == name);
    if named { NAMES_MAX } else { 0 }
}

fn add_name(names: &mut Vec<String>, name: &str, names_max: usize) {
    if !name.is_empty() && names.len() < names_max && !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}
