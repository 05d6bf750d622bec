//! The national picture: nation <- agency <- system <- host, folded from records and incidents.
//!
//! [`Nation`] is pure: `apply`, `apply_incident` and `tick` change it, `snapshot` and `delta` tell it. The task that owns it
//! ([`spawn`]) gives every console the same deltas once a second.
//!
//! Nobody is fine by default: an agency is fine only while its agents are heard; whoever was never heard is "not connected".

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use vonggac_wire::{
    Time,
    event::{Body, Check, CheckOutcome},
    proto::{
        Agency as AgencyRow, Agent as AgentRow, Cell, CheckRow, Estimate, HealthState as H,
        Incident, System as SystemRow, WatchReply,
    },
};

use crate::{
    record::Record,
    registry::Registry,
    rule::RuleSet,
    store::{query::KnownAgent, row::check_kind},
};

mod flow;
mod impact;
mod minutes;
mod picture;

pub use crate::store::baseline::Baselines;
use minutes::Minutes;
pub use picture::{Picture, spawn};

/// Runs of a check that are shown.
const RUNS_MAX: usize = 30;

/// Agents that are kept; beyond it new ones are left out of the picture and said.
const AGENTS_MAX: usize = 100_000;

/// Checks that are kept.
const CHECKS_MAX: usize = 200_000;

/// Incidents that a console is given: all open ones, and the newest of the others.
const INCIDENTS_SHOWN_MAX: usize = 2_000;

/// Until an agent has told its interval.
const INTERVAL: Duration = Duration::from_secs(10);

struct AgentState {
    row: AgentRow,
    interval: Duration,
    /// Numbers that the agent gave since midnight, and events that are held, by lane.
    numbered_from: [Option<u64>; 3],
    next_seq: [u64; 3],
    held: u64,
    day: i64,
}

struct CheckState {
    row: CheckRow,
    /// Minutes answered and minutes probed since midnight.
    up_minutes: HashSet<i64>,
    all_minutes: HashSet<i64>,
    failures: u32,
    day: i64,
}

/// The picture.
pub struct Nation {
    registry: Arc<Registry>,
    rules: Arc<RuleSet>,
    agents: BTreeMap<String, AgentState>,
    checks: BTreeMap<(String, String), CheckState>,
    incidents: BTreeMap<u64, Arc<Incident>>,
    usage: HashMap<(String, String), Minutes>,
    usage_seen: HashSet<String>,
    baselines: Baselines,
    newest: Option<Time>,
    simulated: bool,
}

impl Nation {
    /// Knows the registry and nothing else.
    #[must_use]
    pub fn new(registry: Arc<Registry>, rules: Arc<RuleSet>) -> Self {
        Self {
            registry,
            rules,
            agents: BTreeMap::new(),
            checks: BTreeMap::new(),
            incidents: BTreeMap::new(),
            usage: HashMap::new(),
            usage_seen: HashSet::new(),
            baselines: Baselines::new(),
            newest: None,
            simulated: false,
        }
    }

    /// An agent that was heard before this start.
    pub fn know_agent(&mut self, known: &KnownAgent) {
        let state = self.agent(&known.agency, &known.agent, &known.host);
        let heard = Time(known.heard.saturating_mul(1000));
        state.row.last_heard_unix_nano = Some(heard.0);
        state.row.simulated = known.simulated;
        state.row.system.clone_from(&known.system);
        self.simulated |= known.simulated;
    }

    fn agent(&mut self, agency: &str, agent: &str, host: &str) -> &mut AgentState {
        self.agents.entry(agent.to_owned()).or_insert_with(|| AgentState {
            row: AgentRow {
                agent: agent.into(),
                agency: agency.into(),
                host: host.into(),
                ..AgentRow::default()
            },
            interval: INTERVAL,
            numbered_from: [None; 3],
            next_seq: [0; 3],
            held: 0,
            day: 0,
        })
    }

