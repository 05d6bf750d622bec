//! A link of 64 kbit/s that loses a fifth of its packets, with a backlog on every lane.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    mocking::MockCluster,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use vonggac_agent::{
    config::Fsync,
    format::{self, Context},
    intake::Entry,
    occurrence::Occurrences,
    ship::{self, Sender, SharedSpool, ShipLimits, Shipper},
    spool::Spool,
};
use vonggac_wire::{
    AgencyId, Batch, Event, Lane, Time,
    event::{Body, Heartbeat},
    topic,
};

/// What the link carries.
const BITS_PER_SECOND: f64 = 64_000.0;
const LOSS: f64 = 0.2;

/// One packet, and how long its sender waits for an answer before it sends it again (it doubles).
const PACKET_BYTES: usize = 1_400;
const RESEND: Duration = Duration::from_millis(250);

/// The link: one packet after the other.
#[derive(Clone)]
struct Link {
    free: Arc<Mutex<Instant>>,
    chance: Arc<Mutex<StdRng>>,
    /// The broker's port and ours, which stands in its answers instead.
    ports: (u16, u16),
    /// Thin and lossy; otherwise it carries everything at once.
    is_thin: bool,
    /// Bytes that went to the broker.
    carried: Arc<AtomicU64>,
}

impl Link {
    /// Takes the link for a packet; tells when it is over, resent as often as it was lost.
    fn carry(&self, bytes: usize) -> Instant {
        if !self.is_thin {
            return Instant::now();
        }
        #[expect(clippy::cast_precision_loss, reason = "a packet")]
        let one = Duration::from_secs_f64(bytes as f64 * 8.0 / BITS_PER_SECOND);
        let (mut stall, mut tries) = (Duration::ZERO, 1);
        while tries < 7 && self.chance.lock().expect("chance").random_bool(LOSS) {
            stall += RESEND * 2_u32.pow(tries - 1);
            tries += 1;
        }
        let mut free = self.free.lock().expect("the link");
        *free = (*free).max(Instant::now()) + one * tries;
        *free + stall
    }

    async fn pass(
        self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        answers: bool,
    ) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let most = if answers { buffer.len() } else { PACKET_BYTES };
            let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { return };
            let bytes = &mut buffer[..read];
            if answers {
                self.rename(bytes);
            } else {
                self.carried.fetch_add(read as u64, Relaxed);
            }
            for packet in bytes.chunks(PACKET_BYTES) {
                let over = self.carry(packet.len());
                tokio::time::sleep_until(over.into()).await;
                if to.write_all(packet).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The broker tells its own address; clients have to come through here.
    fn rename(&self, bytes: &mut [u8]) {
        let address = |port: u16| {
            let mut text = b"127.0.0.1".to_vec();
            text.extend(u32::from(port).to_be_bytes());
            text
        };
        let (theirs, ours) = (address(self.ports.0), address(self.ports.1));
        for at in 0..bytes.len().saturating_sub(theirs.len() - 1) {
            if bytes[at..].starts_with(&theirs) {
                bytes[at..at + ours.len()].copy_from_slice(&ours);
            }
        }
    }
}

/// Listens on a port of its own in front of a broker; tells how many bytes went there too.
async fn link(broker: &str, is_thin: bool) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let broker = broker.to_owned();
    let theirs = broker.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    let link = Link {
        free: Arc::new(Mutex::new(Instant::now())),
        chance: Arc::new(Mutex::new(StdRng::seed_from_u64(64))),
        ports: (theirs, address.port()),
        is_thin,
        carried: Arc::default(),
    };
    let carried = Arc::clone(&link.carried);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&broker).await else { continue };
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(link.clone().pass(from_client, to_server, false));
            tokio::spawn(link.clone().pass(from_server, to_client, true));
        }
    });
    (address.to_string(), carried)
}

fn entry(event: Event) -> Entry {
    Entry { event, position: None }
}

fn heartbeat() -> Entry {
    let beat = Heartbeat { interval_seconds: 10.0, ..Heartbeat::default() };
    entry(Event::new(Time::now(), Time::now(), Body::Heartbeat(beat)))
}

