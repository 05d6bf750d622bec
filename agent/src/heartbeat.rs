//! A sign of life with the agent's own figures.

use std::time::{Duration, Instant};

use vonggac_wire::{
    Event, Lane, Time,
    event::{Body, Heartbeat, LaneFigures, SlowedFigures},
};

use crate::{
    governor::{self, Ceiling},
    occurrence::Occurrences,
    spool::Spool,
};

/// What heartbeats say besides figures.
#[derive(Clone, Debug)]
pub struct Pulse {
    begun: Instant,
    os: String,
    told: Told,
}

/// What a reload can change of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Until the next one.
    pub interval: Duration,
    /// Sources that run.
    pub sources: usize,
    /// The system that the host serves; empty: none.
    pub system: String,
}

impl Pulse {
    /// Of an agent that begins now.
    #[must_use]
    pub fn new(told: Told) -> Self {
        let os = std::fs::read_to_string("/etc/os-release")
            .ok()
            .and_then(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
                Some(line.trim_matches('"').to_owned())
            })
            .unwrap_or_default();
        Self { begun: Instant::now(), os, told }
    }

    /// Says this from now on.
    pub fn renew(&mut self, told: Told) {
        self.told = told;
    }

    /// Until the next one.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.told.interval
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
        let own = governor::sample(occurrences.reading());
        let slowed = occurrences.reading().figures();
        let of_ceiling = |ceiling: Ceiling| SlowedFigures {
            ceiling: ceiling.name().to_owned(),
            seconds: slowed.slowed_for[ceiling as usize].as_secs_f64(),
            episodes: slowed.episodes[ceiling as usize],
            lasts: slowed.lasts[ceiling as usize],
        };
        let slowed = Ceiling::ALL.map(of_ceiling).into_iter().filter(|of| of.episodes > 0);
        let heartbeat = Heartbeat {
            interval_seconds: self.told.interval.as_secs_f64(),
            host_uptime_seconds: host_uptime(),
            agent_uptime_seconds: self.begun.elapsed().as_secs_f64(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            clock_skew_seconds: None,
            lanes,
            agent_rss_bytes: own.resident_bytes,
            agent_cpu_seconds: own.cpu.as_secs_f64(),
            sources: self.told.sources as u64,
            lines_read,
            lines_unparsed,
            os: self.os.clone(),
            slowed: slowed.collect(),
            log_bytes_lost: occurrences.log_bytes_lost(),
        };
        Event::new(now, now, Body::Heartbeat(heartbeat))
            .with_source("heartbeat", 0)
            .with_system(&self.told.system)
    }
}

fn host_uptime() -> f64 {
    std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Fsync,
        governor::{Paces, Ruling, Turn},
    };

    #[test]
    fn a_beat_tells_what_was_slowed_and_what_a_reload_changed() {
        let dir = tempfile::tempdir().unwrap();
        let now = Time::now();
        let spool = Spool::open(dir.path(), "h", 1 << 30, Fsync::EachChunk, now).unwrap();
        let occurrences = Occurrences::new().unwrap();
        let told = |sources, system: &str| Told {
            interval: Duration::from_secs(10),
            sources,
            system: system.into(),
        };
        let mut pulse = Pulse::new(told(2, "portal"));
        let beat = |pulse: &Pulse| {
            let event = pulse.beat(&spool, &occurrences, now);
            let Body::Heartbeat(beat) = event.body().clone() else { panic!("no heartbeat") };
            (event.system().to_owned(), beat)
        };
        let (system, first) = beat(&pulse);
        assert_eq!((system.as_str(), first.sources, first.slowed.len()), ("portal", 2, 0));
        assert!(first.agent_rss_bytes > 0);
        let second = Duration::from_secs(1);
        let began = Turn::Began { ceiling: Ceiling::Memory, taken: 2, most: 1 };
        occurrences.reading().rule(&Ruling {
            paces: Paces::full(9),
            slowed_ranks: [second; 3],
            slowed_for: [Duration::ZERO, second, Duration::ZERO],
            turns: vec![began],
        });
        pulse.renew(told(3, "registry"));
        let (system, second) = beat(&pulse);
        assert_eq!((system.as_str(), second.sources), ("registry", 3));
        let slowed = &second.slowed[0];
        assert_eq!((slowed.ceiling.as_str(), slowed.episodes, slowed.lasts), ("memory", 1, true));
        assert!((slowed.seconds - 1.0).abs() < 1e-9 && second.slowed.len() == 1);
    }
}
