//! Whether a client of librdkafka has lost all its brokers, so that whoever owns it makes it anew.
//!
//! A broker that was frozen, or a cluster in the middle of an upgrade, answers for a moment with topics and with no broker at all. librdkafka from 2.12
//! on takes that at its word: it lets every broker go, and the same answer stops the timer that would begin anew with the addresses that it
//! was given (its issue 5301). Such a client never speaks again. Only its statistics say so: nothing is left of what was given or learned.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rdkafka::Statistics;

/// How often a client that has nothing else to tell tells its statistics.
pub const STATISTICS_EVERY: Duration = Duration::from_secs(5);

/// The setting of [`STATISTICS_EVERY`]. They are kept for whoever listens to the client: only one that is always listened to may have it.
#[must_use]
pub fn setting() -> (&'static str, String) {
    ("statistics.interval.ms", STATISTICS_EVERY.as_millis().to_string())
}

/// Part of a client's context: whether it still knows a broker.
#[derive(Debug, Default)]
pub struct Lifeline(AtomicBool);

impl Lifeline {
    /// What the client told last.
    pub fn see(&self, statistics: &Statistics) {
        let known = |source: &str| source == "learned" || source == "configured";
        let lost = !statistics.brokers.values().any(|broker| known(&broker.source));
        if lost && !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                client = statistics.client_id,
                "a client of Kafka lost all brokers; another one takes its place"
            );
        }
        self.0.store(lost, Ordering::Relaxed);
    }

    /// It has no broker left, and finds none again.
    pub fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::Broker;

    use super::*;

    fn told(sources: &[&str]) -> Statistics {
        let broker = |source: &&str| {
            ((*source).to_owned(), Broker { source: (*source).to_owned(), ..Broker::default() })
        };
        Statistics { brokers: sources.iter().map(broker).collect(), ..Statistics::default() }
    }

    #[test]
    fn a_client_is_lost_when_nothing_given_and_nothing_learned_is_left() {
        let lifeline = Lifeline::default();
        assert!(!lifeline.is_lost(), "it told nothing yet");
        for (sources, lost) in [
            (&["configured"] as &[&str], false),
            (&["logical", "internal"], true),
            (&["learned", "logical", "internal"], false),
            (&[], true),
        ] {
            lifeline.see(&told(sources));
            assert_eq!(lifeline.is_lost(), lost, "{sources:?}");
        }
    }
}