/// A night without the link.
fn fill(spool: &mut Spool, counts: [u32; 3]) {
    fill_at(spool, counts, Time::now());
}

/// The same, spooled at this time.
fn fill_at(spool: &mut Spool, counts: [u32; 3], spooled: Time) {
    let context = Context::here(Time::now());
    let mut chance = StdRng::seed_from_u64(1);
    let mut entries = Vec::new();
    for n in 0..counts[0] {
        let line = format!(
            "Nov 24 16:00:00 web-1 sshd[{n}]: Failed password for root from 203.0.113.{} port {} ssh2",
            chance.random::<u8>(),
            chance.random::<u16>()
        );
        entries.push(entry(format::event("auto", line.as_bytes(), 0, &context).0));
    }
    for n in 0..counts[2] {
        let line = format!(
            "198.51.100.{} - - [24/Nov/2026:16:00:00 +0700] \"GET /ho-so/{:x}?n={n} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0\"",
            chance.random::<u8>(),
            chance.random::<u64>(),
            chance.random::<u16>()
        );
        entries.push(entry(format::event("combined", line.as_bytes(), 0, &context).0));
    }
    entries.extend((0..counts[1]).map(|_| heartbeat()));
    while !entries.is_empty() {
        let rest = entries.split_off(entries.len().min(500));
        spool.append(entries, &[], spooled).expect("appended");
        entries = rest;
    }
}

fn acknowledged(spool: &SharedSpool) -> [u64; 3] {
    Lane::ALL.map(|lane| spool.lock().figures(lane, Time::now()).acknowledged)
}

