//! The clocks of service: until somebody takes an incident, and until it is over. Pure.
//!
//! A clock goes by the hours of its severity, stands still while the incident is on hold, and ends as met or breached. That it ran out is
//! a step, and so is each level of the escalation chain: both stand in the incident, so that a book that is read again tells none twice.

use std::time::Duration;

use vonggac_wire::{
    Time,
    proto::{ClockState, Escalation, Incident, IncidentState, ServiceClock},
};

use super::{IncidentBook, SYSTEM, Step};
use crate::{
    calendar::{Calendar, UnknownYear},
    registry::{Hours, KINDS, Limits, Registry},
};

/// Steps of one incident's clocks at once: two clocks, each with the levels of its chain.
const RUN_OUT_MAX: usize = 16;

/// What a clock that ran out adds to an incident: the step's word and its text.
type Told = (&'static str, String);

impl IncidentBook {
    /// Clocks that ran out, and whom that is told.
    pub(super) fn run_out(&mut self, now: Time) -> Vec<Step> {
        let mut steps = Vec::new();
        for id in self.open.iter().copied().collect::<Vec<_>>() {
            for _ in 0..RUN_OUT_MAX {
                let Some(incident) = self.incidents.get(&id) else { break };
                let updated = incident.updated_unix_nano;
                let Some((after, (action, text))) = ran_out(&self.registry, incident, now) else {
                    break;
                };
                let mut step = self.step(after, SYSTEM, action, text, None, now);
                // Nothing came and nobody did anything: what is quiet stays quiet.
                self.untouched(&mut step, updated);
                steps.push(step);
            }
        }
        steps
    }

    /// Leaves an incident's last change where it was before a step.
    fn untouched(&mut self, step: &mut Step, updated: i64) {
        if let Some(after) = &mut step.transition.after {
            after.updated_unix_nano = updated;
            self.incidents.insert(after.id, after.clone());
        }
    }
}

/// Starts the clocks of a fresh incident; the deadline is that of solving.
pub(super) fn start(registry: &Registry, incident: &mut Incident, now: Time) {
    let grade = registry.grade(&incident.systems);
    let Some(limits) = registry.service().limits(incident.severity, grade) else { return };
    incident.clocks = KINDS.iter().map(|kind| fresh(registry, kind, &limits, now)).collect();
    set_deadline(incident);
}

/// What a step means for the clocks of the incident after it. `moved`: severity or systems are others than before, and so may its limits be.
/// One without clocks stays so: it is older than they are.
pub(super) fn follow(registry: &Registry, moved: bool, after: &mut Incident, now: Time) {
    if after.clocks.is_empty() {
        return;
    }
    let limits = moved.then(|| registry.grade(&after.systems));
    let limits = limits.and_then(|grade| registry.service().limits(after.severity, grade));
    let state = after.current_state();
    let taken = after.acknowledged_unix_nano.is_some() || !state.is_open();
    for clock in &mut after.clocks {
        let over = if clock.kind == KINDS[0] { taken } else { !state.is_open() };
        turn(registry, clock, over, state == IncidentState::OnHold, now);
        // Behind that: one that goes on again has its new limit, too.
        if let Some(limits) = &limits {
            limit(registry, clock, limits, now);
        }
    }
    set_deadline(after);
}

/// What ran out by now, one thing at a time: the incident after it, and the step that tells it.
fn ran_out(registry: &Registry, incident: &Incident, now: Time) -> Option<(Incident, Told)> {
    if !incident.current_state().is_open() || incident.current_state() == IncidentState::OnHold {
        return None;
    }
    for (at, clock) in incident.clocks.iter().enumerate() {
        if clock.ended_unix_nano.is_some() {
            continue;
        }
        let Some(due) = clock.due_unix_nano.map(Time).filter(|due| *due <= now) else { continue };
        if clock.state() == ClockState::Running {
            let mut after = incident.clone();
            after.clocks[at].set_state(ClockState::Breached);
            after.clocks[at].left_seconds = 0;
            return Some((after, ("breached", clock.kind.clone())));
        }
        let told = |level: u32| {
            incident.escalations.iter().any(|one| one.clock == clock.kind && one.level == level)
        };
        let chain = registry.service().chain(&clock.kind, incident.severity);
        let next = chain.iter().find(|level| !told(level.level));
        if let Some(level) = next.filter(|level| later(registry, clock, due, level.after) <= now) {
            let mut after = incident.clone();
            after.escalations.push(Escalation {
                clock: clock.kind.clone(),
                level: level.level,
                role: level.role.clone(),
                time_unix_nano: now.0,
            });
            let text = format!("{} {} {}", clock.kind, level.level, level.role);
            return Some((after, ("escalated", text)));
        }
    }
    None
}

fn fresh(registry: &Registry, kind: &str, limits: &Limits, now: Time) -> ServiceClock {
    let mut clock = ServiceClock {
        kind: kind.to_owned(),
        state: ClockState::Running.into(),
        limit_seconds: limits.of(kind).as_secs(),
        calendar: limits.hours.name().to_owned(),
        ..ServiceClock::default()
    };
    run(registry, &mut clock, limits.of(kind), now);
    clock
}

/// Another limit: what has been used of the former one is used of it, too.
fn limit(registry: &Registry, clock: &mut ServiceClock, limits: &Limits, now: Time) {
    let (before, after) = (clock.limit_seconds, limits.of(&clock.kind).as_secs());
    let hours = limits.hours.name();
    if !matches!(clock.state(), ClockState::Running | ClockState::Paused)
        || (before, clock.calendar.as_str()) == (after, hours)
    {
        return;
    }
    let left = match clock.state() {
        ClockState::Paused => Duration::from_secs(clock.left_seconds),
        _ => left(registry, clock, now),
    };
    let used = Duration::from_secs(before).saturating_sub(left);
    let left = Duration::from_secs(after).saturating_sub(used);
    clock.limit_seconds = after;
    hours.clone_into(&mut clock.calendar);
    match clock.state() {
        ClockState::Paused => clock.left_seconds = left.as_secs(),
        _ => run(registry, clock, left, now),
    }
}

/// Ends, pauses or goes on, as the incident is.
fn turn(registry: &Registry, clock: &mut ServiceClock, over: bool, held: bool, now: Time) {
    match clock.state() {
        ClockState::Running if over || held => {
            let late = clock.due_unix_nano.is_some_and(|due| due < now.0);
            clock.left_seconds = left(registry, clock, now).as_secs();
            if late {
                clock.set_state(ClockState::Breached);
                clock.ended_unix_nano = over.then_some(now.0);
            } else if over {
                clock.set_state(ClockState::Met);
                clock.ended_unix_nano = Some(now.0);
            } else {
                clock.set_state(ClockState::Paused);
                clock.due_unix_nano = None;
            }
        }
        ClockState::Paused if over => {
            clock.set_state(ClockState::Met);
            clock.ended_unix_nano = Some(now.0);
        }
        ClockState::Met if !over && held => {
            clock.set_state(ClockState::Paused);
            (clock.due_unix_nano, clock.ended_unix_nano) = (None, None);
        }
        // Held no more, or opened again: what was left is left still.
        ClockState::Paused | ClockState::Met if !over && !held => {
            clock.ended_unix_nano = None;
            let left = Duration::from_secs(clock.left_seconds);
            run(registry, clock, left, now);
        }
        ClockState::Breached if over => {
            clock.ended_unix_nano.get_or_insert(now.0);
        }
        ClockState::Breached => clock.ended_unix_nano = None,
        _ => {}
    }
}

/// Goes on from now with so much left.
fn run(registry: &Registry, clock: &mut ServiceClock, left: Duration, now: Time) {
    clock.set_state(ClockState::Running);
    clock.left_seconds = 0;
    clock.doubt.clear();
    let due = match working(registry, clock) {
        None => now.plus(left),
        // Around the clock is the earlier end: nobody is told too late because a calendar was not kept up.
        Some(calendar) => calendar.deadline(now, left).unwrap_or_else(|UnknownYear(year)| {
            clock.doubt = format!("no-holidays-{year}");
            now.plus(left)
        }),
    };
    clock.due_unix_nano = Some(due.0);
}

/// What is left of a running clock by its own hours.
fn left(registry: &Registry, clock: &ServiceClock, now: Time) -> Duration {
    let due = Time(clock.due_unix_nano.unwrap_or(now.0));
    let around = due.since(now);
    let worked = working(registry, clock).map(|calendar| calendar.working_time(now, due));
    worked.and_then(Result::ok).unwrap_or(around)
}

fn later(registry: &Registry, clock: &ServiceClock, due: Time, after: Duration) -> Time {
    let by_hours = working(registry, clock).map(|calendar| calendar.deadline(due, after));
    by_hours.and_then(Result::ok).unwrap_or_else(|| due.plus(after))
}

/// The calendar of a clock that goes by one.
fn working<'a>(registry: &'a Registry, clock: &ServiceClock) -> Option<&'a Calendar> {
    let by_hours = clock.calendar == Hours::WorkingHours.name() && clock.doubt.is_empty();
    by_hours.then(|| registry.calendar())
}

/// A deadline that nobody gave is the clock's; while that stands still there is none.
fn set_deadline(incident: &mut Incident) {
    if incident.deadline_given {
        return;
    }
    let due = incident.clock(KINDS[1]).map(|clock| clock.due_unix_nano);
    if let Some(due) = due {
        incident.deadline_unix_nano = due;
    }
}
