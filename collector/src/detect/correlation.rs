//! Sigma's correlations: several events, of one rule or of several, within a time span and a group.
//!
//! The windows and their conditions are rsigma's. What is ours is what the incident book needs: event time whatever order the events come
//! in, one exact count for each record, bounded state whose losses are counted, and the same result when a partition is read again.
//!
//! A window ends at the newest event of its group. An event that is older than that by more than the rule's own time span is late: it is
//! not counted, and told in the metrics.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use rsigma_eval::{CompiledCorrelation, Event as _, EventValue, GroupKey, WindowState};
use rsigma_parser::{ConditionOperator, CorrelationType, WindowMode};
use vonggac_wire::{
    Event,
    event::Activity,
    limits::EVIDENCE_EVENTS_MAX,
    proto::{Entity, EventRef, Signal, SignalKind},
};

use super::{
    Lost,
    eviction::evict_older_half,
    reference,
    sigma::{Match, View},
    window,
};
use crate::{
    record::Record,
    rule::{Rule, RuleSet},
};

/// Groups that are held at once by a partition. Beyond it the half that was quiet for longest is forgotten, and counted.
const GROUPS_MAX: usize = 100_000;

/// Events and values that are held of all groups by a partition, some tens of bytes each. Beyond it the half of the groups that was quiet for
/// longest is forgotten, and counted: groups alone are no bound where a condition asks for tens of thousands in each.
const ENTRIES_MAX: usize = 2_000_000;

/// Events that are held of a group beyond twice what the condition asks for.
const ENTRIES_LEAST: usize = 256;

/// A condition that asks for more would hold endless state: it is refused.
const THRESHOLD_MAX: f64 = 50_000.0;

/// A longer time span would hold endless state: it is refused.
const TIMESPAN_SECONDS_MAX: u64 = 7 * 86_400;

/// Correlations of correlations that are followed.
const CHAIN_MAX: usize = 8;

/// Bytes of a value that is counted or grouped by.
const VALUE_BYTES_MAX: usize = 256;

/// Between the values of a group.
const BETWEEN: &str = "\u{1f}";

/// Names that mean the client's address.
const ADDRESSES: [&str; 5] = ["src_ip", "SourceIp", "c-ip", "src_endpoint.ip", "source.ip"];

/// Why a correlation cannot be counted.
///
/// # Errors
/// What it asks for that cannot be.
pub fn compile(rule: &rsigma_parser::CorrelationRule) -> Result<CompiledCorrelation, String> {
    let compiled =
        rsigma_eval::correlation::compile_correlation(rule).map_err(|error| error.to_string())?;
    if compiled.window_mode != WindowMode::Sliding {
        return Err("only sliding windows are counted; leave `window` out".into());
    }
    if compiled.timespan_secs == 0 || compiled.timespan_secs > TIMESPAN_SECONDS_MAX {
        return Err("`timespan` has to be between one second and seven days".into());
    }
    if threshold(&compiled) > THRESHOLD_MAX && counts(compiled.correlation_type) {
        return Err(format!("`condition` asks for more than {THRESHOLD_MAX} events"));
    }
    Ok(compiled)
}

const fn counts(kind: CorrelationType) -> bool {
    matches!(kind, CorrelationType::EventCount | CorrelationType::ValueCount)
}

/// The largest number that the condition names.
fn threshold(compiled: &CompiledCorrelation) -> f64 {
    compiled.condition.predicates.iter().map(|(_, number)| *number).fold(0.0, f64::max)
}

/// A correlation, ready to count.
struct Plan {
    /// Where it is in the set.
    rule: usize,
    compiled: CompiledCorrelation,
    entries_max: usize,
    /// The group is an address, which is the same one everywhere; others are an agency's own.
    by_address: bool,
}

/// What is held of one group.
struct Group {
    window: WindowState,
    /// Newest event, in seconds.
    latest: i64,
    /// Events that no signal has told yet, in order of time.
    untold: VecDeque<i64>,
    evidence: VecDeque<(i64, EventRef)>,
}

/// What the record in hand adds.
struct Pending {
    plan: usize,
    group: String,
    count: u64,
    first: i64,
    last: i64,
    host: String,
    system: String,
    evidence: Vec<EventRef>,
    values: BTreeMap<String, String>,
}

