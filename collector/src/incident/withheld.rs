//! What quiet periods keep from the book. Pure.
//!
//! A signal that is withheld is a step of nobody's incident, with the signal's origin: it is counted once, however often it is read. Where it
//! tells a state, it is held until the state is over, or until nothing withholds it any more: then it is raised as it stands.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use vonggac_wire::{
    Time,
    proto::{Signal, Transition},
};

use super::{IncidentBook, SYSTEM, Step, origin};
use crate::quiet::Periods;

/// Rules that tell a state and its end; the others tell events, each of which is over when it is told.
const STATES: [&str; 8] = [
    "service-down",
    "platform-down",
    "certificate-ends",
    "disk-full",
    "agent-silent",
    "agency-silent",
    "portal-without-use",
    "canary-missing",
];

/// States that are held at once, as many as signals may wait for their platform. One more is not withheld: what is told too much does no harm.
pub(crate) const HELD_MAX: usize = 10_000;

/// A signal was kept from the book.
pub(crate) const WITHHELD: &str = "withheld";

/// A state that was held is over, or was raised.
pub(crate) const LET_GO: &str = "let-go";

/// What a step of these has as its text.
#[derive(Debug, Serialize, Deserialize)]
struct Text {
    /// The periods that withhold it.
    by: Vec<String>,
    /// It is held.
    state: bool,
    signal: Signal,
}

/// The states that a store has as held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// One signal for each.
    pub signals: Vec<Signal>,
    /// The highest number of nobody's steps.
    pub version: u64,
}

impl Held {
    /// The signal of a withheld step's text; `None`: it holds none.
    pub(crate) fn signal(text: &str) -> Option<Signal> {
        serde_json::from_str::<Text>(text).ok().map(|text| text.signal)
    }
}

/// Rule, entity and agency.
type Key = (String, String, String);

/// What the book knows of quiet periods.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    periods: Arc<Periods>,
    held: BTreeMap<Key, Signal>,
    version: u64,
}

fn key(signal: &Signal) -> Key {
    let entity = signal.entity.as_ref().map(|entity| entity.value.clone()).unwrap_or_default();
    (signal.rule.clone(), entity, signal.agency.clone())
}

impl IncidentBook {
    /// The same book with the states that it held when it was stored.
    #[must_use]
    pub fn holding_back(mut self, held: Held) -> Self {
        let signals = held.signals.into_iter().map(|signal| (key(&signal), signal));
        self.withheld.held = signals.collect();
        self.withheld.version = held.version;
        self
    }

    /// What is quiet from now on.
    pub fn follow_quiet(&mut self, periods: Arc<Periods>) {
        self.withheld.periods = periods;
    }

    /// States that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.withheld.held.len()
    }

    /// Keeps a signal from the book, if a period withholds it. A state that is held already is not counted again.
    pub(super) fn withhold(&mut self, signal: &Signal, now: Time) -> Option<Vec<Step>> {
        let periods = Arc::clone(&self.withheld.periods);
        let by: Vec<String> =
            periods.withholding(signal, now).map(|period| period.id.clone()).collect();
        if by.is_empty() {
            return None;
        }
        let mut kept = signal.clone();
        let state = STATES.contains(&signal.rule.as_str());
        if state {
            let key = key(signal);
            let held = &mut self.withheld.held;
            if held.get(&key).is_some_and(|known| known.severity <= signal.severity) {
                return Some(Vec::new());
            }
            if held.len() >= HELD_MAX && !held.contains_key(&key) {
                tracing::warn!(HELD_MAX, "too much is held back; what comes more is told");
                return None;
            }
            held.insert(key, kept.clone());
        } else {
            // Its rows are found by search.
            kept.evidence.clear();
            kept.values.clear();
        }
        Some(vec![self.nobodys(WITHHELD, &Text { by, state, signal: kept }, signal, now)])
    }

    /// A state is over: nothing of it is held any more.
    pub(super) fn let_go(&mut self, signal: &Signal, now: Time) -> Option<Step> {
        let held = self.withheld.held.remove(&key(signal))?;
        Some(self.nobodys(LET_GO, &Text { by: Vec::new(), state: true, signal: held }, signal, now))
    }

    /// Raises what is held and withheld by nothing any more.
    pub(super) fn raise_held(&mut self, now: Time) -> Vec<Step> {
        let periods = Arc::clone(&self.withheld.periods);
        let is_free = |signal: &&Signal| periods.withholding(signal, now).next().is_none();
        let free: Vec<Signal> = self.withheld.held.values().filter(is_free).cloned().collect();
        let mut steps = Vec::new();
        for mut signal in free {
            steps.extend(self.let_go(&signal.clone(), now));
            // Nobody told its end, so it is so still.
            signal.last_time_unix_nano = signal.last_time_unix_nano.max(now.0);
            let pulled = self.pulled_along(&signal, now);
            steps.extend(pulled.unwrap_or_else(|| self.raised(&signal, now)));
        }
        steps
    }

    fn nobodys(&mut self, action: &str, text: &Text, signal: &Signal, now: Time) -> Step {
        // By time, so that the newest lie together, and growing whatever the clock does.
        let version = u64::try_from(now.micros()).unwrap_or(0).max(self.withheld.version + 1);
        self.withheld.version = version;
        let (origin_key, origin_offset) = origin(signal, signal.kind);
        Step {
            transition: Transition {
                version,
                time_unix_nano: now.0,
                actor: SYSTEM.to_owned(),
                action: action.to_owned(),
                text: serde_json::to_string(text).unwrap_or_default(),
                origin: signal.origin.clone(),
                ..Transition::default()
            },
            origin_key,
            origin_offset,
            command: String::new(),
        }
    }
}
