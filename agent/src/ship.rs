//! Batches to Kafka. The spool is acknowledged on delivery reports, in order, and on nothing else.
//!
//! librdkafka tries a batch again by itself for as long as Kafka is away (`message.timeout.ms=0`), so at most
//! [`BATCHES_IN_FLIGHT_MAX`] batches a lane are in memory and the rest waits on the disk. Only an error that cannot be tried away
//! comes back; then the lane is handed out again from its last acknowledged event.
//!
//! How much is on its way and whose turn it is decides [`pace`]; what an administrator allows, [`ShipLimits`].
//!
//! While a lane has a backlog, some of its batches go ahead of its order with what is fresh ([`turns`], [`crate::spool`]). All
//! batches of a lane have one hash chain, in the order in which they are sent, and their reports are taken in that order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::Rng;
use rdkafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Lane, Time,
    limits::BATCH_EVENTS_MAX,
    topic::{self, header},
};

use crate::{
    intake::Checkpoints,
    occurrence::Occurrences,
    spool::{Spool, SpoolError},
    vigil::Part,
};

pub mod carried;
mod limits;
mod pace;
mod producer;
pub mod sealing;
mod turns;

use limits::Ceiling;
pub use limits::{ShipLimits, Span, SpanError};
use pace::Pace;
pub use producer::{Delivery, Producer, producer};
use sealing::Sealing;
use turns::{Turns, Way};

/// Batches of one lane on their way at once: enough to hide a round trip, few enough to bound memory.
pub const BATCHES_IN_FLIGHT_MAX: usize = 4;

/// How long an event waits for others to fill its batch.
const BATCH_AGE_MAX: Duration = Duration::from_millis(250);

