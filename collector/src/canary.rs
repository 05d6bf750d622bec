//! The canary: a test event that the collector sends to itself through each partition, once an interval, and looks for in the store. It goes
//! the whole way of an event but for an agent's host; what does not come back is told although all else says that it is well.
//!
//! [`Watch`] is pure; [`run`] is its edge. A sender has a name of its own for each start, so that nobody else's canary is taken for its.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use vonggac_wire::{
    Time,
    proto::{Entity, Origin, Signal, SignalKind},
    topic,
};

use crate::{
    centre::{self, SYSTEM},
    registry::Registry,
    rule::RuleSet,
};

mod edge;
pub mod heartbeat;

pub use edge::{Age, Parts, run};

/// The rule's name.
pub const RULE: &str = "canary-missing";

/// Intervals without a canary that make it missing, unless the rule says otherwise.
const INTERVALS: f64 = 3.0;

/// A topic's partition.
pub type Place = (String, i32);

/// A canary as it flies, in a header of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Who sent it.
    pub sender: String,
    /// When, by the sender's clock.
    pub sent: Time,
}

impl Canary {
    /// The header's value.
    #[must_use]
    pub fn header(&self) -> String {
        format!("{}/{}", self.sender, self.sent.0)
    }

    /// From the header's value; `None`: it is none of ours.
    #[must_use]
    pub fn from_header(text: &str) -> Option<Self> {
        let (sender, sent) = text.rsplit_once('/')?;
        let named =
            sender.len() <= 64 && sender.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        Some(Self { sender: sender.to_owned(), sent: Time(sent.parse().ok()?) })
            .filter(|_| named && !sender.is_empty())
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Canaries of these places do not come back; the oldest was last seen so long ago.
    Missing(Vec<Place>, Duration),
    /// All come back again.
    Back,
}

/// Which canaries came back.
#[derive(Debug)]
pub struct Watch {
    seen: BTreeMap<Place, Time>,
    /// Places of which no canary came back yet.
    unseen: BTreeSet<Place>,
    limit: Duration,
    missing: bool,
    /// The minute of the newest change that was told.
    told: i64,
}

impl Watch {
    /// Of so many partitions of each topic of events. Until the first limit is over nothing is missing.
    #[must_use]
    pub fn new(partitions: i32, interval: Duration, rules: &RuleSet, now: Time) -> Self {
        let intervals =
            rules.machine(RULE).map_or(INTERVALS, |meta| meta.number("intervals", INTERVALS));
        let seen: BTreeMap<Place, Time> = topic::EVENTS
            .into_iter()
            .flat_map(|name| {
                (0..partitions).map(move |partition| ((name.to_owned(), partition), now))
            })
            .collect();
        let unseen = seen.keys().cloned().collect();
        Self { seen, unseen, limit: interval.mul_f64(intervals), missing: false, told: 0 }
    }

    /// The places that canaries are sent to.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.seen.keys()
    }

    /// What the store has: when the newest canary of each place was sent. Empty where it did not answer.
    pub fn apply(&mut self, stored: &BTreeMap<Place, Time>, now: Time) -> Option<Change> {
        for (place, seen) in &mut self.seen {
            let sent = stored.get(place).copied().unwrap_or(*seen);
            // A clock that was set back must not make what was seen last for long.
            *seen = (*seen).max(sent).min(now);
        }
        self.unseen.retain(|place| !stored.contains_key(place));
        let late: Vec<Place> = self
            .seen
            .iter()
            .filter(|(_, seen)| now.since(**seen) > self.limit)
            .map(|(place, _)| place.clone())
            .collect();
        if late.is_empty() {
            return std::mem::take(&mut self.missing).then_some(Change::Back);
        }
        if self.missing {
            return None;
        }
        self.missing = true;
        Some(Change::Missing(late, self.age(now)))
    }

    /// How long ago the canary was sent of which none came since: the place that is worst.
    #[must_use]
    pub fn age(&self, now: Time) -> Duration {
        self.seen.values().map(|seen| now.since(*seen)).max().unwrap_or_default()
    }

    /// Whether all come back. What was never seen is not well, although it is not missing yet.
    #[must_use]
    pub fn is_well(&self) -> bool {
        !self.missing && self.unseen.is_empty()
    }

    /// The minute that a change is told as. It grows although the clock is set back: the book takes each origin once.
    pub fn minute(&mut self, now: Time) -> i64 {
        self.told = (now.seconds() / 60).max(self.told + 1);
        self.told
    }
}

