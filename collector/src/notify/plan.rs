//! From a step of an incident, the routes and the time to what the queue is to hold. Pure, and the same whoever does it and how often.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::ToSpan as _;
use vonggac_wire::{
    Time,
    proto::{Incident, IncidentState, Transition},
};

use super::{
    hours::{self, local},
    note::{DIGEST_LINES_MAX, Event, Note, Summary, id},
    queue::{Queued, State},
    settings::{Channel, Digest, Settings, Way, route::covers},
    tlp::Tlp,
};
use crate::registry::{KINDS, Registry};

/// A digest that could not be made at its time is made so much later at most: then the next one is nearer.
const DIGEST_LATE_MAX: Duration = Duration::from_secs(6 * 3_600);

/// How far back the digest before is looked for.
const DIGEST_BEFORE_DAYS_MAX: i64 = 10;

/// Addresses that one note goes to: a role of the nation in one message.
const RECIPIENTS_MAX: usize = 100;

/// Why a note is not sent although a route wants it.
const NOBODY: &str = "nobody of the route's roles has the agency, and the channel names no address";

/// Makes notes.
#[derive(Clone, Copy)]
pub struct Planner<'a> {
    /// Routes, channels, markings.
    pub settings: &'a Settings,
    /// Names of agencies.
    pub registry: &'a Registry,
}

/// What a step is worth telling for.
#[must_use]
pub fn event(step: &Transition) -> Option<Event> {
    let is_open = |state: i32| IncidentState::try_from(state).is_ok_and(IncidentState::is_open);
    match step.action.as_str() {
        "opened" | "reopened" => Some(Event::Opened),
        "raised" | "escalated" => Some(Event::Escalated),
        // The other clock is the incident's deadline, which is looked at by itself.
        "breached" if step.text == KINDS[0] => Some(Event::Breached),
        "handed_over" => Some(Event::HandedOver),
        // It goes on in the one that took it in.
        "merged" => None,
        _ if is_open(step.from_state) && !is_open(step.to_state) => Some(Event::Resolved),
        _ => None,
    }
}

/// What is said of an incident at a time.
struct Occasion<'a> {
    event: Event,
    incident: &'a Incident,
    said: &'a str,
    at: Time,
    /// What makes it one of its kind.
    key: String,
}

