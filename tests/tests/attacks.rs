//! Logs of attacks that others have judged, through the agent's formats and the collector's detection: each attack is found, with
//! the address it came from. The logs are not part of this project; without them the test says so and passes.
#![expect(
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a table is printed, and a test stops where its ground is missing"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::tz::TimeZone;
use regex::Regex;
use vonggac_agent::format::{self, Context, connection::Connections, join::Joiner};
use vonggac_collector::{
    detect::{Detector, sigma::Matcher},
    record::Record,
    registry::Registry,
    rule::RuleSet,
};
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane, Time,
    limits::RAW_BYTES_MAX,
    proto::{Origin, Signal},
};

/// Events of one record: small, so that attacks lie over several.
const RECORD_EVENTS: usize = 20;

/// What is measured today; it may only get better.
const FOUND_MIN: f64 = 0.95;

/// Kinds of log that the agent has a format for.
const LISTED: [&str; 26] = [
    "syslog",
    "nginx",
    "apache2",
    "nginx-proxy-manager",
    "auditd",
    "modsecurity",
    "caddy",
    "traefik",
    "postgres",
    "mysql",
    "mongodb",
    "exim",
    "proftpd",
    "openvpn",
    "fortinet",
    "palo-alto-threat",
    "gitlab",
    "grafana",
    "exchange-imap",
    "exchange-pop",
    "k8s-audit",
    "containerd",
    "keycloak",
    "nextcloud",
    "aws-alb",
    "haproxy",
];

/// Logs in syslog of programs that the agent has no format for, and judgements that need what the log does not hold (a country, a
/// published list of addresses).
const NOT_LISTED: [&str; 15] = [
    "zoneminder_cve-39290",
    "zoneminder_cve-39291",
    "http-generic-test",
    "configserver-lfd-logs",
    "mailscanner-blacklisted",
    "proxmox-bf",
    "radarr-bf",
    "sonarr-bf",
    "jellyfin-syslog-bf",
    "sympa_ww-http-scan",
    "sshd-impossible-travel",
    "endlessh-syslogs",
    "dovecot-spam",
    "calibre-web-whitelist",
    "overseerr-whitelist",
];

#[path = "../material.rs"]
mod material;

use material::material;

/// One judged log.
struct Case {
    name: String,
    listed: bool,
    lines: PathBuf,
    /// What was found there by those who judged it.
    scenarios: BTreeSet<String>,
    sources: BTreeSet<String>,
    /// Nothing is to be found.
    quiet: bool,
}

