//! Asks the parts of a centre how they are. Each question ends within [`ANSWER_WITHIN`]; what does not answer is told, not waited for.

use std::{collections::BTreeMap, future::Future, time::Duration};

use hyper::Uri;
use hyper_util::rt::TokioIo;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    metadata::MetadataTopic,
};
use tonic::transport::{Channel, Endpoint};
use vonggac_daemon::tls::{Current, dial::Dial, listen::Security};
use vonggac_wire::{
    Time,
    proto::{WatchRequest, console_client::ConsoleClient},
    topic,
};

use super::{EngineSeen, KafkaSeen, NOTHING_STORED, Refused, Seen, TopicSeen, Wanted};
use crate::{
    config::Config,
    kafka,
    lag::probe,
    registry::Registry,
    rule::RuleSet,
    store::{Store, StoreError, migrate, refusal::Refusal},
    threat::ThreatList,
};

/// How long a part may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What this program wants of a centre with these settings.
#[must_use]
pub fn wanted(config: &Config) -> Wanted {
    Wanted {
        events: topic::EVENTS.to_vec(),
        partitions: usize::try_from(config.partitions).unwrap_or(0),
        others: vec![topic::SIGNALS, topic::COMMANDS, topic::INCIDENTS, topic::DEAD],
        schema: migrate::known(),
        channels: config
            .notify
            .iter()
            .flat_map(|notify| notify.channels.iter().map(|channel| channel.name.clone()))
            .collect(),
    }
}

/// Looks at everything.
pub async fn look(config: &Config, now: Time) -> Seen {
    let store = Store::new(config);
    let (kafka, engine, serves, cold) = tokio::join!(
        kafka(config),
        engine(&store, now),
        serves(config, now),
        within(store.cold_answers())
    );
    let mut kafka = kafka;
    if let (Ok(kafka), Ok(engine)) = (&mut kafka, &engine) {
        if let Err(error) = oldest(config, kafka, engine).await {
            tracing::debug!(error, "what waits in Kafka could not be read");
        }
    }
    let (rules_refused, threats_refused) = files(config);
    Seen { now, kafka, engine, serves, cold, rules_refused, threats_refused }
}

/// Reads the first of the records that wait.
async fn oldest(config: &Config, kafka: &mut KafkaSeen, engine: &EngineSeen) -> Result<(), String> {
    // Of a schema that this program does not know it is not known what is stored.
    if engine.schema != migrate::known() {
        return Ok(());
    }
    let mut wanted = BTreeMap::new();
    for (name, topic) in &kafka.topics {
        for (partition, (first, next)) in &topic.partitions {
            let key = (name.clone(), *partition);
            let at = engine.progress.get(&key).copied().unwrap_or(0).max(*first);
            if at < *next {
                wanted.insert(key, (at, at + 1));
            }
        }
    }
    let consumer = probe::consumer(config).map_err(|error| error.to_string())?;
    let registry = Registry::builtin().map_err(|error| error.to_string())?;
    let reading = tokio::task::spawn_blocking(move || {
        probe::heads(&consumer, &wanted, &registry, ANSWER_WITHIN)
    });
    let read = reading.await.map_err(|error| error.to_string())?;
    for ((name, partition), heads) in read.map_err(|error| error.to_string())? {
        let topic = kafka.topics.get_mut(&name);
        if let (Some(topic), Some(head)) = (topic, heads.into_iter().next()) {
            topic.oldest.insert(partition, head);
        }
    }
    Ok(())
}

async fn within<T, E: std::fmt::Display>(
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_WITHIN, question).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
    }
}

async fn kafka(config: &Config) -> Result<KafkaSeen, String> {
    let mut client = kafka::client(config);
    // librdkafka's own words about each try would stand between the answers.
    client.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    let admin: AdminClient<DefaultClientContext> =
        client.create().map_err(|error| error.to_string())?;
    let asked = client.clone();
    let topics = tokio::task::spawn_blocking(move || topics(&asked));
    let topics = match topics.await {
        Ok(topics) => topics.map_err(|error| error.to_string())?,
        Err(error) => return Err(error.to_string()),
    };
    let mut seen = KafkaSeen { topics: topics.into_iter().collect() };
    let of_events: Vec<_> = topic::EVENTS
        .iter()
        .filter(|name| seen.topics.contains_key(**name))
        .map(|name| ResourceSpecifier::Topic(name))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
    let told = admin.describe_configs(&of_events, &options).await;
    for resource in told.map_err(|error| error.to_string())?.into_iter().flatten() {
        let kept = retention(&resource);
        if let rdkafka::admin::OwnedResourceSpecifier::Topic(name) = &resource.specifier {
            if let Some(topic) = seen.topics.get_mut(name) {
                topic.retention = kept;
            }
        }
    }
    Ok(seen)
}

fn topics(client: &ClientConfig) -> Result<Vec<(String, TopicSeen)>, KafkaError> {
    let consumer: BaseConsumer = client.create()?;
    let metadata = consumer.fetch_metadata(None, ANSWER_WITHIN)?;
    metadata
        .topics()
        .iter()
        .filter(|topic| topic.error().is_none() && !topic.partitions().is_empty())
        .map(|topic| Ok((topic.name().to_owned(), seen(&consumer, topic)?)))
        .collect()
}

