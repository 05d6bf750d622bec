//! Batches that are forged, foreign, replayed, forked, reordered or withheld, by somebody who may write to Kafka.

use anyhow::{Context as _, ensure};
use prost::Message as _;
use vonggac_wire::{BatchHash, topic, topic::header};

use super::{
    ground::{FOREIGN, Ground, OWN, SECRET},
    raw::{Hand, Place, Sent, batch},
    tally::Tally,
};

/// Events of the other agency: a count that tells of them is at least so high.
pub(crate) const FOREIGN_EVENTS: u64 = 700;

/// Events of the operator's own agency that are honest.
pub(crate) const OWN_EVENTS: u64 = 20;

/// Who writes, and what was written honestly.
struct Bench {
    own: Hand,
    colleague: Hand,
    foreign: Hand,
    stranger: Hand,
    over: Hand,
    taken_back: Hand,
    person: Hand,
    nowhere: Hand,
    /// The first honest batch of web-1.
    first: Vec<u8>,
}

struct Case {
    sentence: &'static str,
    make: fn(&Bench) -> anyhow::Result<Sent>,
    /// By which reason it is set aside.
    reason: &'static str,
    /// The agent that the incident is about; empty: none opens.
    incident: &'static str,
}

/// A batch of web-1 that is honest in all but what a case does to it.
fn bytes(first_seq: u64) -> Vec<u8> {
    batch(OWN, "web-1", "forger", first_seq, 2).encode_to_vec()
}

fn sealed(hand: &Hand, agency: &str, bytes: &[u8]) -> anyhow::Result<Sent> {
    Ok(Sent::of(agency, &hand.seal(bytes)?, Some(hand)))
}

fn unsealed(agency: &str, agent: &str) -> Sent {
    let word = if agency == FOREIGN { SECRET } else { "forger" };
    let batch = batch(agency, agent, word, 900, 2).encode_to_vec();
    Sent::of(agency, &vonggac_wire::proto::Envelope { batch, ..Default::default() }, None)
}

/// Without a seal, and simulated as it says.
fn played(agency: &str, agent: &str) -> Sent {
    let mut batch = batch(agency, agent, "forger", 910, 2);
    batch.simulated = true;
    let envelope =
        vonggac_wire::proto::Envelope { batch: batch.encode_to_vec(), ..Default::default() };
    Sent::of(agency, &envelope, None)
}

