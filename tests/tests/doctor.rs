//! A centre is broken in ten ways, one after the other, and the doctor names each; dead letters are looked at, dropped and sent again.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::Value;
use system_tests::machine::{Machine, program};
use vonggac_wire::{
    AgencyId, AgentId, Batch, Event, Lane, Time,
    event::{Activity, Body, Class, Status},
    topic::header,
};

const SOON: Duration = Duration::from_secs(30);

/// The collector's own configuration with one thing changed.
struct Setting<'a> {
    machine: &'a Machine,
    text: String,
}

impl<'a> Setting<'a> {
    fn of(machine: &'a Machine) -> Self {
        let text = fs::read_to_string(machine.data().join("etc/collector.toml"));
        Self { machine, text: text.expect("a configuration") }
    }

    fn with(mut self, old: &str, new: &str) -> Self {
        assert!(self.text.contains(old), "{old} is not in {}", self.text);
        self.text = self.text.replacen(old, new, 1);
        self
    }

    fn file(&self) -> PathBuf {
        let file = self.machine.data().join("etc/broken.toml");
        fs::write(&file, &self.text).expect("written");
        file
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(program("vonggac-collector"))
            .args(arguments)
            .arg("--config")
            .arg(self.file())
            .output()
            .expect("it runs")
    }

    /// Names of what is wrong, and the exit code.
    fn doctor(&self) -> (Vec<String>, Option<i32>) {
        let output = self.run(&["doctor", "--format", "json"]);
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("rows");
        let names = rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned());
        // How full the disk of a test's machine is says nothing of the centre.
        (names.filter(|name| name != "disk-full").collect(), output.status.code())
    }

    fn names(&self, name: &str, code: i32) {
        let (names, exit) = self.doctor();
        assert!(names.iter().any(|found| found == name), "{name} is not among {names:?}");
        assert_eq!(exit, Some(code), "{names:?}");
    }
}

fn client(machine: &Machine) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", machine.address("kafka").expect("an address"))
        .set("message.max.bytes", "4194304");
    client
}

#[test]
fn the_doctor_names_each_fault_of_a_centre_and_dead_letters_are_settled() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let well = || Setting::of(&machine);
    machine
        .until("well", SOON, |_| Ok(well().doctor()), |(names, _)| names.is_empty())
        .expect("nothing is wrong");
    assert_eq!(well().doctor().1, Some(0));
    what_does_not_answer(&machine);
    what_is_configured_wrongly(&machine);
    what_the_store_says(&machine);
    letters_are_settled(&machine);
    a_letter_that_is_sent_again_fills_its_gap(&machine);
    what_kafka_lost(&machine);
}

fn what_does_not_answer(machine: &Machine) {
    let at = |part: &str| machine.address(part).expect("an address");
    let nobody = "127.0.0.1:9";
    Setting::of(machine).with(&at("kafka"), nobody).names("kafka-away", 1);
    Setting::of(machine).with(&at("engine"), nobody).names("engine-away", 1);
    Setting::of(machine).with(&at("collector"), nobody).names("not-serving", 1);
    let said = Setting::of(machine).with(&at("kafka"), nobody).run(&["doctor", "--lang", "vi"]);
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(
        text.contains("HỎNG  Kafka không trả lời") && text.contains("→ Khởi động Kafka"),
        "{text}"
    );
}

fn what_is_configured_wrongly(machine: &Machine) {
    let rules = machine.data().join("rules");
    let threats = machine.data().join("threats");
    for folder in [&rules, &threats] {
        fs::create_dir_all(folder).expect("a folder");
    }
    fs::write(rules.join("torn.yml"), "title: [").expect("written");
    fs::write(threats.join("torn.json"), "{").expect("written");
    let tables = format!(
        "[rules]\ndir = {:?}\n[threats]\ndir = {:?}\n[grpc]\n",
        rules.display().to_string(),
        threats.display().to_string()
    );
    let setting = Setting::of(machine).with("[grpc]\n", &tables);
    setting.names("rule-refused", 0);
    setting.names("threats-refused", 0);
    Setting::of(machine)
        .with("[kafka]\n", "[kafka]\npartitions = 7\n")
        .names("topic-partitions", 1);
}