/// All correlations of a partition.
pub(super) struct Correlations {
    plans: Vec<Plan>,
    /// The correlations that ask for a rule.
    asked: HashMap<usize, Vec<usize>>,
    groups: HashMap<(usize, String), Group>,
    pending: Vec<Pending>,
    lost: Lost,
    groups_max: usize,
    /// Of all groups.
    entries: usize,
    entries_max: usize,
}

impl Group {
    fn entries(&self) -> usize {
        let window = match &self.window {
            WindowState::EventCount { timestamps } => timestamps.len(),
            WindowState::ValueCount { entries } => entries.len(),
            WindowState::Temporal { rule_hits } => rule_hits.values().map(VecDeque::len).sum(),
            WindowState::NumericAgg { entries } => entries.len(),
        };
        window + self.untold.len()
    }
}

impl Correlations {
    pub(super) fn new(rules: &Arc<RuleSet>) -> Self {
        let mut all = Self {
            plans: Vec::new(),
            asked: HashMap::new(),
            groups: HashMap::new(),
            pending: Vec::new(),
            lost: Lost::default(),
            groups_max: GROUPS_MAX,
            entries: 0,
            entries_max: ENTRIES_MAX,
        };
        for (index, rule) in rules.rules().iter().enumerate() {
            let Some(correlation) = &rule.correlation else { continue };
            // It was compiled when it was loaded, so that a mistake is told there.
            let Ok(compiled) = compile(correlation) else { continue };
            for name in &compiled.rule_refs {
                for referred in rules.referred(name) {
                    all.asked.entry(*referred).or_default().push(all.plans.len());
                }
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is positive and at most THRESHOLD_MAX"
            )]
            let wanted = threshold(&compiled).min(THRESHOLD_MAX) as usize;
            let by_address = !compiled.group_by.is_empty()
                && compiled.group_by.iter().all(|field| ADDRESSES.contains(&field.name()));
            let entries_max = (wanted * 2).max(ENTRIES_LEAST);
            all.plans.push(Plan { rule: index, compiled, entries_max, by_address });
        }
        for plans in all.asked.values_mut() {
            plans.sort_unstable();
            plans.dedup();
        }
        all
    }

    /// Between two records: goes by other rules, and keeps the groups of those that stay as they were.
    pub(super) fn renew(&mut self, before: &RuleSet, rules: &Arc<RuleSet>) {
        let mut fresh = Self::new(rules);
        let places: Vec<Option<usize>> = self
            .plans
            .iter()
            .map(|plan| {
                let before = before.rules().get(plan.rule)?;
                let is_same = |rule: &Rule| {
                    rule.meta.rule == before.meta.rule && rule.correlation == before.correlation
                };
                let mut plans = fresh.plans.iter();
                plans.position(|plan| rules.rules().get(plan.rule).is_some_and(is_same))
            })
            .collect();
        let place = |plan: usize| places.get(plan).copied().flatten();
        let groups = std::mem::take(&mut self.groups).into_iter();
        let kept = groups
            .filter_map(|((plan, group), state)| Some(((place(plan)?, group), state)))
            .collect();
        fresh.groups = kept;
        fresh.entries = fresh.groups.values().map(Group::entries).sum();
        fresh.lost = self.lost;
        (fresh.groups_max, fresh.entries_max) = (self.groups_max, self.entries_max);
        *self = fresh;
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) const fn lost(&self) -> Lost {
        self.lost
    }

    pub(super) fn begin(&mut self) {
        self.pending.clear();
        let groups_max = if self.entries > self.entries_max {
            self.groups_max.min(self.groups.len().saturating_sub(1))
        } else {
            self.groups_max
        };
        let evicted = evict_older_half(&mut self.groups, groups_max, |group| group.latest);
        if evicted > 0 {
            self.lost.evicted += evicted;
            self.entries = self.groups.values().map(Group::entries).sum();
        }
    }

    /// Shows what one event was found to be to the correlations that ask for it, and to those that ask for them.
    pub(super) fn matched(
        &mut self,
        rules: &RuleSet,
        found: &[Match],
        record: &Record,
        index: usize,
        event: &Event,
        activity: &Activity,
    ) {
        let asked = |rule: usize| self.asked.contains_key(&rule);
        if !found.iter().any(|found| asked(found.rule)) {
            return;
        }
        let view = View::new(event, activity);
        let mut rules_found: Vec<usize> = found.iter().map(|found| found.rule).collect();
        for _ in 0..CHAIN_MAX {
            let mut fired = Vec::new();
            for rule in &rules_found {
                let Some(known) = rules.rules().get(*rule) else { continue };
                for plan in self.asked.get(rule).cloned().unwrap_or_default() {
                    if self.count(plan, known, &view, record, index, event, activity) {
                        fired.extend(self.plans.get(plan).map(|plan| plan.rule));
                    }
                }
            }
            if fired.is_empty() {
                return;
            }
            rules_found = fired;
        }
    }

    /// Counts one event for one correlation; whether its condition holds.
    #[expect(clippy::too_many_arguments, reason = "an event, its place and what it matched")]
    fn count(
        &mut self,
        place: usize,
        rule: &Rule,
        view: &View<'_>,
        record: &Record,
        index: usize,
        event: &Event,
        activity: &Activity,
    ) -> bool {
        let Some(plan) = self.plans.get(place) else { return false };
        let compiled = &plan.compiled;
        let names = rule.references();
        let referred = compiled.rule_refs.iter().find(|name| names.contains(&name.as_str()));
        let key = GroupKey::extract(view, &compiled.group_by, &names);
        let words = key.0.iter().map(|value| cut(value.as_deref().unwrap_or_default()));
        let named = words.collect::<Vec<_>>().join(BETWEEN);
        let group = if plan.by_address {
            named
        } else {
            format!("{}{BETWEEN}{named}", record.batch.agency)
        };
        let time = event.time().seconds();
        let span = i64::try_from(compiled.timespan_secs).unwrap_or(i64::MAX);
        let state = self.groups.entry((place, group.clone())).or_insert_with(|| Group {
            window: WindowState::new_for(compiled.correlation_type),
            latest: time,
            untold: VecDeque::new(),
            evidence: VecDeque::new(),
        });
        if state.latest.saturating_sub(time) > span {
            self.lost.late += 1;
            return false;
        }
        let before = state.entries();
        state.latest = state.latest.max(time);
        let cutoff = state.latest.saturating_sub(span);
        state.window.evict(cutoff);
        add(&mut state.window, compiled, view, time, referred.map_or("", String::as_str));
        state.window.truncate_oldest(plan.entries_max, false);
        insert(&mut state.untold, time, |told| *told);
        while state.untold.len() > plan.entries_max
            || state.untold.front().is_some_and(|told| *told < cutoff)
        {
            state.untold.pop_front();
        }
        insert(&mut state.evidence, (time, reference(record, index)), |(time, _)| *time);
        while state.evidence.len() > EVIDENCE_EVENTS_MAX
            || state.evidence.front().is_some_and(|(time, _)| *time < cutoff)
        {
            state.evidence.pop_front();
        }
        let holds = holds(&state.window, compiled);
        let told = if holds { state.untold.len() } else { 0 };
        self.entries = (self.entries + state.entries()).saturating_sub(before + told);
        if !holds {
            return false;
        }
        let count = state.untold.len() as u64;
        let first = state.untold.front().copied().unwrap_or(time);
        let last = state.untold.back().copied().unwrap_or(time);
        state.untold.clear();
        let evidence: Vec<EventRef> =
            state.evidence.drain(..).map(|(_, reference)| reference).collect();
        let host =
            if event.device().is_empty() { record.batch.host.as_str() } else { event.device() };
        let known = self.pending.iter_mut().find(|p| p.plan == place && p.group == group);
        if let Some(known) = known {
            known.count += count;
            (known.first, known.last) = (known.first.min(first), known.last.max(last));
            known.evidence.extend(evidence);
            known.evidence.truncate(EVIDENCE_EVENTS_MAX);
            return true;
        }
        let mut values = window::values(host, activity);
        for (name, value) in key.to_pairs(&compiled.group_by) {
            values.insert(name, cut(&value).to_owned());
        }
        self.pending.push(Pending {
            plan: place,
            group,
            count,
            first,
            last,
            host: host.to_owned(),
            system: event.system().to_owned(),
            evidence,
            values,
        });
        true
    }

    /// One signal for each correlation and group that the record in hand speaks of.
    pub(super) fn signals(
        &mut self,
        rules: &RuleSet,
        record: &Record,
        now: vonggac_wire::Time,
    ) -> Vec<Signal> {
        let mut signals = Vec::new();
        for pending in self.pending.drain(..) {
            let Some(plan) = self.plans.get(pending.plan) else { continue };
            let Some(rule) = rules.rules().get(plan.rule).filter(|rule| !rule.silent) else {
                continue;
            };
            let seconds = |seconds| vonggac_wire::Time::from_seconds(seconds).0;
            let value = pending.group.replace(BETWEEN, " ").trim().to_owned();
            let kind = if plan.by_address { "src_ip" } else { "group" };
            signals.push(Signal {
                rule: rule.meta.rule.to_string(),
                kind: SignalKind::Raised.into(),
                severity: rule.meta.severity,
                entity: Some(Entity { kind: kind.into(), value: value.clone() }),
                group: value,
                agency: record.batch.agency.to_string(),
                system: pending.system,
                host: pending.host,
                count: pending.count,
                first_time_unix_nano: seconds(pending.first),
                last_time_unix_nano: seconds(pending.last),
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

/// Whether the condition holds. rsigma gives a percentile whatever the condition says of it, and takes one rule of several for all where a
/// temporal correlation names no condition; the specification asks for all of them.
fn holds(window: &WindowState, compiled: &CompiledCorrelation) -> bool {
    let value = window.check_condition(
        &compiled.condition,
        compiled.correlation_type,
        &compiled.rule_refs,
        compiled.extended_expr.as_ref(),
    );
    let Some(value) = value else { return false };
    match compiled.correlation_type {
        CorrelationType::ValuePercentile => compiled.condition.check(value),
        CorrelationType::Temporal if names_no_condition(compiled) => {
            let WindowState::Temporal { rule_hits } = window else { return false };
            compiled.rule_refs.iter().all(|rule| rule_hits.contains_key(rule))
        }
        _ => true,
    }
}

fn names_no_condition(compiled: &CompiledCorrelation) -> bool {
    let default = matches!(compiled.condition.predicates.as_slice(),
        [(ConditionOperator::Gte, number)] if (*number - 1.0).abs() < f64::EPSILON);
    default && compiled.extended_expr.is_none()
}

/// Puts what an event says in its place by time.
fn add(
    window: &mut WindowState,
    compiled: &CompiledCorrelation,
    view: &View<'_>,
    time: i64,
    referred: &str,
) {
    let fields = compiled.condition.field.as_deref().unwrap_or_default();
    match window {
        WindowState::EventCount { timestamps } => insert(timestamps, time, |known| *known),
        WindowState::ValueCount { entries } => {
            let parts: Option<Vec<String>> = fields.iter().map(|field| text(view, field)).collect();
            if let Some(parts) = parts.filter(|parts| !parts.is_empty()) {
                insert(entries, (time, parts.join(BETWEEN)), |(known, _)| *known);
            }
        }
        WindowState::Temporal { rule_hits } => {
            insert(rule_hits.entry(referred.to_owned()).or_default(), time, |known| *known);
        }
        WindowState::NumericAgg { entries } => {
            let number = fields.first().and_then(|field| view.get_field(field)?.as_f64());
            if let Some(number) = number.filter(|number| number.is_finite()) {
                insert(entries, (time, number), |(known, _)| *known);
            }
        }
    }
}

/// Behind all that are not newer.
fn insert<T>(all: &mut VecDeque<T>, one: T, time: impl Fn(&T) -> i64) {
    let place = all.partition_point(|known| time(known) <= time(&one));
    all.insert(place, one);
}

fn text(view: &View<'_>, field: &str) -> Option<String> {
    match view.get_field(field)? {
        EventValue::Str(text) => Some(cut(&text).to_owned()),
        EventValue::Int(number) => Some(number.to_string()),
        EventValue::Float(number) => Some(number.to_string()),
        EventValue::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(text.len().min(VALUE_BYTES_MAX))]
}

#[cfg(test)]
mod tests;
