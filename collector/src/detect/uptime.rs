//! Services that fall and rise, certificates that end, disks that fill.

use std::collections::{BTreeMap, HashMap};

use vonggac_wire::{
    Event, Time,
    event::{Check, CheckOutcome, HostFigures},
    proto::SignalKind,
};

use super::Finding;
use crate::{record::Record, registry::Registry, rule::RuleSet};

/// Checks and disks that are followed at once; a partition of a nation has some thousands.
const KEYS_MAX: usize = 200_000;

#[derive(Debug, Default)]
struct CheckState {
    /// Number of the newest run: a backlog brings older ones after it.
    seq: u64,
    failures: u32,
    down: bool,
    certificate: u8,
}

/// Services, certificates and disks of a partition.
#[derive(Debug)]
pub(super) struct Uptime {
    checks: HashMap<(String, String), CheckState>,
    disks: HashMap<(String, String), u8>,
    /// Numbers of the newest figures, by agent.
    figures: HashMap<String, u64>,
    late: u64,
    failures_max: u32,
    days: (f64, f64),
    full: (f64, f64, f64),
}

impl Uptime {
    pub(super) fn new(rules: &RuleSet) -> Self {
        let number = |machine: &str, name: &str, otherwise: f64| {
            rules.machine(machine).map_or(otherwise, |meta| meta.number(name, otherwise))
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count from a rule"
        )]
        let failures_max = number("service-down", "failures", 2.0).clamp(1.0, 100.0) as u32;
        Self {
            checks: HashMap::new(),
            disks: HashMap::new(),
            figures: HashMap::new(),
            late: 0,
            failures_max,
            days: (
                number("certificate-ends", "days", 14.0),
                number("certificate-ends", "days_urgent", 3.0),
            ),
            full: (
                number("disk-full", "full", 0.90),
                number("disk-full", "urgent", 0.95),
                number("disk-full", "clear", 0.88),
            ),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.checks.len() + self.disks.len() + self.figures.len()
    }

    /// Runs and figures that came after newer ones: they say nothing about now.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    /// One run of a check.
    pub(super) fn check(
        &mut self,
        registry: &Registry,
        record: &Record,
        index: usize,
        event: &Event,
        check: &Check,
        now: Time,
    ) -> Vec<Finding> {
        let (agency, agent) = (record.batch.agency.as_str(), record.batch.agent.as_str());
        let key = (agent.to_owned(), check.name.clone());
        if self.checks.len() >= KEYS_MAX && !self.checks.contains_key(&key) {
            return Vec::new();
        }
        let state = self.checks.entry(key).or_default();
        let seq = record.seq(index);
        if seq < state.seq {
            self.late += 1;
            return Vec::new();
        }
        state.seq = seq;
        let mut findings = Vec::new();
        let kind = match check.outcome() {
            CheckOutcome::Down => {
                state.failures += 1;
                (state.failures >= self.failures_max && !state.down).then_some(SignalKind::Raised)
            }
            CheckOutcome::Up | CheckOutcome::Degraded => {
                state.failures = 0;
                state.down.then_some(SignalKind::Cleared)
            }
            CheckOutcome::Unspecified => None,
        };
        let national = registry.system(event.system()).filter(|system| system.is_national());
        if let Some(kind) = kind {
            state.down = kind == SignalKind::Raised;
            let values = BTreeMap::from([
                ("check".to_owned(), check.name.clone()),
                ("target".to_owned(), check.target.clone()),
                ("detail".to_owned(), check.detail.clone()),
            ]);
            // A national platform is one thing for all who probe it; an agency's service is its own.
            let (rule, entity, group) = match national {
                Some(system) => {
                    ("platform-down", format!("{agency}/{agent}/{}", check.name), system.id.clone())
                }
                None => (
                    "service-down",
                    format!("{agency}/{agent}/{}", check.name),
                    format!("{agency}/{}", check.name),
                ),
            };
            findings.push(Finding {
                rule,
                kind,
                severity: 0,
                entity: ("check", entity),
                group,
                system: event.system().into(),
                host: record.batch.host.clone(),
                values,
            });
        }
        findings.extend(self.certificate(record, event, check, now));
        findings
    }

    fn certificate(
        &mut self,
        record: &Record,
        event: &Event,
        check: &Check,
        now: Time,
    ) -> Option<Finding> {
        let end = Time(check.certificate_not_after_unix_nano?);
        let (agency, agent) = (record.batch.agency.as_str(), record.batch.agent.as_str());
        let state = self.checks.get_mut(&(agent.to_owned(), check.name.clone()))?;
        let days = end.seconds_since(now) / 86_400.0;
        let level = if days <= self.days.1 { 2 } else { u8::from(days <= self.days.0) };
        if level == state.certificate {
            return None;
        }
        let kind = if level > 0 { SignalKind::Raised } else { SignalKind::Cleared };
        state.certificate = level;
        let values = BTreeMap::from([
            ("check".to_owned(), check.name.clone()),
            ("target".to_owned(), check.target.clone()),
            ("days".to_owned(), format!("{:.0}", days.floor())),
            ("not_after".to_owned(), end.to_string()),
        ]);
        Some(Finding {
            rule: "certificate-ends",
            kind,
            severity: if level == 2 { 2 } else { 0 },
            entity: ("certificate", format!("{agency}/{}", check.target)),
            group: format!("{agency}/{}", check.target),
            system: event.system().into(),
            host: record.batch.host.clone(),
            values,
        })
    }

    /// A host's disks.
    pub(super) fn host(
        &mut self,
        record: &Record,
        index: usize,
        figures: &HostFigures,
    ) -> Vec<Finding> {
        let (seq, agent) = (record.seq(index), record.batch.agent.as_str());
        if self.figures.len() >= KEYS_MAX && !self.figures.contains_key(agent) {
            return Vec::new();
        }
        let newest = self.figures.entry(agent.to_owned()).or_default();
        if seq < *newest {
            self.late += 1;
            return Vec::new();
        }
        *newest = seq;
        let (agency, host) = (record.batch.agency.as_str(), record.batch.host.as_str());
        let mut findings = Vec::new();
        for disk in figures.filesystems.iter().filter(|disk| disk.limit_bytes > 0) {
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let share = disk.used_bytes as f64 / disk.limit_bytes as f64;
            let key = (record.batch.agent.as_str().to_owned(), disk.mountpoint.clone());
            let before = self.disks.get(&key).copied().unwrap_or(0);
            let level = if share >= self.full.1 {
                2
            } else if share >= self.full.0 {
                before.max(1)
            } else if share < self.full.2 {
                0
            } else {
                before
            };
            if level == before || self.disks.len() >= KEYS_MAX {
                continue;
            }
            self.disks.insert(key, level);
            let values = BTreeMap::from([
                ("mountpoint".to_owned(), disk.mountpoint.clone()),
                ("percent".to_owned(), format!("{:.0}", share * 100.0)),
                ("host".to_owned(), host.to_owned()),
            ]);
            findings.push(Finding {
                rule: "disk-full",
                kind: if level > 0 { SignalKind::Raised } else { SignalKind::Cleared },
                severity: if level == 2 { 2 } else { 0 },
                entity: ("filesystem", format!("{agency}/{host}{}", disk.mountpoint)),
                group: format!("{agency}/{host}{}", disk.mountpoint),
                system: String::new(),
                host: host.to_owned(),
                values,
            });
        }
        findings
    }
}
