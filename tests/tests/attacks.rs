//! Logs of attacks that others have annotated, where they are at hand: lines go through the agent's formats and the collector's detection,
//! and the attacking addresses that the annotations name must be found. The logs are not part of this project.
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a table is printed, and a test stops where its ground is missing"
)]

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use vonggac_agent::format::{self, Context};
use vonggac_collector::{
    detect::{Detector, sigma::Matcher},
    record::Record,
    registry::Registry,
    rule::RuleSet,
};
use vonggac_wire::{AgencyId, AgentId, Batch, BatchHash, Event, Lane, Time, proto::Origin};

/// Attacks that are found, at least: what is measured today, it may only rise.
const FOUND_MIN: f64 = 0.58;

fn material() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/material/crowdsec/tests");
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: there is no {}", path.display());
    None
}

/// The addresses that an annotation calls attackers.
fn attackers(annotation: &str) -> BTreeSet<IpAddr> {
    annotation
        .lines()
        .filter(|line| line.contains("in results[") && line.contains("GetSources()"))
        .filter_map(|line| line.split('"').nth(1)?.parse().ok())
        .collect()
}

struct Centre {
    rules: Arc<RuleSet>,
    registry: Arc<Registry>,
    matcher: Arc<Matcher>,
}

impl Centre {
    fn new() -> Self {
        let rules = Arc::new(RuleSet::builtin().expect("the rules"));
        let matcher = Arc::new(Matcher::new(&rules).expect("compiled rules"));
        Self { rules, registry: Arc::new(Registry::builtin().expect("the registry")), matcher }
    }

    /// The addresses that signals of these lines name.
    fn found(&self, log: &str) -> BTreeSet<IpAddr> {
        let now = Time::now();
        let context = Context::at(now, jiff::tz::TimeZone::UTC);
        let mut detector = Detector::new(
            Arc::clone(&self.rules),
            Arc::clone(&self.registry),
            Arc::clone(&self.matcher),
        );
        let events: Vec<Event> = log
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| format::event("auto", line.as_bytes(), 0, &context).0)
            .collect();
        let mut found = BTreeSet::new();
        for (offset, events) in events.chunks(500).enumerate() {
            let record = Record {
                origin: Origin {
                    topic: "t".into(),
                    partition: 0,
                    offset: i64::try_from(offset).expect("small"),
                },
                appended: now,
                bytes: 0,
                known_events: 0,
                hash: BatchHash([0; 32]),
                batch: Batch {
                    agent: AgentId::new("a").expect("a name"),
                    agency: AgencyId::new("H49").expect("a code"),
                    host: "web-1".into(),
                    boot: [0; 16],
                    lane: Lane::Security,
                    first_seq: 1,
                    previous: None,
                    events: events.to_vec(),
                    simulated: false,
                    sealed: now,
                },
            };
            for signal in detector.apply(&record, now) {
                let entity = signal.entity.map(|entity| entity.value).unwrap_or_default();
                let named = [Some(&entity), signal.values.get("src_ip")];
                found.extend(
                    named.into_iter().flatten().filter_map(|text| text.parse::<IpAddr>().ok()),
                );
            }
        }
        found
    }
}

#[test]
fn attackers_that_others_name_are_found() {
    let Some(folder) = material() else { return };
    let centre = Centre::new();
    let (mut found, mut all) = (0, 0);
    let mut folders: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    for folder in folders {
        let name =
            folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Ok(annotation) = fs::read_to_string(folder.join("scenario.assert")) else { continue };
        let wanted = attackers(&annotation);
        let config = fs::read_to_string(folder.join("config.yaml")).unwrap_or_default();
        let file = config.lines().find_map(|line| line.strip_prefix("log_file:")).map(str::trim);
        let Some(bytes) = file.and_then(|file| fs::read(folder.join(file.trim_matches('"'))).ok())
        else {
            continue;
        };
        if wanted.is_empty() {
            continue;
        }
        let named = centre.found(&String::from_utf8_lossy(&bytes));
        let right = wanted.iter().filter(|address| named.contains(address)).count();
        (found, all) = (found + right, all + wanted.len());
        if right < wanted.len() {
            eprintln!("{name}: {right} of {} ({wanted:?})", wanted.len());
        }
    }
    let share = f64::from(u32::try_from(found).expect("small"))
        / f64::from(u32::try_from(all.max(1)).expect("small"));
    eprintln!("{found} of {all} attackers found: {:.1} %", share * 100.0);
    assert!(share >= FOUND_MIN, "{share}");
}
