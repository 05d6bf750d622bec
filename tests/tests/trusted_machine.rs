//! One machine that speaks by certificates, made at its first start: who has one gets on, who has none or the wrong one gets nowhere.

#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
};
use system_tests::machine::Machine;
use vonggac_wire::topic;

const WITHIN: Duration = Duration::from_secs(60);

/// How long a refusal is waited for.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);

/// A client of Kafka with a set of the machine's, or with the authorities alone.
fn kafka(machine: &Machine, set: Option<&str>) -> ClientConfig {
    let trust = machine.data().join("trust");
    let path = |name: &str| trust.join(name).display().to_string();
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", machine.address("kafka").expect("an address"))
        .set("security.protocol", "ssl")
        .set("ssl.ca.location", path("agent/authorities.pem"))
        .set("group.id", "intruder")
        .set("log_level", "0");
    if let Some(set) = set {
        client
            .set("ssl.certificate.location", path(&format!("{set}/certificate.pem")))
            .set("ssl.key.location", path(&format!("{set}/key.pem")));
    }
    client
}

/// Whether this client can read the first partition of a topic: the error that it meets first.
fn reading(client: &ClientConfig, topic: &str) -> Result<(), KafkaError> {
    let consumer: BaseConsumer = client.create()?;
    let mut places = TopicPartitionList::new();
    places.add_partition_offset(topic, 0, rdkafka::Offset::Beginning)?;
    consumer.assign(&places)?;
    let until = Instant::now() + REFUSED_WITHIN;
    while Instant::now() < until {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(record)) => {
                assert!(record.payload().is_some());
                return Ok(());
            }
            // Who has no group can still ask for records.
            Some(Err(error)) if group_is_refused(&error) => {}
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    Err(KafkaError::NoMessageReceived)
}

fn group_is_refused(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

/// Whether this client can write a record: the report that comes back.
fn writing(client: &ClientConfig, topic: &str) -> Result<(), KafkaError> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let producer: FutureProducer = client.clone().set("message.timeout.ms", "8000").create()?;
        let record = FutureRecord::<(), _>::to(topic).payload("x");
        producer.send(record, REFUSED_WITHIN).await.map(|_| ()).map_err(|(error, _)| error)
    })
}

fn refused(outcome: &Result<(), KafkaError>, code: RDKafkaErrorCode) -> bool {
    outcome.as_ref().is_err_and(|error| error.rdkafka_error_code() == Some(code))
}

#[test]
fn a_machine_that_speaks_by_certificates_takes_who_has_one_and_nobody_else() -> anyhow::Result<()> {
    let Some(machine) = Machine::trusted()? else { return Ok(()) };
    machine.append(
        "Nov 24 09:00:00 web-1 sshd[7]: Failed password for invalid user lan from 203.0.113.7 port 4711 ssh2\n",
    )?;
    let count = "SELECT count() FROM events WHERE user = 'lan'";
    machine.until("a line is an event", WITHIN, |machine| machine.count(count), |n| *n == 1)?;
    // Of the agent's own batches, each by its own certificate, and nothing of it was set aside.
    let sealed = "SELECT count() FROM batches WHERE agency = 'local' AND simulated = false AND signature != ''";
    machine.until("batches are sealed", WITHIN, |machine| machine.count(sealed), |n| *n > 0)?;
    let known = "SELECT count() FROM certificates WHERE agency = 'local'";
    assert_eq!(machine.count(known)?, 1);
    assert_eq!(machine.count("SELECT count() FROM dead_letters")?, 0);

    let collector = machine.address("collector")?;
    let trust = machine.data().join("trust");
    let path = |name: &str| trust.join(name).display().to_string();
    let ask = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = std::process::Command::new(system_tests::machine::program("vonggac"))
            .args(["health", "--lang", "en"])
            .args(arguments)
            .output()?;
        assert!(!output.status.success(), "{arguments:?} was let in");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let plain = ask(&["--collector", &collector])?;
    assert!(plain.contains("speaks TLS only"), "{plain}");
    let agent = ask(&[
        "--collector",
        &format!("https://{collector}"),
        "--certificate",
        &path("agent/certificate.pem"),
        "--key",
        &path("agent/key.pem"),
        "--authorities",
        &path("agent/authorities.pem"),
    ])?;
    assert!(agent.contains("not a person's"), "{agent}");

    nobody_comes_to_kafka_without_a_certificate(&machine)?;
    an_agent_writes_events_and_reads_nothing(&machine);
    nobody_asks_the_engine_without_its_password(&machine)
}

fn nobody_comes_to_kafka_without_a_certificate(machine: &Machine) -> anyhow::Result<()> {
    let nobody: BaseConsumer = kafka(machine, None).create()?;
    assert!(nobody.fetch_metadata(None, REFUSED_WITHIN).is_err(), "was let in");
    let mut plain = ClientConfig::new();
    plain.set("bootstrap.servers", machine.address("kafka")?).set("log_level", "0");
    let plain: BaseConsumer = plain.create()?;
    assert!(plain.fetch_metadata(None, REFUSED_WITHIN).is_err(), "was let in");
    Ok(())
}

fn an_agent_writes_events_and_reads_nothing(machine: &Machine) {
    let agent = kafka(machine, Some("agent"));
    for topic in topic::EVENTS {
        let outcome = reading(&agent, topic);
        let denied = RDKafkaErrorCode::TopicAuthorizationFailed;
        assert!(refused(&outcome, denied), "{topic}: {outcome:?}");
    }
    let ends = |set: &str, topic: &str| {
        let client: BaseConsumer = kafka(machine, Some(set)).create().expect("a client");
        client.fetch_watermarks(topic, 0, REFUSED_WITHIN)
    };
    for topic in [topic::SIGNALS, topic::COMMANDS, topic::INCIDENTS, topic::DEAD] {
        assert!(ends("agent", topic).is_err(), "{topic} is seen by an agent");
        assert!(ends("collector", topic).is_ok(), "{topic} is not seen by a collector");
    }
    for topic in [topic::SIGNALS, topic::COMMANDS, topic::INCIDENTS, topic::DEAD] {
        assert!(writing(&agent, topic).is_err(), "{topic} was written by an agent");
    }
    // Somebody else's certificate of the same authority has no rights at all.
    let person = kafka(machine, Some("person"));
    assert!(reading(&person, topic::SECURITY).is_err());
    // A collector reads what the agent wrote.
    assert_eq!(reading(&kafka(machine, Some("collector")), topic::SECURITY), Ok(()));
}

fn nobody_asks_the_engine_without_its_password(machine: &Machine) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(machine.address("engine")?)?;
    stream.write_all(
        b"POST /?query=SELECT+1 HTTP/1.1\r\nHost: e\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    Ok(())
}
