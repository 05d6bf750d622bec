//! Looks how far the store is behind Kafka, beside the pipeline: it is told although the pipeline hangs, and of partitions that nobody holds.
//!
//! Each turn asks the store for its progress and Kafka for what it has. Where records wait that did not come just now, the first of them are
//! read: when they came, and whose they are. What was read of a partition that stands still is not read again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use tokio_util::sync::CancellationToken;
use vonggac_daemon::tls::renewals::Renewals;
use vonggac_wire::{Time, topic};

use super::{HEAD_RECORDS_MAX, Head, Lag, Looked, ON_ITS_WAY, Usual};
use crate::{
    config::Config,
    consume::{Extent, taken},
    figures::{Figures, Part},
    kafka,
    registry::Registry,
    store::{Store, StoreError},
    tenure::Key,
};

/// How often it looks. Alarms wait for minutes; each look costs Kafka two small questions a partition.
const LOOK: Duration = Duration::from_secs(15);

/// How often the engine is asked for its parts, its disk and what was set aside: the questions read system tables.
const LOOK_AT_ENGINE: Duration = Duration::from_secs(60);

/// How long the store may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long Kafka may take for one partition...
const PARTITION_WITHIN: Duration = Duration::from_secs(2);

/// ... and for all of them: the rest is unknown until the next turn.
const PARTITIONS_WITHIN: Duration = Duration::from_secs(8);

/// How long heads are read in one turn.
const HEADS_WITHIN: Duration = Duration::from_secs(3);

/// Partitions whose heads are read in one turn; they take turns.
const HEADS_MAX: usize = 64;

/// Bytes that Kafka gives at once of a partition, beside a record that is larger.
const HEAD_BYTES_MAX: usize = 256 << 10;

/// Kilobytes that librdkafka may hold of all heads.
const HEADS_KBYTES_MAX: usize = 4 << 10;

/// What the probe needs.
pub struct Parts {
    /// Settings.
    pub config: Config,
    /// For progress.
    pub store: Store,
    /// To know whose a record is.
    pub registry: Arc<Registry>,
    /// Where it is told.
    pub figures: Figures,
    /// When our own certificate is another one.
    pub renewals: Renewals,
}

/// What is kept from turn to turn.
#[derive(Default)]
struct Memory {
    /// Kafka's own first offset that is not stored. It only grows: while the store says nothing, nothing is known to be stored.
    stored: HashMap<Key, i64>,
    /// The store answered at least once, so that a partition without progress is one of which nothing is stored.
    answered: bool,
    heads: HashMap<Key, Vec<Head>>,
    turn: usize,
    /// Looks one after the other in which Kafka said of no partition what it has.
    mute: u32,
}

/// Looks in which Kafka says nothing, until another client asks it: one that lost all brokers does not find them again, and this one listens to no
/// statistics that would tell it so.
const MUTE_MAX: u32 = 3;

/// Looks until it is told to stop.
pub async fn run(mut parts: Parts, shutdown: CancellationToken) {
    let mut client = match consumer(&parts.config) {
        Ok(client) => Arc::new(client),
        Err(error) => {
            tracing::error!(%error, "how far the store is behind Kafka cannot be looked at");
            return;
        }
    };
    if let Ok(Ok(agents)) = tokio::time::timeout(ANSWER_WITHIN, parts.store.agents()).await {
        for agent in agents {
            parts.figures.usual().lies(&agent.agency, agent.partition);
        }
    }
    let mut memory = Memory::default();
    let mut looks = tokio::time::interval(LOOK);
    let mut engine = tokio::time::interval(LOOK_AT_ENGINE);
    for ticks in [&mut looks, &mut engine] {
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = looks.tick() => {
                parts.figures.look_at_process();
                let config = &parts.config;
                let mut another = parts.renewals.renew("probe", || consumer(config));
                if another.is_none() && memory.mute >= MUTE_MAX {
                    another = consumer(config).ok();
                    memory.mute = 0;
                }
                if let Some(another) = another {
                    let former = std::mem::replace(&mut client, Arc::new(another));
                    // To close one can take as long as a broker likes.
                    drop(tokio::task::spawn_blocking(move || drop(former)));
                }
                memory = look(&parts, &client, memory).await;
            }
            _ = engine.tick() => look_at_engine(&parts).await,
        }
    }
}

