//! What happened since the last look, read from the store.
//!
//! Steps are stored in the order of their times by whoever leads, and a leader's clock may be a little behind its predecessor's. So a stretch
//! before the last step is read again each time, and what was seen in it is left out here; if it was forgotten, the queue has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use vonggac_wire::{Time, proto::Incident};

use crate::{
    notify::{plan::Planner, queue::Queued},
    store::{Store, StoreError, notify::Place},
    tenure::Tenure,
};

/// How far clocks of collectors may be apart: those of a centre follow one time server.
const OVERLAP: Duration = Duration::from_secs(60);

/// Steps of one page.
const PAGE_STEPS_MAX: u32 = 1_000;

/// Pages of one look; the next look goes on.
const PAGES_MAX: usize = 20;

/// Places of steps that are remembered of the overlap.
const SEEN_MAX: usize = 100_000;

/// How often it is written down how far the clock was looked at.
const CLOCK_SAVED_EVERY: Duration = Duration::from_secs(60);

/// For how long an incident is remembered that is over: a digest of a week tells it.
const OVER_KEPT: Duration = Duration::from_secs(8 * 86_400);

/// Incidents that are remembered; the oldest leave first.
const INCIDENTS_MAX: usize = 50_000;

/// What is known while this collector leads.
pub(super) struct History {
    /// By which tenure.
    pub(super) tenure: String,
    incidents: BTreeMap<u64, Incident>,
    /// The time of the last step that was planned.
    last: Time,
    /// Where a look stopped that had too much to read.
    stopped: Option<Place>,
    seen: BTreeSet<Place>,
    /// Deadlines and digests are in the queue up to it...
    clock: Time,
    /// ... and were looked at up to it.
    looked: Time,
    saved: [Time; 2],
}

impl History {
    /// Begins: where the last leader stopped, or now if there was none, so that a centre which is told to send does not tell its past.
    pub(super) async fn open(
        store: &Store,
        tenure: &Tenure,
        now: Time,
    ) -> Result<Self, StoreError> {
        let marks = store.notify_marks().await?;
        let saved = marks.unwrap_or([now; 2]);
        if marks.is_none() {
            store.save_notify_marks(saved).await?;
        }
        let mut history = Self {
            tenure: tenure.name.clone(),
            incidents: BTreeMap::new(),
            last: saved[0],
            stopped: None,
            seen: BTreeSet::new(),
            clock: saved[1],
            looked: saved[1],
            saved,
        };
        for incident in store.book_state().await?.incidents {
            history.know(incident, now);
        }
        Ok(history)
    }

    /// What is to be put into the queue now.
    pub(super) async fn plan(
        &mut self,
        store: &Store,
        planner: Planner<'_>,
        now: Time,
    ) -> Result<Vec<Queued>, StoreError> {
        let mut notes = Vec::new();
        let overlap = Place { micros: self.last.minus(OVERLAP).micros(), ..Place::default() };
        let mut place = self.stopped.take().unwrap_or(overlap);
        for _ in 0..PAGES_MAX {
            let steps = store.steps_behind(place, PAGE_STEPS_MAX).await?;
            let is_last = u32::try_from(steps.len()).is_ok_and(|count| count < PAGE_STEPS_MAX);
            for (at, step) in steps {
                place = at;
                if !self.seen.insert(at) {
                    continue;
                }
                notes.extend(planner.step(&step));
                self.last = self.last.max(Time(step.time_unix_nano));
                if let Some(incident) = step.after {
                    self.know(incident, now);
                }
            }
            self.stopped = (!is_last).then_some(place);
            if is_last {
                break;
            }
        }
        let from = self.clock;
        self.looked = self.clock.max(now);
        for incident in self.incidents.values() {
            notes.extend(planner.breach(incident, from, now));
        }
        notes.extend(planner.digests(self.incidents.values(), from, now));
        Ok(notes)
    }

    /// What was planned is in the queue.
    pub(super) async fn planned(&mut self, store: &Store) -> Result<(), StoreError> {
        self.clock = self.looked;
        let now = self.clock;
        let floor = self.last.minus(OVERLAP).micros();
        self.seen = self.seen.split_off(&Place { micros: floor, ..Place::default() });
        while self.seen.len() > SEEN_MAX {
            self.seen.pop_first();
        }
        let marks = [self.last, self.clock];
        let is_due = self.clock.since(self.saved[1]) >= CLOCK_SAVED_EVERY;
        if marks[0] != self.saved[0] || is_due {
            store.save_notify_marks(marks).await?;
            self.saved = marks;
            self.incidents.retain(|_, one| is_kept(one, now));
        }
        Ok(())
    }

    /// Keeps an incident without what no note tells.
    fn know(&mut self, incident: Incident, now: Time) {
        if !is_kept(&incident, now) {
            self.incidents.remove(&incident.id);
            return;
        }
        let newer =
            self.incidents.get(&incident.id).is_none_or(|one| one.version < incident.version);
        if newer {
            let light = Incident {
                shares: Vec::new(),
                evidence: Vec::new(),
                hosts: Vec::new(),
                systems: Vec::new(),
                values: BTreeMap::new(),
                ..incident
            };
            self.incidents.insert(light.id, light);
        }
        while self.incidents.len() > INCIDENTS_MAX {
            self.incidents.pop_first();
        }
    }
}

fn is_kept(incident: &Incident, now: Time) -> bool {
    incident.current_state().is_open() || now.since(Time(incident.updated_unix_nano)) < OVER_KEPT
}
