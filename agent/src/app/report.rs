//! How the agent is: metrics, and the file that `vonggac-agent status` reads.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use vonggac_wire::{Lane, Time};

use crate::{
    command::status::{
        DropStatus, FilesStatus, LaneStatus, ReadingStatus, SlowedStatus, SourceStatus, Status,
        ThingStatus,
    },
    governor::{self, Ceiling, Figures, Rank},
    occurrence::Occurrences,
    ship::SharedSpool,
};

/// Rates are means of this time: long enough to be calm, short enough to see a burst.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// Counters at a time.
#[derive(Clone, Copy, Debug)]
struct Counted {
    at: Instant,
    cpu: Duration,
    lines: u64,
    spooled: [u64; 3],
    delivered: [u64; 3],
}

/// The report of one agent.
pub(super) struct Report {
    path: PathBuf,
    sources: Mutex<Vec<String>>,
    counted: Mutex<VecDeque<Counted>>,
}

impl Report {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, sources: Mutex::new(Vec::new()), counted: Mutex::new(VecDeque::new()) }
    }

    /// Which sources run.
    pub(super) fn sources(&self, names: Vec<String>) {
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Sets the metrics and writes the file.
    pub(super) fn tell(&self, spool: &SharedSpool, occurrences: &Occurrences, now: Time) {
        let (lines_read, lines_unparsed) = occurrences.lines();
        let own = governor::sample(occurrences.reading());
        let fresh = Counted {
            at: Instant::now(),
            cpu: own.cpu,
            lines: lines_read,
            spooled: Lane::ALL.map(|lane| occurrences.spooled(lane)),
            delivered: Lane::ALL.map(|lane| occurrences.delivered(lane)),
        };
        let before = self.before(fresh);
        let seconds = fresh.at.saturating_duration_since(before.at).as_secs_f64();
        let mut lanes = Vec::new();
        let locked = spool.lock();
        for lane in Lane::ALL {
            let figures = locked.figures(lane, now);
            let waiting = figures.next_seq.saturating_sub(figures.acknowledged + 1 + figures.ahead);
            occurrences.spool(lane, figures.bytes, waiting, figures.dropped);
            let index = lane.index();
            lanes.push(LaneStatus {
                lane: lane.name().into(),
                next_seq: figures.next_seq,
                acknowledged_seq: figures.acknowledged,
                waiting_events: waiting,
                bytes: figures.bytes,
                dropped_events: figures.dropped,
                oldest_seconds: figures.oldest_seconds,
                spooled_per_second: rate(fresh.spooled[index], before.spooled[index], seconds),
                delivered_per_second: rate(
                    fresh.delivered[index],
                    before.delivered[index],
                    seconds,
                ),
            });
        }
        let agent = locked.agent().to_string();
        drop(locked);
        let (rss_bytes, cpu_seconds) = (own.resident_bytes, own.cpu.as_secs_f64());
        occurrences.costs(rss_bytes, cpu_seconds, own.open_files);
        let cpu = fresh.cpu.saturating_sub(before.cpu).as_secs_f64();
        let figures = occurrences.reading().figures();
        let status = Status {
            agent,
            time: now.to_string(),
            pid: std::process::id(),
            lines_read,
            lines_unparsed,
            lines_per_second: rate(fresh.lines, before.lines, seconds),
            rss_bytes,
            cpu_seconds,
            last_delivery: occurrences.last_delivery().map(|at| Time::from_seconds(at).to_string()),
            lanes,
            sources: self.things(occurrences),
            drops: occurrences
                .drops()
                .into_iter()
                .map(|(reason, count)| DropStatus { reason: reason.into(), count })
                .collect(),
            times_slowed: occurrences.times_slowed(),
            cpu_percent: if seconds > 0.0 { cpu / seconds * 100.0 } else { 0.0 },
            log_bytes_lost: occurrences.log_bytes_lost(),
            files: FilesStatus {
                open: own.open_files,
                logs: figures.log_files,
                logs_max: figures.log_files_max,
                logs_closed: figures.log_files_closed,
            },
            slowed: slowed(&figures),
            reading: reading(&figures),
        };
        if let Err(error) = status.write(&self.path) {
            tracing::warn!(%error, "the status file cannot be written");
        }
    }

    /// The counters of a while ago; forgets what is older.
    fn before(&self, fresh: Counted) -> Counted {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        while counted.len() > 1 && fresh.at.saturating_duration_since(counted[1].at) >= RATE_WINDOW
        {
            counted.pop_front();
        }
        counted.push_back(fresh);
        counted.front().copied().unwrap_or(fresh)
    }

    fn things(&self, occurrences: &Occurrences) -> Vec<SourceStatus> {
        let names = self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let standings = occurrences.standings();
        names
            .into_iter()
            .map(|name| {
                // A source's things stand under what follows its kind: "tail /var/log/*.log".
                let key = name.split_once(' ').map_or("", |(_, rest)| rest);
                let of = standings.iter().filter(|(source, ..)| source == key);
                let things = of
                    .map(|(_, thing, standing)| ThingStatus {
                        name: thing.clone(),
                        offset: standing.offset,
                        lag_bytes: standing.lag_bytes,
                        lines: standing.lines,
                        waited: standing.waited,
                        lost_bytes: standing.lost_bytes,
                    })
                    .collect();
                SourceStatus { name, things }
            })
            .collect()
    }
}