/// The signal of a change, as of a minute. Several collectors that see the same in one minute tell it once.
#[must_use]
pub fn signal(
    change: &Change,
    registry: &Registry,
    rules: &RuleSet,
    minute: i64,
    now: Time,
) -> Signal {
    let (kind, places, silent) = match change {
        Change::Missing(places, silent) => (SignalKind::Raised, places.as_slice(), *silent),
        Change::Back => (SignalKind::Cleared, &[][..], Duration::ZERO),
    };
    let severity = rules.machine(RULE).map_or(1, |meta| meta.severity);
    let mut signal = Signal {
        kind: kind.into(),
        entity: Some(Entity { kind: "system".into(), value: SYSTEM.into() }),
        group: RULE.into(),
        first_time_unix_nano: now.minus(silent).0,
        origin: Some(Origin { topic: RULE.into(), partition: 0, offset: minute }),
        ..centre::signal(RULE, severity, registry, now)
    };
    signal.values.insert("places".into(), places.len().to_string());
    signal.values.insert("seconds".into(), silent.as_secs().to_string());
    if let Some(system) = registry.system(SYSTEM) {
        signal.values.insert("system_vi".into(), system.name_vi.clone());
        signal.values.insert("system_en".into(), system.name_en.clone());
    }
    signal
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn watch() -> (Watch, Time) {
        let now = Time::from_seconds(1_000_000);
        (Watch::new(2, MINUTE, &RuleSet::builtin().unwrap(), now), now)
    }

    fn all(watch: &Watch, sent: Time) -> BTreeMap<Place, Time> {
        watch.places().map(|place| (place.clone(), sent)).collect()
    }

    #[test]
    fn what_comes_back_in_time_is_well() {
        let (mut watch, mut now) = watch();
        assert_eq!(watch.apply(&BTreeMap::new(), now), None);
        assert!(!watch.is_well(), "nothing was seen yet");
        for _ in 0..100 {
            let stored = all(&watch, now.plus(Duration::from_secs(1)));
            now = now.plus(MINUTE);
            assert_eq!(watch.apply(&stored, now), None);
            assert!(watch.is_well());
        }
    }

    #[test]
    fn one_partition_that_stands_still_is_told_once_and_told_back_once() {
        let (mut watch, begun) = watch();
        let stuck = (topic::USAGE.to_owned(), 1);
        let mut told = Vec::new();
        for minute in 1..=10_u32 {
            let now = begun.plus(MINUTE * minute);
            let mut stored = all(&watch, now);
            if minute < 8 {
                stored.remove(&stuck);
            }
            told.extend(watch.apply(&stored, now).map(|change| (minute, change)));
        }
        let missing = Change::Missing(vec![stuck], MINUTE * 4);
        assert_eq!(told, [(4, missing), (8, Change::Back)]);
    }

    #[test]
    fn a_store_that_does_not_answer_makes_all_of_them_missing() {
        let (mut watch, begun) = watch();
        assert_eq!(watch.apply(&BTreeMap::new(), begun.plus(MINUTE * 3)), None);
        let told = watch.apply(&BTreeMap::new(), begun.plus(MINUTE * 4));
        assert!(matches!(told, Some(Change::Missing(places, _)) if places.len() == 6));
        assert_eq!(watch.age(begun.plus(MINUTE * 4)), MINUTE * 4);
    }

    #[test]
    fn a_clock_that_ran_ahead_does_not_keep_it_well_for_ever() {
        let (mut watch, begun) = watch();
        let stored = all(&watch, begun.plus(MINUTE * 1_000));
        watch.apply(&stored, begun.plus(MINUTE));
        assert!(watch.apply(&BTreeMap::new(), begun.plus(MINUTE * 6)).is_some());
    }

    #[test]
    fn a_clock_that_is_set_back_neither_stops_the_sign_of_life_nor_hides_a_broken_way() {
        let (mut watch, begun) = watch();
        let now = begun.plus(MINUTE * 10);
        let stored = all(&watch, now);
        assert_eq!(watch.apply(&stored, now), None);
        let before = watch.minute(now);
        // An hour back: the store answers with nothing of what lies ahead.
        let back = now.minus(MINUTE * 60);
        assert_eq!(watch.apply(&BTreeMap::new(), back), None);
        assert!(watch.is_well() && watch.age(back) == Duration::ZERO);
        let told = watch.apply(&BTreeMap::new(), back.plus(MINUTE * 4));
        assert!(matches!(told, Some(Change::Missing(..))));
        assert!(watch.minute(back.plus(MINUTE * 4)) > before, "the book takes it");
    }

    #[test]
    fn a_header_reads_back_and_what_is_none_is_refused() {
        let canary = Canary { sender: "a-1".into(), sent: Time(5) };
        assert_eq!(Canary::from_header(&canary.header()), Some(canary));
        for text in ["", "a", "a/", "/5", "a/x", "a\u{1b}/5", &format!("{}/5", "a".repeat(65))] {
            assert_eq!(Canary::from_header(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_signal_is_of_the_centre_itself_and_of_its_minute() {
        let registry = Registry::builtin().unwrap();
        let rules = RuleSet::builtin().unwrap();
        let now = Time::from_seconds(6_000);
        let missing = Change::Missing(vec![("t".into(), 0)], MINUTE * 4);
        let raised = signal(&missing, &registry, &rules, 100, now);
        assert_eq!((raised.agency.as_str(), raised.system.as_str()), ("G22", SYSTEM));
        assert_eq!(raised.origin.as_ref().map(|origin| origin.offset), Some(100));
        let cleared = signal(&Change::Back, &registry, &rules, 101, now);
        assert_eq!((cleared.kind(), &cleared.group), (SignalKind::Cleared, &raised.group));
    }
}
