use std::{
    fs,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane,
    event::{
        Activity, Check, CheckOutcome, Class, Dossier, Gap, GapReason, Heartbeat, HttpRequest,
        Status,
    },
};

use super::*;
use crate::threat::reload::Threats;

const NOW: Time = Time::from_seconds(1_764_000_000);

/// An agent never gives a number twice.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Compiled once: a hundred expressions take a while.
static COMPILED: LazyLock<(Arc<RuleSet>, Arc<Matcher>)> = LazyLock::new(|| {
    let rules = Arc::new(RuleSet::builtin().unwrap());
    let threats = Threats::of(Arc::new(crate::threat::example()), Time(0));
    let matcher = Matcher::new(&rules).unwrap().with_threats(threats);
    (rules, Arc::new(matcher))
});

fn detector() -> Detector {
    let (rules, matcher) = &*COMPILED;
    Detector::new(Arc::clone(rules), Arc::new(Registry::builtin().unwrap()), Arc::clone(matcher))
}

fn record(agency: &str, agent: &str, offset: i64, at: Time, bodies: Vec<(Body, &str)>) -> Record {
    let events: Vec<Event> = bodies
        .into_iter()
        .map(|(body, system)| Event::new(at, at, body).with_system(system))
        .collect();
    Record {
        origin: Origin { topic: "t".into(), partition: 0, offset },
        appended: at,
        bytes: 0,
        known: Default::default(),
        hash: BatchHash([0; 32]),
        seal: None,
        batch: Batch {
            agent: AgentId::new(agent).unwrap(),
            agency: AgencyId::new(agency).unwrap(),
            host: agent.into(),
            boot: [0; 16],
            lane: Lane::Security,
            first_seq: NUMBERS.fetch_add(1_000, Ordering::Relaxed),
            previous: None,
            events,
            simulated: false,
            sealed: at,
            ahead: false,
        },
    }
}

#[test]
fn every_rule_fires_on_its_examples_and_is_quiet_on_the_others() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for rule in COMPILED.0.rules() {
        let whole = rule.meta.part_of.as_ref().or(rule.meta.incident.as_ref());
        let name = whole.unwrap_or(&rule.meta.rule).as_str();
        for (examples, wanted) in
            [(&rule.meta.examples.fire, true), (&rule.meta.examples.quiet, false)]
        {
            for example in examples {
                let bodies = (1..=example.times)
                    .map(|turn| {
                        let text = example.activity.to_string();
                        let text = text.replace("{n}", &turn.to_string());
                        let text = text.replace("\"#n\"", &turn.to_string());
                        let activity: Activity = serde_json::from_str(&text).unwrap();
                        (Body::Activity(activity), "")
                    })
                    .collect();
                let signals = detector().apply(&record("H49", "web-1", 1, NOW, bodies), NOW);
                let fired = signals.iter().any(|signal| signal.rule == name);
                if fired != wanted {
                    wrong.push(format!("{} {wanted}: {}", rule.meta.rule, example.activity));
                }
                seen += 1;
            }
        }
    }
    assert!(seen >= 120, "{seen} examples");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn failed(address: &str) -> (Body, &'static str) {
    let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
    activity.service_name = "sshd".into();
    activity.set_source_address(address.parse().unwrap());
    (Body::Activity(activity), "")
}

#[test]
fn the_record_that_crosses_the_threshold_counts_the_whole_window_and_each_later_one_its_own() {
    let mut detector = detector();
    let mut counts = Vec::new();
    for offset in 0..5 {
        let bodies = (0..4).map(|_| failed("203.0.113.77")).collect();
        let signals = detector.apply(&record("H49", "web-1", offset, NOW, bodies), NOW);
        let of_rule = signals.iter().filter(|signal| signal.rule == "ssh-brute-force");
        counts.push(of_rule.map(|signal| signal.count).sum::<u64>());
    }
    assert_eq!(counts, [0, 8, 4, 4, 4]);
}

