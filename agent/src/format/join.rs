//! Lines that are parts of one record, put together: ModSecurity's audit sections, records of one audit event, lines that a container
//! runtime has split, the two lines of Java's own logging.
//!
//! Pure: `push(line, now)` gives what is complete. What never ends is given out as it is, by its size, its lines or its age.
//! A joiner also keeps the `#Fields:` header of the file it reads, because the lines behind it mean nothing without.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use memchr::memmem::Finder;
use serde_json::Value;
use vonggac_wire::{Time, limits::RAW_BYTES_MAX};

use super::{audit, modsecurity, w3c, wrapped::Cri};

/// Bytes of one record: what an event may keep of its raw text.
const RECORD_BYTES_MAX: usize = RAW_BYTES_MAX;

/// Lines of one record: an audit record of a large form has hundreds.
const RECORD_LINES_MAX: u64 = 10_000;

/// Records that are open at a time: one file has at most its audit record and its two streams.
const OPEN_MAX: usize = 4;

/// How long a record waits for its end: a transaction's log is written at once.
const RECORD_AGE_MAX: Duration = Duration::from_secs(10);

/// Bytes of a header.
const HEADER_BYTES_MAX: usize = 4_096;

/// A line or a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Number of its first line, from 1.
    pub line: u64,
    /// How many lines it is made of.
    pub lines: u64,
    /// Its text, without the last end of line.
    pub text: Vec<u8>,
    /// Bytes that were left out.
    pub cut_bytes: u64,
}

impl Joined {
    /// Adds a line's text, as far as there is room for it, and says whether the room has ended.
    pub(super) fn append(
        &mut self,
        line: &Self,
        before: &[u8],
        text: &[u8],
        bytes_max: usize,
    ) -> bool {
        self.lines += 1;
        let room = bytes_max.saturating_sub(self.text.len() + before.len());
        let kept = text.len().min(room);
        if kept > 0 || room > 0 {
            self.text.extend_from_slice(before);
        }
        self.text.extend_from_slice(&text[..kept]);
        self.cut_bytes += line.cut_bytes + (text.len() - kept) as u64;
        kept < text.len()
    }
}

/// What a record belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Audit,
    Stream(String),
    Java,
}

/// A record whose end has not come.
#[derive(Debug)]
struct Open {
    joined: Joined,
    since: Time,
    rest: Rest,
}

/// What an open record needs to know of itself.
#[derive(Debug)]
enum Rest {
    /// An audit record: its identifier, and the section that is being read.
    Audit { id: String, section: char },
    /// A line of the kubelet's.
    Cri,
    /// The first line of Java's own logging: time, class, method.
    Java,
    /// A line of Docker's: the object of its first part.
    Docker(Value),
}

/// A part of a container's line.
struct Part {
    stream: String,
    /// More follows.
    partial: bool,
    content: String,
    /// What stands before the content, of the kubelet's.
    head: String,
    docker: Option<Value>,
}

/// Puts lines of one file together.
#[derive(Debug, Default)]
pub struct Joiner {
    open: BTreeMap<Key, Open>,
    /// Events of the Linux audit daemon.
    events: audit::join::Events,
    line: u64,
    header: Option<Arc<str>>,
    /// The day that the header tells, for logs whose lines tell only the time.
    day: String,
}

impl Joiner {
    /// With the header that the file began with, where reading goes on in its middle.
    #[must_use]
    pub fn with_header(header: Option<Arc<str>>) -> Self {
        Self { header, ..Self::default() }
    }

    /// The columns that the file's last `#Fields:` named.
    #[must_use]
    pub fn header(&self) -> Option<Arc<str>> {
        self.header.clone()
    }

    /// Takes a line, without its end, of which `cut_bytes` were left out; gives what is complete, in order.
    pub fn push(&mut self, line: &[u8], cut_bytes: u64, now: Time) -> Vec<Joined> {
        self.line += 1;
        let mut done = self.expired(now);
        let alone = Joined { line: self.line, lines: 1, text: line.to_vec(), cut_bytes };
        let Ok(text) = std::str::from_utf8(line) else {
            // Bodies may be binary.
            match self.open.contains_key(&Key::Audit) {
                true => done.extend(self.audit(alone, None, now)),
                false => done.push(alone),
            }
            return done;
        };
        self.keep_header(text);
        let boundary = if text.starts_with("--") { modsecurity::boundary(text) } else { None };
        if boundary.is_some() || self.open.contains_key(&Key::Audit) {
            let boundary = boundary.map(|(id, section)| (id.to_owned(), section));
            done.extend(self.audit(alone, boundary, now));
        } else if self.open.contains_key(&Key::Java) && java_level(text) {
            self.append(&Key::Java, &alone, b"\n", &alone.text);
            done.extend(self.open.remove(&Key::Java).map(Open::closed));
        } else if let Some(other) = self.open.remove(&Key::Java) {
            // It was none after all.
            self.line -= 1;
            done.push(other.joined);
            done.extend(self.push(line, cut_bytes, now));
        } else if java_head(text) {
            self.open.insert(Key::Java, Open { joined: alone, since: now, rest: Rest::Java });
        } else if AUDIT_MARK.find(line).is_some() {
            match self.events.push(alone, text, now) {
                Ok(events) => done.extend(events),
                Err(alone) => done.push(alone),
            }
        } else if let Some(part) = Part::of(text, !self.open.is_empty()) {
            done.extend(self.stream(alone, part, now));
        } else {
            done.push(alone);
        }
        done
    }

