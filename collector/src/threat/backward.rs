//! Threat lists backwards: what a list names today may have come by weeks ago. Stored events are searched for each entry once, as far back as
//! [`BACK`], and what is found is told under the live rule's name, with the events' own times. Pure but for [`run`].
//!
//! An entry's span ends where events were held against it as they came: what was stored before its list came into force. It is written down
//! before anything is searched, so a restart searches the same span, and finds the same: a signal's origin is made of entry, host and span,
//! and the incident book takes each origin once.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::Duration,
};

use vonggac_wire::{
    Lane, Time,
    limits::EVIDENCE_EVENTS_MAX,
    proto::{Entity, EventRef, Origin, Signal, SignalKind},
};

use super::{
    entry::{Entry, Kind},
    same_network,
};
use crate::{
    rule::{GroupBy, RuleSet},
    store::threat::{Hit, Known, Place, State},
};

pub mod run;

/// How far back events are searched.
pub const BACK: Duration = Duration::from_secs(30 * 86_400);

/// Events of one statement lie within so long: a nation's quarter of a day is read in a minute.
const SLICE: Duration = Duration::from_secs(6 * 3_600);

/// A host's clock may be so far ahead of the time at which its event was stored.
const AHEAD: Duration = Duration::from_secs(3_600);

/// Pairs of entry and host that are held at once. Beyond them, those that come later are left out, and counted.
const FOUND_MAX: usize = 20_000;

/// The span of an entry, and the entries that have it.
pub type Waiting = BTreeMap<(Time, Time), Vec<Entry>>;

/// What is to be written down of entries that are new, or in the lists again. What was searched before they went is not searched again.
#[must_use]
pub fn fresh(
    entries: &[Entry],
    known: &HashMap<u64, Known>,
    in_force: Time,
    now: Time,
) -> Vec<Known> {
    let earliest = in_force.minus(BACK);
    let listed = |entry: u64, since: Time| Known {
        entry,
        since: since.max(earliest),
        until: in_force,
        state: State::Listed,
        at: now,
    };
    entries
        .iter()
        .filter_map(|entry| match known.get(&entry.number()) {
            None => Some(listed(entry.number(), earliest)),
            Some(gone) if gone.state == State::Gone => Some(listed(gone.entry, gone.since)),
            Some(_) => None,
        })
        .collect()
}

/// An entry that went from the lists: should it come again, what is not searched by now is to be searched then.
#[must_use]
pub const fn went(known: Known, now: Time) -> Known {
    let since = match known.state {
        State::Searched => now,
        State::Listed | State::Gone => known.since,
    };
    Known { since, until: now, state: State::Gone, at: now, ..known }
}

/// The entries that are not searched for yet, by their span.
#[must_use]
pub fn waiting(entries: Vec<Entry>, known: &HashMap<u64, Known>) -> Waiting {
    let mut waiting = Waiting::new();
    for entry in entries {
        let listed = known.get(&entry.number()).filter(|known| known.state == State::Listed);
        if let Some(listed) = listed {
            waiting.entry((listed.since, listed.until)).or_default().push(entry);
        }
    }
    waiting
}

/// The slices of a span, the newest first: what matters most.
pub fn slices((since, until): (Time, Time)) -> impl Iterator<Item = (Time, Time)> {
    let mut end = until.plus(AHEAD);
    std::iter::from_fn(move || {
        (end > since).then(|| {
            let slice = (since.max(end.minus(SLICE)), end);
            end = slice.0;
            slice
        })
    })
}

/// The rule under which what stands in a place is told.
const fn rule(place: Place) -> &'static str {
    match place {
        Place::Source => "listed-source",
        _ => "listed-contact",
    }
}

/// One entry on one host. A network has one for each of its addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Where {
    rule: &'static str,
    entry: u64,
    address: String,
    agency: String,
    host: String,
    simulated: bool,
}

/// What was found of entries of one span.
#[derive(Debug, Default)]
pub struct Found {
    all: BTreeMap<Where, Hit>,
    left_out: u64,
}