fn what_the_store_says(machine: &Machine) {
    let url = format!("http://{}\"\n", machine.address("engine").expect("an address"));
    let other =
        |name: &str| Setting::of(machine).with(&url, &format!("{url}database = \"{name}\"\n"));
    other("nothing").names("schema-none", 1);
    let migrated = |name: &'static str| {
        let setting = other(name);
        assert!(setting.run(&["migrate"]).status.success());
        let engine = machine.address("engine").expect("an address");
        let client =
            clickhouse::Client::default().with_url(format!("http://{engine}")).with_database(name);
        (setting, client)
    };
    migrated("empty").0.names("store-empty", 0);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let write = |client: &clickhouse::Client, query: &str| {
        runtime.block_on(client.query(query).execute()).expect("the engine takes it");
    };
    let (newer, client) = migrated("newer");
    write(&client, "INSERT INTO schema_migrations (version, name) VALUES (99, 'later')");
    newer.names("schema-newer", 1);
    let (older, client) = migrated("older");
    write(&client, "TRUNCATE TABLE schema_migrations");
    write(&client, "INSERT INTO schema_migrations (version, name) VALUES (2, 'early')");
    older.names("schema-old", 0);
    let (beyond, client) = migrated("beyond");
    write(
        &client,
        "INSERT INTO progress (topic, partition, agent, value, version) VALUES ('vonggac.uptime.v1', 0, '', 1000000, 1000000)",
    );
    beyond.names("progress-beyond", 1);
    let (torn, client) = migrated("torn");
    write(
        &client,
        "INSERT INTO gaps (time, agency, host, agent, lane, first_seq, last_seq, reason, events) \
         VALUES (now64(6), 'local', 'h', 'a', 'security', 5, 9, 'unexplained', 5)",
    );
    torn.names("gaps-unexplained", 1);
}

