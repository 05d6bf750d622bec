//! Log files, followed through rotation by rename, copytruncate, truncation and restarts of the agent.
//!
//! A thread a pattern: files are looked at when the kernel tells of a change and at least every [`LOOK_INTERVAL`], because
//! notifications do not cross NFS and can overflow. The stream of a file is its path, device, inode, the hash of its first line,
//! and a generation that grows when it is cut: an inode that is used again is another stream.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use notify::{RecursiveMode, Watcher};
use tokio_util::sync::CancellationToken;

use super::{Running, Source, SourceContext, SourceError};
use crate::{
    config::{TailConfig, TailFrom},
    format::{self, Context},
    intake::{CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, Chunk, Entry, Position},
};
use vonggac_wire::Time;

mod file;

use file::{Follow, Line, Seen};

/// How often files are looked at without being told.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How often the pattern is matched anew.
const GLOB_INTERVAL: Duration = Duration::from_secs(2);

/// Files that one pattern may open, far below any limit of open files.
const FILES_MAX: usize = 1_024;

/// Files that match a pattern.
pub struct Tail {
    config: TailConfig,
}

impl Tail {
    /// Follows what the configuration names.
    #[must_use]
    pub const fn new(config: TailConfig) -> Self {
        Self { config }
    }
}

impl Source for Tail {
    fn name(&self) -> String {
        format!("tail {}", self.config.path)
    }

    fn run(&self, context: SourceContext) -> Running {
        let config = self.config.clone();
        Box::pin(async move {
            let worked =
                tokio::task::spawn_blocking(move || Follower::new(config, context).run()).await;
            match worked {
                Ok(outcome) => outcome,
                Err(error) => {
                    Err(SourceError::Missing(format!("the reading thread ended: {error}")))
                }
            }
        })
    }
}

/// One thread's work.
struct Follower {
    config: TailConfig,
    context: SourceContext,
    files: HashMap<PathBuf, Vec<Follow>>,
    refused: HashMap<PathBuf, String>,
    first_look: bool,
}

impl Follower {
    fn new(config: TailConfig, context: SourceContext) -> Self {
        Self { config, context, files: HashMap::new(), refused: HashMap::new(), first_look: true }
    }

    fn run(mut self) -> Result<(), SourceError> {
        let (told, changes) = mpsc::sync_channel::<()>(1);
        let mut watcher = notify::recommended_watcher(move |_| {
            // One waiting word is enough: a look sees everything.
            let _full = told.try_send(());
        })
        .ok();
        let folder = folder(&self.config.path);
        if let Some(watcher) = &mut watcher {
            if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
                tracing::info!(%error, folder = %folder.display(), "changes are not told here; files are polled");
            }
        }
        let mut matched = std::time::Instant::now();
        self.find();
        while !self.context.shutdown.is_cancelled() {
            if matched.elapsed() >= GLOB_INTERVAL {
                matched = std::time::Instant::now();
                self.find();
            }
            let more = self.look()?;
            if !more {
                match changes.recv_timeout(LOOK_INTERVAL) {
                    // A burst of lines is read in one look instead of one for each write.
                    Ok(()) => thread::sleep(Duration::from_millis(20)),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => thread::sleep(LOOK_INTERVAL),
                }
            }
        }
        Ok(())
    }

    /// Opens what matches and is not open.
    fn find(&mut self) {
        let paths: Vec<PathBuf> = match glob::glob(&self.config.path) {
            Ok(paths) => paths.filter_map(Result::ok).take(FILES_MAX).collect(),
            Err(error) => {
                tracing::error!(%error, pattern = self.config.path, "the pattern cannot be matched");
                return;
            }
        };
        for path in paths {
            if self.files.get(&path).is_some_and(|files| !files.is_empty()) {
                continue;
            }
            let at_end = self.first_look && self.config.from == TailFrom::End;
            match Follow::open(&path, at_end, self.context.checkpoints.as_ref()) {
                Ok(files) => {
                    self.refused.remove(&path);
                    tracing::info!(path = %path.display(), parts = files.len(), "following");
                    self.files.insert(path, files);
                }
                Err(error) => {
                    // Said once for each reason: the pattern is matched every few seconds.
                    let text = error.to_string();
                    if self.refused.get(&path) != Some(&text) {
                        tracing::warn!(path = %path.display(), error = text, "cannot be followed yet");
                        self.refused.insert(path, text);
                    }
                }
            }
        }
        self.first_look = false;
    }

    /// Reads what is new in all files; tells whether there is more.
    fn look(&mut self) -> Result<bool, SourceError> {
        let mut more = false;
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        for path in paths {
            let Some(mut files) = self.files.remove(&path) else { continue };
            // The oldest first: a rotated file is read to its end before its successor.
            while let Some(first) = files.first_mut() {
                let (lines, seen) = first.read(CHUNK_ENTRIES_MAX, CHUNK_BYTES_MAX);
                let full = !lines.is_empty();
                self.send(&path, lines)?;
                match seen {
                    Seen::More => {
                        more = true;
                        break;
                    }
                    Seen::Waiting => {
                        more |= full;
                        break;
                    }
                    Seen::Gone => {
                        let old = files.remove(0);
                        if files.is_empty() {
                            if let Some(next) =
                                old.successor(&path, self.context.checkpoints.as_ref())
                            {
                                files.push(next);
                            }
                        }
                        if files.is_empty() {
                            break;
                        }
                    }
                }
            }
            if !files.is_empty() {
                self.files.insert(path, files);
            }
        }
        Ok(more)
    }

    fn send(&self, path: &Path, lines: Vec<Line>) -> Result<(), SourceError> {
        if lines.is_empty() {
            return Ok(());
        }
        let context = Context::here(Time::now());
        let name = path.display().to_string();
        let (count, mut unparsed) = (lines.len() as u64, 0);
        let mut chunk = Chunk::default();
        for Line { stream, start, end, bytes, cut } in lines {
            let position = Position { stream, offset: end };
            if bytes.iter().all(u8::is_ascii_whitespace) && cut == 0 {
                chunk.passed.push(position);
                continue;
            }
            let (event, known) = format::event(&self.config.format, &bytes, cut, &context);
            unparsed += u64::from(!known);
            let event = event.with_source(&name, start).with_system(&self.config.system);
            chunk.entries.push(Entry { event, position: Some(position) });
        }
        self.context.occurrences.lines_read(count, unparsed);
        self.hand_over(chunk)
    }

    /// Waits for a place in the queue, but not for ever: a stopping agent reads these lines again at its next start.
    fn hand_over(&self, chunk: Chunk) -> Result<(), SourceError> {
        let (intake, shutdown): (_, CancellationToken) =
            (self.context.intake.clone(), self.context.shutdown.clone());
        let sent = tokio::runtime::Handle::current().block_on(async move {
            tokio::select! {
                sent = intake.send(chunk) => sent.is_ok(),
                () = shutdown.cancelled() => true,
            }
        });
        if sent {
            Ok(())
        } else {
            Err(SourceError::Missing("the spool does not take lines any more".into()))
        }
    }
}

/// The folder of a pattern, for notifications.
fn folder(pattern: &str) -> PathBuf {
    let plain: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
        .collect();
    if plain.is_dir() {
        plain
    } else {
        plain.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
    }
}

#[cfg(test)]
mod tests;

/// For tests and the file: a stream's name.
pub(crate) fn stream_name(
    path: &Path,
    device: u64,
    inode: u64,
    print: u32,
    generation: u32,
) -> Arc<str> {
    format!("tail:{}#{device}:{inode}:{print:08x}#{generation}", path.display()).into()
}