fn case(folder: &Path) -> Option<Case> {
    let name = folder.file_name()?.to_string_lossy().into_owned();
    let judged = fs::read_to_string(folder.join("scenario.assert")).ok()?;
    let settings = fs::read_to_string(folder.join("config.yaml")).ok()?;
    let setting = |key: &str| {
        let found = settings.lines().find_map(|line| line.trim().strip_prefix(key));
        found.map(|value| value.trim_start_matches(':').trim().to_owned())
    };
    let all = |expression: &str| {
        let expression = Regex::new(expression).expect("an expression");
        let found = expression.captures_iter(&judged).map(|found| found[1].to_owned());
        found.collect::<BTreeSet<String>>()
    };
    // A source that is no address (a process, an account) asks only that the attack is told.
    let mut sources = all(r#"Sources\["([^"]+)"\]\.IP"#);
    sources.retain(|source| source.parse::<IpAddr>().is_ok());
    let scenarios = all(r#"GetScenario\(\) == "([^"]+)""#);
    if judged.trim().is_empty() {
        return None;
    }
    let kind = setting("log_type")?;
    Some(Case {
        listed: LISTED.contains(&kind.as_str()) && !NOT_LISTED.contains(&name.as_str()),
        lines: folder.join(setting("log_file")?),
        quiet: scenarios.is_empty(),
        name,
        scenarios,
        sources,
    })
}

fn events(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap_or_default();
    // The annotated logs are of some year; the last moment of it serves for lines without one.
    let observed: Time = "2026-11-24T10:00:00Z".parse().expect("a time");
    let mut context = Context::at(observed, TimeZone::UTC);
    let (mut joiner, mut connections) = (Joiner::default(), Connections::default());
    let mut events = Vec::new();
    let mut lines: Vec<Option<&[u8]>> = bytes.split(|byte| *byte == b'\n').map(Some).collect();
    lines.push(None);
    for line in lines {
        let joined = match line {
            Some(line) => joiner.push(&line[..line.len().min(RAW_BYTES_MAX)], 0, observed),
            None => joiner.finish(),
        };
        for joined in joined.into_iter().filter(|joined| !joined.text.is_empty()) {
            let (event, _) = format::event("auto", &joined.text, joined.cut_bytes, &context);
            events.push(connections.complete("", event));
        }
        if context.columns() != joiner.header() {
            context = context.with_columns(joiner.header());
        }
    }
    events
}

/// All signals about a log.
fn signals(rules: &Arc<RuleSet>, matcher: &Arc<Matcher>, events: &[Event]) -> Vec<Signal> {
    let registry = Arc::new(Registry::builtin().expect("a registry"));
    let mut detector = Detector::new(Arc::clone(rules), registry, Arc::clone(matcher));
    let mut signals = Vec::new();
    for (offset, events) in events.chunks(RECORD_EVENTS).enumerate() {
        let now = events.last().map_or(Time::from_seconds(0), Event::time);
        let record = Record {
            origin: Origin {
                topic: "t".into(),
                partition: 0,
                offset: i64::try_from(offset).expect("few"),
            },
            appended: now,
            bytes: 0,
            known: Default::default(),
            hash: BatchHash([0; 32]),
            seal: None,
            batch: Batch {
                agent: AgentId::new("host-1").expect("an agent"),
                agency: AgencyId::new("H49").expect("an agency"),
                host: "host-1".into(),
                boot: [0; 16],
                lane: Lane::Security,
                first_seq: 1,
                previous: None,
                events: events.to_vec(),
                simulated: false,
                sealed: now,
                ahead: false,
            },
        };
        signals.extend(detector.apply(&record, now));
    }
    signals
}

fn of(signal: &Signal, source: &str) -> bool {
    signal.entity.as_ref().is_some_and(|entity| entity.value == source)
        || signal.values.get("src_ip").is_some_and(|address| address == source)
}

#[test]
fn attacks_that_others_have_judged_are_found_with_the_address_they_come_from() {
    let Some(folder) = material("crowdsec/tests") else { return };
    let rules = Arc::new(RuleSet::builtin().expect("rules"));
    let matcher = Arc::new(Matcher::new(&rules).expect("a matcher"));
    // found, missed; of listed kinds and of the others
    let mut counts: BTreeMap<bool, (usize, usize)> = BTreeMap::new();
    let mut folders: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    for case in folders.iter().filter_map(|folder| case(folder)) {
        let events = events(&case.lines);
        let signals = signals(&rules, &matcher, &events);
        let told: BTreeSet<&str> = signals.iter().map(|signal| signal.rule.as_str()).collect();
        let mark = if case.listed { "" } else { " (no format of ours)" };
        if case.quiet {
            if !signals.is_empty() {
                eprintln!("{}{mark}: judged quiet, we say {told:?}", case.name);
            }
            continue;
        }
        let counts = counts.entry(case.listed).or_default();
        let missed: Vec<&String> = case
            .sources
            .iter()
            .filter(|source| !signals.iter().any(|signal| of(signal, source)))
            .collect();
        let nothing = case.sources.is_empty() && signals.is_empty();
        counts.0 += case.sources.len().max(1) - missed.len() - usize::from(nothing);
        counts.1 += missed.len() + usize::from(nothing);
        if nothing || !missed.is_empty() {
            eprintln!(
                "{}{mark}: {:?} missed {missed:?}, we say {told:?}",
                case.name, case.scenarios
            );
        } else {
            eprintln!("{}{mark}: found, {told:?}", case.name);
        }
    }
    for (listed, (found, missed)) in &counts {
        let share = *found as f64 / (found + missed).max(1) as f64 * 100.0;
        eprintln!("listed {listed}: {found} found, {missed} missed: {share:.1} %");
    }
    let (found, missed) = counts.get(&true).copied().unwrap_or_default();
    let share = found as f64 / (found + missed).max(1) as f64;
    assert!(share >= FOUND_MIN, "{share}");
}
