//! A status for a person.

use std::fmt::Write as _;

use vonggac_daemon::log::Harmless;
use vonggac_wire::Time;

use super::{LaneStatus, SourceStatus, Status};

/// Things of one source that are shown; the rest is counted. JSON has all.
const THINGS_MAX: usize = 20;

/// The status as text of several lines.
pub(super) fn table(status: &Status, now: Time) -> String {
    let mut out = String::new();
    // Writing to a text cannot fail.
    let _written = write(&mut out, status, now);
    out
}

fn write(out: &mut String, status: &Status, now: Time) -> std::fmt::Result {
    let ago = |time: &str| match time.parse::<Time>() {
        Ok(time) => format!("{} ago", seconds(now.seconds_since(time).max(0.0))),
        Err(_) => "at an unknown time".into(),
    };
    writeln!(
        out,
        "agent      {}, process {}, told {}",
        status.agent,
        status.pid,
        ago(&status.time)
    )?;
    writeln!(
        out,
        "lines      {} read, {:.1}/s now, {} of no known format",
        status.lines_read, status.lines_per_second, status.lines_unparsed
    )?;
    writeln!(
        out,
        "costs      {} memory, {} CPU ({:.1} % of a core now), {} open files, {} of them logs",
        bytes(status.rss_bytes),
        seconds(status.cpu_seconds),
        status.cpu_percent,
        status.files.open,
        status.files.logs
    )?;
    slowed(out, status)?;
    let delivery = match &status.last_delivery {
        Some(time) => ago(time),
        None => "not since the start; is Kafka there? vonggac-agent check-config --connect".into(),
    };
    writeln!(out, "delivered  {delivery}")?;
    writeln!(out)?;
    lanes(out, &status.lanes)?;
    writeln!(out)?;
    for source in &status.sources {
        self::source(out, source)?;
    }
    if !status.drops.is_empty() || status.times_slowed > 0 {
        writeln!(out)?;
    }
    for drop in &status.drops {
        writeln!(out, "not taken  {} {}", drop.count, Harmless(&drop.reason))?;
    }
    if status.times_slowed > 0 {
        writeln!(
            out,
            "slowed     {} times a file gave more lines than it may",
            status.times_slowed
        )?;
    }
    Ok(())
}

/// What the agent does to keep within its ceilings.
fn slowed(out: &mut String, status: &Status) -> std::fmt::Result {
    for slowed in &status.slowed {
        writeln!(
            out,
            "slowed     {} in all to keep within the ceiling of {}, {} times{}",
            seconds(slowed.seconds),
            Harmless(&slowed.ceiling),
            slowed.episodes,
            if slowed.lasts { "; lasts" } else { "" }
        )?;
    }
    for rank in status.reading.iter().filter(|rank| rank.share < 1.0) {
        let percent = rank.share * 100.0;
        writeln!(
            out,
            "slowed     logs of rank {} have {percent:.0} % of a core now",
            Harmless(&rank.rank)
        )?;
    }
    if status.files.logs_closed > 0 {
        writeln!(
            out,
            "files      {} times a log was closed for another; {} may be open",
            status.files.logs_closed, status.files.logs_max
        )?;
    }
    if status.log_bytes_lost > 0 {
        writeln!(
            out,
            "lost       {} of logs that were gone before they could be read",
            bytes(status.log_bytes_lost)
        )?;
    }
    Ok(())
}

fn lanes(out: &mut String, lanes: &[LaneStatus]) -> std::fmt::Result {
    writeln!(
        out,
        "{:<10} {:>10} {:>10} {:>10} {:>8} {:>10} {:>8} {:>8}",
        "lane", "delivered", "waiting", "oldest", "spool", "dropped", "in/s", "out/s"
    )?;
    for lane in lanes {
        writeln!(
            out,
            "{:<10} {:>10} {:>10} {:>10} {:>8} {:>10} {:>8.1} {:>8.1}",
            lane.lane,
            lane.acknowledged_seq,
            lane.waiting_events,
            if lane.waiting_events == 0 { "-".into() } else { seconds(lane.oldest_seconds) },
            bytes(lane.bytes),
            lane.dropped_events,
            lane.spooled_per_second,
            lane.delivered_per_second
        )?;
    }
    Ok(())
}

