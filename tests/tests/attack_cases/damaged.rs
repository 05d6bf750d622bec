//! Records that are meant to stop or fill the centre: damaged, oversized, nested, compressed. Each is set aside with its reason, and what
//! comes behind it is stored.

use anyhow::{Context as _, ensure};
use prost::Message as _;
use vonggac_wire::proto::Batch;

use super::{
    bomb,
    ground::{Ground, OWN},
    raw::{Hand, Place, Sent, batch},
    tally::Tally,
};

struct Case {
    sentence: &'static str,
    make: fn(&Hand) -> anyhow::Result<Sent>,
    reason: &'static str,
}

/// A batch that is wrong in one thing, and sealed all the same.
fn wrong(hand: &Hand, change: impl FnOnce(&mut Batch)) -> anyhow::Result<Sent> {
    let mut batch = batch(OWN, "web-1", "forger", 850, 2);
    change(&mut batch);
    Ok(Sent::of(OWN, &hand.seal(&batch.encode_to_vec())?, Some(hand)))
}

fn value(value: Vec<u8>) -> anyhow::Result<Sent> {
    Ok(Sent { key: OWN.as_bytes().to_vec(), value, ..Sent::default() })
}

/// Groups of protobuf that are open in one another, in an unknown field.
fn nested(depth: usize) -> Vec<u8> {
    [vec![0xfb; depth], vec![0xfc; depth]].concat().iter().flat_map(|tag| [*tag, 0x0f]).collect()
}

const CASES: [Case; 19] = [
    Case {
        sentence: "an empty record is set aside",
        make: |_| value(Vec::new()),
        reason: "version",
    },
    Case {
        sentence: "a record of noise is set aside",
        make: |_| value(vec![0xff; 4_096]),
        reason: "undecodable",
    },
    Case {
        sentence: "a record that was cut in the middle is set aside",
        make: |hand| {
            let mut sent = wrong(hand, |_| {})?;
            sent.value.truncate(sent.value.len() / 3);
            Ok(sent)
        },
        reason: "undecodable",
    },
    Case {
        sentence: "a length that promises four gigabytes is not believed",
        make: |_| value([&[0x0a][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], b"x"].concat()),
        reason: "undecodable",
    },
    Case {
        sentence: "groups that lie a hundred thousand deep are not followed in an envelope",
        make: |_| value(nested(100_000)),
        reason: "undecodable",
    },
    Case {
        sentence: "groups that lie a hundred thousand deep are not followed in a batch",
        make: |hand| {
            let bytes =
                [batch(OWN, "web-1", "forger", 852, 1).encode_to_vec(), nested(100_000)].concat();
            Ok(Sent::of(OWN, &hand.seal(&bytes)?, Some(hand)))
        },
        reason: "undecodable",
    },
    Case {
        sentence: "a batch without events is set aside",
        make: |hand| wrong(hand, |batch| batch.events.clear()),
        reason: "sequence",
    },
    Case {
        sentence: "a batch of more events than one may have is set aside",
        make: |hand| wrong(hand, |b| b.events = batch(OWN, "web-1", "forger", 1, 1_001).events),
        reason: "sequence",
    },
    Case {
        sentence: "numbers that begin at nought are set aside",
        make: |hand| wrong(hand, |batch| batch.first_seq = 0),
        reason: "sequence",
    },
    Case {
        sentence: "numbers that overflow are set aside",
        make: |hand| wrong(hand, |batch| batch.first_seq = u64::MAX),
        reason: "sequence",
    },
    Case {
        sentence: "a batch of a later version is set aside",
        make: |hand| wrong(hand, |batch| batch.schema_version = 4_000),
        reason: "version",
    },
    Case {
        sentence: "a lane that does not exist is set aside",
        make: |hand| wrong(hand, |batch| batch.lane = 77),
        reason: "wrong-topic",
    },
    Case {
        sentence: "a hash of five bytes is set aside",
        make: |hand| wrong(hand, |batch| batch.previous_hash = vec![1; 5]),
        reason: "chain",
    },
    Case {
        sentence: "an agent whose name is a path is nobody",
        make: |hand| wrong(hand, |batch| batch.agent = "../../etc/passwd".into()),
        reason: "identity",
    },
    Case {
        sentence: "an agency whose name ends a query is nobody",
        make: |hand| wrong(hand, |batch| batch.agency = "H49' OR 1=1 --".into()),
        reason: "identity",
    },
    Case {
        sentence: "a host whose name commands a terminal is nobody",
        make: |hand| wrong(hand, |batch| batch.host = "web\u{1b}[2J\u{7}".into()),
        reason: "identity",
    },
    Case {
        sentence: "a host whose name has no end is nobody",
        make: |hand| wrong(hand, |batch| batch.host = "h".repeat(100_000)),
        reason: "identity",
    },
    Case {
        sentence: "a batch of three megabytes is set aside",
        make: |hand| {
            let long = batch(OWN, "web-1", &"x".repeat(1_000), 1, 900);
            wrong(hand, |batch| batch.events = long.events)
        },
        reason: "too-large",
    },
    Case {
        sentence: "a small record that expands to 64 MiB is set aside",
        make: |_| Ok(Sent { codec: "zstd", ..value(vec![0; 64 << 20])? }),
        reason: "too-large",
    },
];

