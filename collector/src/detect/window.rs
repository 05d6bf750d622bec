//! How often a rule matched an entity within its window.

use std::collections::{BTreeMap, HashMap, VecDeque};

use vonggac_wire::{
    Event, Time,
    event::Activity,
    proto::{Entity, EventRef, Signal, SignalKind},
};

use super::{add_evidence, reference, sigma::Match};
use crate::{
    record::Record,
    rule::{GroupBy, Meta, RuleSet},
};

/// Entities that are counted at once. Beyond it the ones that were quiet for longest are forgotten.
const ENTITIES_MAX: usize = 100_000;

/// Times that are kept of one entity: more than any threshold.
const TIMES_MAX: usize = 256;

#[derive(Debug, Default)]
struct Window {
    /// When, what it weighs, how many events it is, and a hash of the value that is counted.
    times: VecDeque<(Time, u64, u64, u64)>,
    sum: u64,
    events: u64,
    last: Time,
    fired: bool,
    /// Evidence before it fired.
    early: Vec<EventRef>,
}

/// What the record in hand adds to an entity.
#[derive(Debug)]
struct Pending {
    rule: usize,
    entity: String,
    group: String,
    count: u64,
    first: Time,
    last: Time,
    host: String,
    system: String,
    evidence: Vec<EventRef>,
    values: BTreeMap<String, String>,
}

/// All windows of a partition.
#[derive(Debug, Default)]
pub(super) struct Windows {
    windows: HashMap<(usize, String), Window>,
    pending: Vec<Pending>,
}

impl Windows {
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    pub(super) fn begin(&mut self) {
        self.pending.clear();
        if self.windows.len() > ENTITIES_MAX {
            let mut lasts: Vec<Time> = self.windows.values().map(|window| window.last).collect();
            lasts.sort_unstable();
            let middle = lasts[lasts.len() / 2];
            self.windows.retain(|_, window| window.last > middle);
        }
    }

