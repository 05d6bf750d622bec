//! Makes the topics that are missing, and refuses a different number of partitions than configured.

use std::time::Duration;

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, OwnedResourceSpecifier,
        ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio_util::sync::CancellationToken;
use vonggac_wire::{limits::RECORD_BYTES_MAX, topic};

use crate::{config::Config, kafka};

/// Why the topics are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// Kafka does not answer or refuses.
    #[error("make the topics: {0}; is Kafka up at kafka.brokers?")]
    Kafka(#[from] KafkaError),
    /// One topic could not be made.
    #[error("make the topic {0}: {1}")]
    Refused(String, RDKafkaErrorCode),
    /// It has another number of partitions: agencies would change their place.
    #[error(
        "use the topic {topic}: it has {found} partitions, the configuration says {wanted}; set kafka.partitions to {found}"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// Partitions found.
        found: usize,
        /// Partitions wanted.
        wanted: i32,
    },
}

/// How long Kafka may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Makes what is missing and checks what is there.
///
/// # Errors
/// If Kafka does not answer, or a topic has another number of partitions.
pub async fn ensure(config: &Config) -> Result<(), TopicsError> {
    let client = kafka::client(config);
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let bytes = RECORD_BYTES_MAX.to_string();
    let mut topics: Vec<NewTopic<'_>> = topic::EVENTS
        .into_iter()
        .map(|name| {
            NewTopic::new(name, config.partitions, TopicReplication::Fixed(config.replication))
        })
        .collect();
    for name in [topic::SIGNALS, topic::COMMANDS, topic::INCIDENTS, topic::DEAD] {
        let policy = if name == topic::INCIDENTS { "compact" } else { "delete" };
        let made = NewTopic::new(name, 1, TopicReplication::Fixed(config.replication))
            .set("cleanup.policy", policy);
        topics.push(made);
    }
    let topics: Vec<_> = topics
        .into_iter()
        .map(|topic| topic.set("max.message.bytes", &bytes).set(CLOCK.0, CLOCK.1))
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(ANSWER_WITHIN))
        .operation_timeout(Some(ANSWER_WITHIN));
    for made in admin.create_topics(&topics, &options).await? {
        if let Err((name, code)) = made {
            if code != RDKafkaErrorCode::TopicAlreadyExists {
                return Err(TopicsError::Refused(name, code));
            }
        }
    }
    set_clock(&admin, &options).await?;
    let consumer: BaseConsumer = client.create()?;
    for name in topic::EVENTS {
        let metadata = consumer.fetch_metadata(Some(name), ANSWER_WITHIN)?;
        let found = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if found != 0 && i32::try_from(found) != Ok(config.partitions) {
            return Err(TopicsError::Partitions {
                topic: name.into(),
                found,
                wanted: config.partitions,
            });
        }
    }
    Ok(())
}

/// Whose clock says when a record was appended. The sender's own could be anything, and silence and lag are judged by it.
const CLOCK: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// Topics that others made keep what was set for them, and get the broker's clock.
async fn set_clock(
    admin: &AdminClient<DefaultClientContext>,
    options: &AdminOptions,
) -> Result<(), TopicsError> {
    let names = topic::EVENTS.map(ResourceSpecifier::Topic);
    for described in admin.describe_configs(&names, options).await? {
        let Ok(described) = described else { continue };
        let OwnedResourceSpecifier::Topic(name) = &described.specifier else { continue };
        let clock = described.get(CLOCK.0).and_then(|entry| entry.value.as_deref());
        if clock == Some(CLOCK.1) {
            continue;
        }
        // What is not named here would go back to the broker's own.
        let mut wanted = AlterConfig::new(ResourceSpecifier::Topic(name)).set(CLOCK.0, CLOCK.1);
        let set = described
            .entries
            .iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic && entry.name != CLOCK.0);
        for entry in set {
            if let Some(value) = entry.value.as_deref() {
                wanted = wanted.set(&entry.name, value);
            }
        }
        for altered in admin.alter_configs([&wanted], options).await? {
            match altered {
                Ok(_) => {
                    tracing::info!(topic = name, "records have the broker's clock from now on");
                }
                Err((_, code)) => {
                    tracing::warn!(topic = name, %code, "the topic keeps its senders' clocks; set message.timestamp.type to LogAppendTime");
                }
            }
        }
    }
    Ok(())
}

/// How often topics are looked after: one that somebody deleted takes no record until it is there again.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Makes topics again that are deleted while the collector runs.
pub async fn keep(config: Config, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Err(error) = ensure(&config).await {
            tracing::warn!(%error, "the topics are not as they should be");
        }
    }
}
