//! Whoever may write to Kafka puts records there that are little, and more than anybody opens when they are expanded. They hold nobody up.

use std::time::Duration;

use anyhow::anyhow;
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use serde_json::Value;
use system_tests::ailing::Centre;

const SOON: Duration = Duration::from_secs(120);

const TOPIC: &str = "vonggac.security.v1";

const PARTITIONS: i32 = 4;

const LINES: usize = 200;

/// More than a client opens, in some kilobytes.
const EXPANDED_BYTES: usize = 120_000_000;

/// One on each partition.
fn bomb(kafka: &str) -> anyhow::Result<()> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("compression.codec", "zstd")
        .set("message.max.bytes", "200000000")
        .set("batch.size", "1000000")
        .create()?;
    let zeros = vec![0_u8; EXPANDED_BYTES];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for partition in 0..PARTITIONS {
        let record = FutureRecord::to(TOPIC).partition(partition).key("H49").payload(&zeros);
        let sent = runtime.block_on(producer.send(record, Timeout::After(SOON)));
        sent.map_err(|(error, _)| anyhow!("Kafka did not take it: {error}"))?;
    }
    Ok(())
}

fn passed_over(centre: &Centre) -> anyhow::Result<Vec<Value>> {
    centre.machine.rows(&["sql", "SELECT agent FROM gaps WHERE reason = 'unopened'"])
}

fn rebuilt(centre: &Centre) -> usize {
    centre.log().matches("detection is rebuilt").count()
}

#[test]
fn a_record_that_expands_beyond_all_bounds_is_passed_over_and_told_as_an_attack() {
    let Some(mut centre) = Centre::up("", |_| Ok(())).expect("a centre") else { return };
    let kafka = centre.machine.address("kafka").expect("Kafka's address");
    centre.write(LINES).expect("written");
    centre.settled(SOON).unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));

    bomb(&kafka).expect("put there");
    centre.write(LINES).expect("written");
    centre.each_once(SOON).unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    let all = |places: &Vec<Value>| places.len() == PARTITIONS as usize;
    let told = centre.machine.until("gaps", SOON, |_| passed_over(&centre), all);
    told.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    let asked = |_: &_| centre.machine.rows(&["incidents", "--rule", "record-unopened"]);
    let told = centre.machine.until("an incident", SOON, asked, |rows| !rows.is_empty());
    told.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));

    // Who begins anew reads its past again, and passes them over there, too.
    let before = rebuilt(&centre);
    centre.kill_collector();
    centre.start_collector().expect("the collector starts");
    centre.write(LINES).expect("written");
    centre.each_once(SOON).unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    let again = centre.machine.until("detection", SOON, |_| Ok(rebuilt(&centre)), |n| *n > before);
    again.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    assert_eq!(passed_over(&centre).expect("asked").len(), PARTITIONS as usize, "told once");
}
