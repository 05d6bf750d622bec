//! Sources whose clock cannot be right: their lines are kept as they are, and it is said once in a while whose clock to look at.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use vonggac_wire::{Event, Time, limits::CLOCK_SKEW_MAX};

/// No log that is read today was written before: devices without a battery begin in 1970, others in 2000.
const EARLIEST: Time = Time::from_seconds(978_307_200);

/// How often it is said of one source.
const TOLD_INTERVAL: Duration = Duration::from_secs(3_600);

/// Sources that are told apart; beyond it nothing is said of others until these are silent again.
const SOURCES_MAX: usize = 256;

/// What was said when.
#[derive(Debug, Default)]
pub(super) struct Clocks(Mutex<HashMap<String, Instant>>);

impl Clocks {
    /// Looks at the time that an event tells. Gives whether something was said.
    pub(super) fn look(&self, event: &Event, now: Instant) -> bool {
        let (time, observed) = (event.time(), event.observed());
        let ahead = time > observed && time.since(observed) > CLOCK_SKEW_MAX;
        if !ahead && time >= EARLIEST {
            return false;
        }
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = told.get(event.source()) {
            if now.saturating_duration_since(*at) < TOLD_INTERVAL {
                return false;
            }
        } else if told.len() >= SOURCES_MAX {
            told.retain(|_, at| now.saturating_duration_since(*at) < TOLD_INTERVAL);
            if told.len() >= SOURCES_MAX {
                return false;
            }
        }
        told.insert(event.source().to_owned(), now);
        drop(told);
        tracing::warn!(
            source = event.source(),
            told = %time,
            read = %observed,
            "a line tells a time that cannot be; it is kept with the time of its reading beside it; look at the clock of {}",
            if event.device().is_empty() { "this host" } else { event.device() }
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::event::{Activity, Body, Class, Status};

    use super::*;

    #[test]
    fn times_that_cannot_be_are_told_once_for_each_source_in_an_hour() {
        let read = Time::from_seconds(1_795_510_800);
        let event = |told: i64, source: &str| {
            let activity = Activity::of(Class::Base, 0, Status::Unknown);
            Event::new(Time::from_seconds(told), read, Body::Activity(activity))
                .with_source(source, 0)
        };
        let (clocks, now) = (Clocks::default(), Instant::now());
        for fine in [read.seconds(), read.seconds() + 500, 1_200_000_000] {
            assert!(!clocks.look(&event(fine, "a"), now), "{fine}");
        }
        assert!(clocks.look(&event(0, "a"), now), "1970");
        assert!(!clocks.look(&event(4_070_908_800, "a"), now), "it was said of this one");
        assert!(clocks.look(&event(4_070_908_800, "b"), now), "2099");
        assert!(clocks.look(&event(0, "a"), now + TOLD_INTERVAL));
        for n in 0..10_000 {
            clocks.look(&event(0, &format!("s{n}")), now);
        }
        assert!(clocks.0.lock().unwrap().len() <= SOURCES_MAX);
    }
}