fn slowed(figures: &Figures) -> Vec<SlowedStatus> {
    let of = |ceiling: Ceiling| SlowedStatus {
        ceiling: ceiling.name().into(),
        seconds: figures.slowed_for[ceiling as usize].as_secs_f64(),
        episodes: figures.episodes[ceiling as usize],
        lasts: figures.lasts[ceiling as usize],
    };
    Ceiling::ALL.map(of).into_iter().filter(|of| of.episodes > 0).collect()
}

fn reading(figures: &Figures) -> Vec<ReadingStatus> {
    let of = |rank: Rank| ReadingStatus {
        rank: rank.name().into(),
        share: figures.shares[rank as usize],
        slowed_seconds: figures.slowed_ranks[rank as usize].as_secs_f64(),
    };
    Rank::ALL.map(of).into()
}

#[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
fn rate(now: u64, before: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { now.saturating_sub(before) as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Fsync,
        occurrence::{Dropped, Standing},
        spool::Spool,
    };

    #[test]
    fn a_report_names_sources_with_their_lag_drops_and_rates() {
        let dir = tempfile::tempdir().unwrap();
        let now = Time::now();
        let spool = Spool::open(dir.path(), "h", 1 << 30, Fsync::EachChunk, now).unwrap();
        let spool = SharedSpool::new(spool);
        let (occurrences, path) = (Occurrences::new().unwrap(), dir.path().join("status.json"));
        let report = Report::new(path.clone());
        report.sources(vec!["journal".into(), "tail /l/*.log".into()]);
        report.tell(&spool, &occurrences, now);
        occurrences.stands(
            "/l/*.log",
            "/l/a.log",
            Standing { offset: 5, lag_bytes: Some(7), lines: 2, waited: 4, lost_bytes: 6 },
        );
        occurrences.dropped(Dropped::SyslogKernel, 3);
        occurrences.lines_read(100, 1);
        std::thread::sleep(Duration::from_millis(50));
        report.tell(&spool, &occurrences, now);
        let status: Status = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let thing = &status.sources[1].things[0];
        assert_eq!((thing.lag_bytes, thing.waited, thing.lost_bytes), (Some(7), 4, 6));
        assert!(status.files.open > 0 && status.slowed.is_empty());
        let ranks: Vec<_> = status.reading.iter().map(|of| (of.rank.as_str(), of.share)).collect();
        assert_eq!(ranks, [("later", 1.0), ("usual", 1.0), ("security", 1.0)]);
        assert_eq!((status.drops[0].reason.as_str(), status.drops[0].count), ("syslog-kernel", 3));
        assert!(status.lines_per_second > 100.0 && status.last_delivery.is_none());
    }
}