async fn look(parts: &Parts, consumer: &Arc<BaseConsumer>, mut memory: Memory) -> Memory {
    match tokio::time::timeout(ANSWER_WITHIN, progress(&parts.store)).await {
        Ok(Ok(progress)) => {
            memory.stored.extend(progress);
            memory.answered = true;
        }
        Ok(Err(error)) => tracing::debug!(%error, "the store does not say how far it is"),
        Err(_) => tracing::debug!("the store does not say how far it is in time"),
    }
    let keys = keys(parts.config.partitions);
    let (asked, registry) = (Arc::clone(consumer), Arc::clone(&parts.registry));
    let usual = parts.figures.usual().clone();
    let looking = tokio::task::spawn_blocking(move || {
        let looked = look_at_kafka(&asked, &registry, &usual, &keys, &mut memory);
        (looked, memory)
    });
    match looking.await {
        Ok((looked, memory)) => {
            let now = Time::now();
            let lag = Lag::of(&looked, &parts.figures.usual(), now);
            parts.figures.behind(lag, now);
            parts.figures.holds(Part::LagHeads, memory.heads.values().map(Vec::len).sum());
            memory
        }
        Err(error) => {
            tracing::error!(%error, "looking how far the store is behind Kafka broke off");
            Memory::default()
        }
    }
}

fn keys(partitions: i32) -> Vec<Key> {
    let of = |name: &'static str| (0..partitions).map(move |number| (name.to_owned(), number));
    topic::EVENTS.into_iter().flat_map(of).collect()
}

/// Kafka's own next offset of each partition, by the store.
///
/// # Errors
/// If the store does not answer.
pub async fn progress(store: &Store) -> Result<HashMap<Key, i64>, StoreError> {
    let bases = store.bases().await?;
    let positions = store.positions().await?.into_iter();
    let own = |(key, next): (Key, i64)| {
        let base = bases.get(&key).copied().unwrap_or(0);
        (key, (next - base).max(0))
    };
    Ok(positions.map(own).collect())
}

fn look_at_kafka(
    consumer: &BaseConsumer,
    registry: &Registry,
    usual: &Usual,
    keys: &[Key],
    memory: &mut Memory,
) -> BTreeMap<Key, Looked> {
    let until = Instant::now() + PARTITIONS_WITHIN;
    let mut looked = BTreeMap::new();
    for key in keys {
        let in_time = Instant::now() < until;
        let extent = in_time.then(|| extent(consumer, key)).flatten();
        let none = memory.answered.then_some(0);
        let stored = memory.stored.get(key).copied().or(none);
        looked.insert(key.clone(), Looked { stored, extent, ..Looked::default() });
    }
    let told = looked.values().any(|looked| looked.extent.is_some());
    memory.mute = if told { 0 } else { memory.mute.saturating_add(1) };
    let waiting: Vec<Key> = looked
        .iter()
        .filter(|(_, looked)| looked.waiting().is_some_and(|waiting| waiting > 0))
        .map(|(key, _)| key.clone())
        .collect();
    for key in fresh(consumer, &waiting, &looked) {
        if let Some(looked) = looked.get_mut(&key) {
            looked.fresh = true;
        }
    }
    // What was read before is still the head if nothing of it was stored.
    memory.heads.retain(|key, heads| {
        let first = looked.get(key).and_then(|looked| {
            Some(looked.stored?.max(looked.extent.map_or(0, |extent| extent.low)))
        });
        first.is_some() && heads.first().map(|head| head.offset) == first
    });
    // Where nothing says how large records are, what came just now has to.
    let unread = |key: &&Key| {
        let fresh = looked.get(*key).is_some_and(|looked| looked.fresh);
        !(memory.heads.contains_key(*key) || fresh && usual.knows(&key.0))
    };
    let unread: Vec<&Key> = waiting.iter().filter(unread).collect();
    let first = memory.turn.checked_rem(unread.len()).unwrap_or(0);
    let their_turn = unread.iter().cycle().skip(first).take(unread.len().min(HEADS_MAX));
    let wanted: BTreeMap<Key, (i64, i64)> = their_turn
        .filter_map(|key| {
            let looked = looked.get(*key)?;
            let extent = looked.extent?;
            Some(((*key).clone(), (looked.stored?.max(extent.low), extent.high)))
        })
        .collect();
    memory.turn = memory.turn.wrapping_add(HEADS_MAX);
    match heads(consumer, &wanted, registry, HEADS_WITHIN) {
        Ok(read) => memory.heads.extend(read),
        Err(error) => tracing::debug!(%error, "Kafka does not give what waits"),
    }
    for (key, looked) in &mut looked {
        looked.heads = memory.heads.get(key).cloned().unwrap_or_default();
    }
    looked
}

fn extent(consumer: &BaseConsumer, key: &Key) -> Option<Extent> {
    match consumer.fetch_watermarks(&key.0, key.1, PARTITION_WITHIN) {
        Ok((low, high)) => Some(Extent { low, high }),
        Err(error) => {
            tracing::debug!(topic = key.0, partition = key.1, %error, "Kafka does not say what a partition has");
            None
        }
    }
}

