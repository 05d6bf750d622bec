//! CloudEvents that were taken before: who delivers the same `source` and `id` again delivers the same event, which is kept once.
//!
//! Each new one gets a number, is written down with it, and only then goes to the spool with that number as its position. After a crash
//! the spool says up to which number it holds them: what was written down beyond it never arrived, and is taken when it comes again. So
//! a delivery is known again exactly if its event is safe.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::{Mutex, oneshot};

use super::posted::{Identity, Posted};
use crate::{
    intake::{CHUNK_ENTRIES_MAX, Chunk, Entry, Position},
    source::SourceContext,
};

/// Deliveries that are remembered: hours of a busy portal, in some megabytes. Who repeats later than that is counted again.
const REMEMBERED_MAX: usize = 50_000;

/// The stream of the numbers in the spool.
pub(crate) const STREAM: &str = "posted";

const FILE: &str = "posted.ids";

/// Number, identity, check sum.
const RECORD_BYTES: usize = 8 + 16 + 4;

/// What is remembered. Shared by everything that takes posts.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    path: Option<PathBuf>,
    file: Option<Arc<File>>,
    /// Records in the file, those that are forgotten too.
    records: usize,
    number: u64,
    known: HashSet<Identity>,
    /// In the order in which they came.
    order: VecDeque<(u64, Identity)>,
}

impl Known {
    /// Reads what was written down below `dir`. The spool holds numbers up to `held`; what was written down beyond never arrived.
    /// Without a folder that can be written only this process remembers.
    pub(crate) async fn open(&self, dir: &Path, held: u64) {
        let mut state = self.0.lock().await;
        let path = dir.join(FILE);
        let bytes = fs::read(&path).unwrap_or_default();
        for record in bytes.chunks_exact(RECORD_BYTES) {
            if let Some((number, identity)) = decode(record).filter(|(number, _)| *number <= held) {
                state.remember(number, identity);
            }
        }
        state.number = state.number.max(held);
        state.path = Some(path);
        if let Err(error) = state.rewrite() {
            state.gone(&error);
        }
    }

    /// Hands over what was posted, and waits until it is in the spool, also where an earlier delivery of it is still on its way
    /// there. Gives how many were delivered before.
    pub(crate) async fn spool(
        &self,
        context: &SourceContext,
        posted: Vec<Posted>,
    ) -> Result<u64, String> {
        if posted.is_empty() {
            return Ok(0);
        }
        let stopping = || "the agent is stopping; post it again".to_owned();
        context.occurrences.lines_read(posted.len() as u64, 0);
        let (mut waits, mut repeated) = (Vec::new(), 0);
        {
            // Numbers reach the spool in their order.
            let mut state = self.0.lock().await;
            let mut entries = Vec::with_capacity(posted.len());
            let mut fresh = Vec::new();
            for Posted { event, identity } in posted {
                let position = match identity {
                    None => None,
                    Some(identity) if state.known.contains(&identity) => {
                        repeated += 1;
                        continue;
                    }
                    Some(identity) => {
                        let offset = state.number + 1;
                        state.remember(offset, identity);
                        fresh.extend_from_slice(&encode(offset, identity));
                        Some(Position { stream: STREAM.into(), offset })
                    }
                };
                entries.push(Entry { event, position });
            }
            state.write(fresh).await;
            let mut entries = entries.into_iter().peekable();
            // A chunk without entries tells that everything before it is in the spool.
            while waits.is_empty() || entries.peek().is_some() {
                let (told, appended) = oneshot::channel();
                let entries = entries.by_ref().take(CHUNK_ENTRIES_MAX).collect();
                let chunk = Chunk { entries, passed: Vec::new(), appended: Some(told) };
                context.intake.send(chunk).await.map_err(|_| stopping())?;
                waits.push(appended);
            }
        }
        for appended in waits {
            appended.await.map_err(|_| stopping())?;
        }
        Ok(repeated)
    }
}

