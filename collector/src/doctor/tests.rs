use vonggac_answer::words::{Lang, message_ids};

use super::*;

const EVENTS: &str = "vonggac.security.v1";

fn wanted() -> Wanted {
    Wanted {
        events: vec![EVENTS],
        partitions: 2,
        others: vec!["vonggac.dead.v1"],
        schema: 9,
        channels: vec!["duty".into()],
    }
}

/// A centre with which nothing is wrong.
fn well() -> Seen {
    let now = Time::from_seconds(1_000_000);
    let topic = |count: i32| TopicSeen {
        partitions: (0..count).map(|partition| (partition, (100, 500))).collect(),
        oldest: BTreeMap::new(),
        short_of_copies: 0,
        retention: Some(RETENTION_LEAST),
    };
    let topics = [(EVENTS.to_owned(), topic(2)), ("vonggac.dead.v1".to_owned(), topic(1))];
    let engine = EngineSeen {
        schema: 9,
        disk: (50 << 30, 100 << 30),
        progress: (0..2).map(|partition| ((EVENTS.to_owned(), partition), 500)).collect(),
        newest: Some(now.minus(Duration::from_secs(2))),
        agents: (3, 0),
        ..EngineSeen::default()
    };
    Seen {
        now,
        kafka: Ok(KafkaSeen { topics: topics.into() }),
        engine: Ok(engine),
        serves: Ok(None),
        cold: Ok(()),
        rules_refused: Vec::new(),
        threats_refused: Vec::new(),
    }
}

fn engine(change: impl Fn(&mut EngineSeen)) -> Seen {
    let mut seen = well();
    change(seen.engine.as_mut().unwrap());
    seen
}

fn topic(change: impl Fn(&mut TopicSeen)) -> Seen {
    let mut seen = well();
    change(seen.kafka.as_mut().unwrap().topics.get_mut(EVENTS).unwrap());
    seen
}

/// Three notifications wait in a channel since a second ago.
fn notify(channel: &str, change: impl Fn(&mut ChannelSeen)) -> Seen {
    engine(|engine| {
        let mut seen = ChannelSeen {
            channel: channel.into(),
            waiting: 3,
            oldest: 999_999_000_000,
            said: "the answer was 503".into(),
            given_up: 0,
            given_up_said: "no answer within 45 s".into(),
        };
        change(&mut seen);
        engine.notify.push(seen);
    })
}

/// So many records of partition 0 are not stored, and the first of them came so many seconds ago.
fn waits(topic: &mut TopicSeen, count: i64, seconds: u64) {
    topic.partitions.insert(0, (0, 500 + count));
    let head = Head {
        offset: 500,
        appended: Time::from_seconds(1_000_000).minus(Duration::from_secs(seconds)),
        bytes: 10,
        events: 1,
        agency: "H49".into(),
        waited: Duration::ZERO,
    };
    topic.oldest.insert(0, head);
}

fn cases() -> Vec<(&'static str, Level, Seen)> {
    use Level::{Broken, Note, Warning};
    let gone = || Err("refused".to_owned());
    vec![
        ("kafka-away", Broken, Seen { kafka: gone().map(|()| KafkaSeen::default()), ..well() }),
        ("not-serving", Broken, Seen { serves: gone().map(|()| None), ..well() }),
        ("cold-away", Broken, Seen { cold: gone(), ..well() }),
        ("rule-refused", Warning, Seen { rules_refused: vec!["a.yml".into()], ..well() }),
        ("threats-refused", Warning, Seen { threats_refused: vec!["a.csv".into()], ..well() }),
        ("topic-partitions", Broken, topic(|t| _ = t.partitions.insert(2, (0, 0)))),
        ("topic-copies", Warning, topic(|t| t.short_of_copies = 1)),
        ("topic-retention", Warning, topic(|t| t.retention = Some(Duration::from_secs(3_600)))),
        ("records-passed", Broken, topic(|t| _ = t.partitions.insert(0, (501, 600)))),
        ("progress-beyond", Broken, topic(|t| _ = t.partitions.insert(0, (0, 499)))),
        ("records-waiting", Warning, topic(|t| _ = t.partitions.insert(0, (0, 501 + 1_000)))),
        ("records-waiting", Warning, topic(|t| waits(t, 2_000, 5))),
        ("records-late", Warning, topic(|t| waits(t, 3, 600))),
        ("records-late", Warning, topic(|t| waits(t, 2_000, 600))),
        ("records-unread", Warning, topic(|t| _ = t.partitions.insert(0, (0, 503)))),
        ("schema-none", Broken, engine(|e| e.schema = 0)),
        ("schema-old", Warning, engine(|e| e.schema = 8)),
        ("schema-newer", Broken, engine(|e| e.schema = 10)),
        ("disk-full", Warning, engine(|e| e.disk.0 = 9 << 30)),
        ("disk-full", Broken, engine(|e| e.disk.0 = 1 << 30)),
        ("engine-read-only", Broken, engine(|e| e.read_only = true)),
        ("parts-many", Warning, engine(|e| e.parts = ("events 202611".into(), 601))),
        (
            "mutation-stuck",
            Warning,
            engine(|e| e.mutation = Some(("events".into(), Duration::from_secs(7_200)))),
        ),
        ("clock-apart", Warning, engine(|e| e.clock_ahead_seconds = -60.0)),
        ("dead-open", Warning, engine(|e| _ = e.dead.insert("identity".into(), 4))),
        ("gaps-unexplained", Broken, engine(|e| e.unexplained = 7)),
        ("nothing-stored", Broken, engine(|e| e.newest = Some(Time::from_seconds(999_000)))),
        ("clock-back", Broken, engine(|e| e.newest = Some(Time::from_seconds(1_003_600)))),
        ("store-empty", Note, engine(|e| e.newest = None)),
        ("agents-silent", Warning, engine(|e| e.agents = (3, 1))),
        ("notify-failing", Warning, notify("duty", |c| c.oldest = 999_000_000_000)),
        ("notify-given-up", Broken, notify("duty", |c| (c.waiting, c.given_up) = (0, 2))),
        ("notify-unknown-channel", Warning, notify("gone", |_| ())),
        ("topic-missing", Broken, {
            let mut seen = well();
            seen.kafka.as_mut().unwrap().topics.remove("vonggac.dead.v1");
            seen
        }),
    ]
}

