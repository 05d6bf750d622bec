//! Numbered events of several agencies straight on Kafka, as their agents would send them, while a story goes on.
//!
//! Each agent has two lanes: log-ins that fail, each from an address, and requests of which some are weeks late. Now and then a batch comes
//! twice, cut at another place, as from an agent that was killed before it wrote down that Kafka has it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane, Time,
    event::{Activity, Body, Class, HttpRequest, Status, TimeDoubt},
    limits::RECORD_BYTES_MAX,
    topic::{self, header},
};

/// Agencies of the registry; with the agency as the key they reach all of four partitions.
const AGENCIES: [&str; 8] = ["H49", "G02", "G03", "G06", "G08", "G09", "G10", "G12"];

/// An address that tries them all: what several partitions tell of it is one incident.
const EVERYWHERE: &str = "198.51.100.77";

/// One log-in in so many is of that address: soon more than any partition's threshold, below which nothing is told.
const EVERYWHERE_ONE_IN: u64 = 6;

/// One request in so many is late, by up to this time: a block then lies over several of the store's partitions.
const LATE_ONE_IN: u64 = 5;
const LATE_MAX: Duration = Duration::from_secs(70 * 86_400);

/// How often something is sent.
const TURN: Duration = Duration::from_millis(20);

/// A batch in so many comes twice.
const AGAIN_ONE_IN: u32 = 40;

/// Batches that Kafka has not confirmed; while there are so many, nothing is added.
const ON_THE_WAY_MAX: i32 = 2_000;

/// How long Kafka may take to confirm the last.
const FLUSH_WITHIN: Duration = Duration::from_secs(120);

/// What was sent, and so what the centre must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Events by agent and lane; they are numbered from 1.
    pub lanes: BTreeMap<(String, String), u64>,
    /// Refused log-ins by address.
    pub addresses: BTreeMap<String, u64>,
}

impl Sent {
    /// All events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.lanes.values().sum()
    }
}

/// What sends, on a thread of its own.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    batches: Arc<AtomicU64>,
    thread: Option<JoinHandle<anyhow::Result<Sent>>>,
}

impl Load {
    /// Begins to send so many events a second.
    #[must_use]
    pub fn start(kafka: &str, events_per_second: u64, seed: u64) -> Self {
        let (stop, batches) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = {
            let (kafka, stop, batches) =
                (kafka.to_owned(), Arc::clone(&stop), Arc::clone(&batches));
            thread::spawn(move || run(&kafka, events_per_second, seed, &stop, &batches))
        };
        Self { stop, batches, thread: Some(thread) }
    }

