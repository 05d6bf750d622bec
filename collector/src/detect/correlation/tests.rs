use std::{fs, time::Duration};

use proptest::prelude::*;
use rsigma_eval::{CorrelationConfig, CorrelationEngine};
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane, Time,
    event::{Body, Class, Status},
    proto::Origin,
};

use super::*;
use crate::{
    detect::{Detector, sigma::Matcher},
    registry::Registry,
    rule::RuleError,
};

const NOW: Time = Time::from_seconds(1_764_000_000);

/// Three rules that each find events of one kind.
const BASE: &str = "\
title: First
id: 11111111-1111-4111-8111-111111111111
name: first
logsource: {product: linux, service: auth}
detection: {sel: {kind: a}, condition: sel}
---
title: Second
id: 22222222-2222-4222-8222-222222222222
name: second
logsource: {product: linux, service: auth}
detection: {sel: {kind: b}, condition: sel}
---
title: Third
id: 33333333-3333-4333-8333-333333333333
name: third
logsource: {product: linux, service: auth}
detection: {sel: {kind: c}, condition: sel}
";

fn correlation(title: &str, of: &str) -> String {
    format!("---\ntitle: {title}\nname: {}\nlevel: high\ncorrelation:\n{of}", title.to_lowercase())
}

fn count(condition: &str) -> String {
    correlation(
        "Many",
        &format!(
            "  type: event_count\n  rules: [first]\n  group-by: [user]\n  timespan: 60s\n  condition: {condition}\n"
        ),
    )
}

fn loaded(files: &[(&str, &str)]) -> (RuleSet, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut rules = RuleSet::default();
    let refused = rules.add_folder(folder.path()).unwrap();
    (rules, refused.iter().map(RuleError::to_string).collect())
}

fn detector(text: &str) -> Detector {
    let (rules, refused) = loaded(&[("a.yml", text)]);
    assert!(refused.is_empty(), "{refused:?}");
    let matcher = Arc::new(Matcher::new(&rules).unwrap());
    Detector::new(Arc::new(rules), Arc::new(Registry::builtin().unwrap()), matcher)
}

fn activity(kind: &str, user: &str, number: u64) -> Activity {
    let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
    (activity.user_name, activity.service_name) = (user.into(), "sshd".into());
    activity.unmapped.insert("kind".into(), kind.into());
    activity.unmapped.insert("number".into(), number.to_string());
    activity.unmapped.insert("account".into(), user.into());
    activity
}

fn record(offset: i64, events: Vec<(i64, Activity)>) -> Record {
    let events = events
        .into_iter()
        .map(|(second, activity)| {
            let at = Time::from_seconds(1_764_000_000 + second);
            Event::new(at, at, Body::Activity(activity))
        })
        .collect();
    Record {
        origin: Origin { topic: "t".into(), partition: 0, offset },
        appended: NOW,
        bytes: 0,
        known: Default::default(),
        hash: BatchHash([0; 32]),
        seal: None,
        batch: Batch {
            agent: AgentId::new("a").unwrap(),
            agency: AgencyId::new("H49").unwrap(),
            host: "a".into(),
            boot: [0; 16],
            lane: Lane::Security,
            first_seq: 1,
            previous: None,
            events,
            simulated: false,
            sealed: NOW,
            ahead: false,
        },
    }
}

/// Rule and count of what one event after another is told to be.
fn told(detector: &mut Detector, events: &[(i64, &str, &str, u64)]) -> Vec<(usize, String, u64)> {
    let mut all = Vec::new();
    for (turn, (second, kind, user, number)) in events.iter().enumerate() {
        let offset = i64::try_from(turn).unwrap();
        let record = record(offset, vec![(*second, activity(kind, user, *number))]);
        let signals = detector.apply(&record, NOW);
        all.extend(signals.into_iter().map(|signal| (turn, signal.rule, signal.count)));
    }
    all
}