struct Sending {
    spool: SharedSpool,
    stop: CancellationToken,
    shipper: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Sending {
    fn begin(broker: &str, counts: [u32; 3], limits: ShipLimits) -> Self {
        // A limit that nobody changes any more stays.
        Self::begin_with(broker, counts, watch::channel(limits).1)
    }

    fn begin_with(broker: &str, counts: [u32; 3], limits: watch::Receiver<ShipLimits>) -> Self {
        Self::begin_at(broker, counts, limits, Time::now())
    }

    /// With a backlog that was spooled at this time.
    fn begin_at(
        broker: &str,
        counts: [u32; 3],
        limits: watch::Receiver<ShipLimits>,
        spooled: Time,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut spool =
            Spool::open(dir.path(), "far-1", 1 << 30, Fsync::Never, Time::now()).expect("a spool");
        fill_at(&mut spool, counts, spooled);
        let sender = Sender {
            agent: spool.agent().clone(),
            agency: AgencyId::new("H49").expect("an agency"),
            host: "far-1".into(),
            boot: [1; 16],
            simulated: false,
        };
        let (spool, stop) = (SharedSpool::new(spool), CancellationToken::new());
        let producer = ship::producer(&[broker.to_owned()], "far-1", None).expect("a producer");
        let occurrences = Occurrences::new().expect("metrics");
        let shipper =
            Shipper::new(spool.clone(), producer, sender, occurrences).with_live_limits(limits);
        let until = stop.clone();
        let shipper = tokio::spawn(async move {
            shipper.run(until, Duration::ZERO).await.expect("it ships");
        });
        Self { spool, stop, shipper, _dir: dir }
    }

    async fn end(self) {
        self.stop.cancel();
        self.shipper.await.expect("it ends");
    }
}

fn broker() -> MockCluster<'static, rdkafka::producer::DefaultProducerContext> {
    let broker = MockCluster::new(1).expect("a broker");
    for topic in topic::EVENTS {
        broker.create_topic(topic, 2, 1).expect("a topic");
    }
    broker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thin_and_lossy_link_brings_security_within_minutes_and_starves_nobody() {
    let broker = broker();
    let (thin, _) = link(&broker.bootstrap_servers(), true).await;
    let counts = [2_000, 400, 20_000];
    let sending = Sending::begin(&thin, counts, ShipLimits::default());
    let begun = Instant::now();
    let mut beats = 0;
    let (mut told, mut longest) = (0, 0.0_f64);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sending.spool.lock().append(vec![heartbeat()], &[], Time::now()).expect("appended");
        sending.spool.appended.notify_one();
        beats += 1;
        let acknowledged = acknowledged(&sending.spool);
        let uptime = sending.spool.lock().figures(Lane::Uptime, Time::now());
        longest = longest.max(uptime.oldest_seconds);
        if begun.elapsed().as_secs() / 10 > told {
            told = begun.elapsed().as_secs() / 10;
            eprintln!("{:>4} s: {acknowledged:?} of {counts:?}", begun.elapsed().as_secs());
        }
        if acknowledged[0] >= u64::from(counts[0]) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "not within minutes: {acknowledged:?}");
    }
    let done = acknowledged(&sending.spool);
    eprintln!(
        "security after {:?}; uptime {} of {}, its oldest waited {longest:.0} s at most; usage {}",
        begun.elapsed(),
        done[1],
        counts[1] + beats,
        done[2]
    );
    assert!(done[2] < u64::from(counts[2]), "the link was thin: usage is not through");
    assert!(done[1] > 0 && done[2] > 0, "nobody starves: {done:?}");
    sending.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ceiling_holds_bytes_back_and_quiet_hours_hold_usage_back() {
    let broker = broker();
    let kafka = broker.bootstrap_servers();
    let limits = ShipLimits {
        bytes_per_second_max: Some(4 * 1024),
        quiet_hours: ["00:00-12:00", "12:00-00:00"].map(|s| s.parse().expect("a span")).to_vec(),
        quiet_lanes: vec![Lane::Usage],
        ..ShipLimits::default()
    };
    let sending = Sending::begin(&kafka, [3_000, 50, 500], limits);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let done = acknowledged(&sending.spool);
    assert!(done[0] > 0 && done[0] < 3_000, "security is slowed: {done:?}");
    assert!(done[1] >= 50, "heartbeats pass: {done:?}");
    assert_eq!(done[2], 0, "usage waits: {done:?}");
    sending.end().await;
    let sending = Sending::begin(&kafka, [3_000, 50, 500], ShipLimits::default());
    let begun = Instant::now();
    while acknowledged(&sending.spool) != [3_000, 50, 500] {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", acknowledged(&sending.spool));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sending.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ceiling_holds_on_the_wire_over_ten_seconds_of_backlog() {
    const RATE: u64 = 16 * 1024;
    let broker = broker();
    let (counting, carried) = link(&broker.bootstrap_servers(), false).await;
    let limits = ShipLimits { bytes_per_second_max: Some(RATE), ..ShipLimits::default() };
    let sending = Sending::begin(&counting, [4_000, 100, 30_000], limits);
    let begun = Instant::now();
    while acknowledged(&sending.spool)[0] == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing goes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (begun, before) = (Instant::now(), carried.load(Relaxed));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (bytes, seconds) = (carried.load(Relaxed) - before, begun.elapsed().as_secs_f64());
    let done = acknowledged(&sending.spool);
    sending.end().await;
    assert!(done[2] < 30_000, "there was a backlog all the time: {done:?}");
    #[expect(clippy::cast_precision_loss, reason = "some seconds' bytes")]
    let part = bytes as f64 / seconds / RATE as f64;
    eprintln!("{bytes} bytes in {seconds:.1} s: {part:.2} of the ceiling");
    // A batch that began within the ceiling goes as a whole.
    assert!((0.5..=1.15).contains(&part), "{part}");
}

/// Every batch of the security topic so far, partition by partition in its order.
fn arrived(kafka: &str) -> Vec<Batch> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", "whole")
        .create()
        .expect("a consumer");
    let topic = topic::of_lane(Lane::Security);
    let (mut wanted, mut places) = (0, TopicPartitionList::new());
    for partition in 0..2 {
        let ends = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10));
        wanted += ends.expect("the ends").1;
        places.add_partition_offset(topic, partition, Offset::Beginning).expect("a place");
    }
    consumer.assign(&places).expect("assigned");
    let mut batches = Vec::new();
    while i64::try_from(batches.len()).expect("a count") < wanted {
        let message = consumer.poll(Duration::from_secs(10)).expect("a record").expect("a record");
        let value = message.payload().expect("a value");
        batches.push(Batch::open(value, Lane::Security).expect("a batch").0);
    }
    batches
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_fresh_goes_ahead_of_an_old_backlog_and_each_number_goes_once() {
    const OLD: u32 = 6_000;
    let broker = broker();
    let kafka = broker.bootstrap_servers();
    let thin = ShipLimits { bytes_per_second_max: Some(8 * 1024), ..ShipLimits::default() };
    let (limits, watched) = watch::channel(thin);
    let long_ago = Time::now().minus(Duration::from_secs(6 * 3600));
    let sending = Sending::begin_at(&kafka, [OLD, 0, 0], watched, long_ago);
    let begun = Instant::now();
    let mut fresh = 0;
    // A line each half second; they do not wait for six hours of others.
    while sending.spool.lock().figures(Lane::Security, Time::now()).ahead < 10 {
        fill(&mut sending.spool.lock(), [1, 0, 0]);
        fresh += 1;
        sending.spool.appended.notify_one();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing goes ahead");
    }
    let waits = OLD - u32::try_from(acknowledged(&sending.spool)[0]).expect("a count");
    eprintln!("{fresh} fresh lines in {:?}, {waits} old ones wait", begun.elapsed());
    assert!(waits > OLD / 2, "the backlog is not through: {waits}");
    limits.send_replace(ShipLimits::default());
    let all = u64::from(OLD + fresh);
    while acknowledged(&sending.spool)[0] < all {
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", acknowledged(&sending.spool));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(sending.spool.lock().figures(Lane::Security, Time::now()).ahead, 0);
    sending.end().await;
    let batches = arrived(&kafka);
    let mut numbers: Vec<u64> =
        batches.iter().flat_map(|batch| batch.first_seq..=batch.last_seq()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=all).collect::<Vec<_>>(), "each once");
    let order: Vec<u64> =
        batches.iter().filter(|batch| !batch.ahead).map(|batch| batch.first_seq).collect();
    assert!(order.is_sorted(), "the lane's own order: {order:?}");
    let ahead: u64 =
        batches.iter().filter(|batch| batch.ahead).map(|batch| batch.events.len() as u64).sum();
    assert!(ahead >= 10 && ahead < all / 2, "{ahead}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_hours_over_midnight_begin_and_end_with_a_reload() {
    let broker = broker();
    // A day but for an hour that is over: it goes over midnight, whenever this runs.
    let now = minute_now();
    let text = |minute: u32| format!("{:02}:{:02}", minute % 1_440 / 60, minute % 60);
    let span = format!("{}-{}", text(now + 1_440 - 60), text(now + 1_440 - 120));
    let quiet = ShipLimits {
        quiet_hours: vec![span.parse().expect("a span")],
        quiet_lanes: vec![Lane::Usage],
        ..ShipLimits::default()
    };
    let (limits, fresh) = watch::channel(quiet.clone());
    let sending = Sending::begin_with(&broker.bootstrap_servers(), [300, 30, 500], fresh);
    let wait_for = async |wanted: [u64; 3]| {
        let begun = Instant::now();
        while acknowledged(&sending.spool) != wanted {
            let done = acknowledged(&sending.spool);
            assert!(begun.elapsed() < Duration::from_secs(60), "{done:?}, not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(acknowledged(&sending.spool), wanted, "and nothing else");
    };
    wait_for([300, 30, 0]).await;
    limits.send_replace(ShipLimits::default());
    wait_for([300, 30, 500]).await;
    limits.send_replace(quiet);
    tokio::time::sleep(Duration::from_millis(300)).await;
    fill(&mut sending.spool.lock(), [10, 1, 20]);
    sending.spool.appended.notify_one();
    wait_for([310, 31, 500]).await;
    sending.end().await;
}

/// The minute of this host's day.
fn minute_now() -> u32 {
    let now = jiff::Zoned::now();
    u32::from(now.hour().unsigned_abs()) * 60 + u32::from(now.minute().unsigned_abs())
}