#[test]
fn a_log_in_after_the_brute_force_is_a_signal_of_its_own() {
    let mut detector = detector();
    detector.apply(
        &record("H49", "web-1", 1, NOW, (0..9).map(|_| failed("203.0.113.77")).collect()),
        NOW,
    );
    let mut success = Activity::of(Class::Authentication, 1, Status::Success);
    success.service_name = "sshd".into();
    success.set_source_address("203.0.113.77".parse().unwrap());
    let signals =
        detector.apply(&record("H49", "web-1", 2, NOW, vec![(Body::Activity(success), "")]), NOW);
    assert_eq!(signals[0].rule, "ssh-success-after-brute-force");
    assert_eq!(signals[0].severity, 1);
}

#[test]
fn log_ins_that_succeed_do_not_keep_a_brute_force_going() {
    let mut detector = detector();
    let mut told = |offset: i64, bodies| {
        let at = NOW.plus(Duration::from_secs(offset.unsigned_abs()));
        let signals = detector.apply(&record("H49", "web-1", offset, at, bodies), at);
        signals.iter().filter(|signal| signal.rule == "ssh-brute-force").count()
    };
    assert_eq!(told(0, (0..9).map(|_| failed("203.0.113.77")).collect()), 1);
    // An office behind one address, where somebody logs in every few minutes.
    for turn in 1..10 {
        let mut success = Activity::of(Class::Authentication, 1, Status::Success);
        success.service_name = "sshd".into();
        success.user_name = "lan".into();
        success.set_source_address("203.0.113.77".parse().unwrap());
        told(turn * 300, vec![(Body::Activity(success), "")]);
    }
    assert_eq!(told(3_000, vec![failed("203.0.113.77")]), 0, "a mistype, fifty minutes later");
}

fn check(outcome: CheckOutcome) -> Body {
    Body::Check(Check {
        name: "portal".into(),
        target: "http://a/".into(),
        outcome: outcome.into(),
        ..Check::default()
    })
}

#[test]
fn two_failures_are_down_and_one_answer_is_back() {
    let mut detector = detector();
    let mut rules = Vec::new();
    for (offset, outcome) in [
        CheckOutcome::Up,
        CheckOutcome::Down,
        CheckOutcome::Down,
        CheckOutcome::Down,
        CheckOutcome::Up,
    ]
    .into_iter()
    .enumerate()
    {
        let offset = i64::try_from(offset).unwrap();
        for signal in detector.apply(
            &record("local", "me", offset, NOW, vec![(check(outcome), "local-machine")]),
            NOW,
        ) {
            rules.push((offset, signal.rule.clone(), signal.kind()));
        }
    }
    assert_eq!(
        rules,
        [
            (2, "service-down".into(), SignalKind::Raised),
            (4, "service-down".into(), SignalKind::Cleared)
        ]
    );
}

fn beat() -> Body {
    Body::Heartbeat(Heartbeat { interval_seconds: 10.0, ..Heartbeat::default() })
}

#[test]
fn silence_is_seen_after_three_heartbeats_and_an_agency_is_one_incident() {
    let mut detector = detector();
    detector.tick(NOW);
    for seconds in (0..60).step_by(10) {
        let at = NOW.plus(Duration::from_secs(seconds));
        for agent in ["a", "b", "c"] {
            detector.apply(
                &record("tk-12", agent, i64::try_from(seconds).unwrap(), at, vec![(beat(), "")]),
                at,
            );
        }
        assert!(detector.tick(at).is_empty());
    }
    let mut told = Vec::new();
    for seconds in 51..120 {
        for signal in detector.tick(NOW.plus(Duration::from_secs(seconds))) {
            told.push((seconds, signal.rule.clone(), signal.agency.clone()));
        }
    }
    assert_eq!(told, [(78, "agency-silent".into(), "tk-12".into())]);
    let at = NOW.plus(Duration::from_secs(120));
    let back = detector.apply(&record("tk-12", "a", 500, at, vec![(beat(), "")]), at);
    assert!(
        back.iter()
            .any(|signal| signal.rule == "agency-silent" && signal.kind() == SignalKind::Cleared)
    );
}

