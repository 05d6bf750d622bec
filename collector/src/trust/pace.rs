//! How often and how much one person may ask: whoever takes more waits, and everybody else does not. Pure.

use std::{collections::HashMap, time::Duration};

use vonggac_wire::Time;

/// Calls of one person in a minute: a console with its screens and a script beside it, several times over.
pub const CALLS_PER_MINUTE_MAX: u32 = 600;

/// Bytes that the store reads for one person in an hour, before compression.
pub const BYTES_PER_HOUR_MAX: u64 = 4 << 40;

/// People that are counted; the one who asked longest ago is forgotten for the next.
const PEOPLE_MAX: usize = 20_000;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Why somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// Too many calls.
    #[error(
        "you have made {CALLS_PER_MINUTE_MAX} calls within a minute, which is as many as one person may; call again in {0} s"
    )]
    Calls(u64),
    /// Too much was read.
    #[error("the store has read {most} GiB for you within an hour, which is as much as it does for one person; ask again in {0} s", most = BYTES_PER_HOUR_MAX >> 30)]
    Bytes(u64),
}

#[derive(Clone, Copy, Debug)]
struct Count {
    minute: Time,
    calls: u32,
    hour: Time,
    bytes: u64,
}

/// What people have asked for lately.
#[derive(Debug, Default)]
pub struct Pace {
    people: HashMap<String, Count>,
}

impl Pace {
    /// A call of somebody's.
    ///
    /// # Errors
    /// If they have to wait.
    pub fn call(&mut self, person: &str, now: Time) -> Result<(), TooMuch> {
        let count = self.count(person, now);
        if count.calls >= CALLS_PER_MINUTE_MAX {
            return Err(TooMuch::Calls(left(count.minute, MINUTE, now)));
        }
        if count.bytes >= BYTES_PER_HOUR_MAX {
            return Err(TooMuch::Bytes(left(count.hour, HOUR, now)));
        }
        count.calls += 1;
        Ok(())
    }

    /// What was read for somebody.
    pub fn read(&mut self, person: &str, bytes: u64, now: Time) {
        let count = self.count(person, now);
        count.bytes = count.bytes.saturating_add(bytes);
    }

    fn count(&mut self, person: &str, now: Time) -> &mut Count {
        if !self.people.contains_key(person) && self.people.len() >= PEOPLE_MAX {
            let longest = self.people.iter().min_by_key(|(_, count)| count.minute);
            if let Some(longest) = longest.map(|(name, _)| name.clone()) {
                self.people.remove(&longest);
            }
        }
        let begun = Count { minute: now, calls: 0, hour: now, bytes: 0 };
        let count = self.people.entry(person.to_owned()).or_insert(begun);
        // A clock that was set back begins anew, too.
        if now < count.minute || now.since(count.minute) >= MINUTE {
            (count.minute, count.calls) = (now, 0);
        }
        if now < count.hour || now.since(count.hour) >= HOUR {
            (count.hour, count.bytes) = (now, 0);
        }
        count
    }
}

fn left(begun: Time, span: Duration, now: Time) -> u64 {
    span.saturating_sub(now.since(begun)).as_secs().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_too_often_or_too_much_waits_and_nobody_else_does() {
        let mut pace = Pace::default();
        let now = Time::from_seconds(1_000);
        for _ in 0..CALLS_PER_MINUTE_MAX {
            assert_eq!(pace.call("lan", now), Ok(()));
        }
        let later = Time::from_seconds(1_020);
        assert_eq!(pace.call("lan", later), Err(TooMuch::Calls(40)));
        assert_eq!(pace.call("minh", later), Ok(()));
        assert_eq!(pace.call("lan", Time::from_seconds(1_060)), Ok(()));
        pace.read("lan", BYTES_PER_HOUR_MAX, Time::from_seconds(1_060));
        assert_eq!(pace.call("lan", Time::from_seconds(1_200)), Err(TooMuch::Bytes(3_400)));
        assert_eq!(pace.call("lan", Time::from_seconds(4_700)), Ok(()));
        assert_eq!(pace.call("lan", Time::from_seconds(10)), Ok(()), "a clock that was set back");
    }

    #[test]
    fn people_are_forgotten_before_they_are_too_many() {
        let mut pace = Pace::default();
        for number in 0..PEOPLE_MAX + 5 {
            let at = Time::from_seconds(i64::try_from(number).unwrap());
            assert!(pace.call(&number.to_string(), at).is_ok());
        }
        assert_eq!(pace.people.len(), PEOPLE_MAX);
    }
}