fn set_aside(ground: &Ground, reason: &str, place: &Place) -> anyhow::Result<()> {
    ground.wait("a dead letter", || Ok(ground.dead(place)?.is_some()))?;
    let (found, detail) = ground.dead(place)?.context("no dead letter")?;
    ensure!(found == reason, "it is set aside as {found}: {detail}");
    ensure!(!detail.is_empty() && !detail.contains('\u{1b}'), "it says {detail:?}");
    Ok(())
}

/// Whether an honest batch behind it comes to the store.
fn goes_on(ground: &Ground, hand: &Hand, partition: i32, first_seq: u64) -> anyhow::Result<()> {
    let bytes = batch(OWN, "web-2", "okapi", first_seq, 3).encode_to_vec();
    let record = Sent { partition, ..Sent::of(OWN, &hand.seal(&bytes)?, Some(hand)) };
    let (topic, partition, offset) = ground.send(&record)?;
    ground.wait("the batch behind it", || {
        let stored = format!(
            "SELECT count() FROM events WHERE kafka_topic = '{topic}' AND kafka_partition = {partition} AND kafka_offset = {offset}"
        );
        Ok(ground.machine.count(&stored)? == 3)
    })
}

/// A record that Kafka does not take at all, because even as it is it is too large.
fn oversize(ground: &Ground) -> anyhow::Result<()> {
    let noise: Vec<u8> =
        (0..6_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let refused = ground.send(&value(noise)?);
    ensure!(format!("{refused:?}").contains("MessageSizeTooLarge"), "answered {refused:?}");
    Ok(())
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    let (own, colleague) = (Hand::of(ground, "web-1")?, Hand::of(ground, "web-2")?);
    let mut sent = Vec::new();
    for case in &CASES {
        match (case.make)(&own).and_then(|record| ground.send(&record)) {
            Ok(place) => sent.push((case, place)),
            Err(error) => tally.note(case.sentence, Err(error)),
        }
    }
    for (case, place) in &sent {
        tally.note(case.sentence, set_aside(ground, case.reason, place));
    }
    tally.note("what comes behind damaged records is stored", goes_on(ground, &colleague, 0, 200));
    tally.note(
        "a record of thirty kilobytes that expands to a gibibyte is passed over, and it is an incident",
        bomb::is_passed_over(ground, "web-1", 0),
    );
    tally.note("what comes behind a gibibyte is stored", goes_on(ground, &colleague, 0, 210));
    tally.note("a record of six megabytes is refused by Kafka itself", oversize(ground));
    Ok(())
}
