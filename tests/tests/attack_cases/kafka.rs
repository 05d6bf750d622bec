//! What Kafka lets agents do: write their three topics, and nothing else. Its own log counts whom it refuses.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
        TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
};
use system_tests::machine::Part;
use vonggac_wire::topic;

use super::{ground::Ground, tally::Tally};

/// How long a refusal is waited for.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

enum Tries {
    /// To come in at all.
    Come,
    Write(&'static str),
    Read(&'static str),
    /// A group of the collector's.
    Join,
    Create,
    Delete(&'static str),
    Grow(&'static str),
    Empty(&'static str),
    /// How long a topic keeps what it has.
    Retention(&'static str),
    /// The broker's own settings.
    Broker,
    /// Rights.
    Rights,
}

struct Case {
    sentence: &'static str,
    who: Who,
    tries: Tries,
}

#[derive(Clone, Copy)]
enum Who {
    Plain,
    Without,
    With(&'static str),
}

use Tries::{Broker, Come, Create, Delete, Empty, Grow, Join, Read, Retention, Rights, Write};
use Who::{Plain, With, Without};

const AGENT: Who = With("web-1");

const fn case(sentence: &'static str, who: Who, tries: Tries) -> Case {
    Case { sentence, who, tries }
}

const CASES: [Case; 29] = [
    case("plain text does not come to Kafka", Plain, Come),
    case("who has no certificate does not come to Kafka", Without, Come),
    case("a certificate of another authority does not come to Kafka", With("agent-stranger"), Come),
    case("a certificate that is over does not come to Kafka", With("agent-over"), Come),
    case("a certificate that an agent issued does not come to Kafka", With("by-a-leaf"), Come),
    case("an agent writes no signals", AGENT, Write(topic::SIGNALS)),
    case("an agent writes no commands", AGENT, Write(topic::COMMANDS)),
    case("an agent writes no incidents", AGENT, Write(topic::INCIDENTS)),
    case("an agent writes no dead letters", AGENT, Write(topic::DEAD)),
    case("an agent writes no offsets of groups", AGENT, Write("__consumer_offsets")),
    case("an agent reads no security events", AGENT, Read(topic::SECURITY)),
    case("an agent reads no uptime events", AGENT, Read(topic::UPTIME)),
    case("an agent reads no usage events", AGENT, Read(topic::USAGE)),
    case("an agent reads no signals", AGENT, Read(topic::SIGNALS)),
    case("an agent reads no incidents", AGENT, Read(topic::INCIDENTS)),
    case("an agent reads no commands", AGENT, Read(topic::COMMANDS)),
    case("an agent reads no dead letters", AGENT, Read(topic::DEAD)),
    case("an agent does not join the collectors' group", AGENT, Join),
    case("an agent creates no topic", AGENT, Create),
    case("an agent deletes no topic of events", AGENT, Delete(topic::SECURITY)),
    case("an agent deletes no incidents", AGENT, Delete(topic::INCIDENTS)),
    case("an agent adds no partitions", AGENT, Grow(topic::SECURITY)),
    case("an agent empties no topic", AGENT, Empty(topic::SECURITY)),
    case("an agent does not shorten what a topic keeps", AGENT, Retention(topic::SECURITY)),
    case("an agent does not change the broker", AGENT, Broker),
    case("an agent gives itself no rights", AGENT, Rights),
    case("a person's certificate writes no events", With("lan"), Write(topic::SECURITY)),
    case("a person's certificate reads no events", With("lan"), Read(topic::SECURITY)),
    case("a person's certificate deletes no topic", With("lan"), Delete(topic::USAGE)),
];

impl Ground {
    /// How many times Kafka's log says that somebody was refused.
    fn refused_by_kafka(&self) -> anyhow::Result<usize> {
        let text = fs::read_to_string(self.machine.data().join("log/kafka.log"))?;
        let told = |line: &&str| line.contains("Denied") || line.contains("Failed authentication");
        Ok(text.lines().filter(told).count())
    }

    /// Where a topic's first partition begins and ends, and how many there are, as the collector sees it.
    fn extent(&self, topic: &str) -> anyhow::Result<(i64, i64, usize)> {
        let client: BaseConsumer =
            self.kafka(Some("collector"))?.set("group.id", "look").create()?;
        let (low, high) = client.fetch_watermarks(topic, 0, REFUSED_WITHIN)?;
        let known = client.fetch_metadata(Some(topic), REFUSED_WITHIN)?;
        Ok((low, high, known.topics().first().map_or(0, |topic| topic.partitions().len())))
    }

    /// Kafka's own tool for rights, with an agent's certificate.
    fn give_rights(&self, set: &str) -> anyhow::Result<String> {
        let pid = self.machine.pid(Part::Kafka)?;
        let words = fs::read(format!("/proc/{pid}/cmdline"))?;
        let words: Vec<String> =
            words.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        let place = words.iter().position(|word| word == "-cp").context("no class path")?;
        let classes = words.get(place + 1).context("no class path")?;
        let folder = self.set(set);
        let read = |name: &str| fs::read_to_string(folder.join(name));
        let store = folder.join("store.pem");
        fs::write(&store, format!("{}{}", read("key.pem")?, read("certificate.pem")?))?;
        let properties = folder.join("tools.properties");
        let trusted = folder.join("authorities.pem");
        fs::write(
            &properties,
            format!(
                "security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.location={}\nssl.truststore.type=PEM\nssl.truststore.location={}\n",
                store.display(),
                trusted.display()
            ),
        )?;
        let output = Command::new("timeout")
            .args(["60", "java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classes])
            .args(["org.apache.kafka.tools.AclCommand", "--bootstrap-server"])
            .arg(self.machine.address("kafka")?)
            .arg("--command-config")
            .arg(&properties)
            .args([
                "--add",
                "--allow-principal",
                "User:agent",
                "--operation",
                "All",
                "--topic",
                "*",
            ])
            .output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

fn reading(client: &ClientConfig, topic: &str) -> Result<(), KafkaError> {
    let consumer: BaseConsumer = client.clone().set("group.id", "intruder").create()?;
    let mut places = TopicPartitionList::new();
    places.add_partition_offset(topic, 0, rdkafka::Offset::Beginning)?;
    consumer.assign(&places)?;
    let until = Instant::now() + REFUSED_WITHIN;
    while Instant::now() < until {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(_)) => return Ok(()),
            // Who has no group can still ask for records.
            Some(Err(error))
                if error.rdkafka_error_code()
                    == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    Err(KafkaError::NoMessageReceived)
}

fn joining(client: &ClientConfig) -> Result<(), KafkaError> {
    let consumer: BaseConsumer = client.clone().set("group.id", "vonggac-collector").create()?;
    consumer.subscribe(&[topic::SECURITY])?;
    let until = Instant::now() + REFUSED_WITHIN;
    while Instant::now() < until {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(_)) => return Ok(()),
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    Err(KafkaError::NoMessageReceived)
}

/// Each of these answers for one thing: the first answer.
fn one<T, E: std::fmt::Debug>(
    answered: Result<Vec<Result<T, E>>, KafkaError>,
) -> anyhow::Result<Result<(), String>> {
    let first = answered?.into_iter().next().context("nothing was answered")?;
    Ok(first.map(|_| ()).map_err(|error| format!("{error:?}")))
}

/// Whether a setting is not the one that was tried: what the client says of it is not believed.
async fn unchanged(
    ground: &Ground,
    resource: ResourceSpecifier<'_>,
    key: &str,
    answered: &impl std::fmt::Debug,
) -> anyhow::Result<Result<(), String>> {
    let admin: AdminClient<DefaultClientContext> = ground.kafka(Some("collector"))?.create()?;
    let options = AdminOptions::new().request_timeout(Some(REFUSED_WITHIN));
    let described = admin.describe_configs([&resource], &options).await?;
    let described = described.into_iter().next().context("nothing is described")?;
    let described = described.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let value = described.get(key).and_then(|entry| entry.value.clone());
    let is_changed = value.as_deref() == Some("1");
    Ok(if is_changed { Ok(()) } else { Err(format!("{answered:?}, and {key} is {value:?}")) })
}

fn administer(
    ground: &Ground,
    client: &ClientConfig,
    tries: &Tries,
) -> anyhow::Result<Result<(), String>> {
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let options = AdminOptions::new().request_timeout(Some(REFUSED_WITHIN));
    ground.runtime.block_on(async {
        match *tries {
            Create => {
                let topic = NewTopic::new("vonggac.own.v1", 1, TopicReplication::Fixed(1));
                one(admin.create_topics([&topic], &options).await)
            }
            Delete(topic) => one(admin.delete_topics(&[topic], &options).await),
            Grow(topic) => {
                one(admin.create_partitions([&NewPartitions::new(topic, 64)], &options).await)
            }
            Empty(topic) => {
                let mut places = TopicPartitionList::new();
                places.add_partition_offset(topic, 0, rdkafka::Offset::End)?;
                let emptied = admin.delete_records(&places, &options).await;
                let emptied = emptied.and_then(|list| {
                    list.elements().first().map_or(Ok(()), |element| element.error())
                });
                Ok(emptied.map_err(|error| format!("{error:?}")))
            }
            Retention(topic) => {
                let change =
                    AlterConfig::new(ResourceSpecifier::Topic(topic)).set("retention.ms", "1");
                let answered = admin.alter_configs([&change], &options).await;
                Ok(unchanged(ground, ResourceSpecifier::Topic(topic), "retention.ms", &answered)
                    .await?)
            }
            _ => {
                let broker = ResourceSpecifier::Broker(1);
                let change = AlterConfig::new(broker).set("log.retention.ms", "1");
                let answered = admin.alter_configs([&change], &options).await;
                Ok(unchanged(ground, broker, "log.retention.ms", &answered).await?)
            }
        }
    })
}

fn attempt(ground: &Ground, case: &Case) -> anyhow::Result<Result<(), String>> {
    let client = match case.who {
        Plain => {
            let mut client = ClientConfig::new();
            client.set("bootstrap.servers", ground.machine.address("kafka")?).set("log_level", "0");
            client
        }
        Without => ground.kafka(None)?,
        With(set) => ground.kafka(Some(set))?,
    };
    let told = |outcome: Result<(), KafkaError>| Ok(outcome.map_err(|error| format!("{error:?}")));
    match &case.tries {
        Come => {
            let consumer: BaseConsumer = client.create()?;
            told(consumer.fetch_metadata(None, Duration::from_secs(2)).map(|_| ()))
        }
        Write(topic) => ground.runtime.block_on(async {
            let producer: FutureProducer = client
                .clone()
                .set("message.timeout.ms", "3000")
                .set("topic.metadata.propagation.max.ms", "500")
                .create()?;
            let record = FutureRecord::<(), _>::to(topic).payload("x");
            let sent = producer.send(record, REFUSED_WITHIN).await;
            told(sent.map(|_| ()).map_err(|(error, _)| error))
        }),
        Read(topic) => told(reading(&client, topic)),
        Join => told(joining(&client)),
        Rights => {
            let With(set) = case.who else { return Ok(Ok(())) };
            let said = ground.give_rights(set)?;
            let refused = said.contains("ClusterAuthorizationException")
                || said.to_lowercase().contains("authorization failed");
            Ok(if refused { Err(said) } else { Ok(()) })
        }
        tries => administer(ground, &client, tries),
    }
}

fn try_one(ground: &Ground, case: &Case) -> anyhow::Result<()> {
    let refused = ground.refused_by_kafka()?;
    let own = match case.tries {
        Write(topic @ (topic::SIGNALS | topic::COMMANDS | topic::INCIDENTS | topic::DEAD))
        | Delete(topic)
        | Grow(topic)
        | Empty(topic)
        | Retention(topic) => Some((topic, ground.extent(topic)?)),
        _ => None,
    };
    let outcome = attempt(ground, case)?;
    ensure!(outcome.is_err(), "it was done");
    if let Some((topic, (low, high, partitions))) = own {
        let now = ground.extent(topic)?;
        ensure!(now.0 == low && now.2 == partitions, "{topic} is another one: {now:?}");
        // Events come meanwhile; nothing else does.
        ensure!(topic::lane_of(topic).is_some() || now.1 == high, "{topic} has grown");
    }
    ground.wait("Kafka's log tells the refusal", || Ok(ground.refused_by_kafka()? > refused))
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    for case in &CASES {
        tally.note(case.sentence, try_one(ground, case));
    }
    Ok(())
}
