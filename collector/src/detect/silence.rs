//! Who is not heard. Judged by the centre's clock at each tick: absence of events is never health.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use vonggac_wire::{
    Time,
    event::Heartbeat,
    proto::{Origin, SignalKind},
};

use super::Finding;
use crate::{record::Record, rule::RuleSet};

/// Agents that are followed at once.
const AGENTS_MAX: usize = 50_000;

/// Until an agent has told its own interval.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long an agency's agents may differ in falling silent and still be one silence.
const TOGETHER: Duration = Duration::from_secs(15);

#[derive(Debug)]
struct Agent {
    agency: String,
    host: String,
    /// What the host serves, as its newest heartbeat says.
    system: String,
    heard: Time,
    /// Number of the newest heartbeat.
    seq: u64,
    interval: Duration,
    origin: Origin,
    simulated: bool,
    silent: bool,
}

/// Agents of a partition.
#[derive(Debug)]
pub(super) struct Silence {
    agents: HashMap<String, Agent>,
    agencies: HashMap<String, bool>,
    heartbeats: f64,
    /// Ticks before this say nothing: a collector that just started has not heard anybody yet.
    judged_from: Option<Time>,
}

/// A finding with its agency, origin and time.
pub(super) type Told = (Finding, String, Origin, Time, bool);

impl Silence {
    pub(super) fn new(rules: &RuleSet) -> Self {
        let heartbeats =
            rules.machine("agent-silent").map_or(3.0, |meta| meta.number("heartbeats", 3.0));
        Self { agents: HashMap::new(), agencies: HashMap::new(), heartbeats, judged_from: None }
    }

    pub(super) fn len(&self) -> usize {
        self.agents.len()
    }

    /// From the store: heard before this start.
    pub(super) fn know(
        &mut self,
        (agency, agent): (&str, &str),
        (host, system): (&str, &str),
        simulated: bool,
        heard: Time,
    ) {
        if self.agents.len() < AGENTS_MAX {
            self.agents.entry(agent.to_owned()).or_insert_with(|| Agent {
                agency: agency.to_owned(),
                host: host.to_owned(),
                system: system.to_owned(),
                heard,
                seq: 0,
                interval: INTERVAL,
                origin: Origin::default(),
                simulated,
                silent: false,
            });
        }
    }

    /// Whether all that is known of an agency is silent, or nothing is known.
    pub(super) fn is_agency_heard(&self, agency: &str, now: Time) -> bool {
        self.agents
            .values()
            .any(|agent| agent.agency == agency && now.since(agent.heard) < self.limit(agent))
    }

    fn limit(&self, agent: &Agent) -> Duration {
        // Silence is shown before this many heartbeats have failed to come: a quarter of an interval is left for looking and telling.
        agent.interval.mul_f64(self.heartbeats - 0.25)
    }

    /// A heartbeat. The broker's time of appending counts, not the host's clock: one of a backlog says that its agent sends, and nothing
    /// else where a newer one was heard.
    pub(super) fn heard(
        &mut self,
        record: &Record,
        index: usize,
        (beat, system): (&Heartbeat, &str),
        now: Time,
    ) -> Vec<Finding> {
        let name = record.batch.agent.as_str();
        if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(name) {
            return Vec::new();
        }
        let interval = Duration::try_from_secs_f64(beat.interval_seconds)
            .unwrap_or(INTERVAL)
            .clamp(Duration::from_secs(1), Duration::from_secs(3600));
        let agent = self.agents.entry(name.to_owned()).or_insert_with(|| Agent {
            agency: record.batch.agency.to_string(),
            host: record.batch.host.clone(),
            system: system.to_owned(),
            heard: record.appended,
            seq: 0,
            interval,
            origin: record.origin.clone(),
            simulated: record.batch.simulated,
            silent: false,
        });
        agent.heard = agent.heard.max(record.appended).min(now);
        if record.seq(index) >= agent.seq {
            agent.seq = record.seq(index);
            agent.interval = interval;
            agent.host.clone_from(&record.batch.host);
            system.clone_into(&mut agent.system);
        }
        let interval = agent.interval;
        agent.origin = record.origin.clone();
        let fresh = now.since(record.appended) < interval.mul_f64(self.heartbeats);
        let mut findings = Vec::new();
        if agent.silent && fresh {
            agent.silent = false;
            findings.push(of_agent(SignalKind::Cleared, name, agent));
        }
        let agency = agent.agency.clone();
        if fresh && self.agencies.get(&agency).copied().unwrap_or(false) {
            self.agencies.insert(agency.clone(), false);
            findings.push(of_agency(SignalKind::Cleared, &agency, 0));
        }
        findings
    }

