//! Lines that a format joins: parts of a container's line, the records of one audit event, ModSecurity's sections, Java's two lines.
//!
//! Pure. The records of a file may lie in one another, and reading can begin again only where none is open. So what is complete is held
//! until nothing is open, and given out as one group. The last of a group stands behind its last line. The others stand before that
//! line's end, where no line ends: a restart that finds one of them in the spool joins the same lines again, and leaves it out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use vonggac_wire::Time;

use super::file::Line;
use crate::format::join::{Joined, Joiner};

/// Lines of one group: beyond it what is open is given out as it is.
const LINES_MAX: usize = 4_096;

/// Bytes of one group, as many as a chunk may have.
const BYTES_MAX: usize = 1 << 20;

/// How long a group may stay open: longer than any record waits for its end, so only records that lie in one another without end
/// come to it.
const AGE_MAX: Duration = Duration::from_secs(15);

/// A line or a record, with its places.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Where its first line begins.
    pub(super) start: u64,
    /// Its place: that behind its last line, or one before the group's end.
    pub(super) end: u64,
    pub(super) lines: u64,
    pub(super) text: Vec<u8>,
    pub(super) cut: u64,
    /// The columns that the file's header named before it.
    pub(super) columns: Option<Arc<str>>,
    /// It is a group of its own.
    pub(super) alone: bool,
}

/// The groups of one stream.
#[derive(Debug)]
pub(super) struct Grouping {
    joiner: Joiner,
    /// What the joiner's clock counts from: it must not jump.
    begun: Instant,
    /// Number of the group's first line, as the joiner counts, and where its lines begin.
    first: u64,
    starts: Vec<u64>,
    /// Behind the last line.
    end: u64,
    bytes: usize,
    since: Instant,
    /// Lines that are in records which are still open.
    open: u64,
    complete: Vec<(Joined, Option<Arc<str>>)>,
}

impl Grouping {
    /// Of a stream whose header named these columns before reading begins.
    pub(super) fn new(columns: Option<Arc<str>>, now: Instant) -> Self {
        Self {
            joiner: Joiner::with_header(columns),
            begun: now,
            first: 1,
            starts: Vec::new(),
            end: 0,
            bytes: 0,
            since: now,
            open: 0,
            complete: Vec::new(),
        }
    }

    /// Takes a line that is a group of its own, as nearly all are; gives the columns that were named before it.
    pub(super) fn alone(&mut self, line: &Line) -> Option<Option<Arc<str>>> {
        if !self.starts.is_empty() || !self.joiner.passes(&line.bytes) {
            return None;
        }
        self.first += 1;
        Some(self.joiner.header())
    }

    /// Takes a line; gives a group if one is complete. At `cuts` an earlier start of the agent gave out what was open.
    pub(super) fn push(&mut self, line: &Line, now: Instant, cuts: &[u64]) -> Vec<Placed> {
        if self.starts.is_empty() {
            self.since = now;
        }
        let columns = self.joiner.header();
        self.starts.push(line.start);
        self.end = line.end;
        self.bytes += line.bytes.len();
        self.open += 1;
        let time = self.clock(now);
        let done = self.joiner.push(&line.bytes, line.cut, time);
        self.take(done, columns);
        if self.open > 0 && (cuts.contains(&line.end) || self.is_full(now)) {
            return self.finish();
        }
        self.close()
    }

    /// No more lines are there now: gives what has waited too long.
    pub(super) fn rest(&mut self, now: Instant) -> Vec<Placed> {
        if self.starts.is_empty() {
            return Vec::new();
        }
        let time = self.clock(now);
        let (done, columns) = (self.joiner.expired(time), self.joiner.header());
        self.take(done, columns);
        if self.is_full(now) { self.finish() } else { self.close() }
    }

    /// The stream has ended.
    pub(super) fn finish(&mut self) -> Vec<Placed> {
        let (done, columns) = (self.joiner.finish(), self.joiner.header());
        self.take(done, columns);
        self.open = 0;
        self.close()
    }

    fn is_full(&self, now: Instant) -> bool {
        self.starts.len() >= LINES_MAX
            || self.bytes >= BYTES_MAX
            || now.saturating_duration_since(self.since) >= AGE_MAX
    }

