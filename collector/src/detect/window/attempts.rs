//! What is held of one entity: the matches within its window, each attempt once.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use vonggac_wire::{Time, limits::EVIDENCE_EVENTS_MAX};

mod tally;

use super::early::Early;
use tally::Sums;

/// Matches that are kept of one entity: as many as any threshold may ask for.
const TIMES_MAX: usize = crate::rule::bounds::MATCHES_KEPT_MAX;

/// Connections whose attempts are remembered after it fired, to know a second telling.
const TOLD_MAX: usize = 64;

/// One match.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) time: Time,
    /// What it counts for.
    pub(super) weight: u64,
    /// How many events it is.
    pub(super) events: u64,
    /// A hash of what is counted where only different values count; 0 where all count.
    pub(super) value: u64,
    /// A hash of the host.
    pub(super) host: u64,
    /// A hash of host and user.
    pub(super) user: u64,
    /// A hash of connection and user; 0: unknown.
    pub(super) connection: u64,
    /// It may be a second telling.
    pub(super) echo: bool,
}

/// When a window is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) span: Duration,
    pub(super) threshold: u64,
    pub(super) on_host: Option<u64>,
    pub(super) distinct: bool,
    /// No more than one match in so long is counted before it fires.
    pub(super) spacing: Option<Duration>,
}

/// A match while its window may still fill.
#[derive(Clone, Debug)]
struct Kept {
    time: Time,
    value: u64,
    host: u64,
    user: u64,
    weight: u32,
    events: u32,
}

/// A count as it is kept: what is beyond fills any window.
fn counted(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl From<Attempt> for Kept {
    fn from(attempt: Attempt) -> Self {
        let Attempt { time, weight, events, value, host, user, .. } = attempt;
        Self { time, value, host, user, weight: counted(weight), events: counted(events) }
    }
}

/// The window of one entity. There are many, and most hold one match: what few have stands in a place of its own.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    kept: VecDeque<Kept>,
    sums: Sums,
    /// Connections, and whether only an echo told of them.
    #[expect(
        clippy::box_collection,
        reason = "most windows have none, and there are many of them"
    )]
    told: Option<Box<VecDeque<(u64, bool)>>>,
    pub(super) last: Time,
    pub(super) fired: bool,
    /// Events since it fired, with those that made it fire.
    pub(super) total: u64,
    /// Evidence before it fired.
    pub(super) early: Vec<Early>,
}

/// What a match came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was told before.
    Known,
    /// It is counted, and the window is not full yet.
    Kept,
    /// So many events are told, the first of this time.
    Told { events: u64, first: Time },
}

impl Attempts {
    /// Forgets what is over.
    pub(super) fn begin(&mut self, time: Time, limits: Limits) {
        if time.since(self.last) > limits.span {
            *self = Self::default();
        }
        self.last = self.last.max(time);
        let last = self.last;
        while self.kept.front().is_some_and(|old| last.since(old.time) > limits.span) {
            self.forget_oldest(limits);
        }
    }

    fn forget_oldest(&mut self, limits: Limits) {
        if let Some(old) = self.kept.pop_front() {
            self.sums.removed(&old, limits);
        }
    }

    /// What the matches in the window weigh.
    pub(super) fn weight(&self, distinct: bool) -> u64 {
        self.sums.weight(&self.kept, distinct)
    }

    /// Whether a match is of one of these hosts.
    pub(super) fn is_at(&self, hosts: &HashSet<u64>) -> bool {
        self.kept.iter().any(|kept| hosts.contains(&kept.host))
    }

    /// Whether all matches are of one host.
    pub(super) fn is_on_one_host(&self) -> bool {
        let first = self.kept.front().map(|kept| kept.host);
        self.kept.iter().all(|kept| Some(kept.host) == first)
    }

    /// Takes a user's failures back.
    pub(super) fn forgive(&mut self, user: u64, limits: Limits) {
        let before = self.kept.len();
        self.kept.retain(|kept| kept.user != user);
        if self.kept.len() < before {
            self.sums = Sums::of(&self.kept, limits);
        }
        if self.kept.is_empty() {
            self.early.clear();
        }
    }

    /// Adds evidence up to its limit.
    pub(super) fn add_early(&mut self, one: impl FnOnce() -> Early) {
        if self.early.is_empty() {
            self.early.reserve_exact(1);
        }
        if self.early.len() < EVIDENCE_EVENTS_MAX {
            self.early.push(one());
        }
    }