    /// Takes a line that is a record by itself, neither part of one nor a header, while nothing is open; `false`: it has to be pushed.
    pub(crate) fn passes(&mut self, line: &[u8]) -> bool {
        let passes = self.open.is_empty() && self.events.is_empty() && !may_join(line);
        self.line += u64::from(passes);
        passes
    }

    fn keep_header(&mut self, text: &str) {
        if let Some(day) = w3c::day(text) {
            day.clone_into(&mut self.day);
        }
        if let Some(header) = w3c::header(text).filter(|header| header.len() <= HEADER_BYTES_MAX) {
            let dated = header.split([' ', ',', '\t']).any(|name| name.starts_with("date"));
            self.header = Some(match (dated, self.day.as_str()) {
                (true, _) | (_, "") => header.into(),
                (false, day) => format!("@{day} {header}").into(),
            });
        }
    }

    /// What has waited too long for its end.
    pub fn expired(&mut self, now: Time) -> Vec<Joined> {
        let old = |open: &Open| open.since.plus(RECORD_AGE_MAX) < now;
        let mut done = self.events.expired(now);
        if self.open.values().any(old) {
            let all = std::mem::take(&mut self.open);
            let (gone, kept) = all.into_iter().partition(|(_, o)| old(o));
            self.open = kept;
            done.extend(in_order(gone));
        }
        done
    }

    /// All that is still open, at the end of a file.
    pub fn finish(&mut self) -> Vec<Joined> {
        let mut all = self.events.finish();
        all.extend(in_order(std::mem::take(&mut self.open)));
        all.sort_by_key(|joined| joined.line);
        all
    }

    fn audit(&mut self, alone: Joined, boundary: Option<(String, char)>, now: Time) -> Vec<Joined> {
        let mut done = Vec::new();
        let open = self.open.get_mut(&Key::Audit).map(|open| &mut open.rest);
        let Some(Rest::Audit { id, section }) = open else {
            match boundary {
                Some((id, 'A')) => {
                    let rest = Rest::Audit { id, section: 'A' };
                    self.open.insert(Key::Audit, Open { joined: alone, since: now, rest });
                }
                _ => done.push(alone),
            }
            return done;
        };
        let mut ends = false;
        match boundary {
            Some((own, letter)) if own == *id => {
                *section = letter;
                ends = letter == 'Z';
            }
            // The next record begins and this one was torn; inside a body a client may have written it.
            Some((_, 'A')) if !matches!(*section, 'C' | 'E' | 'I') => {
                done.extend(self.open.remove(&Key::Audit).map(Open::closed));
                done.extend(self.audit(alone, boundary, now));
                return done;
            }
            _ => {}
        }
        if self.append(&Key::Audit, &alone, b"\n", &alone.text) || ends {
            done.extend(self.open.remove(&Key::Audit).map(Open::closed));
        }
        done
    }

    fn stream(&mut self, mut alone: Joined, part: Part, now: Time) -> Vec<Joined> {
        let key = Key::Stream(part.stream);
        if self.open.contains_key(&key) {
            let full = self.append(&key, &alone, b"", part.content.as_bytes());
            let ends = full || !part.partial;
            return ends
                .then(|| self.open.remove(&key).map(Open::closed))
                .flatten()
                .into_iter()
                .collect();
        }
        if !part.partial || self.open.len() >= OPEN_MAX {
            return vec![alone];
        }
        let rest = part.docker.map_or(Rest::Cri, Rest::Docker);
        alone.text = format!("{}{}", part.head, part.content).into_bytes();
        self.open.insert(key, Open { joined: alone, since: now, rest });
        Vec::new()
    }

    /// Adds to a record; says whether it is full.
    fn append(&mut self, key: &Key, line: &Joined, before: &[u8], text: &[u8]) -> bool {
        let Some(open) = self.open.get_mut(key) else { return false };
        let record = &mut open.joined;
        record.append(line, before, text, RECORD_BYTES_MAX);
        record.lines >= RECORD_LINES_MAX
    }
}