fn seen(consumer: &BaseConsumer, topic: &MetadataTopic) -> Result<TopicSeen, KafkaError> {
    let mut seen = TopicSeen::default();
    for partition in topic.partitions() {
        if partition.leader() < 0 || partition.isr().len() < partition.replicas().len() {
            seen.short_of_copies += 1;
        }
        if topic::EVENTS.contains(&topic.name()) {
            let marks = consumer.fetch_watermarks(topic.name(), partition.id(), ANSWER_WITHIN)?;
            seen.partitions.insert(partition.id(), marks);
        }
    }
    Ok(seen)
}

fn retention(resource: &ConfigResource) -> Option<Duration> {
    let kept = resource.get("retention.ms")?.value.as_deref()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(kept))
}

async fn engine(store: &Store, now: Time) -> Result<EngineSeen, Refused> {
    answered(store.ping()).await?;
    let schema = answered(migrate::version(store)).await?;
    let machine = answered(store.machine(now)).await?;
    let mut seen = EngineSeen { schema, ..machine };
    if schema == migrate::known() {
        answered(contents(store, now, &mut seen)).await?;
    }
    Ok(seen)
}

/// What the engine answered, or why it did not.
async fn answered<T>(question: impl Future<Output = Result<T, StoreError>>) -> Result<T, Refused> {
    match tokio::time::timeout(ANSWER_WITHIN, question).await {
        Ok(answer) => answer.map_err(|error| Refused {
            refusal: Refusal::of(&error).unwrap_or(Refusal::Other),
            said: error.to_string(),
            span: Duration::ZERO,
        }),
        Err(_) => {
            Err(Refused { refusal: Refusal::Hangs, said: String::new(), span: ANSWER_WITHIN })
        }
    }
}

/// What the tables say; only of a schema that this program knows.
async fn contents(store: &Store, now: Time, seen: &mut EngineSeen) -> Result<(), StoreError> {
    seen.progress = probe::progress(store).await?.into_iter().collect();
    seen.dead = store.dead_open().await?;
    seen.unexplained = store.unexplained(now.minus(Duration::from_secs(86_400))).await?;
    seen.newest = store.newest_stored().await?;
    seen.notify = store.notify_channels(now.minus(Duration::from_secs(86_400))).await?;
    let agents = store.agents().await?;
    let heard = now.minus(NOTHING_STORED).micros();
    let silent = agents.iter().filter(|agent| agent.heard < heard).count();
    seen.agents = (agents.len() as u64, silent as u64);
    Ok(())
}

/// A connection to a collector's consoles' port, as a console has it: by the collector's own certificate.
async fn channel(config: &Config) -> Result<Channel, String> {
    let security = match &config.tls {
        Some(files) => {
            Security::Tls(Current::once(files.clone()).map_err(|error| error.to_string())?)
        }
        None => Security::PlainText,
    };
    let dial = Dial::new(security);
    let dialling = dial.clone();
    let connector = tower::service_fn(move |uri: Uri| {
        let dial = dialling.clone();
        async move {
            let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_default());
            dial.connect(host, port).await.map(TokioIo::new)
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{}", config.grpc))
        .map_err(|error| error.to_string())?;
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|error| match dial.trouble() {
        Some(trouble) => format!("its port and this program do not trust each other: {trouble:?}"),
        None => error.to_string(),
    })
}

/// Whether a collector answers, and what it says of the store. Its picture is in its memory, so that it answers while the store does not.
async fn serves(config: &Config, now: Time) -> Result<Option<Refused>, String> {
    let mut client = ConsoleClient::new(within(channel(config)).await?);
    // The flow alone is wanted, with the rows of no agency.
    let wanted = WatchRequest { agencies: vec![String::new()] };
    let first = within(async {
        let asked = client.watch(wanted).await;
        let mut told = asked.map_err(|status| status.message().to_owned())?.into_inner();
        told.message().await.map_err(|status| status.message().to_owned())
    });
    let flow = first.await?.and_then(|picture| picture.flow).unwrap_or_default();
    Ok(Refusal::named(&flow.engine_trouble).map(|refusal| Refused {
        refusal,
        said: flow.engine_said,
        span: now.since(Time(flow.engine_since_unix_nano)),
    }))
}

fn files(config: &Config) -> (Vec<String>, Vec<String>) {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let rules = config.rules_dir.as_ref().map(|folder| match RuleSet::builtin() {
        Ok(mut rules) => match rules.add_folder(folder) {
            Ok(refused) => refused.iter().map(|error| said(error)).collect(),
            Err(error) => vec![said(&error)],
        },
        Err(error) => vec![said(&error)],
    });
    let threats = config.threats_dir.as_ref().map(|folder| match ThreatList::read_folder(folder) {
        Ok((_, wrong)) => wrong.iter().map(|error| said(error)).collect(),
        Err(error) => vec![said(&error)],
    });
    (rules.unwrap_or_default(), threats.unwrap_or_default())
}
