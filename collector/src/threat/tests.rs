use std::sync::Arc;

use vonggac_wire::{
    Event,
    event::{Body, Class, HttpRequest, Status},
};

use super::*;
use crate::{detect::sigma::Matcher, rule::RuleSet};

const NOW: Time = Time::from_seconds(1_764_000_000);

const CSV: &str = "\
type,value,expires,name
# a comment
ip,203.0.113.9,,scanner
network,198.51.100.0/24,2025-11-25T00:00:00Z,botnet
domain,Bad.Example.org.,2020-01-01T00:00:00Z,over
domain,worse.example.org,,
hash,AABBCCDDEEFF00112233445566778899,,tool
ip,127.0.0.1,,own
network,0.0.0.0/0,,all
ip,nowhere,,
hash,12,,
mutex,a,,
ip,192.0.2.1,tomorrow,
";

fn from(address: &str) -> Activity {
    let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
    activity.set_source_address(address.parse().unwrap());
    activity
}

fn to(address: &str, host: &str) -> Activity {
    let mut activity = Activity::of(Class::Network, 1, Status::Success);
    if let Ok(address) = address.parse() {
        activity.set_destination_address(address);
    }
    activity.dst_hostname = host.into();
    activity
}

#[test]
fn values_are_found_until_they_end_and_wrong_ones_are_told_each() {
    let mut list = ThreatList::default();
    let wrong = list.add_csv(CSV);
    assert_eq!((list.len(), wrong.len()), (5, 6), "{wrong:?}");
    assert!(wrong[1].contains("would match nearly everything"), "{wrong:?}");
    assert_eq!(list.source(&from("203.0.113.9"), NOW), Some("scanner"));
    assert_eq!(list.source(&from("198.51.100.77"), NOW), Some("botnet"));
    assert_eq!(
        list.source(&from("198.51.100.77"), NOW.plus(std::time::Duration::from_secs(86_400))),
        None
    );
    assert_eq!(list.source(&from("198.51.101.77"), NOW), None);
    assert_eq!(list.contact(&to("203.0.113.9", ""), NOW), Some("scanner"));
    assert_eq!(list.contact(&to("", "a.bad.example.org"), NOW), None, "it is over");
    assert_eq!(list.contact(&to("", "a.WORSE.example.org."), NOW), Some("worse.example.org"));
    assert_eq!(list.contact(&to("", "notworse.example.org"), NOW), None);
    let mut file = Activity::of(Class::FileSystem, 1, Status::Success);
    file.unmapped.insert("file.md5".into(), "aabbccddeeff00112233445566778899".into());
    assert_eq!(list.contact(&file, NOW), Some("tool"));
    file.unmapped.insert("file.md5".into(), "AABBccddeeff00112233445566778899".into());
    assert_eq!(list.contact(&file, NOW), Some("tool"), "whichever letters it is written in");
}

#[test]
fn indicators_of_a_bundle_are_taken_where_their_pattern_is_a_plain_choice() {
    let bundle = r#"{"type":"bundle","id":"bundle--1","objects":[
      {"type":"indicator","id":"indicator--1","name":"c2","pattern_type":"stix","valid_until":"2027-01-01T00:00:00Z",
       "pattern":"[ipv4-addr:value = '203.0.113.4' OR domain-name:value = 'c2.example.net']"},
      {"type":"indicator","id":"indicator--2","name":"loader","pattern":"[url:value='http://c3.example.net/a']"},
      {"type":"indicator","id":"indicator--3","name":"both","pattern":"[ipv4-addr:value = '203.0.113.5' AND url:value = 'http://a.example.net/']"},
      {"type":"indicator","id":"indicator--4","name":"gone","revoked":true,"pattern":"[ipv4-addr:value = '203.0.113.6']"},
      {"type":"indicator","id":"indicator--5","name":"file","pattern":"[file:hashes.'SHA-256' = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']"},
      {"type":"malware","id":"malware--1","name":"x"}]}"#;
    let mut list = ThreatList::default();
    let wrong = list.add_stix(bundle);
    assert_eq!(list.len(), 4);
    assert!(
        wrong.len() == 1 && wrong[0].contains("indicator--3") && wrong[0].contains("AND"),
        "{wrong:?}"
    );
    assert_eq!(list.contact(&to("203.0.113.4", ""), NOW), Some("c2"));
    assert_eq!(list.contact(&to("203.0.113.5", ""), NOW), None);
    let mut proxied = Activity::of(Class::Http, 3, Status::Success);
    proxied.http =
        Some(HttpRequest { url: "http://c3.example.net/a".into(), ..HttpRequest::default() });
    assert_eq!(list.contact(&proxied, NOW), Some("loader"));
    proxied.http =
        Some(HttpRequest { url: "http://x.c2.example.net:80/b".into(), ..HttpRequest::default() });
    assert_eq!(list.contact(&proxied, NOW), Some("c2"));
    assert_eq!(list.add_stix("{").len(), 1);
}

#[test]
fn a_listed_address_is_a_match_of_its_rule_and_nothing_is_without_a_list() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), CSV).unwrap();
    std::fs::write(folder.path().join("b.txt"), "no list").unwrap();
    let (list, wrong) = ThreatList::read_folder(folder.path()).unwrap();
    assert_eq!(wrong.len(), 6);
    let rules = RuleSet::builtin().unwrap();
    let plain = Matcher::new(&rules).unwrap();
    let said = |matcher: &Matcher, activity: &Activity| -> Vec<String> {
        let event = Event::new(NOW, NOW, Body::Activity(activity.clone()));
        let found = matcher.matches(&event, activity);
        found.iter().map(|found| rules.rules()[found.rule].meta.rule.to_string()).collect()
    };
    let (source, contact) = (from("203.0.113.9"), to("203.0.113.9", ""));
    assert!(!said(&plain, &source).contains(&"listed-source".to_owned()));
    let listed = plain.with_threats(reload::Threats::of(Arc::new(list), NOW));
    assert!(said(&listed, &source).contains(&"listed-source".to_owned()));
    assert!(said(&listed, &contact).contains(&"listed-contact".to_owned()));
    assert!(!said(&listed, &from("192.0.2.9")).contains(&"listed-source".to_owned()));
}