#[test]
fn a_portal_that_answers_while_nobody_files_is_found_and_a_dead_one_is_not() {
    for (up, wanted) in [(true, 1), (false, 0)] {
        let mut detector = detector();
        let dossier = || {
            Body::Dossier(Dossier {
                step: "received".into(),
                online: Some(true),
                ..Dossier::default()
            })
        };
        let outcome =
            |seconds| if up || seconds < 120 { CheckOutcome::Up } else { CheckOutcome::Down };
        let mut found = 0;
        for seconds in 0_u32..200 {
            let at = NOW.plus(Duration::from_secs(seconds.into()));
            let mut bodies = Vec::new();
            if seconds < 120 {
                bodies.push((dossier(), "agency-one-stop"));
            }
            if seconds % 10 == 0 {
                bodies.push((beat(), ""));
                bodies.push((check(outcome(seconds)), "agency-one-stop"));
            }
            detector.apply(&record("tk-48", "web-1", seconds.into(), at, bodies), at);
            found += detector
                .tick(at)
                .iter()
                .filter(|signal| signal.rule == "portal-without-use")
                .count();
        }
        assert_eq!(found, wanted, "up: {up}");
    }
}

fn attacks(url: &str, agent: &str) -> bool {
    let mut activity = Activity::of(Class::Http, 3, Status::Success);
    activity.http =
        Some(HttpRequest { url: url.into(), user_agent: agent.into(), ..HttpRequest::default() });
    let event = Event::new(NOW, NOW, Body::Activity(activity.clone()));
    let (rules, matcher) = &*COMPILED;
    let found = matcher.matches(&event, &activity);
    found.iter().any(|found| rules.rules()[found.rule].meta.part_of.is_some())
}

#[test]
fn ten_thousand_ordinary_requests_stay_nearly_silent() {
    let Some(path) = others::material("elastic-examples/apache_logs/apache_logs") else { return };
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let pattern =
        regex::Regex::new("\"[A-Z]+ (\\S+)[^\"]*\" \\d+ \\S+ \"[^\"]*\" \"([^\"]*)\"").unwrap();
    let found: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let request = pattern.captures(line)?;
            attacks(&request[1], &request[2]).then(|| request[1].to_owned())
        })
        .collect();
    eprintln!("of 10000 requests {} look like an attack: {found:#?}", found.len());
    assert!(found.len() <= 10);
}

#[test]
fn most_injection_strings_of_another_project_are_seen() {
    let Some(folder) = others::material("payloadbox-sqli") else { return };
    let (mut all, mut seen) = (0_u32, 0_u32);
    let mut stack = vec![folder];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            for line in String::from_utf8_lossy(&fs::read(&path).unwrap())
                .lines()
                .filter(|line| line.len() > 3)
            {
                all += 1;
                seen += u32::from(attacks(&format!("/?q={line}"), ""));
            }
        }
    }
    eprintln!("injection strings seen: {seen} of {all}");
    assert!(all > 0 && seen * 2 > all);
}

#[test]
fn slow_attempts_and_many_accounts_are_found_and_fast_ones_are_told_once() {
    let told = |seconds: u64, users: u64| {
        let mut detector = detector();
        let mut told: Vec<String> = Vec::new();
        for turn in 0..12_u64 {
            let at = NOW.plus(Duration::from_secs(turn * seconds));
            let (Body::Activity(mut activity), _) = failed("203.0.113.77") else { return told };
            activity.user_name = format!("u{}", turn % users);
            let record = record(
                "H49",
                "web-1",
                turn.try_into().unwrap(),
                at,
                vec![(Body::Activity(activity), "")],
            );
            told.extend(detector.apply(&record, at).into_iter().map(|signal| signal.rule));
        }
        told.dedup();
        told
    };
    assert_eq!(told(1, 1), ["ssh-brute-force"]);
    assert_eq!(told(1, 12), ["ssh-brute-force"]);
    assert_eq!(told(600, 1), ["slow-brute-force"]);
    let both = told(280, 12);
    assert!(both.contains(&"slow-brute-force".to_owned()), "{both:?}");
    assert!(both.contains(&"password-spraying".to_owned()), "{both:?}");
}

