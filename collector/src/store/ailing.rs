//! Whether the store takes what it is given: what was refused last, and what has been waiting for an answer.
//!
//! Every write goes through [`Store::writes`], so this knows of a hanging engine while its question still hangs. [`Writes`] is pure.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Store, StoreError, refusal::Refusal};

/// A write that has been waiting for so long is slow: blocks take milliseconds, seconds where merges hold them up.
pub const SLOW_AFTER: Duration = Duration::from_secs(10);

/// A write that has been waiting for so long is not slow any longer.
pub const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Bytes of the engine's words that are kept: its first sentences, without the stack behind them.
const SAID_BYTES_MAX: usize = 400;

/// What is the matter with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ailing {
    /// The cause.
    pub refusal: Refusal,
    /// What could not be written.
    pub what: &'static str,
    /// The engine's own words; empty while it says nothing.
    pub said: String,
    /// For how long.
    pub span: Duration,
}

/// What is being written, and what was refused. Bounded by the writers: each has one write at a time.
#[derive(Debug, Default)]
struct Writes {
    next: u64,
    waiting: BTreeMap<u64, (&'static str, Instant)>,
    /// By what was to be written: a block that is taken says nothing of one that still is not.
    refused: BTreeMap<&'static str, (Refusal, String, Instant)>,
}

impl Writes {
    fn begin(&mut self, what: &'static str, now: Instant) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, (what, now));
        self.next
    }

    /// `None`: nobody waits for the answer any longer.
    fn end(&mut self, id: u64, outcome: Option<Result<(), (Refusal, String)>>, now: Instant) {
        let Some((what, _)) = self.waiting.remove(&id) else { return };
        match outcome {
            Some(Ok(())) => _ = self.refused.remove(what),
            Some(Err((refusal, said))) => {
                let since = self.refused.get(what).map_or(now, |(_, _, since)| *since);
                self.refused.insert(what, (refusal, said, since));
            }
            None => {}
        }
    }

    fn ailing(&self, now: Instant) -> Option<Ailing> {
        let span = |since: &Instant| now.saturating_duration_since(*since);
        let refused = self.refused.iter().max_by_key(|(_, (.., since))| span(since));
        if let Some((what, (refusal, said, since))) = refused {
            let said = said.clone();
            return Some(Ailing { refusal: *refusal, what, said, span: span(since) });
        }
        let (what, since) = self.waiting.values().max_by_key(|(_, since)| span(since))?;
        let span = span(since);
        let refusal = if span >= HANGS_AFTER { Refusal::Hangs } else { Refusal::Slow };
        (span >= SLOW_AFTER).then(|| Ailing { refusal, what, said: String::new(), span })
    }
}

/// Shared by all that write to one store.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<Mutex<Writes>>);

impl Watch {
    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that is under way; one that is given up is waited for no longer.
struct Waiting<'a> {
    watch: &'a Watch,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.watch.writes().end(self.id, None, Instant::now());
    }
}

impl Store {
    /// Writes, under the eyes of [`Store::ailing`].
    ///
    /// # Errors
    /// Those of the write.
    pub(super) async fn writes(
        &self,
        what: &'static str,
        write: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let id = self.watch.writes().begin(what, Instant::now());
        let waiting = Waiting { watch: &self.watch, id };
        let outcome = write.await;
        let told = match &outcome {
            Ok(()) => Some(Ok(())),
            Err(error) => Refusal::of(error).map(|refusal| {
                let mut said = error.to_string();
                said.truncate(said.floor_char_boundary(SAID_BYTES_MAX));
                Err((refusal, said))
            }),
        };
        self.watch.writes().end(id, told, Instant::now());
        drop(waiting);
        outcome
    }

    /// What is the matter with the store, by what was written last; `None`: it takes everything.
    #[must_use]
    pub fn ailing(&self) -> Option<Ailing> {
        self.watch.writes().ailing(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn full() -> Option<Result<(), (Refusal, String)>> {
        Some(Err((Refusal::DiskFull, "no space".into())))
    }

    #[test]
    fn what_waits_is_slow_then_hangs_and_then_is_well_again() {
        let (mut writes, begun) = (Writes::default(), Instant::now());
        let at = |after: Duration, writes: &Writes| {
            writes.ailing(begun + after).map(|ailing| (ailing.refusal, ailing.what))
        };
        let id = writes.begin("events", begun);
        assert_eq!(at(SLOW_AFTER - SECOND, &writes), None);
        assert_eq!(at(SLOW_AFTER, &writes), Some((Refusal::Slow, "events")));
        assert_eq!(at(HANGS_AFTER, &writes), Some((Refusal::Hangs, "events")));
        writes.end(id, Some(Ok(())), begun + HANGS_AFTER);
        assert_eq!(at(HANGS_AFTER, &writes), None);
    }

    #[test]
    fn a_refusal_lasts_until_the_same_is_taken() {
        let (mut writes, begun) = (Writes::default(), Instant::now());
        for seconds in [0, 5] {
            let id = writes.begin("events", begun + SECOND * seconds);
            writes.end(id, full(), begun + SECOND * seconds);
        }
        let id = writes.begin("progress", begun + SECOND * 6);
        writes.end(id, Some(Ok(())), begun + SECOND * 6);
        let ailing = writes.ailing(begun + SECOND * 7).unwrap();
        assert_eq!((ailing.refusal, ailing.span), (Refusal::DiskFull, SECOND * 7));
        let id = writes.begin("events", begun + SECOND * 8);
        assert!(writes.ailing(begun + SECOND * 8).is_some(), "it is tried again, not taken");
        writes.end(id, Some(Ok(())), begun + SECOND * 8);
        assert_eq!(writes.ailing(begun + SECOND * 8), None);
    }

    #[test]
    fn what_is_given_up_is_waited_for_no_longer() {
        let (mut writes, begun) = (Writes::default(), Instant::now());
        let id = writes.begin("events", begun);
        writes.end(id, None, begun);
        assert_eq!(writes.ailing(begun + HANGS_AFTER), None);
        assert!(writes.waiting.is_empty() && writes.refused.is_empty());
    }
}