    fn clock(&self, now: Instant) -> Time {
        let passed = now.saturating_duration_since(self.begun).as_nanos();
        Time(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    fn take(&mut self, done: Vec<Joined>, columns: Option<Arc<str>>) {
        for joined in done {
            self.open = self.open.saturating_sub(joined.lines);
            self.complete.push((joined, columns.clone()));
        }
    }

    /// Gives the group if nothing is open.
    fn close(&mut self) -> Vec<Placed> {
        if self.open > 0 || self.starts.is_empty() {
            return Vec::new();
        }
        // Of a group, what says nothing needs no place.
        let empty = |joined: &Joined| joined.cut_bytes == 0 && joined.text.trim_ascii().is_empty();
        if self.complete.iter().any(|(joined, _)| !empty(joined)) {
            self.complete.retain(|(joined, _)| !empty(joined));
        }
        let places = self.places(self.complete.len());
        let alone = places.len() == 1;
        let (end, first, starts) = (self.end, self.first, &self.starts);
        let placed = self.complete.drain(..).zip(places).map(|((joined, columns), place)| {
            let line = usize::try_from(joined.line.saturating_sub(first)).unwrap_or(usize::MAX);
            Placed {
                start: starts.get(line).or(starts.first()).copied().unwrap_or(end),
                end: place,
                lines: joined.lines,
                text: joined.text,
                cut: joined.cut_bytes,
                columns,
                alone,
            }
        });
        let placed = placed.collect();
        self.first += self.starts.len() as u64;
        self.starts.clear();
        self.bytes = 0;
        placed
    }
}

impl Grouping {
    /// So many places that grow: the last is the group's end, the others are within its lines, where no line ends. Each record has
    /// a byte of its own, so there are enough.
    fn places(&self, count: usize) -> Vec<u64> {
        let from = self.starts.first().map_or(0, |start| start + 1);
        let inside = (from..self.end).rev().filter(|at| self.starts.binary_search(at).is_err());
        let mut places: Vec<u64> = std::iter::once(self.end).chain(inside).take(count).collect();
        places.reverse();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines with their places, as a file has them.
    pub(super) fn lines(texts: &[&str]) -> Vec<Line> {
        let mut at = 0;
        let of = |text: &&str| {
            let start = at;
            at += text.len() as u64 + 1;
            Line { stream: "s".into(), start, end: at, bytes: text.as_bytes().into(), cut: 0 }
        };
        texts.iter().map(of).collect()
    }

    fn group(texts: &[&str], from: usize, cuts: &[u64]) -> Vec<Placed> {
        let now = Instant::now();
        let mut grouping = Grouping::new(None, now);
        let lines = lines(texts);
        let mut all: Vec<Placed> =
            lines[from..].iter().flat_map(|line| grouping.push(line, now, cuts)).collect();
        all.extend(grouping.finish());
        all
    }

    const MIXED: [&str; 6] = [
        "2026-11-24T16:00:00.1+07:00 stdout F before",
        "2026-11-24T16:00:00.1+07:00 stdout P hello ",
        "2026-11-24T16:00:00.1+07:00 stderr F other",
        "2026-11-24T16:00:00.2+07:00 stdout F world",
        "2026-11-24T16:00:00.2+07:00 stdout F after",
        "Nov 24, 2026 4:00:00 PM org.apache.x.Y z",
    ];

    #[test]
    fn records_in_one_another_are_one_group_whose_last_stands_behind_its_last_line() {
        let found = group(&MIXED, 0, &[]);
        let ends: Vec<u64> = lines(&MIXED).iter().map(|line| line.end).collect();
        let places: Vec<(u64, u64, u64)> =
            found.iter().map(|p| (p.start, p.end, p.lines)).collect();
        assert_eq!(
            places,
            [
                (0, ends[0], 1),
                (ends[1], ends[3] - 1, 1),
                (ends[0], ends[3], 2),
                (ends[3], ends[4], 1),
                (ends[4], ends[5], 1),
            ]
        );
        assert!(String::from_utf8_lossy(&found[2].text).ends_with("stdout F hello world"));
    }

    #[test]
    fn nothing_is_given_out_while_a_record_is_open_but_not_for_ever() {
        let now = Instant::now();
        let mut grouping = Grouping::new(None, now);
        let all = lines(&MIXED);
        assert_eq!(grouping.push(&all[1], now, &[]).len(), 0);
        assert_eq!(grouping.push(&all[2], now, &[]).len(), 0, "its place is behind an open one");
        assert_eq!(grouping.rest(now + Duration::from_secs(5)).len(), 0);
        let given = grouping.rest(now + Duration::from_secs(11));
        assert_eq!(given.iter().map(|p| p.end).collect::<Vec<_>>(), [all[2].end - 1, all[2].end]);
        assert_eq!(grouping.push(&all[3], now + Duration::from_secs(12), &[]).len(), 1);
    }

    #[test]
    fn records_that_lie_in_one_another_without_end_are_cut() {
        // Each ends only when the next has begun.
        let texts: Vec<String> = (0..10_000)
            .flat_map(|n| {
                let one = format!("type=SYSCALL msg=audit(7.1:{}): a=1", n + 1);
                [one, format!("type=EOE msg=audit(7.1:{n}): ")]
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let found = group(&texts, 0, &[]);
        assert_eq!(found.iter().map(|p| p.lines).sum::<u64>(), 20_000);
        assert!(found.windows(2).all(|two| two[0].end < two[1].end));
    }

    #[test]
    fn columns_are_those_that_were_named_before_the_line() {
        let found = group(&["#Fields: date time", "a b", "#Fields: x", "c"], 0, &[]);
        let columns: Vec<Option<&str>> = found.iter().map(|p| p.columns.as_deref()).collect();
        assert_eq!(columns, [None, Some("date time"), Some("date time"), Some("x")]);
    }

    proptest::proptest! {
        /// Reading goes on at a place that was passed, with what the spool holds beyond: the rest comes once.
        #[test]
        fn a_restart_gives_each_record_once_wherever_the_crash_was(
            picks in proptest::collection::vec(0_usize..10, 1..50),
            passed in 0_usize..60,
            held in 0_usize..60,
            cut_at in 0_usize..60,
        ) {
            let known = [
                "--1a2b3c4d-A--", "--1a2b3c4d-Z--", MIXED[1], MIXED[2], MIXED[3], MIXED[5],
                "INFO: x", "a line of a log that is long enough",
                "type=SYSCALL msg=audit(7.1:1): a=1", "type=EOE msg=audit(7.1:1): ",
            ];
            let texts: Vec<&str> = picks.iter().map(|pick| known[*pick]).collect();
            let all_lines = lines(&texts);
            // The first run was cut somewhere by its age.
            let aged: Vec<u64> = all_lines.get(cut_at).map(|line| line.end).into_iter().collect();
            let first = group(&texts, 0, &aged);
            proptest::prop_assert!(first.windows(2).all(|two| two[0].end < two[1].end));
            // It passed whole groups only; the spool holds some records beyond.
            let ends: Vec<u64> = all_lines.iter().map(|line| line.end).collect();
            let resume = first.iter().take(passed).rev().map(|p| p.end)
                .find(|end| ends.contains(end)).unwrap_or(0);
            let held = first.iter().take(held).map(|p| p.end).max().unwrap_or(0).max(resume);
            // Where a crash tears a group of which one was cut by its age, what was cut may come again: that is the price.
            let whole = held == 0 || ends.contains(&held);
            proptest::prop_assume!(aged.is_empty() || whole);
            let from = all_lines.iter().position(|line| line.start >= resume).unwrap_or(texts.len());
            let second = group(&texts, from, &[held]);
            let lines_of = |records: &[Placed], beyond: u64| -> u64 {
                records.iter().filter(|p| p.end > beyond).map(|p| p.lines).sum()
            };
            let kept: u64 = first.iter().filter(|p| p.end <= held).map(|p| p.lines).sum();
            proptest::prop_assert_eq!(kept + lines_of(&second, held), texts.len() as u64);
        }
    }
}
