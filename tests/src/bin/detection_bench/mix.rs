//! Events a second and core: those of a nation in their mix and by class, ours beside rsigma in one plain engine, in the same run.

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use rsigma_eval::{Engine, JsonEvent};
use rsigma_parser::Detection;
use serde_json::Value;
use system_tests::{
    machine::worked,
    traffic::{Load, taken::taken},
};
use vonggac_collector::{
    decode,
    detect::{
        Detector,
        sigma::{Matcher, flat},
    },
    record::Record,
    registry::Registry,
    rule::RuleSet,
    threat::ThreatList,
};
use vonggac_wire::{Event, Time, limits::BATCH_EVENTS_MAX};

use crate::{Options, median, packs};

/// Events of the whole mix.
const EVENTS: u64 = 400_000;

/// Events that the plain engine is asked about: it takes longer for each.
const PLAIN_EVENTS: usize = 20_000;

/// Each is measured so often, in turns; the middle one is told.
const ROUNDS: usize = 3;

/// A class with fewer events in the mix is not told by itself, in percent.
const SHARE_MIN: usize = 1;

const START: Time = Time::from_seconds(1_795_000_000);

/// The events of a nation, as records.
pub(crate) fn records(events: u64) -> anyhow::Result<Vec<Record>> {
    let registry = Registry::builtin()?;
    let mut load = Load::new(START, 5_000)?;
    let mut batches: Vec<_> = (0..events).filter_map(|_| load.push()).collect();
    batches.extend(load.flush());
    let taken = taken(batches, 0, START);
    Ok(taken.iter().map(|one| decode::decode(one, &registry)).collect::<Result<_, _>>()?)
}

/// The same events, each class in records of its own.
fn by_class(records: &[Record]) -> BTreeMap<&'static str, Vec<Record>> {
    let mut classes: BTreeMap<&'static str, Vec<Event>> = BTreeMap::new();
    for event in records.iter().flat_map(|record| &record.batch.events) {
        classes.entry(event.class_name()).or_default().push(event.clone());
    }
    let Some(like) = records.first() else { return BTreeMap::new() };
    let record = |offset: usize, events: &[Event]| {
        let mut record = like.clone();
        record.origin.offset = i64::try_from(offset).unwrap_or(i64::MAX);
        record.batch.events = events.to_vec();
        record
    };
    let of_class = |events: Vec<Event>| {
        let chunks = events.chunks(BATCH_EVENTS_MAX).enumerate();
        chunks.map(|(offset, events)| record(offset, events)).collect()
    };
    classes.into_iter().map(|(class, events)| (class, of_class(events))).collect()
}

pub(crate) fn count(records: &[Record]) -> usize {
    records.iter().map(|record| record.batch.events.len()).sum()
}

/// Seconds of detection, with windows and all.
pub(crate) fn detected(
    rules: &Arc<RuleSet>,
    matcher: &Arc<Matcher>,
    records: &[Record],
) -> anyhow::Result<f64> {
    let registry = Arc::new(Registry::builtin()?);
    let mut detector = Detector::new(Arc::clone(rules), registry, Arc::clone(matcher));
    let begun = worked();
    for record in records {
        black_box(detector.apply(record, record.appended));
    }
    Ok(worked() - begun)
}

/// Seconds of the rules alone.
fn matched(matcher: &Matcher, records: &[Record]) -> f64 {
    let begun = worked();
    for event in records.iter().flat_map(|record| &record.batch.events) {
        if let Some(activity) = event.activity() {
            black_box(matcher.matches(event, activity));
        }
    }
    worked() - begun
}

/// rsigma as it comes: all rules in one engine, added at once, and events in JSON that somebody made before.
struct Plain {
    engine: Engine,
    fields: Vec<String>,
}

impl Plain {
    fn of(rules: &RuleSet) -> anyhow::Result<Self> {
        let sigma: Vec<_> = rules.rules().iter().filter_map(|rule| rule.sigma.clone()).collect();
        let mut engine = Engine::new();
        let refused = engine.add_rules(&sigma);
        anyhow::ensure!(refused.is_empty(), "{refused:?}");
        let mut fields: Vec<String> = Vec::new();
        for detection in sigma.iter().flat_map(|rule| rule.detection.named.values()) {
            asked(detection, &mut fields);
        }
        fields.sort();
        fields.dedup();
        Ok(Self { engine, fields })
    }

    fn events(&self, records: &[Record]) -> Vec<Value> {
        let none = ThreatList::default();
        let names = || self.fields.iter().map(String::as_str).chain(["raw"]);
        let events = records.iter().flat_map(|record| &record.batch.events);
        let events = events.filter_map(|event| Some((event, event.activity()?)));
        let json = events.map(|(event, activity)| flat(event, activity, &none, names()).into());
        json.take(PLAIN_EVENTS).collect()
    }

    fn evaluated(&self, events: &[Value]) -> f64 {
        let begun = worked();
        for event in events {
            black_box(self.engine.evaluate(&JsonEvent::borrow(event)));
        }
        worked() - begun
    }
}

fn asked(detection: &Detection, fields: &mut Vec<String>) {
    match detection {
        Detection::AllOf(items) => {
            fields.extend(items.iter().filter_map(|item| item.field.name.clone()));
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter().for_each(|part| asked(part, fields));
        }
        _ => {}
    }
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let (rules, sigma) = packs::rules(1)?;
    let matcher = Arc::new(Matcher::new(&rules)?);
    let plain = Plain::of(&rules)?;
    let mix = records(options.of(EVENTS))?;
    let all = count(&mix);
    println!("\n## {sigma} rules of Sigma on {all} events of a nation\n");
    println!(
        "| events | share | detection, events per second and core | rules alone | plain rsigma, one engine | detection to plain |\n|---|---|---|---|---|---|"
    );
    let classes = by_class(&mix);
    let told = classes.into_iter().filter(|(_, of)| count(of) * 100 >= all * SHARE_MIN);
    for (name, records) in std::iter::once(("all", mix.clone())).chain(told) {
        let events = count(&records);
        let json = plain.events(&records);
        let (mut ours, mut alone, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(detected(&rules, &matcher, &records)?);
            alone.push(matched(&matcher, &records));
            theirs.push(plain.evaluated(&json));
        }
        let per_second = |events: usize, seconds| events as f64 / f64::max(median(seconds), 1e-9);
        let (ours, alone) = (per_second(events, ours), per_second(events, alone));
        // Checks, sessions and dossiers are no rule's.
        let (theirs, ratio) = if json.is_empty() {
            ("-".to_owned(), "-".to_owned())
        } else {
            let theirs = per_second(json.len(), theirs);
            (format!("{theirs:.0}"), format!("{:.1}", ours / theirs))
        };
        println!(
            "| {name} | {:.1} % | {ours:.0} | {alone:.0} | {theirs} | {ratio} |",
            events as f64 / all as f64 * 100.0
        );
    }
    Ok(())
}