impl Found {
    /// Adds what one statement gave about these entries.
    pub fn add(&mut self, place: Place, entries: &[Entry], hits: Vec<Hit>) {
        let by_value: HashMap<&str, &Entry> =
            entries.iter().map(|entry| (entry.value.as_str(), entry)).collect();
        for hit in hits {
            let Some(entry) = named(place, &by_value, entries, &hit.value) else { continue };
            let address = if place == Place::Source { hit.value.clone() } else { String::new() };
            let at = Where {
                rule: rule(place),
                entry: entry.number(),
                address,
                agency: hit.of_agency.clone(),
                host: hit.of_host.clone(),
                simulated: hit.of_player,
            };
            if let Some(known) = self.all.get_mut(&at) {
                join(known, hit);
            } else if self.all.len() < FOUND_MAX {
                self.all.insert(at, hit);
            } else {
                self.left_out += 1;
            }
        }
    }

    /// Pairs of entry and host.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What found no place.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// As signals, of entries whose span ended then.
    #[must_use]
    pub fn signals(self, rules: &RuleSet, until: Time, now: Time) -> Vec<Signal> {
        let all = self.all.into_iter();
        all.filter_map(|(at, hit)| signal(at, hit, rules, until, now)).collect()
    }
}

/// The entry that a stored value is named by.
fn named<'a>(
    place: Place,
    by_value: &HashMap<&str, &'a Entry>,
    entries: &'a [Entry],
    value: &str,
) -> Option<&'a Entry> {
    if let Some(entry) = by_value.get(value) {
        return Some(*entry);
    }
    match place {
        Place::Source | Place::Destination => {
            let address: IpAddr = value.parse().ok()?;
            entries.iter().filter(|entry| entry.kind == Kind::Network).find(|entry| {
                let network = entry.value.split_once('/');
                let network = network
                    .and_then(|(network, bits)| Some((network.parse().ok()?, bits.parse().ok()?)));
                network.is_some_and(|(network, bits)| same_network(network, address, bits))
            })
        }
        Place::UrlHost => {
            let above = value.match_indices('.').filter_map(|(at, _)| value.get(at + 1..));
            above.into_iter().find_map(|domain| by_value.get(domain).copied())
        }
        Place::Hash => value.split(' ').find_map(|hash| by_value.get(hash).copied()),
        Place::Url => None,
    }
}

fn join(known: &mut Hit, more: Hit) {
    known.number += more.number;
    known.first = known.first.min(more.first);
    known.last = known.last.max(more.last);
    let room = EVIDENCE_EVENTS_MAX.saturating_sub(known.evidence.len());
    known.evidence.extend(more.evidence.into_iter().take(room));
}

/// The signal, as the live rule would give it: the same entity and group, so that the book counts it in the same incident.
fn signal(at: Where, hit: Hit, rules: &RuleSet, until: Time, now: Time) -> Option<Signal> {
    let meta = rules.meta(at.rule)?;
    let (entity, group) = match meta.group_by? {
        GroupBy::SrcIp => (("src_ip", at.address.clone()), at.address.clone()),
        _ => (("host", at.host.clone()), format!("{}/{}", at.agency, at.host)),
    };
    let time = |micros: i64| micros.saturating_mul(1_000);
    let values = [("src_ip", &at.address), ("host", &at.host), ("user", &hit.of_user)];
    let values = values.into_iter().filter(|(_, value)| !value.is_empty());
    let values = values.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    let evidence = hit.evidence.into_iter().filter_map(|(agent, lane, seq, at)| {
        let lane = Lane::from_name(&lane)?.into();
        Some(EventRef { agent, lane, seq, time_unix_nano: time(at) })
    });
    Some(Signal {
        rule: at.rule.into(),
        kind: SignalKind::Raised.into(),
        severity: meta.severity,
        entity: Some(Entity { kind: entity.0.into(), value: entity.1 }),
        group,
        agency: at.agency,
        system: hit.of_system,
        count: hit.number,
        first_time_unix_nano: time(hit.first),
        last_time_unix_nano: time(hit.last),
        origin: Some(Origin {
            topic: format!("threat-list-{:016x}-{}", at.entry, at.host),
            partition: 0,
            offset: until.micros(),
        }),
        host: at.host,
        evidence: evidence.collect(),
        values,
        simulated: at.simulated,
        found_time_unix_nano: now.0,
    })
}

#[cfg(test)]
mod tests;
