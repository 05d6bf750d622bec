//! A sign of life with the agent's own figures.

use std::time::{Duration, Instant};

use vonggac_wire::{
    Event, Lane, Time,
    event::{Body, Heartbeat, LaneFigures},
};

use crate::{occurrence::Occurrences, spool::Spool};

/// What stays the same over the agent's life.
#[derive(Clone, Debug)]
pub struct Pulse {
    interval: Duration,
    begun: Instant,
    sources: u64,
    system: String,
    os: String,
}

impl Pulse {
    /// For an agent with this many sources, on a host that serves this system (empty: none).
    #[must_use]
    pub fn new(interval: Duration, sources: usize, system: &str) -> Self {
        let os = std::fs::read_to_string("/etc/os-release")
            .ok()
            .and_then(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
                Some(line.trim_matches('"').to_owned())
            })
            .unwrap_or_default();
        Self {
            interval,
            begun: Instant::now(),
            sources: sources as u64,
            system: system.to_owned(),
            os,
        }
    }

    /// One heartbeat.
    #[must_use]
    pub fn beat(&self, spool: &Spool, occurrences: &Occurrences, now: Time) -> Event {
        let lanes = Lane::ALL
            .into_iter()
            .map(|lane| {
                let figures = spool.figures(lane, now);
                LaneFigures {
                    lane: lane.into(),
                    next_seq: figures.next_seq,
                    acknowledged_seq: figures.acknowledged,
                    spooled_bytes: figures.bytes,
                    dropped: figures.dropped,
                    oldest_age_seconds: figures.oldest_seconds,
                }
            })
            .collect();
        let (lines_read, lines_unparsed) = occurrences.lines();
        let (agent_rss_bytes, agent_cpu_seconds) = own_figures();
        let heartbeat = Heartbeat {
            interval_seconds: self.interval.as_secs_f64(),
            host_uptime_seconds: host_uptime(),
            agent_uptime_seconds: self.begun.elapsed().as_secs_f64(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            clock_skew_seconds: None,
            lanes,
            agent_rss_bytes,
            agent_cpu_seconds,
            sources: self.sources,
            lines_read,
            lines_unparsed,
            os: self.os.clone(),
        };
        Event::new(now, now, Body::Heartbeat(heartbeat))
            .with_source("heartbeat", 0)
            .with_system(&self.system)
    }
}

fn host_uptime() -> f64 {
    std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

/// Resident bytes and CPU seconds of this process, from /proc/self.
#[must_use]
pub fn own_figures() -> (u64, f64) {
    let page = rustix::param::page_size() as u64;
    let rss = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or_default()
        * page;
    let ticks = rustix::param::clock_ticks_per_second();
    let cpu = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|text| {
            let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
            let (user, system): (f64, f64) =
                (fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?);
            #[expect(clippy::cast_precision_loss, reason = "a hundred ticks a second")]
            let seconds = (user + system) / ticks as f64;
            Some(seconds)
        })
        .unwrap_or_default();
    (rss, cpu)
}
