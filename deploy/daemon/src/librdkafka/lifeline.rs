//! What brings a client of librdkafka back that has lost all its brokers.
//!
//! A broker that was frozen, or a cluster in the middle of an upgrade, answers for a moment with topics and with no broker at all. librdkafka from 2.12
//! on takes that at its word: it lets every broker go, and the same answer stops the timer that would begin anew with the addresses that it
//! was given (its issue 5301). Such a client never speaks again. Its statistics say so: nothing is left of what was given or learned. Then
//! the addresses are given to it once more.

use std::{
    ffi::CString,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rdkafka::{ClientContext, Statistics, bindings, client::Client};

/// How often a client that has nothing else to tell tells its statistics.
pub const STATISTICS_EVERY: Duration = Duration::from_secs(5);

/// The setting of [`STATISTICS_EVERY`].
#[must_use]
pub fn setting() -> (&'static str, String) {
    ("statistics.interval.ms", STATISTICS_EVERY.as_millis().to_string())
}

/// Part of a client's context: whether it still knows a broker.
#[derive(Debug)]
pub struct Lifeline {
    brokers: String,
    lost: AtomicBool,
}

impl Lifeline {
    /// `brokers`: host:port of each.
    #[must_use]
    pub fn new(brokers: &[String]) -> Self {
        Self { brokers: brokers.join(","), lost: AtomicBool::new(false) }
    }

    /// What the client told last.
    pub fn see(&self, statistics: &Statistics) {
        let known = |source: &str| source == "learned" || source == "configured";
        let lost = !statistics.brokers.values().any(|broker| known(&broker.source));
        self.lost.store(lost, Ordering::Relaxed);
    }

    /// Gives the client its addresses again, if it has lost all. The next statistics say whether that was enough.
    pub fn hold<C: ClientContext>(&self, client: &Client<C>) {
        if !self.lost.swap(false, Ordering::Relaxed) {
            return;
        }
        // An address with a zero byte is none; the client would not be there.
        let Ok(brokers) = CString::new(self.brokers.as_str()) else { return };
        #[expect(unsafe_code, reason = "the bindings have no safe way to add brokers")]
        // SAFETY: the client lives as long as its borrow, and librdkafka copies the text, which ends with a zero. It may be called from any
        // thread.
        let added =
            unsafe { bindings::rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr()) };
        tracing::warn!(
            added,
            "a client of Kafka had lost all brokers; it begins anew with their addresses"
        );
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
        for (sources, lost) in [
            (&["configured"] as &[&str], false),
            (&["learned", "logical", "internal"], false),
            (&["logical", "internal"], true),
            (&[], true),
        ] {
            let lifeline = Lifeline::new(&["k1:9092".into(), "k2:9092".into()]);
            lifeline.see(&told(sources));
            assert_eq!(lifeline.lost.load(Ordering::Relaxed), lost, "{sources:?}");
        }
    }
}
