//! What the sending of notifications tells of itself. Only who leads the incident book sends; of the others the gauges are absent.

use std::collections::{BTreeMap, BTreeSet};

use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};
use vonggac_wire::Time;

use crate::notify::{queue::Queued, settings::Channel};

/// What can become of a note: each is a measured zero until it happens.
const RESULTS: [&str; 5] = ["sent", "failed", "refused", "given-up", "withheld"];

/// The metrics. Cloning shares them.
#[derive(Clone)]
pub struct Notifications {
    results: IntCounterVec,
    waiting: GaugeVec,
    oldest: GaugeVec,
    channels: BTreeSet<String>,
}

impl Notifications {
    /// Makes and registers them for these channels.
    ///
    /// # Errors
    /// If a name is used twice, which a test would show.
    pub fn new(registry: &Registry, channels: &[Channel]) -> Result<Self, prometheus::Error> {
        let named = |name: &str, help: &str| Opts::new(format!("vonggac_collector_{name}"), help);
        let results = IntCounterVec::new(
            named(
                "notifications_total",
                "Notifications by channel and what became of them; failed and refused are tries",
            ),
            &["channel", "result"],
        )?;
        let gauge = |name, help| {
            let made = GaugeVec::new(named(name, help), &["channel"])?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        registry.register(Box::new(results.clone()))?;
        let channels: BTreeSet<String> =
            channels.iter().map(|channel| channel.name.clone()).collect();
        for channel in &channels {
            for result in RESULTS {
                results.with_label_values(&[channel.as_str(), result]);
            }
        }
        Ok(Self {
            results,
            waiting: gauge("notifications_waiting", "Notifications that are to be sent")?,
            oldest: gauge(
                "notifications_oldest_waiting_seconds",
                "For how long the oldest notification that is to be sent has waited; 0: none waits",
            )?,
            channels,
        })
    }

    /// So many notes of a channel came to this. Channels that the configuration does not have are not counted.
    pub fn count(&self, channel: &str, result: &str, notes: usize) {
        if self.channels.contains(channel) {
            self.results.with_label_values(&[channel, result]).inc_by(notes as u64);
        }
    }

    /// What waits.
    #[expect(clippy::cast_precision_loss, reason = "a count for a graph")]
    pub fn waiting(&self, queue: &[Queued], now: Time) {
        let mut told: BTreeMap<&str, (u64, f64)> =
            self.channels.iter().map(|channel| (channel.as_str(), (0, 0.0))).collect();
        for one in queue {
            if let Some((count, oldest)) = told.get_mut(one.channel.as_str()) {
                *count += 1;
                *oldest = oldest.max(now.seconds_since(one.since));
            }
        }
        for (channel, (count, oldest)) in told {
            self.waiting.with_label_values(&[channel]).set(count as f64);
            self.oldest.with_label_values(&[channel]).set(oldest);
        }
    }

    /// Another collector sends.
    pub fn rest(&self) {
        self.waiting.reset();
        self.oldest.reset();
    }
}
