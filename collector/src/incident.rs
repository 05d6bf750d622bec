//! The incident book: signals and commands in, transitions out. Pure and event-sourced.
//!
//! Every change is a [`Transition`] that carries the incident after it; the newest of each incident is the book's whole state, together
//! with the origins that were taken and the commands that were carried out. So a book that is restored from what was stored goes on
//! as if nothing had happened, and a signal or command that comes again changes nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use vonggac_wire::{
    Time,
    incident::{Refusal, Severity},
    proto::{Command, Incident, IncidentState, Signal, SignalKind, Transition, command::Action},
};

use crate::{
    registry::Registry,
    rule::{Meta, RuleSet},
};

mod command;
mod grouping;

/// An incident that was resolved by itself is opened again if its cause comes back so soon.
const REOPEN_WITHIN: Duration = Duration::from_secs(10 * 60);

/// How long a service that needs a platform waits for that platform's own incident.
const SETTLE: Duration = Duration::from_secs(20);

/// Signals that may wait so; beyond it the oldest opens at once.
const PENDING_MAX: usize = 10_000;

/// Command ids that are remembered.
const COMMANDS_MAX: usize = 10_000;

/// Incidents that are kept in memory; the oldest closed ones leave first.
const INCIDENTS_MAX: usize = 50_000;

/// Answer and solve times by severity, until rules and calendars say otherwise.
const fn deadline(severity: Severity) -> Duration {
    match severity {
        Severity::Critical => Duration::from_secs(30 * 60),
        Severity::High => Duration::from_secs(4 * 3600),
        Severity::Medium => Duration::from_secs(8 * 3600),
        Severity::Low => Duration::from_secs(3 * 86_400),
    }
}

/// A step, and what has to be stored beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The step.
    pub transition: Transition,
    /// The key of the signal's origin; empty for commands and the clock.
    pub origin_key: String,
    /// Its offset.
    pub origin_offset: i64,
    /// The command's id; empty for the others.
    pub command: String,
}

/// The book.
pub struct IncidentBook {
    rules: Arc<RuleSet>,
    registry: Arc<Registry>,
    incidents: BTreeMap<u64, Incident>,
    /// The newest incident of each rule and group.
    by_group: HashMap<(String, String), u64>,
    origins: HashMap<String, i64>,
    commands: HashSet<String>,
    command_order: VecDeque<String>,
    pending: VecDeque<(Time, Signal)>,
    next_id: u64,
}

impl IncidentBook {
    /// A book restored from what was stored.
    #[must_use]
    pub fn new(
        rules: Arc<RuleSet>,
        registry: Arc<Registry>,
        incidents: Vec<Incident>,
        origins: HashMap<String, i64>,
        commands: Vec<String>,
    ) -> Self {
        let mut book = Self {
            rules,
            registry,
            incidents: BTreeMap::new(),
            by_group: HashMap::new(),
            origins,
            commands: commands.iter().cloned().collect(),
            command_order: commands.into(),
            pending: VecDeque::new(),
            next_id: 1,
        };
        for incident in incidents {
            book.next_id = book.next_id.max(incident.id + 1);
            book.keep(incident);
        }
        book
    }

    /// All incidents that are kept, by number.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// One incident.
    #[must_use]
    pub fn incident(&self, id: u64) -> Option<&Incident> {
        self.incidents.get(&id)
    }

    /// Signals that wait for their platform.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// A signal. One that was taken before changes nothing.
    pub fn apply_signal(&mut self, signal: &Signal, now: Time) -> Vec<Step> {
        let (key, offset) = origin(signal);
        if self.origins.get(&key).is_some_and(|taken| offset <= *taken) {
            return Vec::new();
        }
        self.origins.insert(key, offset);
        if signal.kind() == SignalKind::Cleared {
            self.pending.retain(|(_, waiting)| {
                !(waiting.rule == signal.rule && waiting.entity == signal.entity)
            });
            return self.cleared(signal, now);
        }
        if let Some(steps) = self.pulled_along(signal, now) {
            return steps;
        }
        if signal.rule == "service-down" && self.depends(signal) && self.open_of(signal).is_none() {
            if self.pending.len() >= PENDING_MAX {
                if let Some((_, oldest)) = self.pending.pop_front() {
                    let mut steps = self.raised(&oldest, now);
                    self.pending.push_back((now, signal.clone()));
                    steps.extend(self.tick(now));
                    return steps;
                }
            }
            self.pending.push_back((now, signal.clone()));
            return Vec::new();
        }
        let mut steps = self.raised(signal, now);
        if signal.rule == "platform-down" {
            steps.extend(self.settle_under_platform(now));
        }
        steps
    }