const CASES: [Case; 23] = [
    Case {
        sentence: "a batch that names another agency than its seal is foreign",
        make: |b| sealed(&b.own, FOREIGN, &batch(FOREIGN, "db-1", SECRET, 800, 2).encode_to_vec()),
        reason: "foreign",
        incident: "db-1",
    },
    Case {
        sentence: "a batch that names another agent of the same agency is foreign",
        make: |b| sealed(&b.own, OWN, &batch(OWN, "web-2", "forger", 800, 2).encode_to_vec()),
        reason: "foreign",
        incident: "web-2",
    },
    Case {
        sentence: "a batch under another agency's key on Kafka is no agency's",
        make: |b| sealed(&b.own, FOREIGN, &bytes(800)),
        reason: "identity",
        incident: "",
    },
    Case {
        sentence: "a batch under no key is no agency's",
        make: |b| sealed(&b.own, "", &bytes(802)),
        reason: "identity",
        incident: "",
    },
    Case {
        sentence: "an agency that does not exist is not taken although its seal is good",
        make: |b| sealed(&b.nowhere, "Z99", &batch("Z99", "x-1", "forger", 1, 2).encode_to_vec()),
        reason: "unknown-agency",
        incident: "",
    },
    Case {
        sentence: "a batch without a seal is refused",
        make: |_| Ok(unsealed(OWN, "web-1")),
        reason: "unsigned",
        incident: "web-1",
    },
    Case {
        sentence: "a batch of another agency without a seal is refused",
        make: |_| Ok(unsealed(FOREIGN, "db-1")),
        reason: "unsigned",
        incident: "db-1",
    },
    Case {
        sentence: "a batch that says it is simulated wants a seal all the same",
        make: |_| Ok(played(OWN, "web-1")),
        reason: "unsigned",
        incident: "web-1",
    },
    Case {
        sentence: "a player's name opens nothing where no nation plays",
        make: |_| Ok(played(FOREIGN, "simulated_db-1")),
        reason: "unsigned",
        incident: "simulated_db-1",
    },
    Case {
        sentence: "a signature of which a bit was changed is forged",
        make: |b| {
            let mut envelope = b.own.seal(&bytes(804))?;
            *envelope.signature.last_mut().context("a byte")? ^= 1;
            Ok(Sent::of(OWN, &envelope, Some(&b.own)))
        },
        reason: "forged",
        incident: "web-1",
    },
    Case {
        sentence: "a line that was changed behind its seal is forged",
        make: |b| {
            let mut envelope = b.own.seal(&bytes(806))?;
            let place = envelope.batch.windows(6).position(|w| w == b"forger").context("a word")?;
            envelope.batch[place] = b'F';
            Ok(Sent::of(OWN, &envelope, Some(&b.own)))
        },
        reason: "forged",
        incident: "web-1",
    },
    Case {
        sentence: "a batch whose last event was cut away behind its seal is forged",
        make: |b| {
            let whole = batch(OWN, "web-1", "forger", 808, 2);
            let mut cut = whole.clone();
            cut.events.pop();
            let mut envelope = b.own.seal(&whole.encode_to_vec())?;
            envelope.batch = cut.encode_to_vec();
            Ok(Sent::of(OWN, &envelope, Some(&b.own)))
        },
        reason: "forged",
        incident: "web-1",
    },
    Case {
        sentence: "a batch that another agent's key signed under one's own name is forged",
        make: |b| {
            let bytes = bytes(810);
            let mut envelope = b.colleague.seal(&bytes)?;
            envelope.key_id = b.own.seal(&bytes)?.key_id;
            Ok(Sent::of(OWN, &envelope, Some(&b.own)))
        },
        reason: "forged",
        incident: "web-1",
    },
    Case {
        sentence: "a signature over another batch is forged",
        make: |b| {
            let mut envelope = b.own.seal(&bytes(812))?;
            envelope.batch = bytes(814);
            Ok(Sent::of(OWN, &envelope, Some(&b.own)))
        },
        reason: "forged",
        incident: "web-1",
    },
    Case {
        sentence: "a batch that another authority's agent of the same name sealed is refused",
        make: |b| sealed(&b.stranger, OWN, &bytes(816)),
        reason: "certificate-refused",
        incident: "web-1",
    },
    Case {
        sentence: "a batch that a certificate sealed which is over is refused",
        make: |b| sealed(&b.over, OWN, &batch(OWN, "old-1", "forger", 1, 2).encode_to_vec()),
        reason: "certificate-refused",
        incident: "old-1",
    },
    Case {
        sentence: "a batch that a certificate sealed which was taken back is refused",
        make: |b| sealed(&b.taken_back, OWN, &batch(OWN, "bad-1", "forger", 1, 2).encode_to_vec()),
        reason: "certificate-refused",
        incident: "bad-1",
    },
    Case {
        sentence: "a batch that a person's certificate sealed is foreign",
        make: |b| sealed(&b.person, OWN, &bytes(818)),
        reason: "foreign",
        incident: "web-1",
    },
    Case {
        sentence: "a batch under a certificate that nobody brought is set aside until one has",
        make: |b| {
            let mut envelope = b.own.seal(&bytes(820))?;
            envelope.key_id = "0".repeat(64);
            Ok(Sent::of(OWN, &envelope, None))
        },
        reason: "certificate-unknown",
        incident: "",
    },
    Case {
        sentence: "a batch that comes again is a replay",
        make: |b| sealed(&b.own, OWN, &b.first),
        reason: "replayed",
        incident: "web-1",
    },
    Case {
        sentence: "a batch that comes again on another partition is a replay",
        make: |b| Ok(Sent { partition: 1, ..sealed(&b.own, OWN, &b.first)? }),
        reason: "replayed",
        incident: "web-1",
    },
    Case {
        sentence: "a batch of one lane on another lane's topic is set aside",
        make: |b| Ok(Sent { topic: Some(topic::USAGE), ..sealed(&b.own, OWN, &b.first)? }),
        reason: "wrong-topic",
        incident: "",
    },
    Case {
        sentence: "a second batch behind the same one is a fork",
        make: |b| {
            let mut fork = batch(OWN, "web-1", "forger", 840, 2);
            fork.previous_hash = BatchHash::of(&b.first).0.to_vec();
            sealed(&b.own, OWN, &fork.encode_to_vec())
        },
        reason: "forked",
        incident: "web-1",
    },
];

impl Bench {
    fn new(ground: &Ground) -> anyhow::Result<Self> {
        let hand = |set: &str| Hand::of(ground, set);
        Ok(Self {
            own: hand("web-1")?,
            colleague: hand("web-2")?,
            foreign: hand("db-1")?,
            stranger: hand("agent-stranger")?,
            over: hand("agent-over")?,
            taken_back: hand("agent-taken-back")?,
            person: hand("lan")?,
            nowhere: hand("nowhere")?,
            first: batch(OWN, "web-1", "giraffe", 1, OWN_EVENTS - 2).encode_to_vec(),
        })
    }