/// Each refusal of the engine, as it is met by the doctor itself, and by the collector.
fn refusals() -> Vec<(&'static str, Level, Seen)> {
    let name = |refusal| match refusal {
        Refusal::Away => "engine-away",
        Refusal::Hangs => "engine-hangs",
        Refusal::Slow => "engine-slow",
        Refusal::ReadOnly => "engine-read-only",
        Refusal::DiskFull => "engine-disk-full",
        Refusal::PartsMany => "engine-parts-many",
        Refusal::Memory => "engine-memory",
        Refusal::Denied => "engine-denied",
        Refusal::Schema => "engine-schema",
        Refusal::Busy => "engine-busy",
        Refusal::Damaged => "engine-damaged",
        Refusal::Rows => "engine-rows",
        Refusal::Other => "engine-refuses",
    };
    let mut cases = Vec::new();
    for refusal in Refusal::ALL {
        let level = if refusal == Refusal::Slow { Level::Warning } else { Level::Broken };
        let told = Refused { refusal, said: "its words".into(), span: Duration::from_secs(77) };
        let met = Seen { serves: Ok(Some(told.clone())), ..well() };
        let both = Seen { engine: Err(told.clone()), serves: Ok(Some(told.clone())), ..well() };
        for seen in [met, Seen { engine: Err(told), ..well() }, both] {
            cases.push((name(refusal), level, seen));
        }
    }
    cases
}

#[test]
fn of_a_centre_that_is_well_nothing_is_told() {
    assert_eq!(diagnose(&well(), &wanted()), []);
    // What waits for its turn is no trouble.
    assert_eq!(diagnose(&notify("duty", |_| ()), &wanted()), []);
}

#[test]
fn each_fault_is_told_by_its_name_and_no_other_beside_it() {
    for (name, level, seen) in cases().into_iter().chain(refusals()) {
        let found = diagnose(&seen, &wanted());
        let told: Vec<_> = found.iter().map(|trouble| (trouble.name, trouble.level)).collect();
        assert_eq!(told, [(name, level)]);
    }
}

#[test]
fn the_worst_is_told_first() {
    let mut seen = engine(|e| {
        e.newest = None;
        e.unexplained = 1;
        e.parts = ("events".into(), 2_000);
    });
    seen.rules_refused.push("a.yml".into());
    let levels: Vec<Level> =
        diagnose(&seen, &wanted()).iter().map(|trouble| trouble.level).collect();
    assert!(levels.len() == 4 && levels.is_sorted_by(|a, b| a >= b), "{levels:?}");
}

#[test]
fn every_fault_has_a_sentence_and_a_remedy_in_both_languages_with_its_values() {
    for lang in [Lang::Vi, Lang::En] {
        let words = crate::words::of(lang);
        for (name, _, seen) in cases().into_iter().chain(refusals()) {
            for trouble in diagnose(&seen, &wanted()) {
                let values: Vec<(&str, &str)> =
                    trouble.values.iter().map(|(key, value)| (*key, value.as_str())).collect();
                let sentence = words.with(&format!("doctor-{name}"), &values);
                let remedy = words.with(&format!("doctor-{name}-do"), &values);
                for text in [&sentence, &remedy] {
                    assert!(!text.starts_with("doctor-") && !text.contains('{'), "{name}: {text}");
                }
                for (key, value) in &values {
                    assert!(
                        sentence.contains(value) || remedy.contains(value),
                        "{name} leaves out {key}"
                    );
                }
            }
        }
    }
    assert_eq!(
        message_ids(crate::words::TEXTS[0].1).unwrap(),
        message_ids(crate::words::TEXTS[1].1).unwrap()
    );
}