#[test]
fn events_are_counted_once_and_their_rules_are_not_told_beside() {
    let mut detector = detector(&format!("{BASE}{}", count("{gte: 3}")));
    let of = |turn, events| (turn, "many".to_owned(), events);
    let events =
        [(0, "a", "x", 1), (1, "a", "y", 1), (2, "a", "x", 1), (3, "a", "x", 1), (4, "a", "x", 1)];
    assert_eq!(told(&mut detector, &events), [of(3, 3), of(4, 1)]);
    // A minute later it begins anew.
    let later = [(70, "a", "x", 1), (71, "a", "x", 1), (72, "a", "x", 1)];
    assert_eq!(told(&mut detector, &later), [of(2, 3)]);
    // Several of one record are one signal with their count.
    let at_once = (0..5).map(|n| (200 + n, activity("a", "z", 1))).collect();
    let signals = detector.apply(&record(9, at_once), NOW);
    assert_eq!((signals.len(), signals[0].count, signals[0].evidence.len()), (1, 5, 5));
    assert_eq!(signals[0].group, "H49 z");
}

#[test]
fn events_out_of_order_count_by_their_own_time_and_late_ones_are_told() {
    let mut detector = detector(&format!("{BASE}{}", count("{gte: 3}")));
    // The second is older than the first, within the span; the third lies behind it and is late.
    let events = [(100, "a", "x", 1), (50, "a", "x", 1), (20, "a", "x", 1), (90, "a", "x", 1)];
    assert_eq!(told(&mut detector, &events), [(3, "many".to_owned(), 3)]);
    assert_eq!(detector.lost(), Lost { evicted: 0, late: 1 });
}

#[test]
fn a_partition_that_is_read_again_tells_the_same() {
    let text = format!("{BASE}{}", count("{gte: 4}"));
    let events: Vec<_> = (0..30).map(|n| (n * 7, "a", "x", 1)).collect();
    let whole = told(&mut detector(&text), &events);
    assert!(whole.len() > 3);
    // The second collector reads the last fifteen minutes again and throws away what it says of them.
    let mut second = detector(&text);
    let replayed: Vec<_> = told(&mut second, &events[..17]);
    let rest: Vec<_> = told(&mut second, &events[17..])
        .into_iter()
        .map(|(n, rule, c)| (n + 17, rule, c))
        .collect();
    assert_eq!([replayed, rest].concat(), whole);
}

#[test]
fn rules_in_order_aliases_and_correlations_of_correlations_are_counted() {
    let ordered = correlation(
        "Ordered",
        "  type: temporal_ordered\n  rules: [first, second]\n  group-by: [who]\n  timespan: 5m\n  aliases:\n    who:\n      first: user\n      second: account\n",
    );
    let over = correlation(
        "Above",
        "  type: temporal\n  rules: [ordered, third]\n  group-by: [user]\n  timespan: 10m\n",
    );
    let mut detector = detector(&format!("{BASE}{ordered}{over}"));
    let wrong = told(&mut detector, &[(0, "b", "x", 1), (1, "a", "x", 1)]);
    assert!(wrong.is_empty(), "{wrong:?}");
    let right = told(&mut detector, &[(2, "b", "x", 1), (3, "c", "x", 1)]);
    // The lower one is told by the higher one alone.
    assert_eq!(right.iter().map(|(_, rule, _)| rule.as_str()).collect::<Vec<_>>(), ["above"]);
    let told_too =
        format!("{BASE}{ordered}{}", over.replace("group-by", "generate: true\n  group-by"));
    let mut detector = self::detector(&told_too);
    let all = told(&mut detector, &[(0, "a", "x", 1), (1, "b", "x", 1), (2, "c", "x", 1)]);
    let names: Vec<&str> = all.iter().map(|(_, rule, _)| rule.as_str()).collect();
    assert!(names.contains(&"ordered") && names.contains(&"above"), "{names:?}");
}