impl State {
    fn remember(&mut self, number: u64, identity: Identity) {
        self.number = self.number.max(number);
        self.known.insert(identity);
        self.order.push_back((number, identity));
        if self.order.len() > REMEMBERED_MAX {
            if let Some((_, oldest)) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// Writes down what is new, before it is anywhere else.
    async fn write(&mut self, fresh: Vec<u8>) {
        if fresh.is_empty() || self.path.is_none() {
            return;
        }
        self.records += fresh.len() / RECORD_BYTES;
        // After a failure, and when half of it is forgotten, all of it is written anew.
        let Some(file) = self.file.clone().filter(|_| self.records <= 2 * REMEMBERED_MAX) else {
            if let Err(error) = self.rewrite() {
                self.gone(&error);
            }
            return;
        };
        let written = tokio::task::spawn_blocking(move || {
            (&*file).write_all(&fresh)?;
            file.sync_data()
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.gone(&error),
            Err(error) => self.gone(&io::Error::other(error)),
        }
    }

    /// Replaces the file as a whole.
    fn rewrite(&mut self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let fresh = path.with_extension("ids.new");
        let bytes: Vec<u8> =
            self.order.iter().flat_map(|(number, identity)| encode(*number, *identity)).collect();
        let mut file = File::create(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        fs::rename(&fresh, path)?;
        self.records = self.order.len();
        self.file = Some(Arc::new(file));
        Ok(())
    }

    /// The disk refuses: posts are taken all the same, and repeats are known until the agent stops.
    fn gone(&mut self, error: &dyn std::fmt::Display) {
        self.file = None;
        tracing::warn!(%error, "deliveries cannot be written down; after a restart repeats of them count again; make room for the spool's folder");
    }
}

fn encode(number: u64, identity: Identity) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..8].copy_from_slice(&number.to_le_bytes());
    record[8..24].copy_from_slice(&identity.0);
    let sum = crc32c::crc32c(&record[..24]);
    record[24..].copy_from_slice(&sum.to_le_bytes());
    record
}

fn decode(record: &[u8]) -> Option<(u64, Identity)> {
    let sum = u32::from_le_bytes(record.get(24..28)?.try_into().ok()?);
    let whole = crc32c::crc32c(record.get(..24)?) == sum;
    let number = u64::from_le_bytes(record.get(..8)?.try_into().ok()?);
    let identity = Identity(record.get(8..24)?.try_into().ok()?);
    whole.then_some((number, identity))
}

#[cfg(test)]
mod tests {
    use vonggac_wire::{Lane, Time};

    use super::{super::posted, *};
    use crate::{config::Fsync, intake, ship::SharedSpool, source::collecting, spool::Spool};

    const NOW: Time = Time::from_seconds(1_796_000_000);

    fn delivery(id: u32) -> Posted {
        let text = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/p","type":"rating","data":{{"score":4}}}}"#
        );
        posted::line(text.as_bytes(), "", NOW).unwrap()
    }

    /// An agent's start: what the spool holds is what is known.
    struct Started {
        known: Known,
        context: SourceContext,
        spool: SharedSpool,
    }

    async fn start(dir: &Path) -> Started {
        let spool = Spool::open(dir, "h", 1 << 30, Fsync::EachChunk, NOW).unwrap();
        let spool = SharedSpool::new(spool);
        let held = spool.lock().held(STREAM).get(Lane::Usage.index()).copied().unwrap_or(0);
        let known = Known::default();
        known.open(dir, held).await;
        let (intake, mut chunks) = intake::queue();
        let appending = spool.clone();
        tokio::spawn(async move {
            while let Some(chunk) = chunks.recv().await {
                let done = appending.lock().append(chunk.entries, &[], NOW).unwrap();
                let _told = chunk.appended.unwrap().send(done);
            }
        });
        Started { known, context: collecting::fresh(intake), spool }
    }

    impl Started {
        fn stored(&self) -> usize {
            let mut spool = self.spool.lock();
            spool.rewind(Lane::Usage);
            spool.next(Lane::Usage, 1_000, 1 << 20).unwrap().map_or(0, |p| p.events.len())
        }
    }

    #[tokio::test]
    async fn a_delivery_that_comes_again_is_stored_once_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = start(dir.path()).await;
        let posts = vec![delivery(1), delivery(2), delivery(1)];
        assert_eq!(first.known.spool(&first.context, posts).await, Ok(1));
        assert_eq!(first.known.spool(&first.context, vec![delivery(2)]).await, Ok(1));
        assert_eq!(first.stored(), 2);
        drop(first);
        tokio::task::yield_now().await;
        let second = start(dir.path()).await;
        let posts = vec![delivery(2), delivery(3)];
        assert_eq!(second.known.spool(&second.context, posts).await, Ok(1));
        assert_eq!(second.stored(), 3);
    }

    #[tokio::test]
    async fn what_was_written_down_and_never_reached_the_spool_is_taken_when_it_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = start(dir.path()).await;
        first.known.spool(&first.context, vec![delivery(1)]).await.unwrap();
        drop(first);
        // The crash: written down, and nothing more; then a record that the power cut tore.
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend(encode(2, delivery(2).identity.unwrap()));
        bytes.extend([7; 11]);
        fs::write(&path, bytes).unwrap();
        tokio::task::yield_now().await;
        let second = start(dir.path()).await;
        let posts = vec![delivery(1), delivery(2)];
        assert_eq!(second.known.spool(&second.context, posts).await, Ok(1));
        assert_eq!(second.stored(), 2);
    }

    #[tokio::test]
    async fn memory_and_file_stay_bounded_and_the_oldest_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let known = Known::default();
        known.open(dir.path(), 0).await;
        let mut state = known.0.lock().await;
        let identity = |n: usize| Identity((n as u128).to_le_bytes());
        for n in 0..3 * REMEMBERED_MAX {
            state.remember(n as u64 + 1, identity(n));
            if n % 1_000 == 999 {
                let fresh = (n - 999..=n).flat_map(|n| encode(n as u64 + 1, identity(n)));
                let fresh = fresh.collect();
                state.write(fresh).await;
            }
        }
        assert_eq!((state.known.len(), state.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!state.known.contains(&identity(0)));
        let bytes = fs::metadata(dir.path().join(FILE)).unwrap().len();
        assert!(bytes <= (2 * REMEMBERED_MAX * RECORD_BYTES) as u64, "{bytes}");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_stops_no_post() {
        let dir = tempfile::tempdir().unwrap();
        let started = start(dir.path()).await;
        let known = Known::default();
        known.open(&dir.path().join("missing"), 0).await;
        let posts = vec![delivery(1), delivery(1)];
        assert_eq!(known.spool(&started.context, posts).await, Ok(1));
        assert_eq!(started.stored(), 1);
    }
}
