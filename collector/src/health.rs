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
    Event, Time,
    event::{Body, Check, CheckOutcome},
    proto::{Agent as AgentRow, Cell, CheckRow, HealthState as H, Incident},
};

use crate::{
    quiet::Periods,
    record::Record,
    registry::Registry,
    rule::RuleSet,
    store::{query::KnownAgent, row::check_kind},
};

mod flow;
mod impact;
mod minutes;
mod picture;
mod rows;

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
    /// Numbers of the newest heartbeat and figures: a backlog brings older ones after them.
    newest_beat: u64,
    newest_figures: u64,
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
    /// Minutes of maintenance: not meant to be open, and in neither of both.
    planned_minutes: HashSet<i64>,
    failures: u32,
    day: i64,
    /// Number of the newest run.
    newest: u64,
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
    quiet: Arc<Periods>,
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
            quiet: Arc::default(),
            newest: None,
            simulated: false,
        }
    }

    /// Goes by other rules from now on.
    pub fn renew(&mut self, rules: Arc<RuleSet>) {
        self.rules = rules;
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
            newest_beat: 0,
            newest_figures: 0,
            numbered_from: [None; 3],
            next_seq: [0; 3],
            held: 0,
            day: 0,
        })
    }

    /// Looks at the clock: what lies ahead of one that was set back would seem fresh for as long as it was set back.
    pub fn tick(&mut self, now: Time) {
        let past = |time: &mut Option<i64>| *time = time.map(|time| time.min(now.0));
        self.newest = self.newest.map(|newest| newest.min(now));
        self.agents.values_mut().for_each(|state| past(&mut state.row.last_heard_unix_nano));
        self.checks.values_mut().for_each(|state| past(&mut state.row.last_time_unix_nano));
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
        if let Some((index, _)) = record.fresh().next() {
            // What goes ahead of its lane comes before what is older.
            let first = record.seq(index);
            let from = state.numbered_from[batch.lane.index()].get_or_insert(first);
            *from = first.min(*from);
        }
        state.next_seq[batch.lane.index()] =
            state.next_seq[batch.lane.index()].max(batch.last_seq() + 1);
        state.held += (batch.events.len() - record.known.count()) as u64;
        state.row.simulated = batch.simulated;
        for (index, event) in record.fresh() {
            match event.body() {
                Body::Heartbeat(beat) => self.heartbeat(record, index, event.system(), beat),
                Body::HostFigures(figures) => {
                    let state = self.agent(agency, agent, &batch.host);
                    if record.seq(index) < state.newest_figures {
                        continue;
                    }
                    state.newest_figures = record.seq(index);
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
                Body::Check(check) => self.check(record, index, event, check, now),
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

    fn heartbeat(
        &mut self,
        record: &Record,
        index: usize,
        system: &str,
        beat: &vonggac_wire::event::Heartbeat,
    ) {
        let batch = &record.batch;
        let state = self.agent(batch.agency.as_str(), batch.agent.as_str(), &batch.host);
        // Whoever sends a backlog is heard, and is what its newest heartbeat says.
        state.row.last_heard_unix_nano =
            Some(state.row.last_heard_unix_nano.unwrap_or(0).max(record.appended.0));
        if record.seq(index) < state.newest_beat {
            return;
        }
        state.newest_beat = record.seq(index);
        state.interval = Duration::try_from_secs_f64(beat.interval_seconds)
            .unwrap_or(INTERVAL)
            .clamp(Duration::from_secs(1), Duration::from_secs(3600));
        state.row.host.clone_from(&batch.host);
        state.row.system = system.to_owned();
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

    fn check(&mut self, record: &Record, index: usize, event: &Event, check: &Check, now: Time) {
        let batch = &record.batch;
        let key = (batch.agent.as_str().to_owned(), check.name.clone());
        if self.checks.len() >= CHECKS_MAX && !self.checks.contains_key(&key) {
            return;
        }
        let state = self.checks.entry(key).or_insert_with(|| CheckState {
            row: CheckRow::default(),
            up_minutes: HashSet::new(),
            all_minutes: HashSet::new(),
            planned_minutes: HashSet::new(),
            failures: 0,
            day: 0,
            newest: 0,
        });
        let up = matches!(check.outcome(), CheckOutcome::Up | CheckOutcome::Degraded);
        let planned =
            self.quiet.maintained(batch.agency.as_str(), event.system(), &batch.host, event.time());
        state.count_minute(event.time(), up, planned, now);
        if record.seq(index) < state.newest {
            return;
        }
        state.newest = record.seq(index);
        let row = &mut state.row;
        row.agency = batch.agency.as_str().into();
        row.agent = batch.agent.as_str().into();
        row.host.clone_from(&batch.host);
        row.system = event.system().into();
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
        row.last_time_unix_nano = Some(event.time().0);
        row.interval_seconds = check.interval_seconds;
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

    /// What is quiet from now on.
    pub fn apply_quiet(&mut self, quiet: Arc<Periods>) {
        self.quiet = quiet;
    }

    /// An incident as it is now. One that is older than what is known changes nothing: there are several ways here.
    pub fn apply_incident(&mut self, incident: &Arc<Incident>) {
        if self.incidents.get(&incident.id).is_some_and(|known| known.version >= incident.version) {
            return;
        }
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
}

/// The nation's clock is so far before UTC.
const OFFSET_SECONDS: i64 = 7 * 3600;

impl CheckState {
    /// A run of this time, whichever came before it.
    fn count_minute(&mut self, time: Time, up: bool, planned: bool, now: Time) {
        let today = day(now);
        if self.day != today {
            self.day = today;
            self.up_minutes.clear();
            self.all_minutes.clear();
            self.planned_minutes.clear();
        }
        // A backlog tells of days before, too.
        if day(time) != today {
            return;
        }
        let minute = time.seconds() / 60;
        if planned {
            self.planned_minutes.insert(minute);
            self.all_minutes.remove(&minute);
            self.up_minutes.remove(&minute);
        }
        // Of a minute that was maintained in part, the whole is planned.
        if self.planned_minutes.contains(&minute) {
            return;
        }
        self.all_minutes.insert(minute);
        if up {
            self.up_minutes.insert(minute);
        } else {
            self.up_minutes.remove(&minute);
        }
    }
}

/// The day of the nation's clock.
fn day(now: Time) -> i64 {
    (now.seconds() + OFFSET_SECONDS).div_euclid(86_400)
}

fn share(used: u64, limit: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = used as f64 / limit as f64;
    (limit > 0).then_some(share)
}

#[cfg(test)]
mod tests;