    /// An operator's command.
    ///
    /// # Errors
    /// Why it may not be done.
    pub fn apply_command(&mut self, asked: &Command, now: Time) -> Result<Vec<Step>, Refusal> {
        if self.commands.contains(&asked.id) {
            return Ok(Vec::new());
        }
        let incident = self.incidents.get(&asked.incident).ok_or(Refusal::NotFound)?;
        if let Some(Action::Merge(merge)) = &asked.action {
            let target = self
                .incidents
                .get(&merge.into)
                .filter(|target| target.id != incident.id && target.current_state().is_open());
            target.ok_or(Refusal::NoSuchTarget)?;
        }
        let before = incident.clone();
        let (after, action, text) = command::apply(incident, asked, now)?;
        if self.command_order.len() >= COMMANDS_MAX {
            if let Some(oldest) = self.command_order.pop_front() {
                self.commands.remove(&oldest);
            }
        }
        self.commands.insert(asked.id.clone());
        self.command_order.push_back(asked.id.clone());
        let rest = after.clone();
        let mut step = self.step(after, &asked.actor, action, text, None, now);
        step.command.clone_from(&asked.id);
        let mut steps = vec![step];
        steps.extend(self.other_side(&before, &rest, asked, now));
        Ok(steps)
    }

    /// What a merge or split does to the other incident.
    fn other_side(
        &mut self,
        before: &Incident,
        after: &Incident,
        asked: &Command,
        now: Time,
    ) -> Option<Step> {
        let text = format!("#{}", before.id);
        match asked.action.as_ref()? {
            Action::Merge(merge) => {
                let target = command::take_in(self.incidents.get(&merge.into)?, before);
                Some(self.step(target, &asked.actor, "merged", text, None, now))
            }
            Action::Split(_) => {
                let fresh = command::split_off(before, after, self.next_id, now);
                self.next_id += 1;
                Some(self.step(fresh, &asked.actor, "split", text, None, now))
            }
            _ => None,
        }
    }

    /// The clock: what waited long enough opens, what was quiet long enough is resolved.
    pub fn tick(&mut self, now: Time) -> Vec<Step> {
        let mut steps = Vec::new();
        while self.pending.front().is_some_and(|(since, _)| now.since(*since) >= SETTLE) {
            if let Some((_, signal)) = self.pending.pop_front() {
                steps.extend(self.raised(&signal, now));
            }
        }
        let quiet: Vec<u64> = self
            .incidents
            .values()
            .filter(|incident| incident.current_state().is_open())
            .filter(|incident| {
                let limit = self.rules.meta(&incident.rule).and_then(|meta| meta.quiet_seconds);
                // By the clock of storing, so that late events do not end what has just been found.
                limit.is_some_and(|seconds| {
                    now.since(Time(incident.updated_unix_nano)) >= Duration::from_secs(seconds)
                })
            })
            .map(|incident| incident.id)
            .collect();
        for id in quiet {
            let Some(incident) = self.incidents.get(&id) else { continue };
            let mut after = incident.clone();
            after.state = IncidentState::Resolved.into();
            after.resolved_unix_nano = Some(now.0);
            steps.push(self.step(after, SYSTEM, "resolved", "quiet".into(), None, now));
        }
        steps
    }

    /// The open incident that a signal belongs to.
    fn open_of(&self, signal: &Signal) -> Option<&Incident> {
        let id = self.by_group.get(&(signal.rule.clone(), signal.group.clone()))?;
        self.incidents.get(id).filter(|incident| incident.current_state().is_open())
    }

