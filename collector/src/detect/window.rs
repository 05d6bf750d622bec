//! How often a rule matched an entity within its window.
//!
//! Events count by their own time. An agent that catches up with a backlog sends fresh events before old ones: what is older than an
//! entity's window by more than its span does not belong to it, and is counted in a second one, in which the backlog's events stand
//! in their own order. So an attack during an outage is found, and is not mixed with what happens now. What is too old for both
//! is late, and counted as such.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use vonggac_wire::{
    Event, RuleId, Time,
    event::Activity,
    limits::EVIDENCE_EVENTS_MAX,
    proto::{Entity, EventRef, Signal, SignalKind},
};

use super::{add_evidence, eviction::evict_older_half, reference, sigma::Match};
use crate::{
    record::Record,
    rule::{GroupBy, Meta, Rule, RuleSet},
};

mod attempts;
mod early;
mod near;

use attempts::{Attempt, Attempts, Limits, Outcome};
use early::Early;

/// Entities that are counted at once. Beyond it the ones that were quiet for longest are forgotten.
const ENTITIES_MAX: usize = 100_000;

/// What the record in hand adds to an entity.
#[derive(Debug)]
struct Pending {
    rule: usize,
    entity: String,
    group: String,
    severity: u32,
    count: u64,
    first: Time,
    last: Time,
    host: String,
    system: String,
    evidence: Vec<EventRef>,
    values: BTreeMap<String, String>,
}

/// Whose matches a window counts. An address is the same one everywhere; a user and a host are an agency's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// Most of them: asked for without a text being made.
    Address(IpAddr),
    /// Agency, slash and name, which no address has.
    Named(Box<str>),
}

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            Self::Named(name) => formatter.write_str(name),
        }
    }
}

/// A rule and an entity.
type Key = (usize, Who);

/// All windows of a partition.
#[derive(Debug, Default)]
pub(super) struct Windows {
    windows: HashMap<Key, Attempts>,
    /// Of events that came after newer ones.
    behind: HashMap<Key, Attempts>,
    pending: Vec<Pending>,
    /// Where in it each is.
    places: HashMap<Key, usize>,
    /// Whose record is in hand.
    agent: Option<Arc<str>>,
    evicted: u64,
    late: u64,
}