    /// A record that is stored.
    pub fn apply(&mut self, record: &Record, now: Time) {
        let batch = &record.batch;
        let (agency, agent) = (batch.agency.as_str(), batch.agent.as_str());
        if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(agent) {
            tracing::warn!(AGENTS_MAX, "too many agents for the picture");
            return;
        }
        self.simulated |= batch.simulated;
        self.newest = self.newest.max(Some(record.appended.min(now)));
        let today = day(now);
        let state = self.agent(agency, agent, &batch.host);
        if state.day != today {
            (state.day, state.held, state.numbered_from) = (today, 0, [None; 3]);
        }
        state.numbered_from[batch.lane.index()]
            .get_or_insert(batch.first_seq + record.known_events as u64);
        state.next_seq[batch.lane.index()] =
            state.next_seq[batch.lane.index()].max(batch.last_seq() + 1);
        state.held += (batch.events.len() - record.known_events) as u64;
        state.row.simulated = batch.simulated;
        for (_, event) in record.fresh() {
            match event.body() {
                Body::Heartbeat(beat) => self.heartbeat(record, event.system(), beat),
                Body::HostFigures(figures) => {
                    let state = self.agent(agency, agent, &batch.host);
                    state.row.cpu_utilization = Some(figures.cpu_utilization);
                    state.row.memory_utilization =
                        share(figures.memory_used_bytes, figures.memory_limit_bytes);
                    let fullest = figures
                        .filesystems
                        .iter()
                        .filter_map(|disk| {
                            Some((share(disk.used_bytes, disk.limit_bytes)?, &disk.mountpoint))
                        })
                        .max_by(|a, b| a.0.total_cmp(&b.0));
                    if let Some((share, mountpoint)) = fullest {
                        state.row.disk_utilization = Some(share);
                        state.row.fullest_mountpoint.clone_from(mountpoint);
                    }
                }
                Body::Check(check) => self.check(record, event.system(), check, event.time(), now),
                Body::Dossier(dossier)
                    if matches!(dossier.step.as_str(), "received" | "started") =>
                {
                    self.used(agency, event.system(), event.time(), now);
                }
                Body::Activity(activity) if activity.http.is_some() => {
                    self.used(agency, event.system(), event.time(), now);
                }
                Body::Session(_)
                | Body::Document(_)
                | Body::Payment(_)
                | Body::Rating(_)
                | Body::Exchange(_) => {
                    self.used(agency, event.system(), event.time(), now);
                }
                _ => {}
            }
        }
    }

    fn heartbeat(&mut self, record: &Record, system: &str, beat: &vonggac_wire::event::Heartbeat) {
        let batch = &record.batch;
        let state = self.agent(batch.agency.as_str(), batch.agent.as_str(), &batch.host);
        state.interval = Duration::try_from_secs_f64(beat.interval_seconds)
            .unwrap_or(INTERVAL)
            .clamp(Duration::from_secs(1), Duration::from_secs(3600));
        state.row.host.clone_from(&batch.host);
        state.row.system = system.to_owned();
        state.row.last_heard_unix_nano =
            Some(state.row.last_heard_unix_nano.unwrap_or(0).max(record.appended.0));
        state.row.version.clone_from(&beat.agent_version);
        let skew = batch.sealed.seconds_since(record.appended);
        // Sealed a moment before it was appended: less than two seconds is the way, not the clock.
        state.row.clock_skew_seconds =
            Some(beat.clock_skew_seconds.unwrap_or(if skew.abs() < 2.0 { 0.0 } else { skew }));
        state.row.agent_rss_bytes = beat.agent_rss_bytes;
        let mut backlog = 0;
        state.row.spool_bytes = 0;
        state.row.oldest_age_seconds = 0.0;
        for lane in &beat.lanes {
            backlog += lane.next_seq.saturating_sub(lane.acknowledged_seq + 1);
            state.row.spool_bytes += lane.spooled_bytes;
            state.row.oldest_age_seconds =
                state.row.oldest_age_seconds.max(lane.oldest_age_seconds);
            let Ok(which) = vonggac_wire::Lane::try_from(lane.lane) else { continue };
            state.next_seq[which.index()] = state.next_seq[which.index()].max(lane.next_seq);
            match which {
                vonggac_wire::Lane::Security => state.row.dropped_security = lane.dropped,
                vonggac_wire::Lane::Uptime => state.row.dropped_uptime = lane.dropped,
                vonggac_wire::Lane::Usage => state.row.dropped_usage = lane.dropped,
            }
        }
        state.row.backlog_events = backlog;
    }

