//! A nation's events for benches: lines of many real notations of which no two are alike, through the agent's own formats, redaction and
//! encoder, as sealed batches. The same number gives the same event.

use jiff::tz::TimeZone;
use rand::{Rng, SeedableRng, rngs::StdRng};
use vonggac_agent::{
    format::{self, Context},
    redact::{Pseudonyms, Redactor, Rules},
};
use vonggac_collector::registry::Registry;
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane, Time,
    batch::Framed,
    event::{Body, Check, CheckKind, CheckOutcome, Dossier, Session},
    limits::BATCH_EVENTS_MAX,
    topic,
};

use self::lines::Stamps;

mod lines;
pub mod taken;
pub mod vary;

/// Agents among which the events are, each of an agency of its own as far as there are so many.
pub const AGENTS: usize = 60;

/// Bytes of a batch's events that are made room for.
const BATCH_BYTES: usize = 400 * BATCH_EVENTS_MAX;

/// A batch as it goes to Kafka.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its topic.
    pub topic: &'static str,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// Its events.
    pub events: u64,
}

/// One agent's batches.
struct Sender {
    agent: AgentId,
    agency: AgencyId,
    host: String,
    lanes: [Open; 3],
}

/// A lane's batch that is not sealed yet.
#[derive(Default)]
struct Open {
    framed: Option<Framed>,
    count: u64,
    sealed: u64,
    previous: Option<BatchHash>,
}

impl Sender {
    fn push(&mut self, event: &Event) -> Option<Sealed> {
        let open = &mut self.lanes[event.lane().index()];
        let framed = open.framed.get_or_insert_with(|| Framed::with_room(BATCH_BYTES));
        framed.push(&event.encode());
        open.count += 1;
        if open.count < BATCH_EVENTS_MAX as u64 { None } else { self.seal(event.lane()) }
    }

    fn seal(&mut self, lane: Lane) -> Option<Sealed> {
        let open = &mut self.lanes[lane.index()];
        let framed = open.framed.take()?;
        let batch = Batch {
            agent: self.agent.clone(),
            agency: self.agency.clone(),
            host: self.host.clone(),
            boot: [1; 16],
            lane,
            first_seq: open.sealed + 1,
            previous: open.previous,
            events: Vec::new(),
            simulated: false,
            sealed: Time::now(),
            ahead: false,
        };
        let sealed = batch.seal_framed(framed);
        let events = std::mem::take(&mut open.count);
        open.sealed += events;
        open.previous = Some(sealed.hash);
        Some(Sealed {
            topic: topic::of_lane(lane),
            key: self.agency.as_str().to_owned(),
            value: sealed.value().to_vec(),
            events,
        })
    }
}

/// Makes events and seals them.
pub struct Load {
    senders: Vec<Sender>,
    context: Context,
    redactor: Redactor,
    stamps: Stamps,
    start: Time,
    apart_nanos: i64,
    number: u64,
}

impl Load {
    /// Events from a time on, so many in each second of theirs.
    ///
    /// # Errors
    /// If the registry's files are wrong.
    pub fn new(start: Time, per_second: u32) -> anyhow::Result<Self> {
        let registry = Registry::builtin()?;
        let agencies: Vec<&str> = registry
            .agencies()
            .iter()
            .filter(|agency| agency.excluded.is_empty() && agency.valid_to.is_empty())
            .map(|agency| agency.code.as_str())
            .collect();
        let senders = (0..AGENTS)
            .map(|number| {
                let agency = agencies[number % agencies.len()];
                let host = format!("web-{}.{}", number / agencies.len() + 1, agency.to_lowercase());
                Ok(Sender {
                    agent: AgentId::new(&format!("{host}-0a0b"))?,
                    agency: AgencyId::new(agency)?,
                    host,
                    lanes: Default::default(),
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            senders,
            context: Context::at(start, TimeZone::UTC),
            redactor: Redactor::new(Rules::default(), Pseudonyms::fleeting()),
            stamps: Stamps::default(),
            start,
            apart_nanos: 1_000_000_000 / i64::from(per_second.max(1)),
            number: 0,
        })
    }

    /// Makes the next event, of its own time; gives its batch if that is full.
    pub fn push(&mut self) -> Option<Sealed> {
        let after = i64::try_from(self.number).unwrap_or(0).saturating_mul(self.apart_nanos);
        self.push_at(Time(self.start.0.saturating_add(after)))
    }

    /// The same of an event that happens at this time and is read at once.
    pub fn push_at(&mut self, time: Time) -> Option<Sealed> {
        let number = self.number;
        self.number += 1;
        let mut chance = StdRng::seed_from_u64(number);
        let sender = chance.random_range(0..self.senders.len());
        let event = self.event(number, time, sender, &mut chance);
        self.senders.get_mut(sender)?.push(&event)
    }

    /// Seals what is open.
    pub fn flush(&mut self) -> Vec<Sealed> {
        let lanes = |sender: &mut Sender| Lane::ALL.map(|lane| sender.seal(lane));
        self.senders.iter_mut().flat_map(lanes).flatten().collect()
    }

    fn event(&mut self, number: u64, time: Time, sender: usize, chance: &mut StdRng) -> Event {
        let kind = chance.random_range(0..1_000);
        if kind >= 960 {
            return told(kind, time, chance);
        }
        self.context.observed = time;
        let host = self.senders[sender].host.split('.').next().unwrap_or_default();
        let (source, line) = lines::line(kind, number, host, self.stamps.at(time), chance);
        let offset = number / AGENTS as u64 * 190;
        let (event, _) = format::event_of("auto", line.into_bytes(), 0, &self.context);
        self.redactor.apply(event.with_system("portal").with_source(source, offset))
    }
}

/// What portals and probes tell without a line.
fn told(kind: u32, time: Time, chance: &mut StdRng) -> Event {
    let body = match kind {
        960..975 => Body::Dossier(Dossier {
            dossier: format!("H49.{:08}", chance.random_range(0..100_000_000)),
            service: format!("1.{:06}", chance.random_range(0..400)),
            step: ["received", "started", "closed"][chance.random_range(0..3)].into(),
            online: Some(chance.random_bool(0.7)),
            full_process: Some(chance.random_bool(0.4)),
            digitised: Some(chance.random_bool(0.8)),
            on_time: Some(chance.random_bool(0.95)),
            ..Dossier::default()
        }),
        975..985 => Body::Session(Session {
            step: "login-completed".into(),
            user_pseudonym: format!("{:016x}", chance.random::<u64>()),
            ..Session::default()
        }),
        _ => Body::Check(Check {
            name: format!("portal-{}", chance.random_range(0..6)),
            kind: CheckKind::Http.into(),
            target: "https://dichvucong.example/".into(),
            outcome: CheckOutcome::Up.into(),
            total_seconds: chance.random_range(0.01..0.9),
            http_status_code: Some(200),
            ..Check::default()
        }),
    };
    Event::new(time, time, body).with_system("portal")
}