impl Planner<'_> {
    /// What a step makes.
    #[must_use]
    pub fn step(&self, step: &Transition) -> Vec<Queued> {
        let (Some(event), Some(incident)) = (event(step), &step.after) else { return Vec::new() };
        self.routed(&Occasion {
            event,
            incident,
            said: &step.text,
            at: Time(step.time_unix_nano),
            key: step.version.to_string(),
        })
    }

    /// What an incident makes whose time ended after `from` and not after `until`. A deadline that is moved can end again.
    #[must_use]
    pub fn breach(&self, incident: &Incident, from: Time, until: Time) -> Vec<Queued> {
        let ended =
            incident.deadline_unix_nano.map(Time).filter(|end| from < *end && *end <= until);
        let Some(at) = ended.filter(|_| incident.current_state().is_open()) else {
            return Vec::new();
        };
        let key = format!("deadline {}", at.micros());
        self.routed(&Occasion { event: Event::Breached, incident, said: "", at, key })
    }

    /// One note for each channel that a route names, whatever the number of routes.
    fn routed(&self, occasion: &Occasion<'_>) -> Vec<Queued> {
        let Occasion { event, incident, at, .. } = occasion;
        let hidden = incident.hidden_until_unix_nano.is_some_and(|until| *at < Time(until));
        if hidden || (incident.simulated && !self.settings.simulated) {
            return Vec::new();
        }
        let now = local(*at);
        let mut by_channel: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<String>)> = BTreeMap::new();
        for route in &self.settings.routes {
            let fits = route.events.contains(event)
                && incident.level() <= route.severity
                && route.hours.has(now.minute)
                && route.days.has(now.date, self.registry.calendar())
                && covers(&route.agencies, agencies(incident));
            if !fits {
                continue;
            }
            let people = self.settings.recipients.iter().filter(|one| {
                route.roles.contains(&one.role) && covers(&one.agencies, agencies(incident))
            });
            let people: BTreeSet<String> = people.map(|one| one.address.clone()).collect();
            for channel in &route.channels {
                let (routes, told) = by_channel.entry(channel).or_default();
                routes.insert(&route.name);
                told.extend(people.iter().cloned());
            }
        }
        let note = Note::of(*event, incident, occasion.said, self.registry);
        let marked = self.marking(incident);
        by_channel
            .into_iter()
            .filter_map(|(name, (routes, people))| {
                let channel = self.settings.channel(name)?;
                let number = incident.id.to_string();
                let id = id(&[&number, &occasion.key, event.name(), name]);
                let routes: Vec<&str> = routes.into_iter().collect();
                let place = (channel, routes.join(", "), marked);
                Some(queued(id, *at, place, people, note.clone()))
            })
            .collect()
    }

    /// How an incident is marked: the highest that matches.
    #[must_use]
    pub fn marking(&self, incident: &Incident) -> Tlp {
        let matching = self.settings.markings.iter().filter(|marking| {
            (marking.rules.is_empty() || marking.rules.contains(&incident.rule))
                && incident.level() <= marking.severity
                && covers(&marking.agencies, agencies(incident))
        });
        matching.map(|marking| marking.tlp).max().unwrap_or(self.settings.tlp)
    }

    /// Digests whose time came after `from` and not after `until`, of these incidents.
    #[must_use]
    pub fn digests<'i>(
        &self,
        incidents: impl Iterator<Item = &'i Incident> + Clone,
        from: Time,
        until: Time,
    ) -> Vec<Queued> {
        let mut all = Vec::new();
        for digest in &self.settings.digests {
            for slot in self.slots(digest, from.max(until.minus(DIGEST_LATE_MAX)), until) {
                let before = self.before(digest, slot);
                for name in &digest.channels {
                    let Some(channel) = self.settings.channel(name) else { continue };
                    let summary =
                        self.summary(digest, channel.tlp, incidents.clone(), (before, slot));
                    let worst = summary.first.first().map_or(4, |note| note.severity);
                    let mut note = Note::of_none(
                        Event::Digest,
                        vonggac_wire::incident::Severity::from_level(worst),
                        slot,
                    );
                    note.digest = Some(summary);
                    let id = id(&["digest", &digest.name, &slot.seconds().to_string(), name]);
                    // What it names fits the channel; how much there is besides is no secret of an incident.
                    let place = (channel, digest.name.clone(), Tlp::Clear);
                    all.push(queued(id, slot, place, BTreeSet::new(), note));
                }
            }
        }
        all
    }

    /// A digest's times after `from` and not after `until`.
    fn slots(&self, digest: &Digest, from: Time, until: Time) -> Vec<Time> {
        let mut slots = Vec::new();
        let (mut day, last) = (local(from).date, local(until).date);
        while day <= last {
            if digest.days.has(day, self.registry.calendar()) {
                let times = digest.at.iter().filter_map(|clock| hours::at(day, *clock));
                slots.extend(times.filter(|time| from < *time && *time <= until));
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        slots
    }

    /// The digest before this one, or as far back as is looked.
    fn before(&self, digest: &Digest, slot: Time) -> Time {
        let first = local(slot).date.checked_sub(DIGEST_BEFORE_DAYS_MAX.days());
        let midnight = first.ok().and_then(|day| hours::at(day, hours::Clock::MIDNIGHT));
        let from = midnight.unwrap_or(slot);
        self.slots(digest, from, slot).into_iter().rev().find(|time| *time < slot).unwrap_or(from)
    }

    fn summary<'i>(
        &self,
        digest: &Digest,
        ceiling: Tlp,
        incidents: impl Iterator<Item = &'i Incident>,
        (before, slot): (Time, Time),
    ) -> Summary {
        let mut summary = Summary::default();
        let mut named: Vec<&Incident> = Vec::new();
        let since = |time: Option<i64>| time.map(Time).is_some_and(|at| before < at && at <= slot);
        for incident in incidents {
            let fits = incident.level() <= digest.severity
                && covers(&digest.agencies, agencies(incident))
                && (!incident.simulated || self.settings.simulated);
            if !fits {
                continue;
            }
            summary.opened += u64::from(since(Some(incident.opened_unix_nano)));
            summary.resolved += u64::from(since(incident.resolved_unix_nano));
            if !incident.current_state().is_open() {
                continue;
            }
            let level = usize::try_from(incident.level().level()).unwrap_or(4);
            if let Some(count) = summary.open.get_mut(level - 1) {
                *count += 1;
            }
            summary.unowned += u64::from(incident.owner.is_empty());
            summary.overdue +=
                u64::from(incident.deadline_unix_nano.is_some_and(|end| Time(end) <= slot));
            if self.marking(incident) > ceiling {
                summary.withheld += 1;
            } else {
                named.push(incident);
            }
        }
        named.sort_by_key(|one| (one.level(), one.deadline_unix_nano.unwrap_or(i64::MAX), one.id));
        named.truncate(DIGEST_LINES_MAX);
        summary.first = named
            .into_iter()
            .map(|incident| Note::of(Event::Digest, incident, "", self.registry))
            .collect();
        summary
    }
}

/// All agencies of an incident.
fn agencies(incident: &Incident) -> impl Iterator<Item = &str> {
    std::iter::once(incident.agency.as_str()).chain(incident.agencies.iter().map(String::as_str))
}

fn queued(
    id: String,
    at: Time,
    (channel, route, marked): (&Channel, String, Tlp),
    mut people: BTreeSet<String>,
    note: Note,
) -> Queued {
    let is_mail = matches!(channel.way, Way::Smtp(_));
    match &channel.way {
        Way::Smtp(smtp) => people.extend(smtp.to.iter().cloned()),
        Way::Http(_) | Way::Syslog(_) => people.clear(),
    }
    let recipients: Vec<String> = people.into_iter().take(RECIPIENTS_MAX).collect();
    let refused = if marked > channel.tlp {
        Some(format!("it is {}, the channel carries up to {}", marked.label(), channel.tlp.label()))
    } else if is_mail && recipients.is_empty() {
        Some(NOBODY.to_owned())
    } else {
        None
    };
    Queued {
        route,
        tlp: marked.name().into(),
        recipients,
        state: if refused.is_some() { State::Withheld } else { State::Waiting },
        error: refused.unwrap_or_default(),
        ..Queued::fresh(id, &channel.name, note, at)
    }
}

#[cfg(test)]
mod tests;