    /// What honest agents send: of both agencies, and the second of web-1 behind its first.
    fn honest(&self, ground: &Ground) -> anyhow::Result<()> {
        ground.send(&sealed(&self.own, OWN, &self.first)?)?;
        let mut second = batch(OWN, "web-1", "giraffe", OWN_EVENTS - 1, 2);
        second.previous_hash = BatchHash::of(&self.first).0.to_vec();
        // A lie in the headers changes nothing: what counts is sealed.
        let lie = format!("/agency/{FOREIGN}/agent/db-1");
        let headers = vec![(header::SOURCE, lie), (header::ID, "db-1/security/1-2".to_owned())];
        let second = Sent { headers, ..sealed(&self.own, OWN, &second.encode_to_vec())? };
        ground.send(&second)?;
        let foreign = batch(FOREIGN, "db-1", SECRET, 1, FOREIGN_EVENTS).encode_to_vec();
        ground.send(&sealed(&self.foreign, FOREIGN, &foreign)?)?;
        Ok(())
    }
}

fn rows_of(ground: &Ground, agency: &str, agent: &str) -> anyhow::Result<u64> {
    ground.machine.count(&format!(
        "SELECT count() FROM events WHERE agency = '{agency}' AND agent = '{agent}'"
    ))
}

fn set_aside(ground: &Ground, case: &Case, place: &Place) -> anyhow::Result<()> {
    ground.wait("a dead letter", || Ok(ground.dead(place)?.is_some()))?;
    let (reason, detail) = ground.dead(place)?.context("no dead letter")?;
    ensure!(reason == case.reason, "it is set aside as {reason}: {detail}");
    ensure!(!detail.is_empty(), "nothing says why");
    let (topic, partition, offset) = place;
    let stored = ground.machine.count(&format!(
        "SELECT count() FROM events WHERE kafka_topic = '{topic}' AND kafka_partition = {partition} AND kafka_offset = {offset}"
    ))?;
    ensure!(stored == 0, "{stored} of its events are stored");
    if case.incident.is_empty() {
        return Ok(());
    }
    ground.wait("an incident", || {
        let rows = ground.machine.rows(&["incidents", "--rule", "batch-refused"])?;
        Ok(rows.iter().any(|row| row.to_string().contains(case.incident)))
    })
}

/// Batches of web-2 that come in another order, or not at all: nothing is told as an attack, what is missing is told as missing.
fn order(ground: &Ground, bench: &Bench, tally: &mut Tally) -> anyhow::Result<()> {
    let send = |first: u64, count: u64, headers: Vec<(&'static str, String)>| {
        let bytes = batch(OWN, "web-2", "okapi", first, count).encode_to_vec();
        ground.send(&Sent { headers, ..sealed(&bench.colleague, OWN, &bytes)? })
    };
    send(1, 5, Vec::new())?;
    send(11, 5, Vec::new())?;
    send(21, 5, Vec::new())?;
    let gap = |first: u64| {
        ground.wait("a gap", || {
            let told =
                format!("SELECT count() FROM gaps WHERE agent = 'web-2' AND first_seq = {first}");
            Ok(ground.machine.count(&told)? > 0)
        })
    };
    tally.note("a batch that is withheld is told as missing", gap(16));
    let late = send(6, 5, Vec::new()).and_then(|_| gap(6));
    tally.note("a batch that comes behind its successor stays told as missing", late);
    let before = rows_of(ground, OWN, "web-2")?;
    let again = [(header::CARRIED, "1".to_owned())].to_vec();
    let bytes = batch(OWN, "web-2", "okapi", 1, 5).encode_to_vec();
    let again = ground
        .send(&Sent { headers: again, ..sealed(&bench.colleague, OWN, &bytes)? })
        .and_then(|_| send(26, 1, Vec::new()))
        .and_then(|_| {
            ground.wait("what came behind it", || Ok(rows_of(ground, OWN, "web-2")? > before))?;
            let now = rows_of(ground, OWN, "web-2")?;
            ensure!(now == before + 1, "{now} rows, {before} before");
            Ok(())
        });
    tally.note("numbers that come again as if by hand are left out", again);
    Ok(())
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    let bench = Bench::new(ground)?;
    bench.honest(ground)?;
    let mut sent = Vec::new();
    for case in &CASES {
        match (case.make)(&bench).and_then(|record| ground.send(&record)) {
            Ok(place) => sent.push((case, place)),
            Err(error) => tally.note(case.sentence, Err(error)),
        }
    }
    for (case, place) in &sent {
        tally.note(case.sentence, set_aside(ground, case, place));
    }
    let lie = ground.wait("the honest rows", || {
        Ok(rows_of(ground, OWN, "web-1")? == OWN_EVENTS
            && rows_of(ground, FOREIGN, "db-1")? == FOREIGN_EVENTS)
    });
    tally.note("an agency that is forged in a header changes nothing", lie);
    order(ground, &bench, tally)
}
