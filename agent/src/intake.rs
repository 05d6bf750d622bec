//! Where sources hand over what they read: one bounded queue into the spool.
//!
//! A source sends a [`Chunk`] of [`Entry`]s. Each entry that comes from something that can be read again carries a [`Position`]; the
//! spool keeps positions with the events, so that after a crash an entry that is read a second time is recognised and left out:
//! a line is in the spool once, even if its checkpoint was never written.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use tokio::sync::{mpsc, oneshot};
use vonggac_wire::Event;

mod clocks;

use crate::{
    redact::Redactor,
    source::{integrity_trail::Trail, usage::known::Known, usage_map::UsageMap},
};

mod packed;

pub use packed::Packed;

/// Chunks that may wait for the spool. Small, because each may hold [`CHUNK_ENTRIES_MAX`] lines: this is the agent's memory bound.
pub const CHUNKS_WAITING_MAX: usize = 4;

/// Entries of one chunk.
pub const CHUNK_ENTRIES_MAX: usize = 512;

/// Bytes of raw lines in one chunk, so that long lines do not multiply the bound on entries.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Where a stream stands after an entry. Offsets of a stream only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The place after the entry, e.g. the byte behind the line's end. Compared first: most differ in it.
    pub offset: u64,
    /// One incarnation of one thing that is read: a file with its identity and generation, a journal with its sequence id.
    pub stream: Arc<str>,
}

/// One event on its way into the spool.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What was read.
    pub event: Event,
    /// Where its source stands after it; `None` for what cannot be read again (probes, sockets).
    pub position: Option<Position>,
}

/// What the spool did with a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Entries that are in the spool now.
    pub written: usize,
    /// Entries that were in it already.
    pub known: usize,
}

/// Entries that are appended together, and in this order.
#[derive(Debug, Default)]
pub struct Chunk {
    /// At most [`CHUNK_ENTRIES_MAX`].
    pub entries: Vec<Entry>,
    /// Positions that are passed with this chunk although no entry carries them (empty lines, the end of a rotated file).
    pub passed: Vec<Position>,
    /// Told once the chunk is in the spool by its fsync policy; dropped if it could not be appended.
    pub appended: Option<oneshot::Sender<Appended>>,
}

/// The sending end, one for each source. What passes it is redacted: nothing reaches the disk with a citizen's data in it.
#[derive(Clone, Debug)]
pub struct Intake {
    chunks: mpsc::Sender<Packed>,
    /// Shared by all sources, and exchanged as a whole by a reload.
    rules: Arc<RwLock<Arc<Rules>>>,
    /// Who had which file in hand, for the watch over files.
    trail: Arc<Trail>,
    /// What was posted of late, for all that takes posts.
    known: Arc<Known>,
    /// Whose clock was told to be wrong.
    clocks: Arc<clocks::Clocks>,
}

/// The receiving end: the spool's.
#[derive(Debug)]
pub struct Chunks {
    chunks: mpsc::Receiver<Packed>,
}

impl Chunks {
    /// The next chunk; `None`: all senders are gone.
    pub async fn recv_packed(&mut self) -> Option<Packed> {
        self.chunks.recv().await
    }

    /// The same as it was sent, redacted.
    #[cfg(test)]
    pub(crate) async fn recv(&mut self) -> Option<Chunk> {
        self.chunks.recv().await.map(Packed::unpacked)
    }
}

/// Gathers a chunk entry by entry, so that each is redacted and encoded while its source has it in hand.
#[derive(Debug)]
pub struct Packer {
    rules: Arc<Rules>,
    trail: Arc<Trail>,
    clocks: Arc<clocks::Clocks>,
    now: Instant,
    packed: Packed,
}

impl Packer {
    /// Adds an entry, and what it means beside itself.
    pub fn push(&mut self, entry: Entry) {
        self.trail.note(&entry.event);
        self.clocks.look(&entry.event, self.now);
        let meant = self.rules.usage.of(&entry);
        for Entry { event, position } in std::iter::once(entry).chain(meant) {
            self.packed.push(&self.rules.redactor.apply(event), position.as_ref());
        }
    }

