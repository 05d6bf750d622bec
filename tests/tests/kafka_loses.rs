//! Kafka gives records up before they are stored, and a topic is deleted: what is missing is told with its range, and what comes then is stored.
#![expect(clippy::panic, reason = "a story stops where its ground is missing")]

use std::time::Duration;

use anyhow::{Context, ensure};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::Value;
use system_tests::ailing::Centre;

const SOON: Duration = Duration::from_secs(90);

/// What follows the rows, or the first record.
const AWHILE: Duration = Duration::from_secs(3);

const TOPIC: &str = "vonggac.security.v1";

const LINES: usize = 300;

/// Where the topic's partitions end.
fn ends(kafka: &str) -> anyhow::Result<Vec<(i32, i64)>> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", kafka).set("group.id", "story").create()?;
    let metadata = consumer.fetch_metadata(Some(TOPIC), SOON)?;
    let topic = metadata.topics().first().context("no topic")?;
    let end =
        |partition: i32| Ok((partition, consumer.fetch_watermarks(TOPIC, partition, SOON)?.1));
    topic.partitions().iter().map(|partition| end(partition.id())).collect()
}

fn admin(kafka: &str) -> anyhow::Result<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new().set("bootstrap.servers", kafka).create()?)
}

/// As retention does: nothing below these ends is left.
fn give_up(kafka: &str, ends: &[(i32, i64)]) -> anyhow::Result<()> {
    let mut list = TopicPartitionList::new();
    for (partition, end) in ends {
        list.add_partition_offset(TOPIC, *partition, Offset::Offset(*end))?;
    }
    let admin = admin(kafka)?;
    let done = tokio::runtime::Runtime::new()?
        .block_on(admin.delete_records(&list, &AdminOptions::new()))?;
    ensure!(done.count() == ends.len(), "{done:?}");
    Ok(())
}

fn delete(kafka: &str) -> anyhow::Result<()> {
    let admin = admin(kafka)?;
    let done = tokio::runtime::Runtime::new()?
        .block_on(admin.delete_topics(&[TOPIC], &AdminOptions::new()))?;
    ensure!(done.iter().all(Result::is_ok), "{done:?}");
    Ok(())
}

fn gaps(centre: &Centre, reason: &str) -> anyhow::Result<Vec<Value>> {
    let query = format!("SELECT agent, first_seq, last_seq FROM gaps WHERE reason = '{reason}'");
    centre.machine.rows(&["sql", &query])
}

/// Rows and lines, once there are so many.
fn stored(centre: &Centre, expected: u64) -> (u64, u64) {
    let stored = centre.machine.until("lines", SOON, |_| centre.stored(), |s| s.0 >= expected);
    stored.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()))
}

#[test]
fn what_kafka_gave_up_is_a_gap_with_its_range_and_a_deleted_topic_begins_anew() {
    let Some(mut centre) = Centre::up("", |_| Ok(())).expect("a centre") else { return };
    let kafka = centre.machine.address("kafka").expect("Kafka's address");
    centre.write(LINES).expect("written");
    centre.settled(SOON).unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));

    // Its progress is stored, too. Then nobody takes what comes, until retention has passed it.
    std::thread::sleep(AWHILE);
    centre.kill_collector();
    let before = ends(&kafka).expect("ends");
    centre.write(LINES).expect("written");
    let sent = |now: &Vec<(i32, i64)>| now.iter().zip(&before).any(|(now, then)| now.1 > then.1);
    let after = centre.machine.until("records in Kafka", SOON, |_| ends(&kafka), sent);
    std::thread::sleep(AWHILE);
    let after = ends(&kafka).or(after).expect("ends");
    give_up(&kafka, &after).expect("given up");
    centre.start_collector().expect("the collector starts");
    let told = centre.machine.until("a gap", SOON, |_| gaps(&centre, "expired"), |g| !g.is_empty());
    let told = told.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    for gap in &told {
        let number = |name: &str| gap[name].as_i64().or_else(|| gap[name].as_str()?.parse().ok());
        let (first, last) = (number("first_seq"), number("last_seq"));
        let partition = after.iter().find(|(partition, end)| {
            gap["agent"] == format!("{TOPIC}/{partition}") && last == Some(end - 1)
        });
        let (partition, _) = partition.unwrap_or_else(|| panic!("{gap}, ends {after:?}"));
        assert!(
            before.iter().any(|(other, end)| other == partition && first <= Some(*end)),
            "{gap}"
        );
    }
    // The agent's own numbers say how many lines are missing, as soon as the next ones come.
    centre.write(LINES).expect("written");
    let lines = LINES as u64;
    assert_eq!(stored(&centre, 2 * lines), (2 * lines, 2 * lines));
    let query = "SELECT sum(last_seq - first_seq + 1) FROM gaps WHERE reason = 'unexplained'";
    // Gaps are written behind the rows of their block.
    let missing = centre.machine.until(
        "the missing lines",
        SOON,
        |_| centre.machine.count(query),
        |missing| *missing >= lines,
    );
    assert_eq!(missing.expect("counted"), lines);

    // Somebody deletes the topic while the collector runs. It is made again; what comes then stands behind what was there.
    delete(&kafka).expect("deleted");
    centre.write(LINES).expect("written");
    assert_eq!(stored(&centre, 3 * lines), (3 * lines, 3 * lines));
    let anew = gaps(&centre, "topic-renewed").expect("asked");
    assert!(!anew.is_empty(), "nobody was told\n{}", centre.log());
    // And it goes on from there after a restart.
    centre.kill_collector();
    centre.start_collector().expect("the collector starts");
    centre.write(LINES).expect("written");
    assert_eq!(stored(&centre, 4 * lines), (4 * lines, 4 * lines));
}