#[test]
fn an_address_is_one_web_incident_whatever_it_tries() {
    let mut detector = detector();
    let requests = [
        "/?id=1%27%20or%201=1--",
        "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/a?f=../../../../etc/passwd",
        "/x?a=;cat%20/etc/hostname",
    ];
    let mut signals = Vec::new();
    for (offset, url) in requests.iter().chain(&requests).enumerate() {
        let mut activity = Activity::of(Class::Http, 3, Status::Failure);
        activity.set_source_address("203.0.113.9".parse().unwrap());
        activity.http =
            Some(HttpRequest { url: (*url).into(), status_code: 404, ..HttpRequest::default() });
        let offset = i64::try_from(offset).unwrap();
        let record = record("H49", "web-1", offset, NOW, vec![(Body::Activity(activity), "")]);
        signals.extend(detector.apply(&record, NOW));
    }
    assert!(signals.iter().all(|signal| signal.rule == "web-attack"), "{signals:?}");
    assert_eq!(signals.iter().map(|signal| signal.count).sum::<u64>(), 8);
    assert_eq!(signals[0].values["kinds"], "SQL injection");
}

#[test]
fn hosts_of_two_agencies_that_share_a_name_are_two() {
    let mut detector = detector();
    let tried = |agency: &str, offset: i64, from: u32| {
        let bodies = (from..from + 11).map(|n| {
            let (body, system) = failed(&format!("203.0.113.{n}"));
            let Body::Activity(mut activity) = body else { return (body, system) };
            activity.user_name = "quantri".into();
            (Body::Activity(activity), system)
        });
        record(agency, "web-1", offset, NOW, bodies.collect())
    };
    let mut fired = detector.apply(&tried("H49", 1, 1), NOW);
    fired.extend(detector.apply(&tried("H57", 2, 100), NOW));
    assert!(fired.iter().all(|signal| signal.rule != "distributed-brute-force"), "{fired:?}");
    let fired = detector.apply(&tried("H49", 3, 50), NOW);
    let found = fired.iter().find(|signal| signal.rule == "distributed-brute-force").unwrap();
    assert_eq!(found.group, "H49/quantri@web-1");
}

/// Fresh events came first, and behind them what an outage had held back, hours older.
#[test]
fn an_attack_in_a_backlog_is_found_and_not_mixed_with_what_happens_now() {
    let hour = Duration::from_secs(3_600);
    let of = |signals: Vec<Signal>| -> u64 {
        let found = signals.into_iter().filter(|signal| signal.rule == "ssh-brute-force");
        found.map(|signal| signal.count).sum()
    };
    let tries = |count: usize| (0..count).map(|_| failed("203.0.113.77")).collect::<Vec<_>>();
    let mut detector = detector();
    let mut told = |offset, at: Time, count| {
        let mut record = record("H49", "web-1", offset, at, tries(count));
        record.appended = NOW;
        of(detector.apply(&record, NOW))
    };
    assert_eq!(told(1, NOW, 4), 0);
    assert_eq!(told(2, NOW.minus(hour), 4), 0, "eight, but an hour apart");
    assert_eq!(told(3, NOW.minus(hour), 4), 8, "eight of an hour ago");
    assert_eq!(told(4, NOW.plus(Duration::from_secs(1)), 4), 8, "eight of now");
    assert_eq!(told(5, NOW.minus(2 * hour), 9), 0, "older than both");
    assert_eq!(told(6, NOW.minus(Duration::from_secs(30)), 1), 1, "out of order within the span");
    // Each is late for whichever rules it would have counted for.
    assert!(detector.lost().late >= 9, "{:?}", detector.lost());
}