    fn check(&mut self, record: &Record, system: &str, check: &Check, time: Time, now: Time) {
        let batch = &record.batch;
        let key = (batch.agent.as_str().to_owned(), check.name.clone());
        if self.checks.len() >= CHECKS_MAX && !self.checks.contains_key(&key) {
            return;
        }
        let state = self.checks.entry(key).or_insert_with(|| CheckState {
            row: CheckRow::default(),
            up_minutes: HashSet::new(),
            all_minutes: HashSet::new(),
            failures: 0,
            day: 0,
        });
        let row = &mut state.row;
        row.agency = batch.agency.as_str().into();
        row.agent = batch.agent.as_str().into();
        row.host.clone_from(&batch.host);
        row.system = system.into();
        row.name.clone_from(&check.name);
        row.kind = check_kind(check.kind()).into();
        row.target.clone_from(&check.target);
        row.detail.clone_from(&check.detail);
        row.dns_seconds = check.dns_seconds;
        row.connect_seconds = check.connect_seconds;
        row.tls_seconds = check.tls_seconds;
        row.first_byte_seconds = check.first_byte_seconds;
        row.total_seconds = Some(check.total_seconds);
        row.certificate_not_after_unix_nano = check.certificate_not_after_unix_nano;
        row.last_time_unix_nano = Some(time.0);
        row.interval_seconds = check.interval_seconds;
        let up = matches!(check.outcome(), CheckOutcome::Up | CheckOutcome::Degraded);
        state.failures = if up { 0 } else { state.failures + 1 };
        row.set_state(match check.outcome() {
            CheckOutcome::Up => H::Fine,
            CheckOutcome::Degraded => H::Degraded,
            CheckOutcome::Down if state.failures >= 2 => H::Down,
            CheckOutcome::Down => H::Degraded,
            CheckOutcome::Unspecified => H::Unknown,
        });
        row.recent.push(Cell { value: up.then_some(check.total_seconds) });
        if row.recent.len() > RUNS_MAX {
            row.recent.remove(0);
        }
        row.recent_all = u32::try_from(row.recent.len()).unwrap_or(0);
        row.recent_up =
            u32::try_from(row.recent.iter().filter(|cell| cell.value.is_some()).count())
                .unwrap_or(0);
        let today = day(now);
        if state.day != today {
            (state.day, state.up_minutes, state.all_minutes) =
                (today, HashSet::new(), HashSet::new());
        }
        let minute = time.seconds() / 60;
        state.all_minutes.insert(minute);
        if up {
            state.up_minutes.insert(minute);
        } else {
            state.up_minutes.remove(&minute);
        }
    }

    fn used(&mut self, agency: &str, system: &str, time: Time, now: Time) {
        self.usage_seen.insert(agency.to_owned());
        self.usage.entry((agency.to_owned(), String::new())).or_default().add(time, now);
        if !system.is_empty() {
            self.usage.entry((agency.to_owned(), system.to_owned())).or_default().add(time, now);
        }
    }

    /// What is usual at this hour of the week, by agency and system; an agency's own has no system.
    pub fn apply_baselines(&mut self, baselines: Baselines) {
        self.baselines = baselines;
    }

    /// An incident as it is now.
    pub fn apply_incident(&mut self, incident: &Arc<Incident>) {
        self.simulated |= incident.simulated;
        self.incidents.insert(incident.id, Arc::clone(incident));
        while self.incidents.len() > INCIDENTS_SHOWN_MAX {
            let gone = self.incidents.values().find(|i| !i.current_state().is_open()).map(|i| i.id);
            match gone {
                Some(id) => self.incidents.remove(&id),
                None => break,
            };
        }
    }

    fn agent_state(state: &AgentState, now: Time) -> H {
        match state.row.last_heard_unix_nano {
            None => H::NotConnected,
            Some(heard) if now.since(Time(heard)) >= state.interval * 3 - state.interval / 4 => {
                H::Silent
            }
            Some(_)
                if state.row.dropped_security > 0
                    || state.row.disk_utilization.is_some_and(|share| share >= 0.95) =>
            {
                H::Degraded
            }
            Some(_) => H::Fine,
        }
    }

    /// Every row as it is now.
    #[must_use]
    pub fn whole(&self, now: Time) -> WatchReply {
        let mut agents: Vec<AgentRow> = Vec::with_capacity(self.agents.len());
        for state in self.agents.values() {
            let mut row = state.row.clone();
            row.set_state(Self::agent_state(state, now));
            agents.push(row);
        }
        let checks: Vec<CheckRow> = self
            .checks
            .values()
            .map(|state| {
                let mut row = state.row.clone();
                let age = row
                    .last_time_unix_nano
                    .map_or(f64::INFINITY, |time| now.seconds_since(Time(time)));
                // A run that is overdue says nothing about now.
                if age > row.interval_seconds * 3.0 + 15.0 {
                    row.set_state(H::Unknown);
                }
                row
            })
            .collect();
        let agencies: Vec<AgencyRow> = self
            .registry
            .agencies()
            .iter()
            .map(|a| self.agency(a, &agents, &checks, now))
            .collect();
        let incidents = self
            .incidents
            .values()
            .map(|incident| {
                let unserved = impact::of(incident, &agencies);
                Incident { unserved, ..incident.as_ref().clone() }
            })
            .collect();
        let systems = self.systems(&agents, &checks, now);
        WatchReply {
            snapshot: true,
            time_unix_nano: now.0,
            newest_event_unix_nano: self.newest.map_or(0, |time| time.0),
            simulated: self.simulated,
            agencies,
            systems,
            agents,
            checks,
            incidents,
            indicators: Vec::new(),
            flow: None,
        }
    }