    fn raised(&mut self, signal: &Signal, now: Time) -> Vec<Step> {
        let Some(meta) = self.rules.meta(&signal.rule).cloned() else {
            tracing::warn!(rule = signal.rule, "a signal of an unknown rule was left out");
            return Vec::new();
        };
        let known = self
            .by_group
            .get(&(signal.rule.clone(), signal.group.clone()))
            .and_then(|id| self.incidents.get(id));
        let step = match known {
            Some(incident) if incident.current_state().is_open() => {
                let mut after = incident.clone();
                if !grouping::count(&mut after, signal, meta.machine.is_some()) {
                    return Vec::new();
                }
                let action = if after.severity < incident.severity { "raised" } else { "counted" };
                self.title(&mut after, &meta);
                self.step(after, SYSTEM, action, String::new(), Some(signal), now)
            }
            Some(incident) if reopens(incident, now) => {
                let mut after = incident.clone();
                after.state = IncidentState::InProgress.into();
                if after.owner.is_empty() {
                    after.state = IncidentState::New.into();
                }
                after.resolved_unix_nano = None;
                after.reopened += 1;
                grouping::count(&mut after, signal, meta.machine.is_some());
                self.title(&mut after, &meta);
                self.step(after, SYSTEM, "reopened", String::new(), Some(signal), now)
            }
            _ => {
                let mut fresh = grouping::open(self.next_id, signal, now);
                self.next_id += 1;
                fresh.deadline_unix_nano = Some(now.plus(deadline(fresh.level())).0);
                fresh.responsible_agency = self.responsible(signal);
                self.title(&mut fresh, &meta);
                self.step(fresh, SYSTEM, "opened", String::new(), Some(signal), now)
            }
        };
        vec![step]
    }

    fn cleared(&mut self, signal: &Signal, now: Time) -> Vec<Step> {
        // A dependent that was pulled along is cleared under its platform.
        let mut steps = Vec::new();
        let platform: Option<u64> = self
            .incidents
            .values()
            .find(|incident| {
                incident.current_state().is_open() && grouping::is_pulled(incident, signal)
            })
            .map(|incident| incident.id);
        if let Some(incident) = platform.and_then(|id| self.incidents.get(&id)) {
            let mut after = incident.clone();
            grouping::release(&mut after, signal);
            steps.push(self.step(
                after,
                SYSTEM,
                "released",
                signal.agency.clone(),
                Some(signal),
                now,
            ));
        }
        let Some(incident) = self.open_of(signal) else { return steps };
        let mut after = incident.clone();
        if !grouping::deactivate(&mut after, signal) {
            return steps;
        }
        let over = grouping::active(&after) == 0;
        after.last_time_unix_nano = after.last_time_unix_nano.max(signal.last_time_unix_nano);
        if over {
            after.state = IncidentState::Resolved.into();
            after.resolved_unix_nano =
                Some(signal.last_time_unix_nano.max(after.first_time_unix_nano));
        }
        let action = if over { "resolved" } else { "cleared" };
        steps.push(self.step(after, SYSTEM, action, String::new(), Some(signal), now));
        steps
    }

    /// A service whose platform has fallen belongs to the platform's incident.
    fn pulled_along(&mut self, signal: &Signal, now: Time) -> Option<Vec<Step>> {
        if signal.rule != "service-down" || self.open_of(signal).is_some() {
            return None;
        }
        let system = self.registry.system(&signal.system)?;
        let needed: Vec<String> = system.dependencies().map(str::to_owned).collect();
        let platform = self.incidents.values().find(|incident| {
            incident.rule == "platform-down"
                && incident.simulated == signal.simulated
                && incident.current_state().is_open()
                && needed.contains(&incident.group)
        })?;
        let mut after = platform.clone();
        grouping::pull(&mut after, signal);
        if let Some(meta) = self.rules.meta("platform-down").cloned() {
            self.title(&mut after, &meta);
        }
        let text = signal.agency.clone();
        Some(vec![self.step(after, SYSTEM, "affected", text, Some(signal), now)])
    }

