//! What a million entities take that rules and correlations count, and how many are forgotten where there are more.

use std::{fs, sync::Arc};

use system_tests::machine::{megabytes, worked};
use vonggac_collector::{
    detect::{Detector, sigma::Matcher},
    record::Record,
    registry::Registry,
    rule::RuleSet,
};
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane, Time,
    event::{Activity, Body, Class, Status},
    limits::BATCH_EVENTS_MAX,
    proto::Origin,
};

use crate::Options;

/// Entities that are counted at once.
const ENTITIES: u64 = 1_000_000;

/// Partitions over which they are, each with detection of its own, as in a nation's centre: a partition holds a hundred thousand.
const PARTITIONS: u64 = 12;

/// Entities of one partition behind which others are forgotten.
const FLOOD: u64 = 150_000;

const START: Time = Time::from_seconds(1_795_000_000);

/// A rule of ours that counts in a window.
const WINDOW: &str = "title: Refusals\nlogsource: {product: linux}\ndetection: {sel: {class: authentication, status: failure}, condition: sel}\n\
    vonggac: {rule: refusals, severity: 4, group_by: src_ip, threshold: 10, title_vi: a, title_en: b}\n";

/// The same as a correlation of Sigma's.
const CORRELATION: &str = "title: Refusal\nname: refusal\nlogsource: {product: linux}\ndetection: {sel: {class: authentication, status: failure}, condition: sel}\n\
    ---\ntitle: Refusals\ncorrelation: {type: event_count, rules: [refusal], group-by: [src_ip], timespan: 5m, condition: {gte: 10}}\n";

/// Failed log-ins, each from an address of its own.
fn record(first: u64, events: u64) -> anyhow::Result<Record> {
    let event = |number: u64| {
        let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
        let address = u32::try_from(first + number).unwrap_or(u32::MAX);
        activity.src_ip = address.to_be_bytes().to_vec();
        activity.user_name = "root".into();
        let after = std::time::Duration::from_micros(first + number);
        Event::new(START.plus(after), START, Body::Activity(activity))
    };
    Ok(Record {
        origin: Origin { topic: "t".into(), partition: 0, offset: i64::try_from(first)? },
        appended: START,
        bytes: 0,
        known: Default::default(),
        hash: BatchHash([0; 32]),
        seal: None,
        batch: Batch {
            agent: AgentId::new("web-1-0a0b")?,
            agency: AgencyId::new("H49")?,
            host: "web-1".into(),
            boot: [1; 16],
            lane: Lane::Security,
            first_seq: first + 1,
            previous: None,
            events: (0..events).map(event).collect(),
            simulated: false,
            sealed: START,
            ahead: false,
        },
    })
}

/// Shows so many entities, from the first one on.
fn show(detector: &mut Detector, first: u64, entities: u64) -> anyhow::Result<()> {
    let mut shown = 0;
    while shown < entities {
        let events = (entities - shown).min(BATCH_EVENTS_MAX as u64);
        detector.apply(&record(first + shown, events)?, START);
        shown += events;
    }
    Ok(())
}

/// Makes detectors by the rules of a text.
struct Maker {
    rules: Arc<RuleSet>,
    registry: Arc<Registry>,
    matcher: Arc<Matcher>,
}

impl Maker {
    fn of(text: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("rule.yml"), text)?;
        let mut rules = RuleSet::default();
        let refused = rules.add_folder(folder.path())?;
        anyhow::ensure!(refused.is_empty(), "{refused:?}");
        let matcher = Arc::new(Matcher::new(&rules)?);
        let registry = Arc::new(Registry::builtin()?);
        Ok(Self { rules: Arc::new(rules), registry, matcher })
    }

    fn detector(&self) -> Detector {
        let (rules, registry) = (Arc::clone(&self.rules), Arc::clone(&self.registry));
        Detector::new(rules, registry, Arc::clone(&self.matcher))
    }
}

/// Prints what one kind of counting takes; gives the detectors, which stay until all is measured: memory that was given back would be taken
/// again, and count for nothing.
fn measured(name: &str, maker: &Maker, options: &Options) -> anyhow::Result<Vec<Detector>> {
    let each = (options.of(ENTITIES) / PARTITIONS).max(1);
    let held = || megabytes(std::process::id(), "VmRSS:");
    let (before, begun) = (held()?, worked());
    let mut detectors = Vec::new();
    for partition in 0..PARTITIONS {
        let mut detector = maker.detector();
        show(&mut detector, 0x0a00_0000 + partition * each, each)?;
        detectors.push(detector);
    }
    let (seconds, more) = (worked() - begun, held()? - before);
    let keys: usize = detectors.iter().map(Detector::keys).sum();
    let evicted: u64 = detectors.iter().map(|detector| detector.lost().evicted).sum();
    println!(
        "| {name} | {keys} | {more:.0} MB | {:.0} bytes | {:.0} | {evicted} |",
        more * 1_048_576.0 / keys as f64,
        keys as f64 / seconds
    );
    Ok(detectors)
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    println!("\n## Entities, each seen once, over {PARTITIONS} partitions\n");
    println!(
        "| counted by | entities held | memory more (RSS) | each | entities per second and core | forgotten |\n|---|---|---|---|---|---|"
    );
    let kinds = [("windows of our rules", WINDOW), ("Sigma's correlations", CORRELATION)];
    let mut kept = Vec::new();
    for (name, text) in kinds {
        kept.push(measured(name, &Maker::of(text)?, options)?);
    }
    drop(kept);
    println!("\n| one partition sees {FLOOD} | forgotten | left |\n|---|---|---|");
    for (name, text) in kinds {
        let mut flooded = Maker::of(text)?.detector();
        show(&mut flooded, 0x0a00_0000, FLOOD)?;
        println!("| {name} | {} | {} |", flooded.lost().evicted, flooded.keys());
    }
    Ok(())
}