#[test]
fn a_percentile_asks_its_condition() {
    let text = correlation(
        "Slow",
        "  type: value_percentile\n  rules: [first]\n  timespan: 5m\n  condition: {field: number, percentile: 90, gte: 50}\n",
    );
    let mut detector = detector(&format!("{BASE}{text}"));
    assert_eq!(told(&mut detector, &[(0, "a", "x", 1), (1, "a", "x", 2)]), []);
    let told = told(&mut detector, &[(2, "a", "x", 900), (3, "a", "x", 900)]);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn filters_hold_rules_of_others_back_and_theirs_alone() {
    let filter = "---\ntitle: Not Lan\nlogsource: {service: auth}\nfilter:\n  rules: [first]\n  selection: {user: lan}\n  condition: not selection\n";
    let elsewhere = filter
        .replace("service: auth", "category: webserver")
        .replace("Lan", "Web")
        .replace("user: lan", "user: minh");
    let mut detector = detector(&format!("{BASE}{filter}{elsewhere}"));
    let told = told(&mut detector, &[(0, "a", "lan", 1), (1, "a", "minh", 1), (2, "b", "lan", 1)]);
    assert_eq!(told.iter().map(|(turn, ..)| *turn).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_would_match_all_or_hold_endless_state_is_refused_by_name() {
    let head = "logsource: {product: linux}\n";
    let all = format!(
        "title: Everything\n{head}detection: {{sel: {{nowhere: b}}, condition: not sel}}\n"
    );
    let unknown = count("{gte: 3}").replace("[first]", "[nobody]");
    let endless = count("{gte: 3}").replace("60s", "30d").replace("Many", "Endless");
    let heavy = count("{gte: 90000}").replace("Many", "Heavy");
    let mixed =
        format!("{BASE}---\nvonggac: {{rule: a-b, severity: 3, title_vi: a, title_en: b}}\n");
    let (rules, refused) = loaded(&[
        ("a.yml", BASE),
        ("b.yml", &all),
        ("c.yml", unknown.trim_start_matches("---\n")),
        ("d.yml", endless.trim_start_matches("---\n")),
        ("e.yml", heavy.trim_start_matches("---\n")),
        ("f.yml", &mixed),
    ]);
    assert_eq!(rules.rules().len(), 3, "{refused:?}");
    let told = |file: &str, reason: &str| {
        assert!(
            refused.iter().any(|text| text.contains(file) && text.contains(reason)),
            "{file} {reason}: {refused:?}"
        );
    };
    told("b.yml", "everything would match every event");
    told("c.yml", "there is no rule 'nobody'");
    told("d.yml", "between one second and seven days");
    told("e.yml", "more than 50000 events");
    told("f.yml", "stands in a file with one rule");
}

#[test]
fn a_document_that_is_said_again_with_another_detection_is_another_rule() {
    let text = "title: Twice\naction: global\nlogsource: {product: linux}\n---\ndetection: {sel: {kind: a}, condition: sel}\n---\ndetection: {sel: {kind: b}, condition: sel}\n";
    let (rules, refused) = loaded(&[("a.yml", text)]);
    assert!(refused.is_empty(), "{refused:?}");
    let names: Vec<&str> = rules.rules().iter().map(|rule| rule.meta.rule.as_str()).collect();
    assert_eq!(names, ["twice", "twice-2"]);
}

#[test]
fn two_published_rules_of_one_title_are_two_and_one_of_the_same_id_is_one() {
    let of = |id: &str| {
        format!(
            "title: Same\nid: {id}\nlogsource: {{product: linux}}\ndetection: {{sel: {{kind: a}}, condition: sel}}\n"
        )
    };
    let one = of("aaaaaaaa-1111-4111-8111-111111111111");
    let other = of("bbbbbbbb-1111-4111-8111-111111111111");
    let (rules, refused) = loaded(&[("a.yml", &one), ("b.yml", &other), ("c.yml", &one)]);
    let names: Vec<&str> = rules.rules().iter().map(|rule| rule.meta.rule.as_str()).collect();
    assert_eq!(names, ["same", "same-bbbbbbbb"]);
    assert!(refused.len() == 1 && refused[0].contains("c.yml"), "{refused:?}");
}

#[test]
fn groups_beyond_the_limit_are_forgotten_from_the_quietest_and_counted() {
    let (rules, _) = loaded(&[("a.yml", &format!("{BASE}{}", count("{gte: 2}")))]);
    let matcher = Matcher::new(&rules).unwrap();
    let mut all = Correlations::new(&Arc::new(rules.clone()));
    all.groups_max = 10;
    for user in 0..11 {
        let record = record(user, vec![(user, activity("a", &format!("u{user}"), 1))]);
        let event = &record.batch.events[0];
        let activity = event.activity().unwrap();
        all.matched(&rules, &matcher.matches(event, activity), &record, 0, event, activity);
    }
    all.begin();
    assert_eq!((all.len(), all.lost()), (5, Lost { evicted: 6, late: 0 }));
    assert!(all.groups.keys().any(|(_, group)| group.ends_with("u10")));
}

#[test]
fn events_of_all_groups_together_are_bounded_however_few_groups_there_are() {
    let (rules, _) = loaded(&[("a.yml", &format!("{BASE}{}", count("{gte: 200}")))]);
    let matcher = Matcher::new(&rules).unwrap();
    let mut all = Correlations::new(&Arc::new(rules.clone()));
    all.entries_max = 1_000;
    let mut most = 0;
    for turn in 0..900_i64 {
        all.begin();
        let record = record(turn, vec![(turn / 100, activity("a", &format!("u{}", turn / 90), 1))]);
        let event = &record.batch.events[0];
        let activity = event.activity().unwrap();
        all.matched(&rules, &matcher.matches(event, activity), &record, 0, event, activity);
        let held: usize = all.groups.values().map(Group::entries).sum();
        assert_eq!(held, all.entries, "turn {turn}");
        most = most.max(held);
    }
    assert!(most <= 1_002 && most > 900, "{most}");
    assert!(all.lost().evicted >= 2 && all.len() < 10, "{:?}", all.lost());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn a_plain_engine_fires_at_the_same_events_where_they_come_in_order(
        steps in proptest::collection::vec((0_i64..40, 0_usize..3, 0_usize..2, 0_u64..5), 1..60),
        kind in 0_usize..6,
    ) {
        let of = [
            "  type: event_count\n  rules: [first, second]\n  group-by: [user]\n  timespan: 60s\n  condition: {gte: 3}\n",
            "  type: value_count\n  rules: [first]\n  group-by: [user]\n  timespan: 60s\n  condition: {field: number, gte: 3}\n",
            "  type: temporal\n  rules: [first, second, third]\n  group-by: [user]\n  timespan: 60s\n  condition: first and (second or third)\n",
            "  type: temporal_ordered\n  rules: [first, second, third]\n  group-by: [user]\n  timespan: 60s\n",
            "  type: value_sum\n  rules: [first]\n  group-by: [user]\n  timespan: 60s\n  condition: {field: number, gt: 7}\n",
            "  type: value_avg\n  rules: [first, third]\n  timespan: 60s\n  condition: {field: number, gte: 3}\n",
        ][kind];
        let text = format!("{BASE}{}", correlation("It", of));
        let collection = rsigma_parser::parse_sigma_yaml(&text).unwrap();
        let mut plain = CorrelationEngine::new(CorrelationConfig::default());
        plain.add_collection(&collection).unwrap();
        let mut ours = detector(&text);
        let mut second = 0;
        for (turn, (step, kind, user, number)) in steps.into_iter().enumerate() {
            second += step;
            let activity = activity(["a", "b", "c"][kind], ["x", "y"][user], number);
            let record = record(i64::try_from(turn).unwrap(), vec![(second, activity.clone())]);
            let event = &record.batch.events[0];
            let results = plain.process_event_at(&View::new(event, &activity), event.time().seconds());
            let wanted = results.iter().any(|result| result.header.rule_title == "It");
            let signals = ours.apply(&record, NOW.plus(Duration::ZERO));
            prop_assert_eq!(signals.iter().any(|signal| signal.rule == "it"), wanted, "turn {}", turn);
        }
    }
}