impl Windows {
    /// Entities that were forgotten before their time.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Events that came too late for any window.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    pub(super) fn len(&self) -> usize {
        self.windows.len() + self.behind.len()
    }

    /// Between two records: rules are in other places, or gone.
    pub(super) fn renew(&mut self, place: impl Fn(usize) -> Option<usize>) {
        self.pending.clear();
        self.places.clear();
        for windows in [&mut self.windows, &mut self.behind] {
            let before = std::mem::take(windows);
            let kept = before.into_iter();
            *windows = kept
                .filter_map(|((rule, who), window)| Some(((place(rule)?, who), window)))
                .collect();
        }
    }

    pub(super) fn begin(&mut self, record: &Record) {
        let agent = record.batch.agent.as_str();
        if self.agent.as_deref() != Some(agent) {
            self.agent = Some(agent.into());
        }
        self.pending.clear();
        self.places.clear();
        for windows in [&mut self.windows, &mut self.behind] {
            self.evicted += evict_older_half(windows, ENTITIES_MAX, |window| window.last);
        }
    }

    /// What one event was found to be: each incident's rule counts it once, whichever of its parts it matches.
    pub(super) fn matched(
        &mut self,
        rules: &RuleSet,
        found: &[Match],
        record: &Record,
        index: usize,
        event: &Event,
        activity: &Activity,
    ) {
        if found.is_empty() {
            return;
        }
        let mut heads: Vec<(usize, Vec<&Match>)> = Vec::new();
        for one in found {
            let head = rules.head(one.rule);
            match heads.iter_mut().find(|(known, _)| *known == head) {
                Some((_, parts)) => parts.push(one),
                None => heads.push((head, vec![one])),
            }
        }
        for (head, parts) in heads {
            self.count(rules, head, &parts, record, index, event, activity);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "an event, its place and what it matched")]
    fn count(
        &mut self,
        rules: &RuleSet,
        head: usize,
        parts: &[&Match],
        record: &Record,
        index: usize,
        event: &Event,
        activity: &Activity,
    ) {
        let Some(whole) = rules.rules().get(head) else { return };
        let parts: Vec<(&Rule, &Match)> = parts
            .iter()
            .filter_map(|found| Some((rules.rules().get(found.rule)?, *found)))
            .collect();
        let meta = &whole.meta;
        let host =
            if event.device().is_empty() { record.batch.host.as_str() } else { event.device() };
        let agency = record.batch.agency.as_str();
        let Some(who) = who(meta, agency, host, activity) else { return };
        let time = event.time();
        let full = |other: &RuleId| self.is_full(rules, other.as_str(), &who, time);
        if (!meta.after.is_empty() && !meta.after.iter().any(full)) || meta.unless.iter().any(full)
        {
            return;
        }
        let mut attempt = attempt(&parts, meta, (agency, host), event, activity);
        let weight: u64 = parts.iter().map(|(part, found)| found.weight(part)).sum();
        attempt.weight = attempt.events.saturating_mul(weight);
        let limits = Limits {
            span: meta.window(),
            threshold: meta.threshold,
            on_host: meta.threshold_on_host,
            distinct: meta.distinct.is_some(),
            spacing: meta.spacing_seconds.map(Duration::from_secs),
        };
        let forgiven = |(part, found): &(&Rule, &Match)| {
            part.meta.forgives.as_ref().is_some_and(|name| found.selections.contains(name))
        };
        let key = (head, who);
        let is_late = |windows: &HashMap<_, Attempts>| {
            windows.get(&key).is_some_and(|window| window.last.since(time) > limits.span)
        };
        let windows = if !is_late(&self.windows) {
            &mut self.windows
        } else if !is_late(&self.behind) {
            &mut self.behind
        } else {
            self.late += 1;
            return;
        };
        if parts.iter().any(forgiven) {
            // Takes back and begins nothing: a success is no sign that what fired goes on.
            if let Some(window) = windows.get_mut(&key) {
                window.forgive(attempt.user, limits);
            }
            return;
        }
        let window = windows.entry(key.clone()).or_default();
        window.begin(time, limits);
        let (count, first) = match window.add(attempt, limits) {
            Outcome::Known => return,
            Outcome::Kept => {
                if let Some(agent) = self.agent.as_ref() {
                    window.add_early(|| Early::of(record, index, time, agent));
                }
                return;
            }
            Outcome::Told { events, first } => (events, first),
        };
        let graver = meta.grave.is_some_and(|grave| window.total >= grave);
        let gravest =
            parts.iter().map(|(part, _)| part.meta.severity).min().unwrap_or(meta.severity);
        let severity = gravest.saturating_sub(u32::from(graver)).max(1);
        let early = std::mem::take(&mut window.early);
        let early = early.iter().map(Early::reference).collect();
        let at = *self.places.entry(key).or_insert_with_key(|(rule, who)| {
            self.pending.push(Pending {
                rule: *rule,
                entity: entity(meta, host, activity).unwrap_or_default(),
                group: who.to_string(),
                severity,
                count: 0,
                first,
                last: time,
                host: host.to_owned(),
                system: event.system().to_owned(),
                evidence: early,
                values: values(host, activity),
            });
            self.pending.len() - 1
        });
        if let Some(pending) = self.pending.get_mut(at) {
            for (part, found) in &parts {
                note_kinds(&mut pending.values, &part.meta, found);
            }
            pending.severity = pending.severity.min(severity);
            pending.count += count;
            pending.last = pending.last.max(time);
            if pending.evidence.len() < EVIDENCE_EVENTS_MAX {
                let evidence = reference(record, index);
                if !pending.evidence.contains(&evidence) {
                    pending.evidence.push(evidence);
                }
            }
        }
    }

    /// Whether another rule has fired on this entity within its window.
    fn is_full(&self, rules: &RuleSet, rule: &str, who: &Who, time: Time) -> bool {
        let Some(index) = rules.index(rule) else { return false };
        let Some(other) = rules.rules().get(index) else { return false };
        let (key, span) = ((index, who.clone()), other.meta.window());
        // What came after a newer event lies before the window's end.
        let is_near =
            |window: &Attempts| time.since(window.last).max(window.last.since(time)) <= span;
        [&self.windows, &self.behind]
            .into_iter()
            .filter_map(|windows| windows.get(&key))
            .any(|window| window.fired && is_near(window))
    }

    /// One signal for each rule and entity that the record in hand speaks of.
    pub(super) fn signals(&mut self, rules: &RuleSet, record: &Record, now: Time) -> Vec<Signal> {
        let mut signals: Vec<Signal> = Vec::new();
        let mut places: HashMap<(&str, String), usize> = HashMap::new();
        for pending in self.pending.drain(..) {
            let Some(meta) = rules.rules().get(pending.rule).map(|rule| &rule.meta) else {
                continue;
            };
            let told = meta.incident.as_ref().unwrap_or(&meta.rule);
            let kind = match meta.group_by {
                Some(GroupBy::SrcIp) => "src_ip",
                Some(GroupBy::ActorOnHost | GroupBy::User) => "user",
                Some(GroupBy::Host) | None => "host",
            };
            let place =
                *places.entry((told.as_str(), pending.group.clone())).or_insert(signals.len());
            if let Some(known) = signals.get_mut(place) {
                join(known, pending);
                continue;
            }
            signals.push(Signal {
                rule: told.to_string(),
                kind: SignalKind::Raised.into(),
                severity: pending.severity,
                entity: Some(Entity { kind: kind.into(), value: pending.entity }),
                group: pending.group,
                agency: record.batch.agency.to_string(),
                system: pending.system,
                host: pending.host,
                count: pending.count,
                first_time_unix_nano: pending.first.0,
                last_time_unix_nano: pending.last.0,
                origin: Some(record.origin.clone()),
                evidence: pending.evidence,
                values: pending.values,
                simulated: record.batch.simulated,
                found_time_unix_nano: now.0,
            });
        }
        signals
    }
}