impl Open {
    fn closed(self) -> Joined {
        let mut joined = self.joined;
        if let Rest::Docker(mut object) = self.rest {
            object["log"] = Value::String(String::from_utf8_lossy(&joined.text).into_owned());
            joined.text = object.to_string().into_bytes();
        }
        joined
    }
}

impl Part {
    /// A part of a line; one that is whole is none, unless its beginning may be `open`.
    fn of(text: &str, open: bool) -> Option<Self> {
        if let Some(found) = Cri::of(text) {
            return Some(Self {
                stream: found.head.rsplit(' ').next()?.to_owned(),
                partial: found.partial,
                content: found.line.to_owned(),
                head: format!("{} F ", found.head),
                docker: None,
            });
        }
        let docker =
            text.starts_with('{') && text.contains("\"log\":") && text.contains("\"stream\":");
        // The end of Docker's line is in its text: most lines are whole, and need not be read twice.
        if !docker || (!open && text.contains("\\n\",\"stream\"")) {
            return None;
        }
        let object: Value = serde_json::from_str(text).ok()?;
        let content = object.get("log")?.as_str()?.to_owned();
        let stream = object.get("stream")?.as_str()?.to_owned();
        let partial = !content.ends_with('\n');
        Some(Self { stream, partial, content, head: String::new(), docker: Some(object) })
    }
}

/// What marks a record of the audit daemon.
static AUDIT_MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" msg=audit("));

/// A line may be a header, or part of a record: told by its looks alone, and rather too often than not.
fn may_join(line: &[u8]) -> bool {
    let begins = matches!(line, [b'#' | b'{', ..] | [b'-', b'-', ..]);
    // The kubelet's `2026-11-24T16:00:00.123456789+07:00 stdout F `
    let kubelet = line.get(10) == Some(&b'T') && word_behind(line, 11).starts_with(b"std");
    // Java's `Nov 24, 2026 `
    let java = line.get(3) == Some(&b' ') && word_before(line, 4).ends_with(b",");
    begins || kubelet || java || AUDIT_MARK.find(line).is_some()
}

/// The text up to the next space.
fn word_before(line: &[u8], from: usize) -> &[u8] {
    let rest = line.get(from..).unwrap_or_default();
    memchr::memchr(b' ', rest).map_or(rest, |space| &rest[..space])
}

/// The text behind the next space.
fn word_behind(line: &[u8], from: usize) -> &[u8] {
    let rest = line.get(from..).unwrap_or_default();
    memchr::memchr(b' ', rest).map_or(&[], |space| &rest[space + 1..])
}

/// `Nov 24, 2026 4:00:00 PM org.apache.catalina.startup.Catalina start`
fn java_head(text: &str) -> bool {
    let mut words = text.split(' ');
    let mut next = |is: fn(&str) -> bool| words.next().is_some_and(is);
    next(|month| month.len() == 3)
        && next(|day| day.ends_with(','))
        && next(|year| year.len() == 4)
        && next(|clock| clock.contains(':'))
        && next(|half| matches!(half, "AM" | "PM"))
        && next(|class| class.contains('.'))
        && next(|method| !method.is_empty())
        && words.next().is_none()
}

/// `WARNING: ...`
fn java_level(text: &str) -> bool {
    text.split_once(": ").is_some_and(|(level, _)| {
        matches!(level, "SEVERE" | "WARNING" | "INFO" | "CONFIG" | "FINE" | "FINER" | "FINEST")
    })
}