    /// Adds a position that is passed although no entry carries it; see [`Chunk::passed`].
    pub fn pass(&mut self, position: Position) {
        self.packed.passed.push(position);
    }
}

/// What is done with every event before it is spooled.
#[derive(Debug, Default)]
pub struct Rules {
    /// What is taken out of it.
    pub redactor: Redactor,
    /// What a request means beside itself.
    pub usage: UsageMap,
}

/// The spool takes nothing any more: the agent stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hand over to the spool: the agent is stopping")]
pub struct Closed;

impl Intake {
    /// Begins a chunk with room for so many entries, and so many bytes of lines.
    #[must_use]
    pub fn packer(&self, entries: usize, bytes: usize) -> Packer {
        let rules = Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner));
        // An event holds its line, what was read in it, and some names.
        let room = bytes * 2 + entries * 64;
        Packer {
            rules,
            trail: Arc::clone(&self.trail),
            clocks: Arc::clone(&self.clocks),
            now: Instant::now(),
            packed: Packed::with_room(entries, room),
        }
    }

    /// Redacts a chunk and waits for a place for it.
    ///
    /// # Errors
    /// If the agent is stopping.
    pub async fn send(&self, chunk: Chunk) -> Result<(), Closed> {
        let bytes = chunk.entries.iter().map(|entry| entry.event.raw().len()).sum();
        let mut packer = self.packer(chunk.entries.len(), bytes);
        for entry in chunk.entries {
            packer.push(entry);
        }
        (packer.packed.passed, packer.packed.appended) = (chunk.passed, chunk.appended);
        self.hand_over(packer).await
    }

    /// Waits for a place for a chunk that was gathered.
    ///
    /// # Errors
    /// If the agent is stopping.
    pub async fn hand_over(&self, packer: Packer) -> Result<(), Closed> {
        self.chunks.send(packer.packed).await.map_err(|_| Closed)
    }

    /// Redacts a chunk, hands it over and waits until it is in the spool by its fsync policy.
    ///
    /// # Errors
    /// If the agent is stopping: it may be in the spool or not.
    pub async fn spool(&self, mut chunk: Chunk) -> Result<Appended, Closed> {
        let (told, appended) = oneshot::channel();
        chunk.appended = Some(told);
        self.send(chunk).await?;
        appended.await.map_err(|_| Closed)
    }

    /// The same with events that cannot be read again, however many they are: a chunk at a time.
    ///
    /// # Errors
    /// If the agent is stopping: the first of them may be in the spool.
    pub async fn spool_events(
        &self,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<(), Closed> {
        let mut events = events.into_iter().map(|event| Entry { event, position: None }).peekable();
        while events.peek().is_some() {
            let entries = events.by_ref().take(CHUNK_ENTRIES_MAX).collect();
            self.spool(Chunk { entries, ..Chunk::default() }).await?;
        }
        Ok(())
    }

    /// What audit records of late say of files.
    #[must_use]
    pub fn trail(&self) -> Arc<Trail> {
        Arc::clone(&self.trail)
    }

    /// What was posted before.
    pub(crate) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known)
    }

    /// Has all sources go by these rules from now on.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