/// Two rules of one incident speak of an entity. They may mean the same events, so the larger count is told.
fn join(signal: &mut Signal, pending: Pending) {
    signal.severity = signal.severity.min(pending.severity);
    signal.count = signal.count.max(pending.count);
    signal.first_time_unix_nano = signal.first_time_unix_nano.min(pending.first.0);
    signal.last_time_unix_nano = signal.last_time_unix_nano.max(pending.last.0);
    for evidence in pending.evidence {
        if !signal.evidence.contains(&evidence) {
            add_evidence(&mut signal.evidence, || evidence);
        }
    }
    for kind in pending.values.get("kinds").into_iter().flat_map(|kinds| kinds.split(", ")) {
        add_kind(&mut signal.values, kind);
    }
}

/// Kinds of attack that a signal names.
const KINDS_MAX: usize = 12;

/// Adds what a part is called to the kinds that were seen, for rules that have several.
fn note_kinds(values: &mut BTreeMap<String, String>, part: &Meta, found: &Match) {
    let kind = match (&part.label, found.selections.first()) {
        (Some(label), _) => label.as_str(),
        (None, Some(selection)) => selection.as_str(),
        (None, None) => return,
    };
    add_kind(values, kind);
}

fn add_kind(values: &mut BTreeMap<String, String>, kind: &str) {
    let known = values.entry("kinds".to_owned()).or_default();
    if known.split(", ").any(|one| one == kind) || known.split(", ").count() >= KINDS_MAX {
        return;
    }
    if !known.is_empty() {
        known.push_str(", ");
    }
    known.push_str(kind);
}