    pub(super) fn matched(
        &mut self,
        rules: &RuleSet,
        found: &Match,
        record: &Record,
        index: usize,
        event: &Event,
        activity: &Activity,
    ) {
        let rule = found.rule;
        let Some(known) = rules.rules().get(rule) else { return };
        let meta = &known.meta;
        let host =
            if event.device().is_empty() { record.batch.host.as_str() } else { event.device() };
        let Some(entity) = entity(meta, host, activity) else { return };
        // An address is the same one everywhere; a user and a host are an agency's own.
        let group = match meta.group_by {
            Some(GroupBy::SrcIp) => entity.clone(),
            _ => format!("{}/{entity}", record.batch.agency),
        };
        if let Some(after) = &meta.after {
            if !self.is_full(rules, after.as_str(), &group, event.time()) {
                return;
            }
        }
        // "message repeated 3 times" counts three.
        if let Some(other) = &meta.unless {
            if self.is_full(rules, other.as_str(), &group, event.time()) {
                return;
            }
        }
        let repeated: u64 =
            activity.unmapped.get("repeat_count").and_then(|count| count.parse().ok()).unwrap_or(1);
        // What is beyond doubt counts as often as the threshold asks, but is told as the events that there were.
        let weight = repeated.saturating_mul(found.weight(known));
        let (time, window) = (event.time(), self.windows.entry((rule, group.clone())).or_default());
        let span = meta.window();
        if time.since(window.last) > span {
            *window = Window::default();
        }
        window.last = window.last.max(time);
        let evidence = reference(record, index);
        let count = if window.fired {
            repeated
        } else {
            while window.times.front().is_some_and(|(old, ..)| time.since(*old) > span)
                || window.times.len() >= TIMES_MAX
            {
                if let Some((_, gone, events, _)) = window.times.pop_front() {
                    window.sum -= gone;
                    window.events -= events;
                }
            }
            let value =
                meta.distinct.as_ref().map_or(0, |field| hash(&value(field, event, activity)));
            // A value that is known keeps its place: only new ones count.
            let known =
                meta.distinct.is_some() && window.times.iter().any(|(.., old)| *old == value);
            let weight = if known { 0 } else { weight };
            if known && window.times.len() + 1 >= TIMES_MAX {
                return;
            }
            window.times.push_back((time, weight, repeated, value));
            window.sum += weight;
            window.events += repeated;
            add_evidence(&mut window.early, evidence.clone());
            if window.sum < meta.threshold {
                return;
            }
            window.fired = true;
            window.events
        };
        let first = if count > repeated {
            window.times.front().map_or(time, |(first, ..)| *first)
        } else {
            time
        };
        let early = std::mem::take(&mut window.early);
        window.times.clear();
        let pending = self.pending.iter_mut().position(|p| p.rule == rule && p.group == group);
        let at = pending.unwrap_or_else(|| {
            self.pending.push(Pending {
                rule,
                entity,
                group,
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
            for name in &found.selections {
                note_kind(&mut pending.values, name);
            }
            pending.count += count;
            pending.last = pending.last.max(time);
            if !pending.evidence.contains(&evidence) {
                add_evidence(&mut pending.evidence, evidence);
            }
        }
    }

    /// Whether another rule has fired on this entity within its window.
    fn is_full(&self, rules: &RuleSet, rule: &str, entity: &str, time: Time) -> bool {
        let Some((index, other)) =
            rules.rules().iter().enumerate().find(|(_, r)| r.meta.rule.as_str() == rule)
        else {
            return false;
        };
        self.windows
            .get(&(index, entity.to_owned()))
            .is_some_and(|window| window.fired && time.since(window.last) <= other.meta.window())
    }

    /// One signal for each rule and entity that the record in hand speaks of.
    pub(super) fn signals(&mut self, rules: &RuleSet, record: &Record, now: Time) -> Vec<Signal> {
        let mut signals = Vec::new();
        for pending in self.pending.drain(..) {
            let Some(meta) = rules.rules().get(pending.rule).map(|rule| &rule.meta) else {
                continue;
            };
            let kind = match meta.group_by {
                Some(GroupBy::SrcIp) => "src_ip",
                Some(GroupBy::ActorOnHost) => "user",
                Some(GroupBy::Host) | None => "host",
            };
            signals.push(Signal {
                rule: meta.rule.to_string(),
                kind: SignalKind::Raised.into(),
                severity: meta.severity,
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

/// Kinds of attack that a signal names.
const KINDS_MAX: usize = 12;

/// Adds a selection's family (`sqli` of `sqli_union`) to those that were seen, for rules that know several.
fn note_kind(values: &mut BTreeMap<String, String>, selection: &str) {
    let kind = selection.split('_').next().unwrap_or(selection);
    let known = values.entry("kinds".to_owned()).or_default();
    if kind.is_empty()
        || known.split(", ").any(|one| one == kind)
        || known.split(", ").count() >= KINDS_MAX
    {
        return;
    }
    if !known.is_empty() {
        known.push_str(", ");
    }
    known.push_str(kind);
}

/// What a rule counts the different values of.
fn value(field: &str, event: &Event, activity: &Activity) -> String {
    match field {
        "src_ip" => {
            activity.source_address().map(|address| address.to_string()).unwrap_or_default()
        }
        "dst_port" => format!(
            "{}:{}",
            activity.destination_address().map(|address| address.to_string()).unwrap_or_default(),
            activity.dst_port
        ),
        "user" => activity.user_name.clone(),
        "url" => activity
            .http
            .as_ref()
            .map(|http| http.url.split('?').next().unwrap_or_default().to_owned())
            .unwrap_or_default(),
        "host" => event.device().to_owned(),
        other => activity.unmapped.get(other).cloned().unwrap_or_default(),
    }
}

/// The same in every run, so that a replay counts alike.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
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
        GroupBy::Host => Some(host.to_owned()),
    }
}

fn values(host: &str, activity: &Activity) -> BTreeMap<String, String> {
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
    values
}