    fn agency(
        &self,
        agency: &crate::registry::Agency,
        agents: &[AgentRow],
        checks: &[CheckRow],
        now: Time,
    ) -> AgencyRow {
        let code = agency.code.as_str();
        let mine: Vec<&AgentRow> = agents.iter().filter(|row| row.agency == code).collect();
        let heard =
            mine.iter().filter(|row| !matches!(row.state(), H::Silent | H::NotConnected)).count();
        let open: Vec<&Arc<Incident>> = self
            .incidents
            .values()
            .filter(|i| i.current_state().is_open() && i.agencies.iter().any(|a| a == code))
            .collect();
        let mut row = AgencyRow {
            code: code.into(),
            name_vi: agency.name_vi.clone(),
            name_en: agency.name_en.clone(),
            short_vi: agency.short_vi.clone(),
            short_en: agency.short_en.clone(),
            kind: agency.board_group.clone(),
            statistics_code: agency.statistics_code.clone(),
            excluded_reason: agency.excluded.clone(),
            open_incidents: u32::try_from(open.len()).unwrap_or(u32::MAX),
            hosts_heard: u32::try_from(heard).unwrap_or(u32::MAX),
            hosts_enrolled: u32::try_from(mine.len()).unwrap_or(u32::MAX),
            last_heard_unix_nano: mine.iter().filter_map(|row| row.last_heard_unix_nano).max(),
            ..AgencyRow::default()
        };
        let (service, security, usage) = if !agency.excluded.is_empty() {
            (H::Excluded, H::Excluded, H::Excluded)
        } else if mine.is_empty() {
            (H::NotConnected, H::NotConnected, H::NotConnected)
        } else if heard == 0 {
            row.silent_since_unix_nano = row.last_heard_unix_nano;
            (H::Silent, H::Silent, H::Silent)
        } else {
            self.lamps(code, &open, &mine, checks)
        };
        row.set_service(service);
        row.set_security(security);
        row.set_usage(usage);
        let worst = service.worse(security).worse(usage);
        // An unused portal with nothing wrong is told by its lamp; the agency is as well as what it has.
        row.set_state(if worst == H::Unknown { service.worse(security) } else { worst });
        if let Some(minutes) = self.usage.get(&(code.to_owned(), String::new())) {
            row.usage_cells = minutes.cells(now);
            row.unserved = self.unserved(code, &open, minutes, now);
        }
        row.baseline = self.baselines.get(&(code.to_owned(), String::new())).copied();
        for state in
            self.agents.values().filter(|state| state.row.agency == code && state.day == day(now))
        {
            row.events_held += state.held;
            let numbered: u64 = (0..3)
                .filter_map(|lane| {
                    state.numbered_from[lane].map(|from| state.next_seq[lane].saturating_sub(from))
                })
                .sum();
            row.events_numbered += numbered.max(state.held);
        }
        row
    }

    fn lamps(
        &self,
        code: &str,
        open: &[&Arc<Incident>],
        agents: &[&AgentRow],
        checks: &[CheckRow],
    ) -> (H, H, H) {
        let mut service = H::Fine;
        for check in checks.iter().filter(|row| row.agency == code) {
            let national = self
                .registry
                .system(&check.system)
                .is_some_and(crate::registry::System::is_national);
            // A fallen platform is not this agency's: it makes its services worse, not down.
            let state =
                if national && check.state() == H::Down { H::Degraded } else { check.state() };
            service = service.worse(state);
        }
        if agents.iter().any(|row| row.state() == H::Silent) {
            service = service.worse(H::Degraded);
        }
        let (mut security, mut usage) =
            (H::Fine, if self.usage_seen.contains(code) { H::Fine } else { H::Unknown });
        for incident in open.iter().filter(|i| i.severity < 4) {
            let attack = self.rules.meta(&incident.rule).is_some_and(|meta| meta.attack);
            match incident.rule.as_str() {
                "portal-without-use" => usage = usage.worse(H::Down),
                _ if attack => security = security.worse(H::UnderAttack),
                "service-down" => service = service.worse(H::Down),
                _ => service = service.worse(H::Degraded),
            }
        }
        (service, security, usage)
    }