/// The queue into the spool, with the default rules until it is given others.
#[must_use]
pub fn queue() -> (Intake, Chunks) {
    let (chunks, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    let intake = Intake {
        chunks,
        rules: Arc::default(),
        trail: Arc::default(),
        known: Arc::default(),
        clocks: Arc::default(),
    };
    (intake, Chunks { chunks: receiver })
}

/// Tells a source where to begin: a place up to which everything of the stream is in the spool.
pub trait Checkpoints: Send + Sync {
    /// The offset from which the stream has to be read again; `None` if it was never read.
    fn resume(&self, stream: &str) -> Option<u64>;
    /// All streams that begin with this prefix, with their offsets: for files that were rotated while the agent was away.
    fn known(&self, prefix: &str) -> Vec<(String, u64)>;
    /// Up to where the lanes hold the stream, which may be beyond [`Self::resume`]: records were cut there before a crash, and
    /// have to be cut there again.
    fn held(&self, _stream: &str) -> Vec<u64> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vonggac_wire::{Lane, Time};

    use super::*;
    use crate::{
        config::Fsync,
        format::{self, Context},
        source::usage_map::Meaning,
        spool::Spool,
    };

    fn requests() -> Vec<Entry> {
        let context = Context::here(Time::from_seconds(1_796_000_000));
        let line = |n: u64| {
            let text = format!(
                "203.0.113.7 - - [24/Nov/2026:09:41:12 +0700] \"POST /nop/H{n} HTTP/1.1\" 200 5 \"-\" \"M\""
            );
            let (event, _) = format::event("combined", text.as_bytes(), 0, &context);
            let position =
                Some(Position { stream: "tail:/a#1:2:3#0".into(), offset: (n + 1) * 100 });
            Entry { event, position }
        };
        (0..4).map(line).collect()
    }

    /// What a lane's spool holds, by its text and kind.
    fn held(spool: &mut Spool) -> BTreeMap<String, usize> {
        let mut held = BTreeMap::new();
        for lane in Lane::ALL {
            spool.rewind(lane);
            while let Some(pending) = spool.next(lane, 1_000, 1 << 20).unwrap() {
                for event in pending.events {
                    *held.entry(format!("{:?}", event.body())).or_default() += 1;
                }
            }
        }
        held
    }

    #[tokio::test]
    async fn events_are_handed_over_in_chunks_and_waited_for() {
        let (intake, mut chunks) = queue();
        let all = CHUNK_ENTRIES_MAX + 3;
        let events = requests().into_iter().map(|entry| entry.event).cycle().take(all);
        let spooling = tokio::spawn({
            let (intake, events) = (intake.clone(), events.collect::<Vec<_>>());
            async move { intake.spool_events(events).await }
        });
        for wanted in [CHUNK_ENTRIES_MAX, 3] {
            let chunk = chunks.recv().await.unwrap();
            assert_eq!(chunk.entries.len(), wanted);
            assert!(!spooling.is_finished(), "it is not in the spool yet");
            chunk.appended.unwrap().send(Appended::default()).unwrap();
        }
        assert_eq!(spooling.await.unwrap(), Ok(()));
        let stopped = tokio::spawn(async move { intake.spool(Chunk::default()).await });
        drop(chunks.recv().await.unwrap());
        assert_eq!(stopped.await.unwrap(), Err(Closed), "nobody will tell");
    }

    #[tokio::test]
    async fn a_request_and_what_it_means_are_spooled_once_each_wherever_a_crash_cuts_them() {
        let (intake, mut chunks) = queue();
        let meaning = Meaning {
            path: "/nop/{dossier}".into(),
            kind: "dossier".into(),
            step: "received".into(),
            ..Meaning::default()
        };
        let usage = UsageMap::new(vec![meaning]).unwrap();
        intake.set_rules(Rules { redactor: Redactor::default(), usage });
        intake.send(Chunk { entries: requests(), ..Chunk::default() }).await.unwrap();
        let entries = chunks.recv().await.unwrap().entries;
        assert_eq!(entries.len(), 8);
        let open = |dir: &std::path::Path| {
            let fsync = Fsync::Interval(std::time::Duration::from_secs(60));
            Spool::open(dir, "h", 1 << 30, fsync, Time::now()).unwrap()
        };
        for cut in 0..=entries.len() {
            let dir = tempfile::tempdir().unwrap();
            // The ledger is not written: a crash behind `cut` entries leaves only their records.
            let mut spool = open(dir.path());
            spool.append(entries[..cut].to_vec(), &[], Time::now()).unwrap();
            drop(spool);
            let mut spool = open(dir.path());
            assert_eq!(spool.resume("tail:/a#1:2:3#0").unwrap_or(0), 0, "all is read again");
            let appended = spool.append(entries.clone(), &[], Time::now()).unwrap();
            assert_eq!((appended.known, appended.written), (cut, entries.len() - cut));
            let held = held(&mut spool);
            assert!(held.len() == 8 && held.values().all(|count| *count == 1), "{cut}: {held:#?}");
        }
    }
}