    fn depends(&self, signal: &Signal) -> bool {
        self.registry
            .system(&signal.system)
            .is_some_and(|system| system.dependencies().next().is_some())
    }

    /// A platform has fallen: who waited for it is pulled along.
    fn settle_under_platform(&mut self, now: Time) -> Vec<Step> {
        let mut steps = Vec::new();
        for (since, signal) in std::mem::take(&mut self.pending) {
            match self.pulled_along(&signal, now) {
                Some(more) => steps.extend(more),
                None => self.pending.push_back((since, signal)),
            }
        }
        steps
    }

    fn responsible(&self, signal: &Signal) -> String {
        let owner = self
            .registry
            .system(&signal.system)
            .filter(|system| system.is_national())
            .map(|s| s.owner.clone());
        owner.filter(|owner| !owner.is_empty()).unwrap_or_else(|| signal.agency.clone())
    }

    fn title(&self, incident: &mut Incident, meta: &Meta) {
        incident.title_vi = fill(&meta.title_vi, &incident.values, "_vi");
        incident.title_en = fill(&meta.title_en, &incident.values, "_en");
        let others = incident.agencies.len().saturating_sub(1);
        if others > 0 {
            incident.title_vi.push_str(&format!(" ({} cơ quan)", others + 1));
            incident.title_en.push_str(&format!(" ({} agencies)", others + 1));
        }
    }

    fn step(
        &mut self,
        mut after: Incident,
        actor: &str,
        action: &str,
        text: String,
        signal: Option<&Signal>,
        now: Time,
    ) -> Step {
        let before = self
            .incidents
            .get(&after.id)
            .map_or(IncidentState::Unspecified, Incident::current_state);
        after.version += 1;
        after.updated_unix_nano = now.0;
        let transition = Transition {
            incident: after.id,
            version: after.version,
            time_unix_nano: now.0,
            actor: actor.to_owned(),
            action: action.to_owned(),
            from_state: before.into(),
            to_state: after.state,
            text,
            origin: signal.and_then(|signal| signal.origin.clone()),
            after: Some(after.clone()),
        };
        self.keep(after);
        let (origin_key, origin_offset) = signal.map(origin).unwrap_or_default();
        Step { transition, origin_key, origin_offset, command: String::new() }
    }

    fn keep(&mut self, incident: Incident) {
        let key = (incident.rule.clone(), incident.group.clone());
        let newest = self.by_group.entry(key).or_insert(incident.id);
        *newest = incident.id.max(*newest);
        self.incidents.insert(incident.id, incident);
        if self.incidents.len() > INCIDENTS_MAX {
            let oldest =
                self.incidents.values().find(|i| !i.current_state().is_open()).map(|i| i.id);
            if let Some(gone) = oldest.and_then(|id| self.incidents.remove(&id)) {
                self.by_group.remove(&(gone.rule, gone.group));
            }
        }
    }
}

/// Who acts when nobody does.
const SYSTEM: &str = "system";

fn reopens(incident: &Incident, now: Time) -> bool {
    incident.current_state() == IncidentState::Resolved
        && incident.resolved_unix_nano.is_some_and(|at| now.since(Time(at)) < REOPEN_WITHIN)
}

/// What makes a signal's origin one of its kind: rule, kind, entity, agency, topic and partition; offsets grow within it.
fn origin(signal: &Signal) -> (String, i64) {
    let place = signal.origin.clone().unwrap_or_default();
    let entity = signal.entity.clone().unwrap_or_default();
    let key = format!(
        "{}|{}|{}|{}|{}|{}",
        signal.rule, signal.kind, entity.value, signal.agency, place.topic, place.partition
    );
    (key, place.offset)
}

/// Puts values into a title's braces; a name without a value stands for itself in neither language, so it becomes "?".
fn fill(template: &str, values: &BTreeMap<String, String>, language: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((name, after)) = after.split_once('}') else { break };
        let value = values.get(name).or_else(|| values.get(&format!("{name}{language}")));
        text.push_str(value.map_or("?", String::as_str));
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests;
