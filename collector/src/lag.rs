//! How far the store is behind Kafka: in records, events, bytes and seconds by partition, and the oldest unstored event by agency.
//!
//! Pure: [`Lag::of`] judges what [`probe`] saw. What is not known is absent, and counted as such; it is never told as nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use vonggac_wire::Time;

use crate::{
    consume::Extent,
    decode::{self, Taken},
    record::Record,
    registry::Registry,
    tenure::Key,
};

pub mod probe;

/// What came within this is on its way, not behind: gathering and storing a block take a second or two.
pub const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// What was seen so long ago is not known any longer: four looks were due since.
pub const LOOK_DUE: Duration = Duration::from_secs(60);

/// Records of a partition's head that are read: enough to meet most of the agencies on it, at a megabyte or two.
pub const HEAD_RECORDS_MAX: usize = 64;

/// An event that seems older than this when its batch was sealed is one of a clock that was set meanwhile.
const EVENT_AGE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Of the newest record's share in what is usual: some hundred records are remembered.
const NEWEST_SHARE: f64 = 1.0 / 128.0;

/// A record that is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Kafka's own offset.
    pub offset: i64,
    /// When it came to Kafka.
    pub appended: Time,
    /// Bytes of its value.
    pub bytes: u64,
    /// Events in it; none in a canary, and in what will be a dead letter.
    pub events: u64,
    /// Whose it is; empty if it has no events.
    pub agency: String,
    /// How old its oldest event was when it came: by the agent's own clock, so that one that is wrong does not matter.
    pub waited: Duration,
}

impl Head {
    /// What the record is. It is decoded as the chain will decode it.
    #[must_use]
    pub fn of(taken: &Taken, registry: &Registry) -> Self {
        let mut head = Self {
            offset: taken.origin.offset,
            appended: taken.appended,
            bytes: taken.value.len() as u64,
            events: 0,
            agency: String::new(),
            waited: Duration::ZERO,
        };
        if taken.canary.is_some() {
            return head;
        }
        if let Ok(record) = decode::decode(taken, registry) {
            let batch = &record.batch;
            head.events = batch.events.len() as u64;
            head.agency = batch.agency.to_string();
            let waited = batch.events.iter().map(|event| batch.sealed.since(event.observed()));
            head.waited = waited.filter(|age| *age <= EVENT_AGE_MAX).max().unwrap_or_default();
        }
        head
    }
}

/// What was seen of a partition; all offsets are Kafka's own.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The first that is not stored; `None`: the store never said.
    pub stored: Option<i64>,
    /// What Kafka has; `None`: it did not say.
    pub extent: Option<Extent>,
    /// All that is not stored came within [`ON_ITS_WAY`].
    pub fresh: bool,
    /// The first of what is not stored, in order; empty if it was not read.
    pub heads: Vec<Head>,
}

/// How far a partition is behind. `None`: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Behind {
    /// Records.
    pub records: Option<u64>,
    /// Age of the oldest record, by the time it came to Kafka; zero while all came within [`ON_ITS_WAY`].
    pub seconds: Option<f64>,
    /// Events; what was not read is estimated from the records stored last.
    pub events: Option<f64>,
    /// Bytes of records; estimated in the same way.
    pub bytes: Option<f64>,
}

impl Behind {
    /// Whether all of it is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.records.is_some() && self.seconds.is_some()
    }
}

/// Means of the records of a topic that were stored last.
#[derive(Clone, Copy, Debug)]
struct Mean {
    events: f64,
    bytes: f64,
}

/// What stored records are like, and where agencies' records lie. Bounded by the topics of events and by the registry: others' records are
/// not stored.
#[derive(Clone, Debug, Default)]
pub struct Usual {
    topics: BTreeMap<String, Mean>,
    partitions: BTreeMap<String, BTreeSet<i32>>,
}

impl Usual {
    /// A record was stored.
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    pub fn stored(&mut self, record: &Record) {
        let (events, bytes) = (record.batch.events.len() as f64, record.bytes as f64);
        match self.topics.get_mut(&record.origin.topic) {
            Some(mean) => {
                mean.events += (events - mean.events) * NEWEST_SHARE;
                mean.bytes += (bytes - mean.bytes) * NEWEST_SHARE;
            }
            None => _ = self.topics.insert(record.origin.topic.clone(), Mean { events, bytes }),
        }
        self.lies(record.batch.agency.as_str(), record.origin.partition);
    }

    /// An agency's records lie on a partition of each topic.
    pub fn lies(&mut self, agency: &str, partition: i32) {
        match self.partitions.get_mut(agency) {
            Some(partitions) => _ = partitions.insert(partition),
            None => _ = self.partitions.insert(agency.to_owned(), BTreeSet::from([partition])),
        }
    }

