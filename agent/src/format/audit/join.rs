//! Records of one event, which the kernel writes one a line and mixed with those of other events, put together.

use std::time::Duration;

use vonggac_wire::{Time, limits::RAW_BYTES_MAX};

use super::{event::Part, part};
use crate::format::join::Joined;

/// Events that are open at a time: as many as processors write at once.
const OPEN_MAX: usize = 32;

/// Records of one event: an exec has some seven.
const RECORDS_MAX: u64 = 64;

/// By the records' own clock: an event's records are written within this time, as the audit tools hold it.
const APART_MAX: Duration = Duration::from_secs(2);

/// By the reader's clock, for logs that stand still.
const AGE_MAX: Duration = Duration::from_secs(10);

/// An event whose end has not come.
#[derive(Debug)]
struct Open {
    key: String,
    at: Option<Time>,
    since: Time,
    joined: Joined,
}

/// The open events of one file.
#[derive(Debug, Default)]
pub(in crate::format) struct Events {
    open: Vec<Open>,
}

impl Events {
    /// Nothing is open.
    pub(in crate::format) const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a line that may be a record; gives it back where it is none, else what is complete.
    pub(in crate::format) fn push(
        &mut self,
        line: Joined,
        text: &str,
        now: Time,
    ) -> Result<Vec<Joined>, Joined> {
        let Some((part, key, at)) = part(text) else { return Err(line) };
        let mut done = match at {
            Some(at) => self.take(|open| open.at.is_some_and(|own| own.plus(APART_MAX) < at)),
            None => Vec::new(),
        };
        let known = self.open.iter().position(|open| open.key == key);
        match (known, part) {
            (None, Part::Whole | Part::Last) => done.push(line),
            (None, Part::Piece) => {
                if self.open.len() >= OPEN_MAX {
                    done.push(self.open.remove(0).joined);
                }
                self.open.push(Open { key, at, since: now, joined: line });
            }
            (Some(place), part) => {
                let full = self.open[place].joined.append(&line, b"\n", &line.text, RAW_BYTES_MAX);
                if full || part == Part::Last || self.open[place].joined.lines >= RECORDS_MAX {
                    done.push(self.open.remove(place).joined);
                }
            }
        }
        Ok(done)
    }

    /// What has waited too long.
    pub(in crate::format) fn expired(&mut self, now: Time) -> Vec<Joined> {
        self.take(|open| open.since.plus(AGE_MAX) < now)
    }

    /// All that is open.
    pub(in crate::format) fn finish(&mut self) -> Vec<Joined> {
        self.take(|_| true)
    }

    fn take(&mut self, ends: impl Fn(&Open) -> bool) -> Vec<Joined> {
        if !self.open.iter().any(&ends) {
            return Vec::new();
        }
        let (gone, kept) = std::mem::take(&mut self.open).into_iter().partition(ends);
        self.open = kept;
        let gone: Vec<Open> = gone;
        gone.into_iter().map(|open| open.joined).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(events: &mut Events, line: u64, text: &str) -> Option<Vec<String>> {
        let joined = Joined { line, lines: 1, text: text.as_bytes().to_vec(), cut_bytes: 0 };
        let done = events.push(joined, text, Time(0)).ok()?;
        Some(done.into_iter().map(|j| String::from_utf8(j.text).unwrap()).collect())
    }

    #[test]
    fn records_of_mixed_events_come_together_and_others_pass() {
        let mut events = Events::default();
        let mut next = |text: &str| push(&mut events, 1, text);
        assert_eq!(next("Nov 24 16:00:00 web cron[1]: type=SYSCALL"), None);
        assert_eq!(next("type=SYSCALL msg=audit(7.1:5): a=1").unwrap().len(), 0);
        assert_eq!(next("type=SYSCALL msg=audit(7.1:6): b=1").unwrap().len(), 0);
        assert_eq!(next("type=USER_LOGIN msg=audit(7.2:7): c=1").unwrap().len(), 1);
        assert_eq!(next("type=PATH msg=audit(7.1:5): a=2").unwrap().len(), 0);
        let done = next("type=PROCTITLE msg=audit(7.1:6): b=2").unwrap();
        assert_eq!(
            done,
            ["type=SYSCALL msg=audit(7.1:6): b=1\ntype=PROCTITLE msg=audit(7.1:6): b=2"]
        );
        let done = next("type=SYSCALL msg=audit(12.0:9): d=1").unwrap();
        assert_eq!(done, ["type=SYSCALL msg=audit(7.1:5): a=1\ntype=PATH msg=audit(7.1:5): a=2"]);
        assert_eq!(events.finish().len(), 1);
    }

    #[test]
    fn events_that_never_end_are_bounded() {
        let mut events = Events::default();
        let mut out = 0;
        for number in 0..1000 {
            let text = format!("type=SYSCALL msg=audit(7.1:{number}): a=1");
            out += push(&mut events, number, &text).unwrap().len();
        }
        assert_eq!(out, 1000 - OPEN_MAX);
        assert_eq!(events.expired(Time::from_seconds(60)).len(), OPEN_MAX);
    }
}