    /// Batches that were sent so far.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::SeqCst)
    }

    /// Waits until something more is sent, so that what follows falls into its way.
    pub fn wait_for_more(&self, within: Duration) {
        let (begun, before) = (Instant::now(), self.batches());
        while self.batches() == before && begun.elapsed() < within {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it, and waits until Kafka has everything.
    ///
    /// # Errors
    /// If Kafka does not take it.
    pub fn stop(mut self) -> anyhow::Result<Sent> {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().context("it was stopped")?;
        thread.join().map_err(|_| anyhow::anyhow!("the load panicked"))?
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Counts what Kafka refused for good: a story with such a thing tells nothing.
struct Refused(Arc<AtomicU64>);

impl ClientContext for Refused {}

impl ProducerContext for Refused {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            eprintln!("not delivered to {}: {error}", message.topic());
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn run(
    kafka: &str,
    events_per_second: u64,
    seed: u64,
    stop: &AtomicBool,
    batches: &AtomicU64,
) -> anyhow::Result<Sent> {
    let refused = Arc::new(AtomicU64::new(0));
    let producer: BaseProducer<Refused> = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("client.id", "vonggac-tests")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("linger.ms", "1")
        .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set("reconnect.backoff.max.ms", "1000")
        .create_with_context(Refused(Arc::clone(&refused)))?;
    let mut chance = StdRng::seed_from_u64(seed);
    let mut lanes = Vec::new();
    for (number, agency) in AGENCIES.iter().enumerate() {
        for lane in [Lane::Security, Lane::Usage] {
            lanes.push(Sender::new(agency, number, lane, &mut chance)?);
        }
    }
    let mut sent = Sent::default();
    let (begun, mut made) = (Instant::now(), 0);
    while !stop.load(Ordering::SeqCst) {
        producer.poll(TURN);
        if producer.in_flight_count() > ON_THE_WAY_MAX {
            continue;
        }
        let due = events_per_second * u64::try_from(begun.elapsed().as_millis())? / 1_000;
        // What Kafka kept from being sent is not made up for: a flood is another story.
        made = made.max(due.saturating_sub(events_per_second));
        while made < due {
            let at = chance.random_range(0..lanes.len());
            let count = chance.random_range(1..=(due - made).min(40));
            lanes[at].send(count, &producer, &mut chance, &mut sent)?;
            batches.fetch_add(1, Ordering::SeqCst);
            made += count;
        }
    }
    producer.flush(FLUSH_WITHIN)?;
    ensure!(refused.load(Ordering::SeqCst) == 0, "Kafka refused records of the load");
    Ok(sent)
}

/// One lane of one agent.
struct Sender {
    agency: AgencyId,
    agent: AgentId,
    number: usize,
    lane: Lane,
    boot: [u8; 16],
    next: u64,
    previous: Option<BatchHash>,
    /// The last batch, for the time when it comes again.
    last: Vec<Event>,
}

impl Sender {
    fn new(agency: &str, number: usize, lane: Lane, chance: &mut StdRng) -> anyhow::Result<Self> {
        Ok(Self {
            agency: AgencyId::new(agency)?,
            agent: AgentId::new(&format!("numbered-{agency}"))?,
            number,
            lane,
            boot: chance.random(),
            next: 1,
            previous: None,
            last: Vec::new(),
        })
    }

    fn send(
        &mut self,
        count: u64,
        producer: &BaseProducer<Refused>,
        chance: &mut StdRng,
        sent: &mut Sent,
    ) -> anyhow::Result<()> {
        let mut events = Vec::new();
        if !self.last.is_empty() && chance.random_ratio(1, AGAIN_ONE_IN) {
            // A new start of the agent: its last batch again, from some place in it, and what is new in the same one.
            let from = chance.random_range(0..self.last.len());
            events.extend_from_slice(&self.last[from..]);
            (self.boot, self.previous) = (chance.random(), None);
        }
        let first_seq = self.next - events.len() as u64;
        for number in self.next..self.next + count {
            events.push(match self.lane {
                Lane::Security => self.log_in(number, chance, sent),
                _ => self.request(number, chance),
            });
        }
        self.next += count;
        *sent.lanes.entry((self.agent.to_string(), self.lane.name().to_owned())).or_default() +=
            count;
        let batch = Batch {
            agent: self.agent.clone(),
            agency: self.agency.clone(),
            host: format!("numbered-{}", self.number),
            boot: self.boot,
            lane: self.lane,
            first_seq,
            previous: self.previous,
            events: events.clone(),
            simulated: false,
            sealed: Time::now(),
            ahead: false,
        };
        let headers = headers(&batch);
        let sealed = batch.seal();
        self.previous = Some(sealed.hash);
        self.last = events;
        let record = BaseRecord::to(topic::of_lane(self.lane))
            .key(self.agency.as_str())
            .payload(&sealed.value)
            .headers(headers);
        producer.send(record).map_err(|(error, _)| error).context("a batch is not taken")
    }

    fn log_in(&self, number: u64, chance: &mut StdRng, sent: &mut Sent) -> Event {
        let address = if number.is_multiple_of(EVERYWHERE_ONE_IN) {
            EVERYWHERE.to_owned()
        } else {
            format!("203.0.113.{}", self.number * 2 + chance.random_range(0..2))
        };
        let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
        activity.user_name = "root".into();
        activity.service_name = "sshd".into();
        activity.auth_protocol = "password".into();
        if let Ok(parsed) = address.parse() {
            activity.set_source_address(parsed);
        }
        let line = format!(
            "sshd[{}]: Failed password for root from {address} port 50000 ssh2",
            1_000_000 + number
        );
        *sent.addresses.entry(address).or_default() += 1;
        let now = Time::now();
        Event::new(now, now, Body::Activity(activity))
            .with_source("/var/log/auth.log", number * 100)
            .with_format("sshd")
            .with_time_doubt(TimeDoubt::None)
            .with_raw(line.as_bytes(), 0)
    }

    fn request(&self, number: u64, chance: &mut StdRng) -> Event {
        let now = Time::now();
        let time = if number.is_multiple_of(LATE_ONE_IN) {
            now.minus(LATE_MAX.mul_f64(chance.random()))
        } else {
            now
        };
        let mut activity = Activity::of(Class::Http, 3, Status::Success);
        activity.src_ip = vec![10, 0, chance.random(), chance.random_range(1..250)];
        activity.http = Some(HttpRequest {
            http_method: "GET".into(),
            url: format!("/ho-so/{number}"),
            status_code: 200,
            response_bytes: chance.random_range(200..9_000),
            ..HttpRequest::default()
        });
        let line = format!("10.0.0.7 - - \"GET /ho-so/{number} HTTP/1.1\" 200");
        Event::new(time, now, Body::Activity(activity))
            .with_source("/var/log/nginx/access.log", number * 100)
            .with_format("combined")
            .with_system("agency-one-stop")
            .with_raw(line.as_bytes(), 0)
    }
}

/// CloudEvents in binary mode.
fn headers(batch: &Batch) -> OwnedHeaders {
    let source = format!("/agency/{}/agent/{}", batch.agency, batch.agent);
    let (id, time) = (batch.record_id(batch.events.len()), batch.sealed.to_string());
    let event_type = topic::event_type(batch.lane);
    [
        (header::SPEC_VERSION, "1.0"),
        (header::TYPE, &event_type),
        (header::SOURCE, &source),
        (header::ID, &id),
        (header::TIME, &time),
        (header::CONTENT_TYPE, topic::CONTENT_TYPE_PROTOBUF),
    ]
    .into_iter()
    .fold(OwnedHeaders::new_with_capacity(6), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}
