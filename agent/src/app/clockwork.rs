//! What is done again and again: heartbeats, ceilings, fsync by policy, metrics and the status file.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, Status},
};

use super::{report::Report, supervisor::Supervisor};
use crate::{
    governor::{self, Ceilings, Governor, Turn},
    heartbeat::{Pulse, Told},
    intake::Entry,
    occurrence::Occurrences,
    ship::SharedSpool,
    vigil::Part,
};

/// How often the spool's clockwork is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How often the status file is written.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);

/// How often the agent looks at what it takes.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// What a reload can change of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) told: Told,
    pub(super) ceilings: Ceilings,
}

/// All of it.
pub(super) struct Clockwork {
    pub(super) spool: SharedSpool,
    pub(super) report: Arc<Report>,
    pub(super) occurrences: Occurrences,
    pub(super) live: watch::Receiver<Live>,
}

impl Clockwork {
    /// Goes until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let Live { told, ceilings } = self.live.borrow_and_update().clone();
        let (mut pulse, mut governor) = (Pulse::new(told), Governor::new(ceilings));
        let mut ticks = tokio::time::interval(TICK);
        let begun = Instant::now();
        let (mut beat_at, mut status_at, mut sample_at) = (begun, begun, begun);
        let mut supervisor = Supervisor::default();
        while !stop.is_cancelled() {
            let at = ticks.tick().await;
            let now = Time::now();
            if self.live.has_changed().unwrap_or(false) {
                let Live { told, ceilings } = self.live.borrow_and_update().clone();
                // Who waits for the next one is not kept waiting by the old interval.
                beat_at = beat_at.min(at + told.interval);
                pulse.renew(told);
                governor.set_ceilings(ceilings);
            }
            if at >= sample_at {
                sample_at = at + SAMPLE_INTERVAL;
                self.govern(&mut governor, at.into_std(), now);
            }
            if at >= beat_at {
                beat_at = at + pulse.interval();
                let event = pulse.beat(&self.spool.lock(), &self.occurrences, now);
                self.tell(vec![event], now);
            }
            if let Err(error) = self.spool.lock().tick(now) {
                self.occurrences.spool_refused(&error);
            }
            self.occurrences.moves(Part::Clockwork, TICK);
            supervisor.told(&self.occurrences, now);
            if at >= status_at {
                status_at = at + STATUS_INTERVAL;
                self.report.tell(&self.spool, &self.occurrences, now);
            }
        }
    }

    /// Holds what the agent takes against its ceilings.
    fn govern(&self, governor: &mut Governor, at: std::time::Instant, now: Time) {
        let reading = self.occurrences.reading();
        let ruling = governor.apply(governor::sample(reading), at);
        reading.rule(&ruling);
        self.tell(ruling.turns.iter().filter_map(|turn| turned(turn, now)).collect(), now);
    }

    /// Past the queue, which may be full.
    fn tell(&self, events: Vec<Event>, now: Time) {
        if events.is_empty() {
            return;
        }
        let entries = events.into_iter().map(|event| Entry { event, position: None }).collect();
        if let Err(error) = self.spool.lock().append(entries, &[], now) {
            self.occurrences.spool_refused(&error);
        }
        self.spool.appended.notify_one();
    }
}

/// Says that an episode begins, to the centre too; its end is in the log and in the heartbeats.
fn turned(turn: &Turn, now: Time) -> Option<Event> {
    match *turn {
        Turn::Began { ceiling, taken, most } => {
            let ceiling = ceiling.name();
            tracing::warn!(
                ceiling,
                taken,
                most,
                "the agent slows its reading down to keep within a ceiling; see [limits]"
            );
            let mut activity = Activity::of(Class::Base, 99, Status::Other);
            activity.severity_id = 2;
            activity.status_detail = "agent-slowed".into();
            activity.message = format!(
                "the agent slows its reading down: its ceiling of {ceiling} is {most}, and it takes {taken}"
            );
            let facts = [
                ("ceiling", ceiling.to_owned()),
                ("taken", taken.to_string()),
                ("most", most.to_string()),
            ];
            activity.unmapped.extend(facts.map(|(name, value)| (name.to_owned(), value)));
            let event = Event::new(now, now, Body::Activity(activity));
            Some(event.with_source("agent", 0).with_format("agent"))
        }
        Turn::Ended { ceiling, slowed } => {
            let (ceiling, slowed_seconds) = (ceiling.name(), slowed.as_secs());
            tracing::info!(ceiling, slowed_seconds, "the agent reads at full speed again");
            None
        }
    }
}