    /// Looks who has not been heard.
    pub(super) fn tick(&mut self, now: Time) -> Vec<Told> {
        // What lies ahead of a clock that was set back would hide a silence for as long as it was set back.
        let latest = now.plus(INTERVAL.mul_f64(self.heartbeats));
        let from = (*self.judged_from.get_or_insert(latest)).min(latest);
        self.judged_from = Some(from);
        for agent in self.agents.values_mut() {
            agent.heard = agent.heard.min(now);
        }
        if now < from {
            return Vec::new();
        }
        let mut quiet: BTreeMap<String, (usize, usize, Time, Origin, bool)> = BTreeMap::new();
        let mut late: Vec<String> = Vec::new();
        for (name, agent) in &self.agents {
            let silent_for = now.since(agent.heard);
            let entry = quiet
                .entry(agent.agency.clone())
                .or_insert_with(|| (0, 0, agent.heard, agent.origin.clone(), agent.simulated));
            entry.1 += 1;
            if silent_for >= self.limit(agent) {
                entry.0 += 1;
                if agent.heard > entry.2 {
                    (entry.2, entry.3) = (agent.heard, agent.origin.clone());
                }
                if !agent.silent {
                    late.push(name.clone());
                }
            }
        }
        let mut told = Vec::new();
        for (agency, (silent, all, heard, origin, simulated)) in &quiet {
            let whole = silent == all && *all > 1;
            if whole && !self.agencies.get(agency).copied().unwrap_or(false) {
                self.agencies.insert(agency.clone(), true);
                told.push((
                    of_agency(SignalKind::Raised, agency, *all),
                    agency.clone(),
                    origin.clone(),
                    *heard,
                    *simulated,
                ));
            }
        }
        late.sort();
        for name in late {
            let limit = self.agents.get(&name).map(|agent| self.limit(agent)).unwrap_or_default();
            let Some(agent) = self.agents.get_mut(&name) else { continue };
            let all = quiet.get(&agent.agency).map_or(0, |(_, all, ..)| *all);
            // Where a whole agency falls silent, its agents follow one another within an interval: they are one incident.
            let falling = all > 1 && now.since(agent.heard) < limit + TOGETHER;
            if self.agencies.get(&agent.agency).copied().unwrap_or(false) {
                agent.silent = true;
                continue;
            }
            if falling {
                continue;
            }
            agent.silent = true;
            let finding = of_agent(SignalKind::Raised, &name, agent);
            told.push((
                finding,
                agent.agency.clone(),
                agent.origin.clone(),
                agent.heard,
                agent.simulated,
            ));
        }
        told
    }
}

fn of_agent(kind: SignalKind, name: &str, agent: &Agent) -> Finding {
    let Agent { agency, host, system, .. } = agent;
    let mut values = BTreeMap::from([("host".to_owned(), host.clone())]);
    if !system.is_empty() {
        values.insert("system".to_owned(), system.clone());
    }
    Finding {
        rule: "agent-silent",
        kind,
        severity: 0,
        entity: ("agent", name.to_owned()),
        group: format!("{agency}/{name}"),
        // Of what becomes of the system its checks speak.
        system: String::new(),
        host: host.clone(),
        values,
    }
}

fn of_agency(kind: SignalKind, agency: &str, hosts: usize) -> Finding {
    Finding {
        rule: "agency-silent",
        kind,
        severity: 0,
        entity: ("agency", agency.to_owned()),
        group: agency.to_owned(),
        system: String::new(),
        host: String::new(),
        values: BTreeMap::from([("hosts".to_owned(), hosts.to_string())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds behind `begun` until an agent that was heard until then is told as silent.
    fn told_after(mut silence: Silence, begun: Time) -> Option<u32> {
        (0..120).find(|seconds| {
            silence.tick(begun.plus(SECOND * *seconds)).iter().any(|(finding, ..)| {
                finding.rule == "agent-silent" && finding.kind == SignalKind::Raised
            })
        })
    }

    #[test]
    fn a_clock_that_is_set_back_hides_no_silence() {
        let rules = RuleSet::builtin().unwrap();
        let now = Time::from_seconds(1_764_000_000);
        let heard = |at: Time| {
            let mut silence = Silence::new(&rules);
            silence.know(("H49", "a"), ("h", ""), false, at);
            silence
        };
        let usual = told_after(heard(now), now);
        assert!(usual.is_some_and(|seconds| seconds < 60), "{usual:?}");
        // An hour is taken back while it runs, and before it looks for the first time.
        let mut ran = heard(now);
        for seconds in 0..20 {
            ran.tick(now.plus(SECOND * seconds));
        }
        let back = told_after(ran, now.minus(HOUR));
        assert!(back.is_some_and(|seconds| seconds < 60), "{back:?}");
        assert_eq!(told_after(heard(now.plus(HOUR)), now), usual);
    }
}