/// Those of which nothing waits that came before [`ON_ITS_WAY`]. Asked in one question for all.
fn fresh(consumer: &BaseConsumer, keys: &[Key], looked: &BTreeMap<Key, Looked>) -> Vec<Key> {
    if keys.is_empty() {
        return Vec::new();
    }
    let since = Time::now().minus(ON_ITS_WAY);
    let mut asked = TopicPartitionList::new();
    for key in keys {
        let added = asked.add_partition_offset(&key.0, key.1, Offset::Offset(since.0 / 1_000_000));
        if added.is_err() {
            return Vec::new();
        }
    }
    let told = match consumer.offsets_for_times(asked, PARTITION_WITHIN) {
        Ok(told) => told,
        // Their heads are read instead.
        Err(error) => {
            tracing::debug!(%error, "Kafka does not say what came lately");
            return Vec::new();
        }
    };
    let came = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let key = (element.topic().to_owned(), element.partition());
        let Offset::Offset(first) = element.offset() else { return None };
        let stored = looked.get(&key)?.stored?;
        (element.error().is_ok() && first <= stored).then_some(key)
    };
    told.elements().iter().filter_map(came).collect()
}

/// A consumer for [`heads`]. It joins no group and commits nothing.
///
/// # Errors
/// If librdkafka refuses the settings.
pub fn consumer(config: &Config) -> Result<BaseConsumer, KafkaError> {
    let mut client = kafka::client(config);
    client
        // Wanted by librdkafka; the group is never joined.
        .set("group.id", format!("{}-lag", config.group))
        .set("client.id", "vonggac-lag")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.message.max.bytes", HEAD_BYTES_MAX.to_string())
        .set("queued.min.messages", "1")
        .set("queued.max.messages.kbytes", HEADS_KBYTES_MAX.to_string())
        .set("fetch.wait.max.ms", "100")
        .set("reconnect.backoff.max.ms", "2000");
    // What it has to say is said by those whose work it stops.
    client.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    client.create()
}

/// Reads the first records of partitions: from an offset on, and not beyond another. Of each at most [`HEAD_RECORDS_MAX`]; what does not come
/// within the time is left out.
///
/// # Errors
/// If librdkafka does not take the partitions.
pub fn heads(
    consumer: &BaseConsumer,
    wanted: &BTreeMap<Key, (i64, i64)>,
    registry: &Registry,
    within: Duration,
) -> Result<BTreeMap<Key, Vec<Head>>, KafkaError> {
    let mut found: BTreeMap<Key, Vec<Head>> = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let mut list = TopicPartitionList::new();
    for (key, (from, _)) in wanted {
        list.add_partition_offset(&key.0, key.1, Offset::Offset(*from))?;
    }
    consumer.assign(&list)?;
    // What was paused when it was read last stays so.
    consumer.resume(&list)?;
    let until = Instant::now() + within;
    let mut open = wanted.len();
    while open > 0 && Instant::now() < until {
        let message = match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                tracing::debug!(%error, "Kafka does not give what waits");
                continue;
            }
            None => continue,
        };
        let taken = taken(&message, &HashMap::new());
        let key = (taken.origin.topic.clone(), taken.origin.partition);
        let Some((_, high)) = wanted.get(&key) else { continue };
        let read = found.entry(key.clone()).or_default();
        if read.len() >= HEAD_RECORDS_MAX {
            continue;
        }
        read.push(Head::of(&taken, registry));
        if read.len() >= HEAD_RECORDS_MAX || taken.origin.offset + 1 >= *high {
            open -= 1;
            let mut done = TopicPartitionList::new();
            done.add_partition(&key.0, key.1);
            consumer.pause(&done)?;
        }
    }
    consumer.unassign()?;
    Ok(found)
}

/// The engine's parts and disk, and what was set aside. What it does not say is not known.
async fn look_at_engine(parts: &Parts) {
    let now = Time::now();
    let asked = async {
        let machine = parts.store.machine(now).await?;
        let dead = parts.store.dead_open().await?;
        let unexplained = parts.store.unexplained(now.minus(Duration::from_secs(86_400))).await?;
        Ok::<_, StoreError>((machine, dead, unexplained))
    };
    let told = match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(told)) => Some(told),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the engine says nothing of itself");
            None
        }
        Err(_) => None,
    };
    parts
        .figures
        .engine(told.as_ref().map(|(machine, dead, unexplained)| (machine, dead, *unexplained)));
}