#[test]
fn runs_of_a_backlog_change_nothing_of_what_newer_ones_say() {
    let mut detector = detector();
    let runs = |outcome, count: usize| {
        (0..count).map(|_| (check(outcome), "local-machine")).collect::<Vec<_>>()
    };
    // Read in this order, and sent in another.
    let older = record("local", "me", 3, NOW, vec![(beat(), "")]);
    let old = record("local", "me", 2, NOW, runs(CheckOutcome::Down, 5));
    let up = record("local", "me", 1, NOW, runs(CheckOutcome::Up, 1));
    assert_eq!(detector.apply(&up, NOW), []);
    assert_eq!(detector.apply(&old, NOW), [], "the service answers now");
    assert_eq!(detector.lost().late, 5);
    let down = record("local", "me", 4, NOW, runs(CheckOutcome::Down, 2));
    let told = detector.apply(&down, NOW);
    assert_eq!((told.len(), told[0].kind()), (1, SignalKind::Raised));
    assert_eq!(detector.apply(&older, NOW), []);
}

#[test]
fn dossiers_of_a_backlog_neither_end_a_pause_nor_make_one() {
    let mut detector = detector();
    let dossier = || {
        (
            Body::Dossier(Dossier {
                step: "received".into(),
                online: Some(true),
                ..Dossier::default()
            }),
            "agency-one-stop",
        )
    };
    let mut tell = |seconds: i64, now: Time, bodies: Vec<(Body, &str)>| {
        let at = Time::from_seconds(NOW.seconds() + seconds);
        let mut record = record("tk-48", "web-1", 1, at, bodies);
        record.appended = now;
        detector.apply(&record, now);
        let told = detector.tick(now);
        told.iter().filter(|signal| signal.rule == "portal-without-use").count()
    };
    for seconds in 0..120 {
        let now = NOW.plus(Duration::from_secs(seconds));
        // One a second, and with each one of a minute before it.
        let seconds = i64::try_from(seconds).unwrap();
        assert_eq!(tell(seconds, now, vec![dossier(), (beat(), "")]), 0);
        assert_eq!(tell(seconds - 60, now, vec![dossier()]), 0);
        assert_eq!(tell(seconds - 7_200, now, vec![dossier()]), 0);
    }
    let mut raised = 0;
    for seconds in 120..200 {
        let now = NOW.plus(Duration::from_secs(seconds));
        let up = vec![(check(CheckOutcome::Up), "agency-one-stop"), (beat(), "")];
        raised += tell(i64::try_from(seconds).unwrap(), now, up);
        raised += tell(60, now, vec![dossier()]);
    }
    assert_eq!(raised, 1, "old ones go on coming, and end nothing");
}

#[test]
fn a_log_that_was_cut_opens_an_incident_and_a_gap_of_the_spool_does_not() {
    let cut = |reason: GapReason, bytes| {
        (Body::Gap(Gap { reason: reason.into(), bytes, ..Gap::default() }), "")
    };
    let of = |bodies| {
        let mut record = record("H49", "web-1", 7, NOW, bodies);
        for event in &mut record.batch.events {
            *event = event.clone().with_source("/var/log/auth.log", 0);
        }
        detector().apply(&record, NOW)
    };
    let signals = of(vec![cut(GapReason::Truncation, 512)]);
    let [signal] = signals.as_slice() else { panic!("{signals:?}") };
    assert_eq!((signal.rule.as_str(), signal.group.as_str()), ("log-cut", "H49/web-1"));
    assert_eq!(signal.entity.as_ref().unwrap().value, "H49/web-1/var/log/auth.log");
    assert_eq!((signal.values["bytes"].as_str(), signal.evidence.len()), ("512", 1));
    let unknown = of(vec![cut(GapReason::Truncation, 0)]);
    assert_eq!(unknown[0].values["bytes"], "?");
    for reason in [GapReason::Overflow, GapReason::Damage, GapReason::Removed] {
        assert_eq!(of(vec![cut(reason, 512)]), []);
    }
}
