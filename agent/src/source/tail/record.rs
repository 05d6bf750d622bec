//! Lines that belong together: a stack trace with the line it explains, or whatever begins as the configuration says.
//!
//! Pure: lines in, records out. What a format joins comes joined already ([`super::grouped`]). A record's position is that behind its
//! last line. Where an earlier start of the agent ended a record it is ended again, so that what the spool holds already is
//! recognised.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use regex::bytes::Regex;
use vonggac_wire::limits::RAW_BYTES_MAX;

use super::{
    file::Line,
    grouped::{Grouping, Placed},
};

/// Lines of one record: the deepest stack trace that anybody reads.
const RECORD_LINES_MAX: usize = 1_000;

/// How long the last line of a file waits for others that belong to it, in files that are known to have such.
const JOIN_WAIT: Duration = Duration::from_millis(500);

/// How lines are joined.
#[derive(Clone, Debug)]
pub(super) enum Joining {
    /// Each line is a record.
    Off,
    /// Lines that a format joins, and those that look like the rest of the line before.
    Auto,
    /// Each line up to the next that matches.
    Start(Regex),
}

/// One or more lines.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) stream: Arc<str>,
    pub(super) start: u64,
    /// Behind the last line.
    pub(super) end: u64,
    /// The first line.
    pub(super) first: Vec<u8>,
    /// The other lines, each with the line's end before it.
    pub(super) rest: Vec<u8>,
    pub(super) cut: u64,
    /// The columns that the file's header named before it.
    pub(super) columns: Option<Arc<str>>,
    lines: usize,
    since: Instant,
}

/// What is known of a stream when reading begins in it.
#[derive(Debug, Default)]
pub(super) struct Begins {
    /// Where records were ended before.
    pub(super) ends: Vec<u64>,
    /// The columns that its header named.
    pub(super) columns: Option<Arc<str>>,
}

impl Record {
    fn of(line: Line, now: Instant) -> Self {
        let Line { stream, start, end, bytes, cut } = line;
        let (rest, columns) = (Vec::new(), None);
        Self { stream, start, end, first: bytes, rest, cut, columns, lines: 1, since: now }
    }

    fn placed(placed: Placed, stream: Arc<str>, now: Instant) -> Self {
        let Placed { start, end, lines, text, cut, columns, alone: _ } = placed;
        let lines = usize::try_from(lines).unwrap_or(usize::MAX);
        Self { stream, start, end, first: text, rest: Vec::new(), cut, columns, lines, since: now }
    }

    fn add(&mut self, line: &Self, now: Instant) {
        let room = RAW_BYTES_MAX.saturating_sub(self.first.len() + self.rest.len() + 1);
        let kept = line.first.len().min(room);
        if room > 0 {
            self.rest.push(b'\n');
            self.rest.extend_from_slice(&line.first[..kept]);
        }
        self.cut += line.cut + (line.first.len() - kept) as u64;
        self.end = line.end;
        self.lines += 1;
        self.since = now;
    }

    /// Nothing but white space, which is passed over.
    pub(super) fn is_blank(&self) -> bool {
        self.cut == 0 && self.rest.is_empty() && self.first.iter().all(u8::is_ascii_whitespace)
    }
}

/// The joining of one file.
#[derive(Debug)]
pub(super) struct Records {
    joining: Joining,
    /// What formats join, of the stream that is read.
    grouping: Option<Grouping>,
    open: Option<Record>,
    /// The file has had records of several lines.
    joins: bool,
    stream: Option<Arc<str>>,
    /// Where records of this stream were ended before.
    ends: Vec<u64>,
}

impl Records {
    pub(super) const fn new(joining: Joining) -> Self {
        Self { joining, grouping: None, open: None, joins: false, stream: None, ends: Vec::new() }
    }

    /// Takes a line; gives what is complete. `begins` tells of a stream that is new.
    pub(super) fn push(
        &mut self,
        line: Line,
        now: Instant,
        begins: impl FnOnce(&Line) -> Begins,
        done: &mut Vec<Record>,
    ) {
        if matches!(self.joining, Joining::Off) {
            done.push(Record::of(line, now));
            return;
        }
        if self.stream.as_ref() != Some(&line.stream) {
            self.finish(now, done);
            let Begins { ends, columns } = begins(&line);
            self.ends = ends;
            self.stream = Some(Arc::clone(&line.stream));
            let formats = matches!(self.joining, Joining::Auto);
            self.grouping = formats.then(|| Grouping::new(columns, now));
        }
        match &mut self.grouping {
            Some(grouping) => {
                if let Some(columns) = grouping.alone(&line) {
                    let record = Record { columns, ..Record::of(line, now) };
                    self.join(record, true, now, done);
                    return;
                }
                let placed = grouping.push(&line, now, &self.ends);
                self.take(placed, now, done);
            }
            None => self.join(Record::of(line, now), true, now, done),
        }
    }

    fn take(&mut self, placed: Vec<Placed>, now: Instant, done: &mut Vec<Record>) {
        let Some(stream) = self.stream.clone() else { return };
        for placed in placed {
            let alone = placed.alone;
            self.join(Record::placed(placed, Arc::clone(&stream), now), alone, now, done);
        }
    }

