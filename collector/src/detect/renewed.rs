//! Rules that change while something is being counted.

use std::fs;

use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane,
    event::{Activity, Class, Status},
};

use super::*;

const NOW: Time = Time::from_seconds(1_764_000_000);

const REFUSALS: &str = "title: Refusals\nlogsource: {product: linux}\ndetection: {sel: {class: authentication, status: failure}, condition: sel}\n\
    vonggac: {rule: refusals, severity: 4, group_by: src_ip, threshold: 3, window_seconds: 60, title_vi: a, title_en: b}\n";

const OTHER: &str = "title: Another\nlogsource: {product: linux}\ndetection: {sel: {Image: /bin/nc}, condition: sel}\n";

const MANY: &str = "title: Refusal\nname: refusal\nlogsource: {product: linux}\ndetection: {sel: {class: authentication, status: failure}, condition: sel}\n\
    ---\ntitle: Many\ncorrelation: {type: event_count, rules: [refusal], group-by: [user], timespan: 1m, condition: {gte: 3}}\n";

fn compiled(files: &[(&str, &str)]) -> (Arc<RuleSet>, Arc<Matcher>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut rules = RuleSet::default();
    let refused = rules.add_folder(folder.path()).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    let matcher = Matcher::new(&rules).unwrap();
    (Arc::new(rules), Arc::new(matcher))
}

fn refused(offset: i64) -> Record {
    let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
    activity.set_source_address([203, 0, 113, 9].into());
    activity.user_name = "lan".into();
    let at = NOW.plus(std::time::Duration::from_secs(offset.unsigned_abs()));
    Record {
        origin: Origin { topic: "t".into(), partition: 0, offset },
        appended: at,
        bytes: 0,
        known: Default::default(),
        hash: BatchHash([0; 32]),
        seal: None,
        batch: Batch {
            agent: AgentId::new("web-1").unwrap(),
            agency: AgencyId::new("H49").unwrap(),
            host: "web-1".into(),
            boot: [0; 16],
            lane: Lane::Security,
            first_seq: 1 + offset.unsigned_abs(),
            previous: None,
            events: vec![Event::new(at, at, Body::Activity(activity))],
            simulated: false,
            sealed: at,
            ahead: false,
        },
    }
}

/// What is told of three refusals when the rules change behind the second: rule and count.
fn told(before: &[(&str, &str)], after: &[(&str, &str)]) -> Vec<(String, u64)> {
    let (rules, matcher) = compiled(before);
    let registry = Arc::new(Registry::builtin().unwrap());
    let mut detector = Detector::new(rules, registry, matcher);
    for offset in 0..2 {
        assert!(detector.apply(&refused(offset), NOW).is_empty());
    }
    let (rules, matcher) = compiled(after);
    detector.renew(&rules, &matcher);
    let mut told: Vec<(String, u64)> = detector
        .apply(&refused(2), NOW)
        .into_iter()
        .map(|signal| (signal.rule, signal.count))
        .collect();
    told.sort();
    told
}

#[test]
fn what_was_counted_goes_on_wherever_its_rule_is_now() {
    let both = [("refusals".to_owned(), 3)];
    assert_eq!(told(&[("b.yml", REFUSALS)], &[("b.yml", REFUSALS)]), both);
    assert_eq!(told(&[("b.yml", REFUSALS)], &[("a.yml", OTHER), ("b.yml", REFUSALS)]), both);
    assert_eq!(told(&[("a.yml", OTHER), ("b.yml", REFUSALS)], &[("b.yml", REFUSALS)]), both);
    let lower = REFUSALS.replace("threshold: 3", "threshold: 2");
    assert_eq!(told(&[("b.yml", REFUSALS)], &[("b.yml", &lower)]), both, "words may change");
    let many = [("many".to_owned(), 3)];
    assert_eq!(told(&[("c.yml", MANY)], &[("a.yml", OTHER), ("c.yml", MANY)]), many);
    assert_eq!(told(&[("a.yml", OTHER), ("c.yml", MANY)], &[("c.yml", MANY)]), many);
}

#[test]
fn a_rule_that_counts_otherwise_begins_anew_and_one_that_is_gone_tells_nothing() {
    let longer = REFUSALS.replace("window_seconds: 60", "window_seconds: 90");
    let by_host = REFUSALS.replace("group_by: src_ip", "group_by: host");
    for after in [longer.as_str(), &by_host, OTHER] {
        assert_eq!(told(&[("b.yml", REFUSALS)], &[("b.yml", after)]), [], "{after}");
    }
    let fewer = MANY.replace("timespan: 1m", "timespan: 2m");
    assert_eq!(told(&[("c.yml", MANY)], &[("c.yml", &fewer)]), []);
    // One that is new counts from now on.
    let one = REFUSALS.replace("threshold: 3", "threshold: 1");
    assert_eq!(told(&[("a.yml", OTHER)], &[("b.yml", &one)]), [("refusals".to_owned(), 1)]);
}
