//! The metrics of what the agent slowed itself down for.

use prometheus::{
    Counter, CounterVec, GaugeVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::governor::{Ceiling, Figures, Rank};

/// Shown from the governor's figures.
#[derive(Clone)]
pub(super) struct Slowing {
    open_files: IntGauge,
    shares: GaugeVec,
    slowed_ranks: CounterVec,
    slowed_for: CounterVec,
    episodes: IntCounterVec,
    log_files: IntGauge,
    log_files_closed: IntCounter,
}

impl Slowing {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let slowing = Self {
            // Named as every exporter names it.
            open_files: IntGauge::new("process_open_fds", "Number of open file descriptors")?,
            shares: GaugeVec::new(
                Opts::new(
                    "vonggac_agent_reading_share",
                    "Part of a core that each reading thread may take, by the rank of logs; 1 is not slowed",
                ),
                &["rank"],
            )?,
            slowed_ranks: CounterVec::new(
                Opts::new(
                    "vonggac_agent_reading_slowed_seconds_total",
                    "Time in which logs of a rank were read more slowly to keep within a ceiling",
                ),
                &["rank"],
            )?,
            slowed_for: CounterVec::new(
                Opts::new(
                    "vonggac_agent_slowed_seconds_total",
                    "Time in which the agent slowed itself down, by the ceiling",
                ),
                &["ceiling"],
            )?,
            episodes: IntCounterVec::new(
                Opts::new(
                    "vonggac_agent_slowed_episodes_total",
                    "Times that the agent began to slow itself down, by the ceiling",
                ),
                &["ceiling"],
            )?,
            log_files: IntGauge::new("vonggac_agent_log_files_open", "Logs that are held open")?,
            log_files_closed: IntCounter::new(
                "vonggac_agent_log_files_closed_total",
                "Times that a log was closed because too many were open; it is opened when it changes",
            )?,
        };
        registry.register(Box::new(slowing.open_files.clone()))?;
        registry.register(Box::new(slowing.shares.clone()))?;
        registry.register(Box::new(slowing.slowed_ranks.clone()))?;
        registry.register(Box::new(slowing.slowed_for.clone()))?;
        registry.register(Box::new(slowing.episodes.clone()))?;
        registry.register(Box::new(slowing.log_files.clone()))?;
        registry.register(Box::new(slowing.log_files_closed.clone()))?;
        slowing.show(&Figures { shares: [1.0; 3], ..Figures::default() }, 0);
        Ok(slowing)
    }

    /// Takes over the figures, which only grow.
    pub(super) fn show(&self, figures: &Figures, open_files: u64) {
        let to = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let up = |counter: Counter, to: f64| counter.inc_by((to - counter.get()).max(0.0));
        self.open_files.set(to(open_files));
        self.log_files.set(to(figures.log_files));
        self.log_files_closed
            .inc_by(figures.log_files_closed.saturating_sub(self.log_files_closed.get()));
        for rank in Rank::ALL {
            let (name, index) = ([rank.name()], rank as usize);
            self.shares.with_label_values(&name).set(figures.shares[index]);
            let seconds = figures.slowed_ranks[index].as_secs_f64();
            up(self.slowed_ranks.with_label_values(&name), seconds);
        }
        for ceiling in Ceiling::ALL {
            let (name, index) = ([ceiling.name()], ceiling as usize);
            let seconds = figures.slowed_for[index].as_secs_f64();
            up(self.slowed_for.with_label_values(&name), seconds);
            let episodes = self.episodes.with_label_values(&name);
            episodes.inc_by(figures.episodes[index].saturating_sub(episodes.get()));
        }
    }
}