/// A match as its window counts it.
fn attempt(
    parts: &[(&Rule, &Match)],
    whole: &Meta,
    (agency, host): (&str, &str),
    event: &Event,
    activity: &Activity,
) -> Attempt {
    // "message repeated 3 times" counts three.
    let repeated: u64 =
        activity.unmapped.get("repeat_count").and_then(|count| count.parse().ok()).unwrap_or(1);
    let echo = parts.iter().all(|(part, found)| {
        !found.selections.is_empty()
            && found.selections.iter().all(|name| part.meta.echoes.contains(name))
    });
    let place = place(agency, host);
    let user = &activity.user_name;
    let connection = match (activity.process_pid, activity.src_port) {
        _ if parts.iter().all(|(part, _)| part.meta.echoes.is_empty()) => 0,
        (0, 0) => 0,
        (0, port) => go_on(place, &["|port ", &port.to_string(), "|", user]),
        (pid, _) => go_on(place, &["|", &pid.to_string(), "|", user]),
    };
    Attempt {
        time: event.time(),
        weight: 1,
        events: repeated,
        value: whole.distinct.as_ref().map_or(0, |field| hash(&[&value(field, event, activity)])),
        host: place,
        user: go_on(place, &["|", user]),
        connection,
        echo,
    }
}

/// What a rule counts the different values of.
fn value<'a>(field: &str, event: &'a Event, activity: &'a Activity) -> Cow<'a, str> {
    let http = activity.http.as_ref();
    let address = |address: Option<IpAddr>| {
        Cow::Owned(address.map(|address| address.to_string()).unwrap_or_default())
    };
    Cow::Borrowed(match field {
        "src_ip" => return address(activity.source_address()),
        "dst_ip" => return address(activity.destination_address()),
        "dst_port" => return Cow::Owned(activity.dst_port.to_string()),
        "user" => &activity.user_name,
        "user_agent" => http.map_or("", |http| &http.user_agent),
        "request" => http.map_or("", |http| &http.url),
        "url" => http.and_then(|http| http.url.split('?').next()).unwrap_or_default(),
        "host" => event.device(),
        other => activity.unmapped.get(other).map_or("", String::as_str),
    })
}

/// A hash of a host of an agency.
pub(super) fn place(agency: &str, host: &str) -> u64 {
    hash(&[agency, "/", host])
}

/// Of texts one behind the other. The same in every run, so that a replay counts alike.
fn hash(texts: &[&str]) -> u64 {
    go_on(0xcbf2_9ce4_8422_2325, texts)
}

/// The hash of what was hashed and what stands behind it.
fn go_on(hash: u64, texts: &[&str]) -> u64 {
    texts
        .iter()
        .flat_map(|text| text.bytes())
        .fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whose window a match is counted in.
fn who(meta: &Meta, agency: &str, host: &str, activity: &Activity) -> Option<Who> {
    match meta.group_by? {
        GroupBy::SrcIp => activity.source_address().map(Who::Address),
        _ => entity(meta, host, activity)
            .map(|entity| Who::Named(format!("{agency}/{entity}").into())),
    }
}

fn entity(meta: &Meta, host: &str, activity: &Activity) -> Option<String> {
    match meta.group_by? {
        GroupBy::SrcIp => activity.source_address().map(|address| address.to_string()),
        GroupBy::ActorOnHost => {
            let actor = if activity.actor_user_name.is_empty() {
                &activity.user_name
            } else {
                &activity.actor_user_name
            };
            (!actor.is_empty()).then(|| format!("{actor}@{host}"))
        }
        GroupBy::User => (!activity.user_name.is_empty()).then(|| activity.user_name.clone()),
        GroupBy::Host => Some(host.to_owned()),
    }
}

pub(super) fn values(host: &str, activity: &Activity) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            values.insert(name.to_owned(), value);
        }
    };
    put("src_ip", activity.source_address().map(|address| address.to_string()).unwrap_or_default());
    put("user", activity.user_name.chars().take(64).collect());
    put("actor", activity.actor_user_name.chars().take(64).collect());
    put("host", host.to_owned());
    put("service", activity.service_name.clone());
    put("file", activity.file_path.chars().take(256).collect());
    put("command", activity.process_cmd_line.chars().take(256).collect());
    put("process", activity.process_name.chars().take(256).collect());
    if activity.dst_port > 0 {
        put("port", activity.dst_port.to_string());
    }
    put("group", activity.group_name.chars().take(64).collect());
    values
}