fn letters_are_settled(machine: &Machine) {
    let setting = || Setting::of(machine);
    let producer: BaseProducer = client(machine).create().expect("a producer");
    let send = |value: &[u8]| {
        producer
            .send(BaseRecord::to("vonggac.security.v1").key("local").payload(value))
            .map_err(|(error, _)| error)
            .expect("sent");
        producer.flush(Duration::from_secs(10)).expect("delivered");
    };
    send(b"not ours \x1b[2J");
    let list = |state: &str| -> anyhow::Result<Vec<Value>> {
        let output = setting().run(&["dead", "list", "--state", state, "--format", "json"]);
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let letters = machine
        .until("a dead letter", SOON, |_| list("open"), |rows| rows.len() == 1)
        .expect("set aside");
    setting().names("dead-open", 0);
    let origin = letters[0]["origin"].as_str().expect("an origin").to_owned();

    let shown = setting().run(&["dead", "show", &origin]);
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(
        text.contains("6e 6f 74 20 6f 75 72 73") && text.contains("it would be refused"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");

    // Without a yes nothing is done where nobody can be asked.
    let unasked = setting().run(&["dead", "drop", &origin, "--why", "a test"]);
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    let refused = setting().run(&["dead", "replay", &origin, "--yes"]);
    let text = String::from_utf8_lossy(&refused.stdout);
    assert!(text.contains("still refused") && text.contains("0 of 1 letters"), "{text}");
    let dropped = setting().run(&["dead", "drop", &origin, "--why", "a test", "--yes"]);
    assert!(dropped.status.success(), "{dropped:?}");
    assert_eq!(list("open").expect("listed"), Vec::<Value>::new());
    assert_eq!(list("dropped").expect("listed")[0]["why"], "a test");
    assert_eq!(setting().doctor(), (Vec::new(), Some(0)));
}

/// Ten events of an agent that tells nothing else.
fn batch(first_seq: u64) -> Vec<u8> {
    let now = Time::now();
    let body = Body::Activity(Activity::of(Class::Process, 1, Status::Success));
    let batch = Batch {
        agent: AgentId::new("replayer-1").expect("a name"),
        agency: AgencyId::new("local").expect("a name"),
        host: "replayer".into(),
        boot: [7; 16],
        lane: Lane::Security,
        first_seq,
        previous: None,
        events: vec![Event::new(now, now, body); 10],
        simulated: false,
        sealed: now,
        ahead: false,
    };
    batch.seal().value
}

/// A batch that a program of before refused lies on the shelf; its numbers lie behind the lane's mark.
fn a_letter_that_is_sent_again_fills_its_gap(machine: &Machine) {
    let producer: BaseProducer = client(machine).create().expect("a producer");
    let security = |value: &[u8]| {
        let record = BaseRecord::to("vonggac.security.v1").key("local").payload(value);
        producer.send(record).map_err(|(error, _)| error).expect("sent");
        producer.flush(Duration::from_secs(10)).expect("delivered");
    };
    security(&batch(1));
    security(&batch(21));
    let rows = "SELECT count() FROM events WHERE agent = 'replayer-1'";
    let numbers = "SELECT uniqExact(seq) FROM events WHERE agent = 'replayer-1'";
    let missing = "SELECT sum(events) FROM gaps FINAL WHERE agent = 'replayer-1'";
    machine.until("both", SOON, |m| m.count(rows), |count| *count == 20).expect("stored");
    machine.until("a gap", SOON, |m| m.count(missing), |count| *count == 10).expect("told");

    let partition = machine
        .count("SELECT any(kafka_partition) FROM events WHERE agent = 'replayer-1'")
        .expect("a partition")
        .to_string();
    let value = batch(11);
    let bytes = value.len().to_string();
    let headers = [
        (header::DEAD_REASON, "version"),
        (header::DEAD_DETAIL, "the batch has schema version 9"),
        (header::DEAD_TOPIC, "vonggac.security.v1"),
        (header::DEAD_PARTITION, partition.as_str()),
        (header::DEAD_OFFSET, "777"),
        (header::DEAD_BYTES, bytes.as_str()),
    ]
    .into_iter()
    .fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    });
    let letter = BaseRecord::to("vonggac.dead.v1").key("local").payload(&value).headers(headers);
    producer.send(letter).map_err(|(error, _)| error).expect("sent");
    producer.flush(Duration::from_secs(10)).expect("delivered");
    let engine = machine.address("engine").expect("an address");
    let store =
        clickhouse::Client::default().with_url(format!("http://{engine}")).with_database("vonggac");
    let query = format!(
        "INSERT INTO dead_letters VALUES (now64(6), 'version', 'the batch has schema version 9', 'local', 'vonggac.security.v1', {partition}, 777, {bytes})"
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(store.query(&query).execute()).expect("the engine takes it");

    let origin = format!("vonggac.security.v1/{partition}/777");
    let shown = Setting::of(machine).run(&["dead", "show", &origin]);
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("it would be taken: 10 events of replayer-1"), "{text}");
    for _ in 0..2 {
        let sent = Setting::of(machine).run(&["dead", "replay", &origin, "--yes"]);
        let text = String::from_utf8_lossy(&sent.stdout);
        assert!(text.contains("1 of 1 letters were sent again"), "{sent:?}");
        machine.until("filled", SOON, |m| m.count(missing), |count| *count == 0).expect("filled");
    }
    // What comes behind the second letter is stored after it was judged.
    security(&batch(31));
    machine.until("the next", SOON, |m| m.count(numbers), |count| *count == 40).expect("stored");
    assert_eq!(machine.count(rows).expect("counted"), 40, "each once");
    let reason = "SELECT countIf(reason = 'replayed') FROM gaps FINAL WHERE agent = 'replayer-1'";
    assert_eq!(machine.count(reason).expect("counted"), 1);
    let listed =
        Setting::of(machine).run(&["dead", "list", "--state", "replayed", "--format", "csv"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("/777"), "{listed:?}");
}

fn what_kafka_lost(machine: &Machine) {
    let admin: AdminClient<DefaultClientContext> = client(machine).create().expect("a client");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut up_to = TopicPartitionList::new();
    for partition in 0..4 {
        up_to.add_partition_offset("vonggac.uptime.v1", partition, Offset::End).expect("a place");
    }
    let options = AdminOptions::new();
    runtime.block_on(admin.delete_records(&up_to, &options)).expect("records are deleted");
    // For a store that took nothing of them they are lost; this one had stored them.
    let url = format!("http://{}\"\n", machine.address("engine").expect("an address"));
    Setting::of(machine)
        .with(&url, &format!("{url}database = \"empty\"\n"))
        .names("records-passed", 1);
    assert_eq!(Setting::of(machine).doctor().0, Vec::<String>::new());

    runtime
        .block_on(admin.delete_topics(&["vonggac.signals.v1"], &options))
        .expect("the topic is deleted");
    Setting::of(machine).names("topic-missing", 1);
    let made = NewTopic::new("vonggac.signals.v1", 1, TopicReplication::Fixed(1));
    runtime.block_on(admin.create_topics(&[made], &options)).expect("it is made again");
}