    /// Records of a topic were stored, so that it is known how large they are.
    #[must_use]
    pub fn knows(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    fn mean(&self, topic: &str, heads: &[Head]) -> Option<Mean> {
        let usual = self.topics.get(topic).copied();
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let of_heads = || {
            let count = heads.len() as f64;
            let (events, bytes) = sums(heads);
            (!heads.is_empty())
                .then(|| Mean { events: events as f64 / count, bytes: bytes as f64 / count })
        };
        usual.or_else(of_heads)
    }
}

fn sums(heads: &[Head]) -> (u64, u64) {
    heads.iter().fold((0, 0), |(events, bytes), head| (events + head.events, bytes + head.bytes))
}

/// The oldest event that Kafka has and the store has not.
#[derive(Clone, Debug, PartialEq)]
pub struct Oldest {
    /// Whose.
    pub agency: String,
    /// Its age.
    pub seconds: f64,
}

/// How far the store is behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lag {
    /// Each partition that was looked at.
    pub partitions: BTreeMap<Key, Behind>,
    /// Age of the oldest unstored event that was seen of each agency; zero: it has none older than [`ON_ITS_WAY`]; absent: not known.
    pub agencies: BTreeMap<String, f64>,
}

impl Lag {
    /// Judges what was seen.
    #[must_use]
    pub fn of(looked: &BTreeMap<Key, Looked>, usual: &Usual, now: Time) -> Self {
        let mut lag = Self::default();
        for (key, looked) in looked {
            lag.partitions.insert(key.clone(), behind(&key.0, looked, usual, now));
            for head in looked.unstored().filter(|head| head.events > 0) {
                let age = (now.since(head.appended) + head.waited).as_secs_f64();
                let oldest = lag.agencies.entry(head.agency.clone()).or_default();
                *oldest = age.max(*oldest);
            }
        }
        for (agency, partitions) in &usual.partitions {
            let mut of_it = looked.iter().filter(|(key, _)| partitions.contains(&key.1)).peekable();
            if of_it.peek().is_some() && of_it.all(|(_, looked)| looked.is_seen_whole()) {
                lag.agencies.entry(agency.clone()).or_insert(0.0);
            }
        }
        lag
    }

    /// Partitions of which it is not known how far they are behind.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.partitions.values().filter(|behind| !behind.is_known()).count()
    }

    /// Of the partition that is most behind; `None` while one is not known that could be it.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let all: Option<Vec<f64>> = self.partitions.values().map(|behind| behind.seconds).collect();
        all?.into_iter().reduce(f64::max)
    }

    /// Of all partitions; `None` while one is not known.
    #[must_use]
    pub fn bytes(&self) -> Option<f64> {
        let all: Option<Vec<f64>> = self.partitions.values().map(|behind| behind.bytes).collect();
        all.filter(|all| !all.is_empty()).map(|all| all.into_iter().sum())
    }

    /// Of all agencies; `None`: of none is anything older than [`ON_ITS_WAY`] known.
    #[must_use]
    pub fn oldest(&self) -> Option<Oldest> {
        let late = self.agencies.iter().filter(|(_, seconds)| **seconds > 0.0);
        let (agency, seconds) = late.max_by(|a, b| a.1.total_cmp(b.1))?;
        Some(Oldest { agency: agency.clone(), seconds: *seconds })
    }
}

impl Looked {
    /// Records that Kafka has and the store has not; `None`: not known. Of a topic that was made anew and not taken over yet nothing is.
    #[must_use]
    pub fn waiting(&self) -> Option<u64> {
        let (stored, extent) = (self.stored?, self.extent?);
        u64::try_from(extent.high - stored.max(extent.low)).ok()
    }

    /// What was read of the head and is not stored.
    fn unstored(&self) -> impl Iterator<Item = &Head> {
        let from = self.stored.unwrap_or(i64::MAX);
        self.heads.iter().filter(move |head| head.offset >= from)
    }

    /// Nothing waits here that is older than what was seen.
    fn is_seen_whole(&self) -> bool {
        match self.waiting() {
            Some(0) => true,
            Some(waiting) => {
                self.fresh || u64::try_from(self.unstored().count()).is_ok_and(|n| n >= waiting)
            }
            None => false,
        }
    }
}

fn behind(topic: &str, looked: &Looked, usual: &Usual, now: Time) -> Behind {
    let records = looked.waiting();
    if records == Some(0) {
        return Behind { records, seconds: Some(0.0), events: Some(0.0), bytes: Some(0.0) };
    }
    let heads: Vec<Head> = looked.unstored().cloned().collect();
    let read = heads.first().map(|head| now.since(head.appended).as_secs_f64());
    // What was read and is not stored stays unstored while Kafka says nothing.
    let seconds = if looked.fresh && records.is_some() { Some(0.0) } else { read };
    let (events, bytes) = sums(&heads);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rest = records.map(|records| records.saturating_sub(heads.len() as u64) as f64);
    let mean = usual.mean(topic, &heads);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let whole = |seen: u64, mean: Option<f64>| match rest? {
        rest if rest > 0.0 => Some(seen as f64 + rest * mean?),
        _ => Some(seen as f64),
    };
    Behind {
        records,
        seconds,
        events: whole(events, mean.map(|mean| mean.events)),
        bytes: whole(bytes, mean.map(|mean| mean.bytes)),
    }
}

#[cfg(test)]
mod tests;
