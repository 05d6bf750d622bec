//! The incident book: signals and commands in, transitions out. Pure and event-sourced.
//!
//! Every change is a [`Transition`] that carries the incident after it; the newest of each incident is the book's whole state, together
//! with the origins that were taken and the commands that were carried out. So a book that is restored from what was stored goes on
//! as if nothing had happened, and a signal or command that comes again changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use vonggac_wire::{
    Time,
    incident::Refusal,
    proto::{Command, Incident, IncidentState, Signal, SignalKind, Transition, command::Action},
};

use crate::{duty, registry::Registry, rule::RuleSet};

mod clock;
mod command;
mod grouping;
mod lineage;
pub(crate) mod withheld;

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
    /// Those that are open.
    open: BTreeSet<u64>,
    /// Those in which something is raised that was not cleared.
    holding: BTreeSet<u64>,
    /// The incidents of each rule and group, with those that were split off.
    by_group: HashMap<(String, String), BTreeSet<u64>>,
    origins: HashMap<String, i64>,
    commands: HashSet<String>,
    command_order: VecDeque<String>,
    pending: VecDeque<(Time, Signal)>,
    withheld: withheld::Withheld,
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
            open: BTreeSet::new(),
            holding: BTreeSet::new(),
            by_group: HashMap::new(),
            origins,
            commands: commands.iter().cloned().collect(),
            command_order: commands.into(),
            pending: VecDeque::new(),
            withheld: withheld::Withheld::default(),
            next_id: 1,
        };
        for incident in incidents {
            book.next_id = book.next_id.max(incident.id + 1);
            book.keep(grouping::with_shares(incident));
        }
        book
    }

    /// Goes by other rules from now on: titles, severities and when it is quiet. Incidents of a rule that is gone wait for a person.
    pub fn renew(&mut self, rules: Arc<RuleSet>) {
        self.rules = rules;
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
        let (key, offset) = origin(signal, signal.kind);
        if self.origins.get(&key).is_some_and(|taken| offset <= *taken) {
            return Vec::new();
        }
        // One that changed nothing is not in the history. Read again, it must not undo what its opposite did after it.
        let opposite = match signal.kind() {
            SignalKind::Cleared => SignalKind::Raised,
            _ => SignalKind::Cleared,
        };
        let (other, _) = origin(signal, opposite.into());
        if self.origins.get(&other).is_some_and(|taken| offset < *taken) {
            return Vec::new();
        }
        self.origins.insert(key, offset);
        if signal.kind() == SignalKind::Cleared {
            self.pending.retain(|(_, waiting)| {
                !(waiting.rule == signal.rule && waiting.entity == signal.entity)
            });
            let mut steps = self.cleared(signal, now);
            steps.extend(self.let_go(signal, now));
            return steps;
        }
        if let Some(steps) = self.withhold(signal, now) {
            return steps;
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
        if let Some(Action::Report(report)) = &asked.action {
            let known = duty::is_reported(&self.registry, &report.duty);
            known.then_some(()).ok_or_else(|| Refusal::UnknownDuty(report.duty.clone()))?;
        }
        let (mut after, action, text) = command::apply(incident, asked, now)?;
        if self.command_order.len() >= COMMANDS_MAX {
            if let Some(oldest) = self.command_order.pop_front() {
                self.commands.remove(&oldest);
            }
        }
        self.commands.insert(asked.id.clone());
        self.command_order.push_back(asked.id.clone());
        let other = self.other_side(&before, &mut after, asked, now);
        if other.is_some() {
            self.retitle(&mut after);
        }
        let mut step = self.step(after, &asked.actor, action, text, None, now);
        step.command.clone_from(&asked.id);
        let mut steps = vec![step];
        if let Some((mut incident, action)) = other {
            self.retitle(&mut incident);
            let text = format!("#{}", before.id);
            steps.push(self.step(incident, &asked.actor, action, text, None, now));
        }
        // It may have opened the platform's again that somebody waits for. Later is too late: one that is fine again by then leaves no trace,
        // and would be pulled along when it is read again.
        steps.extend(self.settle_under_platform(now));
        Ok(steps)
    }

    /// The clock: what waited long enough opens, what was quiet long enough is resolved, what took too long is told.
    pub fn tick(&mut self, now: Time) -> Vec<Step> {
        let mut steps = self.raise_held(now);
        while self.pending.front().is_some_and(|(since, _)| now.since(*since) >= SETTLE) {
            if let Some((_, signal)) = self.pending.pop_front() {
                // Its platform may have been opened again by an operator meanwhile.
                let pulled = self.pulled_along(&signal, now);
                steps.extend(pulled.unwrap_or_else(|| self.raised(&signal, now)));
            }
        }
        let quiet: Vec<u64> = self
            .open
            .iter()
            .filter_map(|id| self.incidents.get(id))
            // What was merged in and still is down is not quiet.
            .filter(|incident| grouping::active(incident) == 0)
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
        steps.extend(self.run_out(now));
        steps
    }

    fn raised(&mut self, signal: &Signal, now: Time) -> Vec<Step> {
        let Some(meta) = self.rules.meta(&signal.rule).cloned() else {
            tracing::warn!(rule = signal.rule, "a signal of an unknown rule was left out");
            return Vec::new();
        };
        let machine = meta.machine.is_some();
        let (after, action) = match self.goes_on(signal, machine, now) {
            Some((home, incident)) if incident.current_state().is_open() => {
                let mut after = incident.clone();
                if !grouping::count(&mut after, home, signal, machine) {
                    return Vec::new();
                }
                let action = if after.severity < incident.severity { "raised" } else { "counted" };
                (after, action)
            }
            Some((home, mut after)) => {
                after.state = IncidentState::InProgress.into();
                if after.owner.is_empty() {
                    after.state = IncidentState::New.into();
                }
                after.resolved_unix_nano = None;
                after.reopened += 1;
                grouping::count(&mut after, home, signal, machine);
                (after, "reopened")
            }
            None => {
                let mut fresh = grouping::open(self.next_id, signal, machine, now);
                self.next_id += 1;
                clock::start(&self.registry, &mut fresh, now);
                fresh.responsible_agency = self.responsible(signal);
                (fresh, "opened")
            }
        };
        let mut after = after;
        self.retitle(&mut after);
        vec![self.step(after, SYSTEM, action, String::new(), Some(signal), now)]
    }

    fn cleared(&mut self, signal: &Signal, now: Time) -> Vec<Step> {
        // A dependent that was pulled along is cleared under its platform.
        let mut steps = Vec::new();
        for id in self.raised_at(signal, true) {
            let Some(incident) = self.incidents.get(&id) else { continue };
            let mut after = incident.clone();
            grouping::release(&mut after, signal, true);
            let agency = signal.agency.clone();
            steps.push(self.step(after, SYSTEM, "released", agency, Some(signal), now));
        }
        for id in self.raised_at(signal, false) {
            let Some(incident) = self.incidents.get(&id) else { continue };
            let mut after = incident.clone();
            grouping::release(&mut after, signal, false);
            // Where something else goes on beside what was merged in, its own end is awaited.
            let machine = self.rules.meta(&after.rule).is_some_and(|meta| meta.machine.is_some());
            let over = machine && after.current_state().is_open() && grouping::active(&after) == 0;
            if over {
                after.state = IncidentState::Resolved.into();
                after.resolved_unix_nano =
                    Some(signal.last_time_unix_nano.max(after.first_time_unix_nano));
            }
            let action = if over { "resolved" } else { "cleared" };
            steps.push(self.step(after, SYSTEM, action, String::new(), Some(signal), now));
        }
        steps
    }

    /// A service whose platform has fallen belongs to the platform's incident.
    fn pulled_along(&mut self, signal: &Signal, now: Time) -> Option<Vec<Step>> {
        if signal.rule != "service-down" || self.open_of(signal).is_some() {
            return None;
        }
        let (home, mut after) = self.platforms(signal).into_iter().find_map(|home| {
            let incident = self.container(home);
            let fallen =
                incident.current_state().is_open() && incident.simulated == signal.simulated;
            fallen.then(|| (home.id, incident.clone()))
        })?;
        grouping::pull(&mut after, home, signal);
        self.retitle(&mut after);
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

    fn retitle(&self, incident: &mut Incident) {
        let Some(meta) = self.rules.meta(&incident.rule) else { return };
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
        let known = self.incidents.get(&after.id);
        let before = known.map_or(IncidentState::Unspecified, Incident::current_state);
        let moved = known.is_some_and(|known| {
            known.severity != after.severity || known.systems.len() != after.systems.len()
        });
        clock::follow(&self.registry, moved, &mut after, now);
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
        let (origin_key, origin_offset) =
            signal.map(|signal| origin(signal, signal.kind)).unwrap_or_default();
        Step { transition, origin_key, origin_offset, command: String::new() }
    }

    fn keep(&mut self, incident: Incident) {
        let group = lineage::base_group(&incident).to_owned();
        self.by_group.entry((incident.rule.clone(), group)).or_default().insert(incident.id);
        mark(&mut self.open, incident.id, incident.current_state().is_open());
        // What was merged in is held by the one that took it in.
        let holds = incident.merged_into == 0 && grouping::holds_any(&incident);
        mark(&mut self.holding, incident.id, holds);
        self.incidents.insert(incident.id, incident);
        if self.incidents.len() > INCIDENTS_MAX {
            self.forget_oldest();
        }
    }

    /// The oldest closed incident leaves. One that was merged into an open one stays as long: its signals are counted there.
    fn forget_oldest(&mut self) {
        let closed = |incident: &&Incident| !incident.current_state().is_open();
        let done = |incident: &&Incident| !self.container(incident).current_state().is_open();
        let oldest = self.incidents.values().find(done);
        let oldest = oldest.or_else(|| self.incidents.values().find(closed)).map(|i| i.id);
        let Some(gone) = oldest.and_then(|id| self.incidents.remove(&id)) else { return };
        self.open.remove(&gone.id);
        self.holding.remove(&gone.id);
        let key = (gone.rule.clone(), lineage::base_group(&gone).to_owned());
        if let Some(ids) = self.by_group.get_mut(&key) {
            ids.remove(&gone.id);
            if ids.is_empty() {
                self.by_group.remove(&key);
            }
        }
    }
}

fn mark(ids: &mut BTreeSet<u64>, id: u64, is_in: bool) {
    if is_in {
        ids.insert(id);
    } else {
        ids.remove(&id);
    }
}

/// Who acts when nobody does.
const SYSTEM: &str = "system";

fn reopens(incident: &Incident, now: Time) -> bool {
    incident.current_state() == IncidentState::Resolved
        && incident.resolved_unix_nano.is_some_and(|at| now.since(Time(at)) < REOPEN_WITHIN)
}

/// What makes a signal's origin one of its kind: rule, kind, entity, agency, topic and partition; offsets grow within it.
fn origin(signal: &Signal, kind: i32) -> (String, i64) {
    let place = signal.origin.clone().unwrap_or_default();
    let entity = signal.entity.clone().unwrap_or_default();
    let key = format!(
        "{}|{}|{}|{}|{}|{}",
        signal.rule, kind, entity.value, signal.agency, place.topic, place.partition
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
