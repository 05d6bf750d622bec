//! The consumer against a mock cluster of three brokers: leaders move, brokers go, answer late and refuse; each record comes once and in order.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where its ground is missing")]

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    mocking::{MockCluster, MockCoordinator},
    producer::{DefaultProducerContext, FutureProducer, FutureRecord},
    types::{RDKafkaApiKey, RDKafkaRespErr},
    util::Timeout,
};
use vonggac_collector::{
    config::Config,
    consume::{Consumer, Received, group::Change},
    tenure::Key,
};
use vonggac_wire::topic;

/// Records of each phase.
const RECORDS: usize = 60;

/// How long they may take to come.
const WITHIN: Duration = Duration::from_secs(60);

type Cluster = MockCluster<'static, DefaultProducerContext>;

struct Way {
    cluster: Cluster,
    consumer: Consumer,
    producer: FutureProducer,
    /// The next offset of each partition.
    next: BTreeMap<i32, i64>,
    sent: usize,
}

impl Way {
    fn open() -> Self {
        let cluster = Cluster::new(3).unwrap();
        for name in topic::EVENTS {
            cluster.create_topic(name, 2, 3).unwrap();
        }
        let group = MockCoordinator::Group("vonggac-collector".into());
        cluster.coordinator(group, 3).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("collector.toml");
        let brokers: Vec<String> =
            cluster.bootstrap_servers().split(',').map(|broker| format!("{broker:?}")).collect();
        let text = format!(
            "plain_text = true\n[kafka]\nbrokers = [{}]\n[engine]\nurl = \"http://127.0.0.1:9\"\n[grpc]\nlisten = \"127.0.0.1:0\"\n",
            brokers.join(", ")
        );
        fs::write(&file, text).unwrap();
        let config = Config::read(&file).unwrap();
        let consumer =
            Consumer::new(&config, &config.group, "vonggac-collector", &topic::EVENTS).unwrap();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .unwrap();
        Self { cluster, consumer, producer, next: BTreeMap::new(), sent: 0 }
    }

    /// Sends records and takes them: all, each once, in order.
    async fn passes(&mut self, phase: &str) {
        let first = self.sent;
        let Self { consumer, producer, next, .. } = self;
        let sent = async {
            for number in first..first + RECORDS {
                let payload = number.to_string();
                let record = FutureRecord::<str, str>::to(topic::SECURITY)
                    .partition(i32::try_from(number % 2).unwrap())
                    .payload(&payload);
                producer.send(record, Timeout::Never).await.unwrap();
            }
        };
        let mut numbers = Vec::new();
        let taken = async {
            while numbers.len() < RECORDS {
                follow(consumer, next);
                let received = tokio::select! {
                    () = consumer.changed() => continue,
                    received = consumer.recv() => received.unwrap(),
                };
                let Received::Record(taken) = received else { panic!("{phase}: out of range") };
                let expected = next.entry(taken.origin.partition).or_default();
                assert_eq!(taken.origin.offset, *expected, "{phase}: {:?}", taken.origin);
                *expected += 1;
                let text = String::from_utf8(taken.value).unwrap();
                numbers.push(text.parse::<usize>().unwrap());
            }
        };
        let both = async { tokio::join!(sent, taken) };
        tokio::time::timeout(WITHIN, both)
            .await
            .unwrap_or_else(|_| panic!("{phase}: not within {WITHIN:?}"));
        numbers.sort_unstable();
        assert_eq!(numbers, (first..first + RECORDS).collect::<Vec<_>>(), "{phase}");
        self.sent += RECORDS;
    }
}

/// Does what the group wants, as the chain does.
fn follow(consumer: &mut Consumer, next: &BTreeMap<i32, i64>) {
    while let Some(change) = consumer.change() {
        match change {
            Change::Taken => consumer.release().unwrap(),
            Change::Given(keys) => {
                let offset = |key: &Key| match key.0.as_str() {
                    topic::SECURITY => next.get(&key.1).copied().unwrap_or(0),
                    _ => 0,
                };
                let offsets: Vec<(Key, i64)> =
                    keys.iter().map(|key| (key.clone(), offset(key))).collect();
                consumer.assign(&offsets, HashMap::new()).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_come_once_and_in_order_whatever_brokers_do() {
    let mut way = Way::open();
    way.passes("all is well").await;

    for leader in [2, 3, 1] {
        for partition in 0..2 {
            way.cluster.partition_leader(topic::SECURITY, partition, Some(leader)).unwrap();
        }
        way.passes("the leader moved").await;
    }

    // The leader dies, and another is elected; then the coordinator of the group does.
    way.cluster.broker_down(1).unwrap();
    for partition in 0..2 {
        way.cluster.partition_leader(topic::SECURITY, partition, Some(2)).unwrap();
    }
    way.passes("a leader died").await;
    way.cluster.broker_up(1).unwrap();
    way.cluster.broker_down(3).unwrap();
    let group = MockCoordinator::Group("vonggac-collector".into());
    way.cluster.coordinator(group, 1).unwrap();
    way.passes("the coordinator died").await;
    way.cluster.broker_up(3).unwrap();

    way.cluster.broker_round_trip_time(2, Duration::from_millis(700)).unwrap();
    way.passes("the leader answers late").await;
    way.cluster.broker_round_trip_time(2, Duration::ZERO).unwrap();

    let refusals = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    ];
    way.cluster.request_errors(RDKafkaApiKey::Fetch, &refusals);
    way.passes("it refuses for a while").await;
}

/// Takes until the group gives something, as the chain does until it takes it over.
async fn given(consumer: &mut Consumer) {
    loop {
        match consumer.change() {
            Some(Change::Given(_)) => return,
            Some(Change::Taken) => consumer.release().unwrap(),
            None => {}
        }
        tokio::select! {
            () = consumer.changed() => {}
            _ = consumer.recv() => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_superseded_before_it_took_what_it_was_given_is_given_it_again() {
    let mut way = Way::open();
    for _ in 0..3 {
        let waits = tokio::time::timeout(WITHIN, given(&mut way.consumer));
        waits.await.expect("the group gives");
        way.consumer.rejoin().unwrap();
    }
    way.passes("it took it at last").await;
    // Nor does it matter that it did.
    way.consumer.rejoin().unwrap();
    way.passes("it was superseded later").await;
}