fn in_order(open: BTreeMap<Key, Open>) -> Vec<Joined> {
    let mut all: Vec<Joined> = open.into_values().map(Open::closed).collect();
    all.sort_by_key(|joined| joined.line);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(lines: &[&str]) -> Vec<(u64, u64, String)> {
        let mut joiner = Joiner::default();
        let now = Time::from_seconds(1_796_000_000);
        let mut all: Vec<Joined> =
            lines.iter().flat_map(|line| joiner.push(line.as_bytes(), 0, now)).collect();
        all.extend(joiner.finish());
        all.into_iter()
            .map(|j| (j.line, j.lines, String::from_utf8_lossy(&j.text).into_owned()))
            .collect()
    }

    #[test]
    fn lines_that_belong_to_nothing_pass_at_once() {
        assert_eq!(join(&["a", "b"]), [(1, 1, "a".into()), (2, 1, "b".into())]);
    }

    #[test]
    fn an_audit_record_is_one_text_even_if_its_body_imitates_another() {
        let record =
            ["--1a2b3c4d-A--", "x", "--1a2b3c4d-C--", "--ffffffff-A--", "y", "--1a2b3c4d-Z--"];
        assert_eq!(join(&record), [(1, 6, record.join("\n"))]);
    }

    #[test]
    fn a_torn_audit_record_ends_where_the_next_begins() {
        let lines = ["--1a2b3c4d-A--", "x", "--5e6f7a8b-A--", "y", "--5e6f7a8b-Z--", "z"];
        let found: Vec<(u64, u64)> = join(&lines).iter().map(|j| (j.0, j.1)).collect();
        assert_eq!(found, [(1, 2), (3, 3), (6, 1)]);
    }

    #[test]
    fn parts_of_a_container_line_are_one_line_in_each_stream() {
        let lines = [
            "2026-11-24T16:00:00.1+07:00 stdout P hello ",
            "2026-11-24T16:00:00.1+07:00 stderr F other",
            "2026-11-24T16:00:00.2+07:00 stdout F world",
        ];
        assert_eq!(
            join(&lines),
            [
                (2, 1, lines[1].to_owned()),
                (1, 2, "2026-11-24T16:00:00.1+07:00 stdout F hello world".to_owned()),
            ]
        );
        let docker = [
            r#"{"log":"hello ","stream":"stdout","time":"2026-11-24T09:00:00Z"}"#,
            r#"{"log":"world\n","stream":"stdout","time":"2026-11-24T09:00:01Z"}"#,
        ];
        let joined = join(&docker);
        assert_eq!(joined.len(), 1);
        assert!(joined[0].2.contains(r#""hello world\n""#), "{joined:?}");
    }

    #[test]
    fn two_lines_of_java_are_one_record() {
        let head = "Nov 24, 2026 4:00:00 PM org.apache.catalina.startup.Catalina start";
        let lines = [head, "INFO: Server startup", head, "\tat x.y", "INFO: z"];
        let found: Vec<(u64, u64)> = join(&lines).iter().map(|j| (j.0, j.1)).collect();
        assert_eq!(found, [(1, 2), (3, 1), (4, 1), (5, 1)]);
    }

    #[test]
    fn what_never_ends_is_given_out_by_its_age_and_by_its_size() {
        let mut joiner = Joiner::default();
        let now = Time::from_seconds(1_796_000_000);
        assert!(joiner.push(b"--1a2b3c4d-A--", 0, now).is_empty());
        let later = Time::from_seconds(1_796_000_011);
        assert_eq!(joiner.push(b"x", 0, later).len(), 2);
        assert!(joiner.push(b"--1a2b3c4d-A--", 0, later).is_empty());
        let mut given = Vec::new();
        for _ in 1..RECORD_LINES_MAX {
            given.extend(joiner.push(&[b'x'; 512], 0, later));
        }
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].text.len(), RECORD_BYTES_MAX);
        assert!(given[0].cut_bytes > 0);
    }

    #[test]
    fn the_header_of_columns_is_kept() {
        let mut joiner = Joiner::default();
        joiner.push(b"#Fields: date time c-ip", 0, Time::from_seconds(1));
        assert_eq!(joiner.header().as_deref(), Some("date time c-ip"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_every_line_is_given_out_once(
            picks in proptest::collection::vec((0_usize..12, ".{0,12}"), 0..60),
        ) {
            let texts = [
                "--1a2b3c4d-A--",
                "--1a2b3c4d-C--",
                "--1a2b3c4d-Z--",
                "--5e6f7a8b-A--",
                "--5e6f7a8b-Z--",
                "2026-11-24T16:00:00.1+07:00 stdout P x",
                "2026-11-24T16:00:00.1+07:00 stdout F y",
                r#"{"log":"a","stream":"stderr","time":"t"}"#,
                r#"{"log":"b\n","stream":"stderr","time":"t"}"#,
                "Nov 24, 2026 4:00:00 PM org.apache.x.Y z",
                "INFO: x",
            ];
            let (mut joiner, mut passing) = (Joiner::default(), Joiner::default());
            let mut lines = 0;
            for (at, (pick, other)) in picks.iter().enumerate() {
                let text = texts.get(*pick).copied().unwrap_or(other);
                let now = Time::from_seconds(1_796_000_000 + at as i64);
                let done = joiner.push(text.as_bytes(), 0, now);
                lines += done.iter().map(|j| j.lines).sum::<u64>();
                // A line that need not be pushed is what pushing it gives.
                if passing.passes(text.as_bytes()) {
                    let alone =
                        Joined { line: at as u64 + 1, lines: 1, text: text.into(), cut_bytes: 0 };
                    proptest::prop_assert_eq!(done, [alone]);
                } else {
                    proptest::prop_assert_eq!(done, passing.push(text.as_bytes(), 0, now));
                }
            }
            lines += joiner.finish().iter().map(|j| j.lines).sum::<u64>();
            proptest::prop_assert_eq!(lines, picks.len() as u64);
        }
    }
}
