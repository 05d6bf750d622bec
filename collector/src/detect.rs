//! Detection: pure, keyed by partition, deterministic in the order of records.
//!
//! A [`Detector`] sees each record of one partition once, and the clock. It gives at most one signal for each rule, entity and
//! record, with the record's place as its origin, so that signals that are given again after a crash can be known again.
//!
//! * [`sigma`]: what a single event says, by Sigma rules;
//! * [`window`]: how often it says so (threshold, then each further match), and "after" another rule;
//! * [`uptime`]: services, certificates, disks; [`silence`]: who is not heard; [`usage`]: portals that nobody uses; [`cut`]: logs
//!   that were cut;
//! * [`correlation`]: Sigma's correlations.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use vonggac_wire::{
    Time,
    event::Body,
    limits::EVIDENCE_EVENTS_MAX,
    proto::{Entity, EventRef, Origin, Signal, SignalKind},
};

use crate::{record::Record, registry::Registry, rule::RuleSet};

pub mod correlation;
mod cut;
mod eviction;
pub mod near;
pub mod request;
pub mod sigma;
mod silence;
mod source;
mod uptime;
mod usage;
mod window;

use correlation::Correlations;
use sigma::Matcher;
use silence::Silence;
use uptime::Uptime;
use usage::Usage;
use window::Windows;

/// What a machine found in one event or by the clock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) rule: &'static str,
    pub(crate) kind: SignalKind,
    /// 0: the rule's own.
    pub(crate) severity: u32,
    pub(crate) entity: (&'static str, String),
    pub(crate) group: String,
    pub(crate) system: String,
    pub(crate) host: String,
    pub(crate) values: BTreeMap<String, String>,
}

/// What detection gave up so that its memory stays bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Entities and groups that were forgotten before their time.
    pub evicted: u64,
    /// Events that came too late, behind newer ones, for a window or to say anything about now.
    pub late: u64,
}

impl Lost {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { evicted: self.evicted + other.evicted, late: self.late + other.late }
    }
}

/// Detection of one partition.
pub struct Detector {
    rules: Arc<RuleSet>,
    registry: Arc<Registry>,
    matcher: Arc<Matcher>,
    windows: Windows,
    correlations: Correlations,
    uptime: Uptime,
    silence: Silence,
    usage: Usage,
}