    /// Dossiers a minute that do not come, where something stops them: the median of before less what comes now.
    fn unserved(
        &self,
        code: &str,
        open: &[&Arc<Incident>],
        minutes: &Minutes,
        now: Time,
    ) -> Option<Estimate> {
        let stops = open.iter().any(|i| impact::STOPS.contains(&i.rule.as_str()));
        let begun = open.iter().map(|i| i.first_time_unix_nano).min().map(Time);
        let portal =
            self.usage.get(&(code.to_owned(), "agency-one-stop".to_owned())).unwrap_or(minutes);
        if stops { portal.missing(begun?, now) } else { Some(Estimate::default()) }
    }

    fn systems(&self, agents: &[AgentRow], checks: &[CheckRow], now: Time) -> Vec<SystemRow> {
        let mut keys: HashSet<(&str, &str)> = HashSet::new();
        keys.extend(
            agents
                .iter()
                .filter(|row| !row.system.is_empty())
                .map(|row| (row.agency.as_str(), row.system.as_str())),
        );
        keys.extend(
            checks
                .iter()
                .filter(|row| !row.system.is_empty())
                .map(|row| (row.agency.as_str(), row.system.as_str())),
        );
        let mut rows: Vec<SystemRow> = keys
            .into_iter()
            .map(|(agency, id)| {
                let known = self.registry.system(id);
                let hosts: Vec<&AgentRow> =
                    agents.iter().filter(|row| row.agency == agency && row.system == id).collect();
                let heard = hosts
                    .iter()
                    .filter(|row| !matches!(row.state(), H::Silent | H::NotConnected))
                    .count();
                let mut row = SystemRow {
                    id: id.into(),
                    agency: agency.into(),
                    name_vi: known.map_or_else(|| id.to_owned(), |system| system.name_vi.clone()),
                    name_en: known.map_or_else(|| id.to_owned(), |system| system.name_en.clone()),
                    grade: known.map_or(0, |system| system.grade),
                    hosts_heard: u32::try_from(heard).unwrap_or(0),
                    hosts_enrolled: u32::try_from(hosts.len()).unwrap_or(0),
                    ..SystemRow::default()
                };
                let mut state = if hosts.is_empty() {
                    H::Unspecified
                } else if heard == 0 {
                    H::Silent
                } else {
                    H::Fine
                };
                for check in
                    self.checks.values().filter(|c| c.row.agency == agency && c.row.system == id)
                {
                    let shown = checks
                        .iter()
                        .find(|r| r.agent == check.row.agent && r.name == check.row.name);
                    state = state.worse(shown.map_or(H::Unknown, CheckRow::state));
                    row.minutes_up = Some(
                        row.minutes_up
                            .unwrap_or(0)
                            .max(u32::try_from(check.up_minutes.len()).unwrap_or(0)),
                    );
                    row.minutes_open = Some(
                        row.minutes_open
                            .unwrap_or(0)
                            .max(u32::try_from(check.all_minutes.len()).unwrap_or(0)),
                    );
                }
                for incident in self.incidents.values().filter(|i| i.current_state().is_open()) {
                    if incident.systems.iter().any(|s| s == id)
                        && incident.agencies.iter().any(|a| a == agency)
                    {
                        row.open_incidents += 1;
                        if incident.rule == "portal-without-use" {
                            state = state.worse(H::Down);
                        }
                    }
                }
                row.set_state(if state == H::Unspecified { H::Unknown } else { state });
                if let Some(minutes) = self.usage.get(&(agency.to_owned(), id.to_owned())) {
                    row.usage_cells = minutes.cells(now);
                }
                row.baseline = self.baselines.get(&(agency.to_owned(), id.to_owned())).copied();
                row
            })
            .collect();
        rows.sort_by(|a, b| (&a.agency, a.grade, &a.id).cmp(&(&b.agency, b.grade, &b.id)));
        rows
    }
}

/// The day of the nation's clock.
fn day(now: Time) -> i64 {
    (now.seconds() + 7 * 3600).div_euclid(86_400)
}

fn share(used: u64, limit: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = used as f64 / limit as f64;
    (limit > 0).then_some(share)
}

#[cfg(test)]
mod tests;