/// How often the shipper looks even if nobody calls.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// First and longest wait after an error; between them it doubles, with full jitter.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Why shipping cannot go on with this producer.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The producer cannot be made.
    #[error("make a Kafka producer: {0}; check kafka.brokers")]
    Producer(#[source] KafkaError),
    /// Nothing would take its reports.
    #[error("start the thread that takes Kafka's reports: {0}")]
    Thread(#[source] std::io::Error),
    /// The producer is broken for good; a fresh one has to be made.
    #[error("go on with this Kafka producer: {0}; a fresh one is made")]
    Fatal(String),
    /// The producer lost all brokers, and finds none again; a fresh one has to be made.
    #[error("go on with this Kafka producer: it lost all brokers; a fresh one is made")]
    Lost,
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Who sends.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The agent.
    pub agent: AgentId,
    /// Its agency.
    pub agency: AgencyId,
    /// Its host.
    pub host: String,
    /// This start of it.
    pub boot: [u8; 16],
    /// A scenario player sends.
    pub simulated: bool,
}

/// The spool as sources, shipper and heartbeat share it.
#[derive(Clone)]
pub struct SharedSpool {
    spool: Arc<Mutex<Spool>>,
    /// Called when something was appended.
    pub appended: Arc<Notify>,
}

impl SharedSpool {
    /// Shares a spool.
    #[must_use]
    pub fn new(spool: Spool) -> Self {
        Self { spool: Arc::new(Mutex::new(spool)), appended: Arc::new(Notify::new()) }
    }

    /// The spool, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, Spool> {
        // A panic while it was held left it as the disk has it: every step ends in a consistent file.
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checkpoints for SharedSpool {
    fn resume(&self, stream: &str) -> Option<u64> {
        self.lock().resume(stream)
    }

    fn known(&self, prefix: &str) -> Vec<(String, u64)> {
        self.lock().known(prefix)
    }

    fn held(&self, stream: &str) -> Vec<u64> {
        self.lock().held(stream)
    }
}

struct InFlight {
    way: Way,
    first_seq: u64,
    last_seq: u64,
    events: u64,
    bytes: usize,
    sent: Instant,
    delivery: Delivery,
}

#[derive(Default)]
struct LaneState {
    in_flight: VecDeque<InFlight>,
    previous: Option<BatchHash>,
    turns: Turns,
    failures: u32,
    resume_at: Option<tokio::time::Instant>,
}

/// Sends what the spool holds until it is told to stop, and then what is already on its way.
pub struct Shipper {
    spool: SharedSpool,
    producer: Producer,
    sender: Sender,
    occurrences: Occurrences,
    lanes: [LaneState; 3],
    pace: Pace,
    limits: ShipLimits,
    /// Where other limits come from while it runs.
    fresh_limits: Option<watch::Receiver<ShipLimits>>,
    ceiling: Ceiling,
    begun: Instant,
    /// Whose batches they are; `None`: they are sent without a seal.
    sealing: Option<Sealing>,
}

impl Shipper {
    /// A shipper of this spool.
    #[must_use]
    pub fn new(
        spool: SharedSpool,
        producer: Producer,
        sender: Sender,
        occurrences: Occurrences,
    ) -> Self {
        for lane in Lane::ALL {
            spool.lock().rewind(lane);
        }
        Self {
            spool,
            producer,
            sender,
            occurrences,
            lanes: Default::default(),
            pace: Pace::default(),
            limits: ShipLimits::default(),
            fresh_limits: None,
            ceiling: Ceiling::new(None),
            begun: Instant::now(),
            sealing: None,
        }
    }

    /// Seals what it sends.
    #[must_use]
    pub fn with_sealing(mut self, sealing: Option<Sealing>) -> Self {
        self.sealing = sealing;
        self
    }

    /// Keeps it within these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: ShipLimits) -> Self {
        self.ceiling = Ceiling::new(limits.bytes_per_second_max);
        self.limits = limits;
        self
    }

    /// Keeps it within these limits, as they are changed.
    #[must_use]
    pub fn with_live_limits(mut self, mut limits: watch::Receiver<ShipLimits>) -> Self {
        let first = limits.borrow_and_update().clone();
        self.fresh_limits = Some(limits);
        self.with_limits(first)
    }

    /// Takes over limits that were changed. What is owed to the ceiling stays owed.
    fn renew_limits(&mut self) {
        let Some(fresh) = &mut self.fresh_limits else { return };
        if fresh.has_changed().unwrap_or(false) {
            self.limits = fresh.borrow_and_update().clone();
            self.ceiling.set_rate(self.limits.bytes_per_second_max, self.begun.elapsed());
        }
    }

    /// Runs until `shutdown`; then waits up to `grace` for what is spooled and on its way.
    ///
    /// # Errors
    /// If the producer is broken for good, or the spool cannot be read.
    pub async fn run(
        mut self,
        shutdown: CancellationToken,
        grace: Duration,
    ) -> Result<(), ShipError> {
        while !shutdown.is_cancelled() {
            self.occurrences.moves(Part::Shipping, LOOK_INTERVAL);
            let sent = self.send_all(false)?;
            self.settle(if sent { Duration::ZERO } else { LOOK_INTERVAL }, &shutdown).await?;
        }
        let end = tokio::time::Instant::now() + grace;
        while tokio::time::Instant::now() < end {
            self.send_all(true)?;
            if self.lanes.iter().all(|lane| lane.in_flight.is_empty()) {
                break;
            }
            self.settle(LOOK_INTERVAL, &CancellationToken::new()).await?;
        }
        self.spool.lock().save()?;
        Ok(())
    }

    /// Sends batches, each of the lane whose turn it is, while there is room for them; tells whether any was sent.
    fn send_all(&mut self, now_or_never: bool) -> Result<bool, ShipError> {
        self.renew_limits();
        let mut sent = false;
        let mut due = Lane::ALL.map(|lane| self.may_send(lane));
        for lane in Lane::ALL.into_iter().filter(|lane| due[lane.index()]) {
            self.look_ahead(lane)?;
        }
        while self.pace.has_room() && self.ceiling.allows(self.begun.elapsed()) {
            for lane in Lane::ALL {
                let state = &self.lanes[lane.index()];
                due[lane.index()] = due[lane.index()]
                    && state.in_flight.len() < BATCHES_IN_FLIGHT_MAX
                    && self.way(lane, now_or_never).is_some();
            }
            let Some(lane) = self.pace.turn(due) else { break };
            let way = self.way(lane, now_or_never).unwrap_or(Way::InOrder);
            if self.send(lane, way)? {
                sent = true;
            } else {
                due[lane.index()] = false;
            }
        }
        Ok(sent)
    }

    /// The lane waits neither after an error nor for quiet hours to end.
    fn may_send(&mut self, lane: Lane) -> bool {
        let state = &mut self.lanes[lane.index()];
        if state.resume_at.is_some_and(|at| at > tokio::time::Instant::now()) {
            return false;
        }
        state.resume_at = None;
        self.limits.quiet_hours.is_empty() || !self.limits.is_quiet(lane, minute_of_day())
    }

    /// Sees whether a lane is behind, and from where something goes ahead of it.
    fn look_ahead(&self, lane: Lane) -> Result<(), ShipError> {
        if self.limits.fresh_percent == 0 {
            return Ok(());
        }
        let (after, bytes) = (self.limits.fresh_after, self.pace.batch_bytes());
        match self.spool.lock().look_ahead(lane, after, bytes, Time::now()) {
            // Without a ledger that can be written nothing goes ahead; what waits in order does.
            Err(error) if error.is_full() => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// How the lane's next batch goes, if one is full or old enough.
    fn way(&self, lane: Lane, now_or_never: bool) -> Option<Way> {
        let (in_order, ahead) = {
            let spool = self.spool.lock();
            (spool.waiting(lane), spool.waiting_ahead(lane))
        };
        let is_due = |(waiting, oldest): (u64, Option<Time>)| {
            waiting > 0
                && (now_or_never
                    || waiting >= BATCH_EVENTS_MAX as u64
                    || oldest.is_none_or(|oldest| {
                        Time::now().since(oldest) >= BATCH_AGE_MAX || Time::now() < oldest
                    }))
        };
        let ahead = self.limits.fresh_percent > 0 && is_due(ahead);
        self.lanes[lane.index()].turns.next(is_due(in_order), ahead)
    }

    fn send(&mut self, lane: Lane, way: Way) -> Result<bool, ShipError> {
        let bytes = self.pace.batch_bytes();
        let pending = match way {
            Way::InOrder => self.spool.lock().next_encoded(lane, BATCH_EVENTS_MAX, bytes)?,
            Way::Ahead => self.spool.lock().next_ahead(lane, BATCH_EVENTS_MAX, bytes)?,
        };
        let Some(pending) = pending else { return Ok(false) };
        let state = &mut self.lanes[lane.index()];
        let batch = Batch {
            agent: self.sender.agent.clone(),
            agency: self.sender.agency.clone(),
            host: self.sender.host.clone(),
            boot: self.sender.boot,
            lane,
            first_seq: pending.first_seq,
            previous: state.previous,
            events: Vec::new(),
            simulated: self.sender.simulated,
            sealed: Time::now(),
            ahead: way == Way::Ahead,
        };
        let events = pending.len() as u64;
        let (first_seq, last_seq) = (pending.first_seq, pending.first_seq + events - 1);
        let mut headers = headers(&batch, pending.len());
        let mut sealed = batch.seal_framed(pending.into_framed());
        let certificates = self.sealing.as_mut().and_then(|s| s.seal(lane, &mut sealed));
        if let Some(value) = &certificates {
            headers = headers.insert(Header { key: header::CERTIFICATE, value: Some(value) });
        }
        let key = self.sender.agency.as_str();
        match self.producer.send(topic::of_lane(lane), key, sealed.value(), headers) {
            Ok(delivery) => {
                state.previous = Some(sealed.hash);
                let (bytes, sent) = (sealed.value().len(), Instant::now());
                state.turns.sent(way, bytes, self.limits.fresh_percent);
                state.in_flight.push_back(InFlight {
                    way,
                    first_seq,
                    last_seq,
                    events,
                    bytes,
                    sent,
                    delivery,
                });
                self.pace.sent(lane, bytes);
                self.ceiling.spend(sealed.value());
                Ok(true)
            }
            Err(error) => {
                self.fail(lane, &error)?;
                Ok(false)
            }
        }
    }

    /// Takes delivery reports as they come, until `at_most` has passed or something was appended.
    async fn settle(
        &mut self,
        at_most: Duration,
        shutdown: &CancellationToken,
    ) -> Result<(), ShipError> {
        let appended = Arc::clone(&self.spool.appended);
        let [security, uptime, usage] = &mut self.lanes;
        let reported = tokio::select! {
            biased;
            report = front(security) => Some((Lane::Security, report)),
            report = front(uptime) => Some((Lane::Uptime, report)),
            report = front(usage) => Some((Lane::Usage, report)),
            () = tokio::time::sleep(at_most) => None,
            () = appended.notified() => None,
            () = shutdown.cancelled() => None,
        };
        let Some((lane, report)) = reported else { return Ok(()) };
        let state = &mut self.lanes[lane.index()];
        match report {
            Ok(()) => {
                state.failures = 0;
                if let Some(done) = state.in_flight.pop_front() {
                    self.pace.delivered(done.bytes, done.sent.elapsed());
                    let mut spool = self.spool.lock();
                    match done.way {
                        Way::InOrder => spool.acknowledge(lane, done.last_seq)?,
                        Way::Ahead => {
                            spool.acknowledge_ahead(lane, done.first_seq, done.last_seq)?;
                        }
                    }
                    drop(spool);
                    self.occurrences.batch_delivered(lane, done.events, Time::now().seconds());
                }
                Ok(())
            }
            Err(error) => self.fail(lane, &error),
        }
    }

    /// Hands the lane out again, after a while.
    fn fail(&mut self, lane: Lane, error: &KafkaError) -> Result<(), ShipError> {
        self.occurrences.delivery_failed(lane, error);
        let state = &mut self.lanes[lane.index()];
        let bytes: usize = state.in_flight.drain(..).map(|batch| batch.bytes).sum();
        self.pace.failed(bytes);
        state.failures = state.failures.saturating_add(1);
        let wait = back_off(state.failures);
        state.resume_at = Some(tokio::time::Instant::now() + wait);
        self.spool.lock().rewind(lane);
        if let Some(sealing) = &mut self.sealing {
            sealing.show_again(lane);
        }
        match self.producer.client().fatal_error() {
            Some((_, text)) => Err(ShipError::Fatal(text)),
            None if self.producer.is_lost() => Err(ShipError::Lost),
            None => Ok(()),
        }
    }
}

/// The report of a lane's oldest batch; never, if none is on its way.
async fn front(lane: &mut LaneState) -> Result<(), KafkaError> {
    match lane.in_flight.front_mut() {
        Some(oldest) => match (&mut oldest.delivery).await {
            Ok(report) => report,
            Err(_) => Err(KafkaError::Canceled),
        },
        None => std::future::pending().await,
    }
}

/// A wait between zero and a bound that doubles with each failure.
pub(crate) fn back_off(failures: u32) -> Duration {
    let bound =
        BACK_OFF.0.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(BACK_OFF.1);
    bound.mul_f64(rand::rng().random_range(0.1..=1.0))
}

/// By the host's clock and zone.
fn minute_of_day() -> u16 {
    let now = jiff::Zoned::now();
    u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs())
}

/// CloudEvents in binary mode.
fn headers(batch: &Batch, count: usize) -> OwnedHeaders {
    let source = format!("/agency/{}/agent/{}", batch.agency, batch.agent);
    let (id, time) = (batch.record_id(count), batch.sealed.to_string());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_its_bound_and_never_beyond() {
        for failures in 1..80 {
            let wait = back_off(failures);
            assert!(wait <= BACK_OFF.1 && !wait.is_zero(), "{wait:?}");
        }
    }
}