impl Detector {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, registry: Arc<Registry>, matcher: Arc<Matcher>) -> Self {
        Self {
            uptime: Uptime::new(&rules),
            silence: Silence::new(&rules),
            usage: Usage::new(&rules),
            windows: Windows::default(),
            correlations: Correlations::new(&rules),
            rules,
            registry,
            matcher,
        }
    }

    /// Remembers agents that were heard before this collector started, so that their silence is seen.
    pub fn know_agent(
        &mut self,
        (agency, agent): (&str, &str),
        (host, system): (&str, &str),
        simulated: bool,
        heard: Time,
    ) {
        self.silence.know((agency, agent), (host, system), simulated, heard);
    }

    /// Goes by other rules from now on. What was counted for a rule that counts the same is kept; machines are of the program, and stay.
    pub fn renew(&mut self, rules: &Arc<RuleSet>, matcher: &Arc<Matcher>) {
        if Arc::ptr_eq(&self.rules, rules) {
            return;
        }
        let place = |before: usize| {
            let before = &self.rules.rules().get(before)?.meta;
            let at = rules.index(before.rule.as_str())?;
            rules.rules().get(at)?.meta.counts_like(before).then_some(at)
        };
        self.windows.renew(place);
        self.correlations.renew(&self.rules, rules);
        self.matcher = Arc::clone(matcher);
        self.rules = Arc::clone(rules);
    }

    /// Sees a record.
    pub fn apply(&mut self, record: &Record, now: Time) -> Vec<Signal> {
        let mut signals = Vec::new();
        self.windows.begin(record);
        self.correlations.begin();
        for (index, event) in record.fresh() {
            match event.body() {
                Body::Activity(activity) => {
                    let mut found = self.matcher.matches(event, activity);
                    self.correlations.matched(&self.rules, &found, record, index, event, activity);
                    let rules = self.rules.rules();
                    found.retain(|found| rules.get(found.rule).is_some_and(|rule| !rule.silent));
                    self.windows.matched(&self.rules, &found, record, index, event, activity);
                }
                Body::Check(check) => {
                    let findings =
                        self.uptime.check(&self.registry, record, index, event, check, now);
                    signals.extend(
                        findings.into_iter().map(|f| self.signal(f, record, Some(index), now)),
                    );
                    self.usage.checked(record, event.system(), check, event.time());
                }
                Body::HostFigures(figures) => {
                    let findings = self.uptime.host(record, index, figures);
                    signals.extend(
                        findings.into_iter().map(|f| self.signal(f, record, Some(index), now)),
                    );
                }
                Body::Heartbeat(beat) => {
                    let findings = self.silence.heard(record, index, (beat, event.system()), now);
                    signals.extend(
                        findings.into_iter().map(|f| self.signal(f, record, Some(index), now)),
                    );
                }
                Body::Dossier(dossier) => {
                    let finding = self.usage.dossier(record, event, dossier);
                    signals.extend(finding.map(|f| self.signal(f, record, Some(index), now)));
                }
                Body::Gap(gap) => {
                    let finding = cut::finding(record, event, gap);
                    signals.extend(finding.map(|f| self.signal(f, record, Some(index), now)));
                }
                _ => {}
            }
        }
        signals.extend(self.windows.signals(&self.rules, record, now));
        signals.extend(self.correlations.signals(&self.rules, record, now));
        last_of_each(signals)
    }

    /// Looks at the clock.
    pub fn tick(&mut self, now: Time) -> Vec<Signal> {
        let silent = self.silence.tick(now);
        let mut signals: Vec<Signal> = Vec::new();
        for (finding, agency, origin, heard, simulated) in silent {
            signals.push(self.signal_at(finding, &agency, origin, heard, simulated, now));
        }
        for (finding, agency, origin, last, simulated) in self.usage.tick(&self.silence, now) {
            signals.push(self.signal_at(finding, &agency, origin, last, simulated, now));
        }
        signals
    }

    /// What is held in memory, in entries.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.windows.len()
            + self.correlations.len()
            + self.uptime.len()
            + self.silence.len()
            + self.usage.len()
    }

    /// What was given up, since the start.
    #[must_use]
    pub const fn lost(&self) -> Lost {
        let late = self.windows.late() + self.uptime.late() + self.usage.late();
        self.correlations.lost().and(Lost { evicted: self.windows.evicted(), late })
    }

    fn signal(&self, finding: Finding, record: &Record, index: Option<usize>, now: Time) -> Signal {
        let time = index
            .and_then(|index| record.batch.events.get(index))
            .map_or(record.appended, vonggac_wire::Event::time);
        let agency = record.batch.agency.as_str();
        let mut signal = self.signal_at(
            finding,
            agency,
            record.origin.clone(),
            time,
            record.batch.simulated,
            now,
        );
        signal.evidence.extend(index.map(|index| reference(record, index)));
        signal
    }

    fn signal_at(
        &self,
        finding: Finding,
        agency: &str,
        origin: Origin,
        time: Time,
        simulated: bool,
        now: Time,
    ) -> Signal {
        let meta = self.rules.meta(finding.rule);
        let severity = if finding.severity > 0 {
            finding.severity
        } else {
            meta.map_or(3, |meta| meta.severity)
        };
        let mut values = finding.values;
        let (short_vi, short_en) = self.registry.short_name(agency);
        values.insert("agency_vi".into(), short_vi);
        values.insert("agency_en".into(), short_en);
        if let Some(system) = self.registry.system(&finding.system) {
            values.insert("system_vi".into(), system.name_vi.clone());
            values.insert("system_en".into(), system.name_en.clone());
        }
        Signal {
            rule: finding.rule.into(),
            kind: finding.kind.into(),
            severity,
            entity: Some(Entity { kind: finding.entity.0.into(), value: finding.entity.1 }),
            group: finding.group,
            agency: agency.into(),
            system: finding.system,
            host: finding.host,
            count: 1,
            first_time_unix_nano: time.0,
            last_time_unix_nano: time.0,
            origin: Some(origin),
            evidence: Vec::new(),
            values,
            simulated,
            found_time_unix_nano: now.0,
        }
    }
}

/// Several findings of one rule and entity in a record: the last says how it stands.
fn last_of_each(signals: Vec<Signal>) -> Vec<Signal> {
    let mut places = HashMap::new();
    let mut lasts: Vec<usize> = Vec::new();
    for (index, signal) in signals.iter().enumerate() {
        let place =
            *places.entry((&signal.rule, signal.kind, &signal.entity)).or_insert(lasts.len());
        match lasts.get_mut(place) {
            Some(last) => *last = index,
            None => lasts.push(index),
        }
    }
    if lasts.len() == signals.len() {
        return signals;
    }
    let mut signals: Vec<Option<Signal>> = signals.into_iter().map(Some).collect();
    lasts.iter().filter_map(|last| signals.get_mut(*last)?.take()).collect()
}

/// Names an event as evidence.
pub(crate) fn reference(record: &Record, index: usize) -> EventRef {
    let time = record.batch.events.get(index).map_or(record.appended, vonggac_wire::Event::time);
    EventRef {
        agent: record.batch.agent.as_str().into(),
        lane: record.batch.lane.into(),
        seq: record.seq(index),
        time_unix_nano: time.0,
    }
}

/// Adds evidence up to its limit.
pub(crate) fn add_evidence(all: &mut Vec<EventRef>, one: impl FnOnce() -> EventRef) {
    if all.len() < EVIDENCE_EVENTS_MAX {
        all.push(one());
    }
}

#[cfg(test)]
#[path = "../../tests/material.rs"]
mod others;
#[cfg(test)]
mod renewed;
#[cfg(test)]
mod tests;