    /// Adds a record to the one before, or begins with it. Of a group of several none is held back: they pass together.
    fn join(&mut self, record: Record, alone: bool, now: Instant, done: &mut Vec<Record>) {
        if !alone {
            done.extend(self.open.take());
            done.push(record);
            return;
        }
        let end = record.end;
        let goes_on = record.lines == 1
            && self.open.as_ref().is_some_and(|open| open.lines < RECORD_LINES_MAX)
            && self.goes_on(&record.first);
        match &mut self.open {
            Some(open) if goes_on => {
                open.add(&record, now);
                self.joins = true;
            }
            _ => {
                done.extend(self.open.take());
                self.open = Some(record);
            }
        }
        if self.ends.contains(&end) || self.open.as_ref().is_some_and(Record::is_blank) {
            done.extend(self.open.take());
        }
    }

    fn goes_on(&self, line: &[u8]) -> bool {
        match &self.joining {
            Joining::Off => false,
            Joining::Auto => looks_like_rest(line),
            Joining::Start(pattern) => !pattern.is_match(line),
        }
    }

    /// The file has no more lines now: what need not wait.
    pub(super) fn rest(&mut self, now: Instant, done: &mut Vec<Record>) {
        let placed = self.grouping.as_mut().map(|grouping| grouping.rest(now)).unwrap_or_default();
        self.take(placed, now, done);
        let waits = self.joins || matches!(self.joining, Joining::Start(_));
        let young = |open: &Record| now.saturating_duration_since(open.since) < JOIN_WAIT;
        if !(waits && self.open.as_ref().is_some_and(young)) {
            done.extend(self.open.take());
        }
    }

    /// The file has ended.
    pub(super) fn finish(&mut self, now: Instant, done: &mut Vec<Record>) {
        let placed = self.grouping.as_mut().map(Grouping::finish).unwrap_or_default();
        self.take(placed, now, done);
        done.extend(self.open.take());
    }
}

/// How runtimes write the rest of an exception: indented, or by a few words.
fn looks_like_rest(line: &[u8]) -> bool {
    let indented = matches!(line.first(), Some(b' ' | b'\t'))
        && line.iter().any(|byte| !byte.is_ascii_whitespace());
    indented
        || [&b"Caused by:"[..], b"at ", b"Suppressed:", b"Traceback (most recent call last)"]
            .iter()
            .any(|words| line.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(joining: Joining, lines: &[&str], ends: &[u64]) -> Vec<(String, u64)> {
        let (mut records, now, mut done) = (Records::new(joining), Instant::now(), Vec::new());
        let mut at = 0;
        for text in lines {
            let end = at + text.len() as u64 + 1;
            let line = Line {
                stream: "s".into(),
                start: at,
                end,
                bytes: text.as_bytes().to_vec(),
                cut: 0,
            };
            let begins = |_: &Line| Begins { ends: ends.to_vec(), columns: None };
            records.push(line, now, begins, &mut done);
            at = end;
        }
        records.finish(now, &mut done);
        done.into_iter()
            .map(|r| (String::from_utf8([r.first, r.rest].concat()).unwrap(), r.end))
            .collect()
    }

    #[test]
    fn a_stack_trace_is_one_record_with_the_line_it_explains() {
        let lines = [
            "2026-11-24 09:41:12 ERROR x",
            "java.lang.IllegalStateException: y",
            "\tat vn.gov.A.b(A.java:7)",
            "Caused by: java.io.IOException",
            "\t... 5 more",
            "2026-11-24 09:41:13 INFO z",
        ];
        let found = join(Joining::Auto, &lines, &[]);
        assert_eq!(found.len(), 3);
        assert_eq!(found[1].0, lines[1..5].join("\n"));
    }

    #[test]
    fn a_pattern_says_where_records_begin() {
        let start = Joining::Start(Regex::new(r"^\d{4}-").unwrap());
        let found = join(start, &["2026-1 a", "b", "  c", "2026-2 d"], &[]);
        assert_eq!(found, [("2026-1 a\nb\n  c".into(), 15), ("2026-2 d".into(), 24)]);
    }

    #[test]
    fn a_record_is_ended_where_it_was_ended_before() {
        let lines = ["x", " y", " z"];
        assert_eq!(join(Joining::Auto, &lines, &[5]), [("x\n y".into(), 5), (" z".into(), 8)]);
    }

    #[test]
    fn blank_lines_end_a_record_and_indented_first_lines_stand_alone() {
        let found = join(Joining::Auto, &[" a", "", "b", "\t", "c"], &[]);
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn lines_wait_for_others_only_where_there_were_such() {
        let now = Instant::now();
        let line = |at: u64, text: &str| Line {
            stream: "s".into(),
            start: at,
            end: at + 1,
            bytes: text.as_bytes().to_vec(),
            cut: 0,
        };
        let (mut records, mut done) = (Records::new(Joining::Auto), Vec::new());
        records.push(line(0, "a"), now, |_| Begins::default(), &mut done);
        records.rest(now, &mut done);
        assert_eq!(done.len(), 1, "no record of several lines yet: nothing waits");
        records.push(line(1, "b"), now, |_| Begins::default(), &mut done);
        records.push(line(2, " c"), now, |_| Begins::default(), &mut done);
        records.rest(now, &mut done);
        assert!(records.open.is_some() && done.len() == 1);
        records.rest(now + JOIN_WAIT, &mut done);
        assert_eq!(done.len(), 2);
    }

    #[test]
    fn a_record_without_end_is_bounded() {
        let lines: Vec<String> = std::iter::once("x".to_owned())
            .chain((0..5_000).map(|n| format!(" {n} {}", "y".repeat(200))))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for (text, _) in join(Joining::Auto, &lines, &[]) {
            assert!(text.len() <= RAW_BYTES_MAX);
        }
    }
}
