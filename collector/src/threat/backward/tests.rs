use std::sync::Arc;

use vonggac_wire::proto::{Incident, IncidentState};

use super::*;
use crate::{incident::IncidentBook, registry::Registry, threat::ThreatList};

const NOW: Time = Time::from_seconds(1_764_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn entries(csv: &str) -> Vec<Entry> {
    let mut list = ThreatList::default();
    let wrong = list.add_csv(&format!("type,value,expires,name\n{csv}"));
    assert!(wrong.is_empty(), "{wrong:?}");
    list.entries().collect()
}

fn hit(value: &str, host: &str, number: u64, at: Time) -> Hit {
    Hit {
        value: value.into(),
        of_agency: "H49".into(),
        of_host: host.into(),
        of_player: false,
        of_system: "portal".into(),
        of_user: String::new(),
        number,
        first: at.micros(),
        last: at.plus(Duration::from_secs(60)).micros(),
        evidence: vec![(format!("{host}-0a0b"), "security".into(), 7, at.micros())],
    }
}

#[test]
fn an_entry_is_searched_once_and_again_from_where_it_went() {
    let all =
        entries("ip,203.0.113.9,,a\nip,203.0.113.10,,b\nip,203.0.113.11,,c\nip,203.0.113.12,,d\n");
    let (since, gone) = (NOW.minus(BACK), NOW.minus(DAY * 3));
    let known = |at: usize, state, since, when| Known {
        entry: all[at].number(),
        since,
        until: NOW.minus(DAY),
        state,
        at: when,
    };
    let searched = known(0, State::Searched, since, NOW);
    let left = went(known(1, State::Searched, since, since), gone);
    let begun = known(2, State::Listed, since, NOW);
    assert_eq!(went(begun, NOW).since, since, "it was not searched before it went");
    let mut before: HashMap<u64, Known> =
        [searched, left, begun].map(|known| (known.entry, known)).into();
    let fresh = fresh(&all, &before, NOW, NOW);
    let told: HashMap<u64, (Time, Time)> =
        fresh.iter().map(|known| (known.entry, (known.since, known.until))).collect();
    assert_eq!(
        told,
        HashMap::from([(all[1].number(), (gone, NOW)), (all[3].number(), (since, NOW))])
    );
    before.extend(fresh.into_iter().map(|known| (known.entry, known)));
    let waiting = waiting(all.clone(), &before);
    let of = |since: Time, until: Time| {
        waiting[&(since, until)].iter().map(|entry| entry.value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(waiting.len(), 3);
    assert_eq!(of(since, NOW.minus(DAY)), [all[2].value.as_str()], "as it was begun");
    assert_eq!(of(gone, NOW), [all[1].value.as_str()]);
    assert_eq!(of(since, NOW), [all[3].value.as_str()]);
}

#[test]
fn slices_cover_a_span_without_a_hole_and_without_an_overlap() {
    let span = (NOW.minus(BACK), NOW);
    let all: Vec<(Time, Time)> = slices(span).collect();
    assert_eq!(all.len(), 121);
    assert_eq!((all[0].1, all[120].0), (NOW.plus(AHEAD), span.0));
    assert!(all.windows(2).all(|two| two[0].0 == two[1].1));
    assert!(all.iter().all(|(from, to)| to.since(*from) <= SLICE && from < to));
    assert_eq!(slices((NOW.plus(DAY), NOW)).count(), 0);
}

#[test]
fn what_stands_in_an_event_is_named_by_its_entry() {
    let all = entries(
        "ip,203.0.113.9,,a\nnetwork,198.51.100.0/24,,b\nnetwork,2001:db8::/32,,c\ndomain,bad.example.org,,d\n\
         url,http://worse.example.org/x,,e\nhash,aabbccddeeff00112233445566778899,,f\n",
    );
    for (place, value, entry) in [
        (Place::Source, "203.0.113.9", Some("203.0.113.9")),
        (Place::Destination, "198.51.100.77", Some("198.51.100.0/24")),
        (Place::Source, "2001:db8:1::5", Some("2001:db8::/32")),
        (Place::Source, "192.0.2.1", None),
        (Place::UrlHost, "bad.example.org", Some("bad.example.org")),
        (Place::UrlHost, "www.bad.example.org", Some("bad.example.org")),
        (Place::UrlHost, "notbad.example.org", None),
        (Place::Url, "http://worse.example.org/x", Some("http://worse.example.org/x")),
        (
            Place::Hash,
            "00 aabbccddeeff00112233445566778899",
            Some("aabbccddeeff00112233445566778899"),
        ),
    ] {
        let by_value = all.iter().map(|entry| (entry.value.as_str(), entry)).collect();
        let found = named(place, &by_value, &all, value).map(|entry| entry.value.as_str());
        assert_eq!(found, entry, "{place:?} {value}");
    }
}

/// A book, and the incidents that it has after these signals.
fn told(signals: &[Signal]) -> Vec<Incident> {
    let rules = Arc::new(RuleSet::builtin().unwrap());
    let registry = Arc::new(Registry::builtin().unwrap());
    let mut book = IncidentBook::new(rules, registry, Vec::new(), HashMap::new(), Vec::new());
    for signal in signals {
        book.apply_signal(signal, NOW);
    }
    book.incidents().cloned().collect()
}

fn found(until: Time, hits: &[(Place, Hit)]) -> Vec<Signal> {
    let rules = RuleSet::builtin().unwrap();
    let all = entries("ip,203.0.113.9,,a\n");
    let mut found = Found::default();
    for (place, hit) in hits {
        found.add(*place, &all, vec![hit.clone()]);
    }
    found.signals(&rules, until, NOW)
}

#[test]
fn what_is_found_joins_the_live_rules_incident_once_for_each_entry_and_host() {
    let then = NOW.minus(DAY * 20);
    let hits = [
        (Place::Source, hit("203.0.113.9", "web-1", 3, then)),
        (Place::Source, hit("203.0.113.9", "web-1", 2, then.minus(DAY))),
        (Place::Source, hit("203.0.113.9", "web-2", 4, then)),
        (Place::Destination, hit("203.0.113.9", "web-2", 1, then)),
    ];
    let signals = found(NOW, &hits);
    assert_eq!(signals.len(), 3, "slices of one host are one");
    let live = Signal {
        origin: Some(Origin { topic: "vonggac.security.v1".into(), partition: 1, offset: 5 }),
        count: 1,
        first_time_unix_nano: NOW.0,
        last_time_unix_nano: NOW.0,
        ..signals.iter().find(|signal| signal.host == "web-1").unwrap().clone()
    };
    let again = [vec![live], signals.clone(), signals].concat();
    let incidents = told(&again);
    assert_eq!(incidents.len(), 2);
    let source = incidents.iter().find(|incident| incident.rule == "listed-source").unwrap();
    assert_eq!((source.count, source.hosts.len()), (10, 2));
    assert_eq!(source.first_time_unix_nano, then.minus(DAY).0, "the events' own time");
    assert_eq!(source.current_state(), IncidentState::New);
    assert!(source.title_en.contains("203.0.113.9"), "{}", source.title_en);
    let contact = incidents.iter().find(|incident| incident.rule == "listed-contact").unwrap();
    assert_eq!((contact.group.as_str(), contact.count), ("H49/web-2", 1));
    assert_eq!(source.evidence.len(), 3);
    // In the lists again after it was gone: what came meanwhile is told.
    let later = found(NOW.plus(DAY), &[(Place::Source, hit("203.0.113.9", "web-1", 1, NOW))]);
    assert_eq!(told(&[again, later].concat())[0].count, 11);
}

#[test]
fn what_finds_no_place_is_counted() {
    let all = entries("network,10.0.0.0/8,,a\n");
    let mut found = Found::default();
    let number = u32::try_from(FOUND_MAX).unwrap();
    for host in 0..number + 3 {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + host).to_string();
        found.add(Place::Source, &all, vec![hit(&address, "web-1", 1, NOW)]);
    }
    assert_eq!((found.len(), found.left_out()), (FOUND_MAX, 3));
}