fn source(out: &mut String, source: &SourceStatus) -> std::fmt::Result {
    writeln!(out, "{}", Harmless(&source.name))?;
    for thing in source.things.iter().take(THINGS_MAX) {
        let lag = match thing.lag_bytes {
            Some(0) => "all read".into(),
            Some(lag) => format!("{} behind", bytes(lag)),
            None => "lag unknown".into(),
        };
        writeln!(
            out,
            "  {}: {} lines, at {}, {lag}{}{}",
            Harmless(&thing.name),
            thing.lines,
            bytes(thing.offset),
            if thing.waited > 0 {
                format!(", waited {} times", thing.waited)
            } else {
                String::new()
            },
            if thing.lost_bytes > 0 {
                format!(", {} lost", bytes(thing.lost_bytes))
            } else {
                String::new()
            }
        )?;
    }
    match source.things.len().saturating_sub(THINGS_MAX) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more; --format json has all"),
    }
}

/// A size with its unit.
#[expect(clippy::cast_precision_loss, reason = "a size for a person")]
fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// A time span with its unit.
fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::status::{
        DropStatus, FilesStatus, ReadingStatus, SlowedStatus, ThingStatus,
    };

    #[test]
    fn a_person_reads_sizes_spans_and_what_was_not_delivered() {
        let now = Time::from_seconds(1_764_000_100);
        let lane = LaneStatus {
            lane: "security".into(),
            next_seq: 43,
            acknowledged_seq: 40,
            waiting_events: 2,
            bytes: 5_300_000,
            dropped_events: 0,
            oldest_seconds: 4_000.0,
            spooled_per_second: 1.25,
            delivered_per_second: 0.0,
        };
        let thing = ThingStatus {
            name: "/l/a\u{1b}[2J".into(),
            offset: 10,
            lag_bytes: Some(2_048),
            lines: 3,
            waited: 2,
            lost_bytes: 4_096,
        };
        let status = Status {
            agent: "a-1".into(),
            time: Time::from_seconds(1_764_000_097).to_string(),
            pid: 7,
            lines_read: 9,
            lines_unparsed: 1,
            rss_bytes: 15_000_000,
            cpu_seconds: 1.5,
            lines_per_second: 2.0,
            last_delivery: None,
            lanes: vec![lane],
            sources: vec![SourceStatus { name: "tail /l/*".into(), things: vec![thing; 25] }],
            drops: vec![DropStatus { reason: "syslog-sender".into(), count: 5 }],
            times_slowed: 1,
            cpu_percent: 12.34,
            log_bytes_lost: 4_096,
            files: FilesStatus { open: 90, logs: 64, logs_max: 64, logs_closed: 936 },
            slowed: vec![SlowedStatus {
                ceiling: "memory".into(),
                seconds: 90.0,
                episodes: 2,
                lasts: true,
            }],
            reading: vec![ReadingStatus { rank: "later".into(), share: 0.25, slowed_seconds: 9.0 }],
        };
        let text = table(&status, now);
        for wanted in [
            "a-1, process 7, told 3.0 s ago",
            "15.0 MB memory, 1.5 s CPU (12.3 % of a core now), 90 open files, 64 of them logs",
            "slowed     90 s in all to keep within the ceiling of memory, 2 times; lasts",
            "slowed     logs of rank later have 25 % of a core now",
            "files      936 times a log was closed for another; 64 may be open",
            "lost       4.1 kB of logs that were gone before they could be read",
            "2.0 kB behind, waited 2 times, 4.1 kB lost",
            "delivered  not since the start",
            "2     67 min   5.3 MB",
            "/l/a\\x1b[2J: 3 lines, at 10 B, 2.0 kB behind",
            "and 5 more",
            "not taken  5 syslog-sender",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
