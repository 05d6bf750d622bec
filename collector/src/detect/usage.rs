//! Portals that answer while nobody files a dossier.
//!
//! Dossiers that come at a rate λ leave a pause of t seconds with probability e^(-λt). A pause is believed when λt reaches
//! `doubt` (12: six in a million), and only where enough dossiers came before, the portal's checks are up, and the agency is heard.

use std::collections::{BTreeMap, HashMap, VecDeque};

use vonggac_wire::{
    Event, Time,
    event::{Check, CheckOutcome, Dossier},
    proto::{Origin, SignalKind},
};

use super::{
    Finding,
    silence::{Silence, Told},
};
use crate::{record::Record, rule::RuleSet};

/// The system whose use is watched.
const PORTAL: &str = "agency-one-stop";

/// Dossiers whose times are kept.
const TIMES_MAX: usize = 600;

/// How far back the rate is taken.
const BASE_SECONDS: f64 = 600.0;

/// A check older than this says nothing.
const CHECK_SECONDS_MAX: f64 = 90.0;

/// Agencies that are followed at once.
const AGENCIES_MAX: usize = 10_000;

#[derive(Debug, Default)]
struct Portal {
    times: VecDeque<Time>,
    origin: Origin,
    simulated: bool,
    host: String,
    checked: Option<(Time, bool)>,
    raised: bool,
}

#[derive(Debug)]
pub(super) struct Usage {
    portals: HashMap<String, Portal>,
    late: u64,
    doubt: f64,
    seconds_least: f64,
    events_least: f64,
}

impl Usage {
    pub(super) fn new(rules: &RuleSet) -> Self {
        let number = |name: &str, otherwise: f64| {
            rules
                .machine("portal-without-use")
                .map_or(otherwise, |meta| meta.number(name, otherwise))
        };
        Self {
            portals: HashMap::new(),
            late: 0,
            doubt: number("doubt", 12.0),
            seconds_least: number("seconds_least", 20.0),
            events_least: number("events_least", 30.0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.portals.len()
    }

    /// Dossiers and checks that came too late to say anything about the rate or about now.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    /// A check of a portal, with its time by the host's clock.
    pub(super) fn checked(&mut self, record: &Record, system: &str, check: &Check, time: Time) {
        let (agency, time) = (record.batch.agency.as_str(), time.min(record.appended));
        if system != PORTAL {
            return;
        }
        if let Some(portal) = self.portals.get_mut(agency) {
            if portal.checked.is_some_and(|(newest, _)| time < newest) {
                self.late += 1;
                return;
            }
            let up = matches!(check.outcome(), CheckOutcome::Up | CheckOutcome::Degraded);
            // One failing check of several speaks against the portal until its next run.
            let bad_before =
                portal.checked.is_some_and(|(at, up)| !up && time.seconds_since(at) < 20.0);
            portal.checked = Some((time, up && !bad_before));
        }
    }

    pub(super) fn dossier(
        &mut self,
        record: &Record,
        event: &Event,
        dossier: &Dossier,
    ) -> Option<Finding> {
        if !matches!(dossier.step.as_str(), "received" | "started") || dossier.online == Some(false)
        {
            return None;
        }
        let agency = record.batch.agency.as_str();
        if self.portals.len() >= AGENCIES_MAX && !self.portals.contains_key(agency) {
            return None;
        }
        let portal = self.portals.entry(agency.to_owned()).or_default();
        // A clock that is ahead would stand behind all others.
        let time = event.time().min(record.appended);
        let newest = portal.times.back().copied();
        portal.origin = record.origin.clone();
        portal.simulated = record.batch.simulated;
        portal.host.clone_from(&record.batch.host);
        if let Some(newest) = newest.filter(|newest| time < *newest) {
            // Of a backlog: it belongs to the rate before, and ends no pause.
            if newest.seconds_since(time) > BASE_SECONDS || portal.raised {
                self.late += 1;
                return None;
            }
            let place = portal.times.partition_point(|known| *known <= time);
            portal.times.insert(place, time);
            if portal.times.len() > TIMES_MAX {
                portal.times.pop_front();
            }
            return None;
        }
        if portal.times.len() >= TIMES_MAX {
            portal.times.pop_front();
        }
        portal.times.push_back(time);
        if !std::mem::take(&mut portal.raised) {
            return None;
        }
        // The pause is over; the rate begins anew.
        portal.times.clear();
        Some(finding(SignalKind::Cleared, agency, &portal.host, 0.0, 0.0))
    }

    pub(super) fn tick(&mut self, silence: &Silence, now: Time) -> Vec<Told> {
        let mut told = Vec::new();
        for (agency, portal) in &mut self.portals {
            if portal.raised {
                continue;
            }
            let Some(last) = portal.times.back().copied() else { continue };
            let first = portal
                .times
                .iter()
                .find(|time| last.seconds_since(**time) <= BASE_SECONDS)
                .copied()
                .unwrap_or(last);
            #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
            let count = portal.times.iter().filter(|time| **time >= first).count() as f64;
            let span = last.seconds_since(first);
            let pause = now.seconds_since(last);
            if count < self.events_least
                || span <= 0.0
                || pause < self.seconds_least
                || pause > 2.0 * BASE_SECONDS
            {
                continue;
            }
            let rate = count / span;
            let answers = portal.checked.is_some_and(|(at, up)| {
                up && now.seconds_since(at) <= CHECK_SECONDS_MAX
                    && at.seconds_since(last) > self.seconds_least / 2.0
            });
            if rate * pause >= self.doubt && answers && silence.is_agency_heard(agency, now) {
                portal.raised = true;
                let finding = finding(SignalKind::Raised, agency, &portal.host, rate * 60.0, pause);
                told.push((finding, agency.clone(), portal.origin.clone(), last, portal.simulated));
            }
        }
        told.sort_by(|a, b| a.1.cmp(&b.1));
        told
    }
}

fn finding(kind: SignalKind, agency: &str, host: &str, per_minute: f64, pause: f64) -> Finding {
    Finding {
        rule: "portal-without-use",
        kind,
        severity: 0,
        entity: ("system", format!("{PORTAL}@{agency}")),
        group: format!("{agency}/{PORTAL}"),
        system: PORTAL.into(),
        host: host.to_owned(),
        values: BTreeMap::from([
            ("per_minute".to_owned(), format!("{per_minute:.1}")),
            ("pause_seconds".to_owned(), format!("{pause:.0}")),
        ]),
    }
}