    /// Counts a match.
    pub(super) fn add(&mut self, mut attempt: Attempt, limits: Limits) -> Outcome {
        if self.was_told(&mut attempt) {
            return Outcome::Known;
        }
        if self.fired {
            self.total += attempt.events;
            return if attempt.events == 0 {
                Outcome::Known
            } else {
                Outcome::Told { events: attempt.events, first: attempt.time }
            };
        }
        // Mostly behind all others; what came after a newer one stands where its time is.
        let place = self.kept.partition_point(|kept| kept.time <= attempt.time);
        let near = |spacing| {
            let before = place.checked_sub(1).and_then(|place| self.kept.get(place));
            before.is_some_and(|kept| attempt.time.since(kept.time) < spacing)
                || self.kept.get(place).is_some_and(|kept| kept.time.since(attempt.time) < spacing)
        };
        if limits.spacing.is_some_and(near) {
            return Outcome::Kept;
        }
        if self.kept.len() >= TIMES_MAX {
            // Of values that are known one more tells nothing; of the others the oldest is over soonest.
            if limits.distinct && self.sums.knows(attempt.value, &self.kept) {
                return Outcome::Kept;
            }
            self.forget_oldest(limits);
        }
        let host = attempt.host;
        let place = self.kept.partition_point(|kept| kept.time <= attempt.time);
        self.keep(place, attempt.into(), limits);
        if !self.sums.is_full(host, &self.kept, limits) {
            return Outcome::Kept;
        }
        self.fired = true;
        self.total = self.kept.iter().map(|kept| u64::from(kept.events)).sum();
        let first = self.kept.iter().map(|kept| kept.time).min().unwrap_or(self.last);
        self.kept = VecDeque::new();
        self.sums = Sums::default();
        Outcome::Told { events: self.total, first }
    }

    fn keep(&mut self, place: usize, one: Kept, limits: Limits) {
        self.sums.adds(&one, &self.kept, limits);
        if self.kept.is_empty() {
            self.kept.reserve_exact(1);
        }
        self.kept.insert(place, one);
    }

    /// An echo of what is known tells nothing; an attempt after its echo takes that one's place.
    fn was_told(&mut self, attempt: &mut Attempt) -> bool {
        if attempt.connection == 0 {
            return attempt.echo;
        }
        let told = self.told.get_or_insert_default();
        let known = told.iter_mut().find(|(known, _)| *known == attempt.connection);
        match known {
            Some(_) if attempt.echo => return true,
            Some((_, only_echo)) if *only_echo => {
                *only_echo = false;
                attempt.weight = 0;
                attempt.events = 0;
            }
            Some(_) => {}
            None => {
                if told.len() >= TOLD_MAX {
                    told.pop_front();
                }
                told.push_back((attempt.connection, attempt.echo));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        span: Duration::from_secs(300),
        threshold: 8,
        on_host: Some(5),
        distinct: false,
        spacing: None,
    };

    fn attempt(user: u64, connection: u64, echo: bool) -> Attempt {
        let time = Time::from_seconds(1_764_000_000);
        Attempt { time, weight: 1, events: 1, value: 0, host: 1, user, connection, echo }
    }

    fn counted(attempts: &[Attempt]) -> u64 {
        let mut window = Attempts::default();
        window.begin(attempts[0].time, LIMITS);
        for attempt in attempts {
            window.add(attempt.clone(), LIMITS);
        }
        if window.fired {
            window.total
        } else {
            window.kept.iter().map(|kept| u64::from(kept.events)).sum()
        }
    }

    #[test]
    fn an_attempt_counts_once_whichever_of_its_lines_comes_first() {
        assert_eq!(counted(&[attempt(1, 7, true), attempt(1, 7, false)]), 1);
        assert_eq!(counted(&[attempt(1, 7, false), attempt(1, 7, true)]), 1);
        assert_eq!(counted(&[attempt(1, 7, true), attempt(1, 7, true)]), 1);
        assert_eq!(counted(&[attempt(1, 7, false), attempt(1, 7, false), attempt(1, 7, true)]), 2);
        assert_eq!(counted(&[attempt(1, 0, true)]), 0);
        let both: Vec<Attempt> =
            (1..=20).flat_map(|n| [attempt(1, n, true), attempt(1, n, false)]).collect();
        assert_eq!(counted(&both), 20);
    }

    #[test]
    fn fewer_matches_on_one_host_are_enough() {
        let mut window = Attempts::default();
        let mut spread = attempt(1, 0, false);
        for host in 1..=7 {
            spread.host = host;
            assert_eq!(window.add(spread.clone(), LIMITS), Outcome::Kept);
        }
        let mut window = Attempts::default();
        let outcomes: Vec<bool> =
            (0..5).map(|_| window.add(attempt(1, 0, false), LIMITS) != Outcome::Kept).collect();
        assert_eq!(outcomes, [false, false, false, false, true]);
    }

    #[test]
    fn what_comes_fast_counts_once_where_slowness_is_looked_for() {
        let limits = Limits { on_host: Some(3), spacing: Some(Duration::from_secs(240)), ..LIMITS };
        let mut window = Attempts::default();
        let mut one = attempt(1, 0, false);
        let outcomes: Vec<bool> = (0..12)
            .map(|turn| {
                one.time = Time::from_seconds(1_764_000_000 + turn * 60);
                window.add(one.clone(), limits) != Outcome::Kept
            })
            .collect();
        assert_eq!(outcomes.iter().position(|fired| *fired), Some(8));
    }

    #[test]
    fn who_gets_in_at_last_is_forgiven_and_the_others_are_not() {
        let mut window = Attempts::default();
        for user in [1, 1, 1, 2] {
            window.add(attempt(user, 0, false), LIMITS);
        }
        window.forgive(1, LIMITS);
        assert_eq!(window.kept.len(), 1);
    }
}
