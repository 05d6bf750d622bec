//! Log files, followed through rotation by rename, copytruncate, truncation and restarts of the agent.
//!
//! A thread a pattern: a file is looked at when the kernel tells of a change in it, and all of them at least every
//! [`LOOK_INTERVAL`], because notifications do not cross NFS and can overflow. The stream of a file is its path, device, inode, the
//! hash of its first line, and a generation that grows when it is cut: an inode that is used again is another stream.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use regex::bytes::Regex;
use tokio_util::sync::CancellationToken;

use super::{Running, Source, SourceContext, SourceError};
use crate::{
    config::{Multiline, TailConfig, TailFrom},
    format::Context,
    intake::{Entry, Packer, Position},
};
use vonggac_wire::{
    Event, Lane, Time,
    event::{Body, Gap, GapReason},
};

mod content;
mod event;
mod file;
mod find;
mod followed;
mod grouped;
mod record;
mod rhythm;
mod rotated;

use find::Found;
use followed::Followed;
use record::{Joining, Record};
use rhythm::Rhythm;

/// How often files are looked at without being told.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// The same where there are more than [`FEW_FILES_MAX`]: a look costs two calls of the kernel for each.
const LOOK_INTERVAL_OF_MANY: Duration = Duration::from_secs(1);

/// Files that are looked at as often as a single one.
const FEW_FILES_MAX: usize = 64;

/// How often the pattern is matched anew, at most.
const GLOB_INTERVAL: Duration = Duration::from_secs(2);

/// The same, as a multiple of what matching took: a folder of a hundred thousand files must not keep a core busy.
const GLOB_SHARE: u32 = 50;

/// Changed files that are remembered; beyond, all are looked at.
const CHANGES_MAX: usize = 1_024;

/// A burst of lines is read in one look instead of one for each write.
const BURST: Duration = Duration::from_millis(20);

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

    fn settings(&self) -> String {
        format!("tail {:?}", self.config)
    }

    fn run(&self, context: SourceContext) -> Running {
        let config = self.config.clone();
        Box::pin(async move {
            let worked =
                tokio::task::spawn_blocking(move || Follower::new(config, context)?.run()).await;
            match worked {
                Ok(outcome) => outcome,
                Err(error) => {
                    Err(SourceError::Missing(format!("the reading thread ended: {error}")))
                }
            }
        })
    }
}

/// What the kernel told of since the last look.
#[derive(Default)]
struct Changes {
    paths: HashSet<PathBuf>,
    /// More than can be remembered, or told without a path.
    all: bool,
}

/// One thread's work.
struct Follower {
    config: TailConfig,
    joining: Joining,
    context: SourceContext,
    files: HashMap<PathBuf, Followed>,
    refused: HashMap<PathBuf, String>,
    left_out: usize,
    first_look: bool,
    block: Vec<u8>,
}

impl Follower {
    fn new(config: TailConfig, context: SourceContext) -> Result<Self, SourceError> {
        let joining = match &config.multiline {
            Multiline::Off => Joining::Off,
            Multiline::Auto => Joining::Auto,
            Multiline::Start(pattern) => Joining::Start(Regex::new(pattern).map_err(|error| {
                SourceError::Missing(format!("the pattern of multiline is wrong: {error}"))
            })?),
        };
        Ok(Self {
            config,
            joining,
            context,
            files: HashMap::new(),
            refused: HashMap::new(),
            left_out: 0,
            first_look: true,
            block: vec![0; file::BLOCK_BYTES],
        })
    }

    fn run(mut self) -> Result<(), SourceError> {
        let (told, woken) = mpsc::sync_channel::<()>(1);
        let changes = Arc::new(Mutex::new(Changes::default()));
        let _watcher =
            if self.config.poll.is_none() { self.watch(told, Arc::clone(&changes)) } else { None };
        let (mut found_at, mut found_in) = (Instant::now(), self.find()?);
        let mut rhythm = Rhythm::default();
        let outcome = loop {
            if self.context.shutdown.is_cancelled() {
                break Ok(());
            }
            let changed =
                std::mem::take(&mut *changes.lock().unwrap_or_else(PoisonError::into_inner));
            let appeared = changed.paths.iter().any(|path| !self.files.contains_key(path));
            let rest = if appeared { LOOK_INTERVAL } else { GLOB_INTERVAL };
            let rest = self.config.poll.map_or(rest, |poll| rest.max(poll));
            if found_at.elapsed() >= rest.max(found_in * GLOB_SHARE) {
                found_in = self.find()?;
                found_at = Instant::now();
            }
            let every = if let Some(poll) = self.config.poll {
                poll
            } else if self.files.len() <= FEW_FILES_MAX {
                LOOK_INTERVAL
            } else {
                LOOK_INTERVAL_OF_MANY
            };
            let only = rhythm.next((changed.paths, changed.all), every, Instant::now());
            let left = self.look(only.as_ref())?;
            if !rhythm.leave(left) {
                match woken.recv_timeout(LOOK_INTERVAL) {
                    Ok(()) => thread::sleep(BURST),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => thread::sleep(LOOK_INTERVAL),
                }
            }
        };
        self.context.occurrences.forget_standings(&self.config.path);
        outcome
    }

    /// Has the kernel tell of changes, where it does.
    fn watch(
        &self,
        told: mpsc::SyncSender<()>,
        changes: Arc<Mutex<Changes>>,
    ) -> Option<RecommendedWatcher> {
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(event) if matches!(event.kind, notify::EventKind::Access(_)) => return,
                    Ok(event) if !event.need_rescan() && changes.paths.len() < CHANGES_MAX => {
                        changes.paths.extend(event.paths);
                    }
                    _ => changes.all = true,
                }
                // One waiting word is enough: a look sees everything.
                let _full = told.try_send(());
            })
            .ok()?;
        let folder = find::folder(&self.config.path);
        if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            tracing::info!(%error, folder = %folder.display(), "changes are not told here; files are polled");
        }
        Some(watcher)
    }

    /// Opens what matches and is not open; tells how long that took.
    fn find(&mut self) -> Result<Duration, SourceError> {
        let begun = Instant::now();
        let Found { paths, left_out } = match find::find(&self.config.path) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, pattern = self.config.path, "the pattern cannot be matched");
                return Ok(begun.elapsed());
            }
        };
        if left_out != self.left_out {
            self.left_out = left_out;
            tracing::warn!(
                left_out,
                limit = find::FILES_MAX,
                pattern = self.config.path,
                "more files match than are followed; those that changed last are"
            );
        }
        self.refused.retain(|path, _| paths.contains(path));
        for path in paths {
            if !self.files.contains_key(&path) {
                self.open(path)?;
            }
        }
        self.first_look = false;
        Ok(begun.elapsed())
    }

    fn open(&mut self, path: PathBuf) -> Result<(), SourceError> {
        let at_end = self.first_look && self.config.from == TailFrom::End;
        let opened = rotated::open(&path, at_end, self.context.checkpoints.as_ref());
        let opened = opened.and_then(|opened| match self.same(&opened.files) {
            Some(other) => Err(std::io::Error::other(format!(
                "is the same file as {}, which is followed already",
                other.display()
            ))),
            None => Ok(opened),
        });
        match opened {
            Ok(opened) => {
                self.refused.remove(&path);
                tracing::info!(path = %path.display(), parts = opened.files.len(), "following");
                if opened.lost && self.first_look {
                    self.tell_loss(&path)?;
                }
                let followed = Followed::new(
                    opened.files,
                    self.joining.clone(),
                    self.config.lines_per_second_max,
                );
                self.files.insert(path, followed);
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
        Ok(())
    }

    /// The path by which the same file is followed already, if any.
    fn same(&self, files: &[file::Follow]) -> Option<&Path> {
        let new = files.last()?;
        let is = |followed: &Followed| followed.is(new.device, new.inode);
        self.files.iter().find(|(_, followed)| is(followed)).map(|(path, _)| path.as_path())
    }

    /// Reads what is new in these files, or in all; gives those that have more.
    fn look(&mut self, only: Option<&HashSet<PathBuf>>) -> Result<HashSet<PathBuf>, SourceError> {
        let paths: Vec<PathBuf> = match only {
            Some(changed) => {
                changed.iter().filter(|p| self.files.contains_key(*p)).cloned().collect()
            }
            None => self.files.keys().cloned().collect(),
        };
        let mut left = HashSet::new();
        for path in paths {
            let Some(mut followed) = self.files.remove(&path) else { continue };
            let looked = followed.look(
                &path,
                &mut self.block,
                self.context.checkpoints.as_ref(),
                Instant::now(),
            );
            self.send(&path, looked.begins, looked.records, looked.lines)?;
            if looked.slowed {
                self.context.occurrences.tail_slowed(&path.display());
            }
            if let Some(standing) = followed.standing(Instant::now()) {
                self.context.occurrences.stands(
                    &self.config.path,
                    &path.display().to_string(),
                    standing,
                );
            }
            if looked.more {
                left.insert(path.clone());
            }
            if !looked.gone {
                self.files.insert(path, followed);
            }
        }
        Ok(left)
    }

    fn send(
        &self,
        path: &Path,
        begins: Option<Position>,
        records: Vec<Record>,
        lines: u64,
    ) -> Result<(), SourceError> {
        if records.is_empty() && begins.is_none() {
            return Ok(());
        }
        let mut context = Context::here(Time::now());
        let name: Arc<str> = path.display().to_string().into();
        let system: Arc<str> = self.config.system.as_str().into();
        let mut unparsed = 0;
        let bytes = records.iter().map(|record| record.first.len() + record.rest.len()).sum();
        let mut chunk = self.context.intake.packer(records.len(), bytes);
        begins.into_iter().for_each(|position| chunk.pass(position));
        for record in records {
            let position = Position { stream: Arc::clone(&record.stream), offset: record.end };
            if record.is_blank() {
                chunk.pass(position);
                continue;
            }
            let start = record.start;
            if context.columns() != record.columns {
                context = context.with_columns(record.columns.clone());
            }
            let (event, known) = event::of(&self.config.format, record, &context);
            unparsed += u64::from(!known);
            let event = event.with_origin(&system, &name, start);
            chunk.push(Entry { event, position: Some(position) });
        }
        self.context.occurrences.lines_read(lines, unparsed);
        self.hand_over(chunk)
    }

    /// What was read of before is nowhere any more: the centre is told that lines may be missing.
    fn tell_loss(&self, path: &Path) -> Result<(), SourceError> {
        tracing::warn!(path = %path.display(), "the log was replaced while the agent was away, and what was read of before is gone; lines may be missing");
        let now = Time::now();
        let gap = Gap {
            lane: Lane::Security.into(),
            reason: GapReason::Truncation.into(),
            ..Gap::default()
        };
        let event = Event::new(now, now, Body::Gap(gap))
            .with_source(&path.display().to_string(), 0)
            .with_system(&self.config.system);
        let entry = Entry { event, position: None };
        let mut chunk = self.context.intake.packer(1, 0);
        chunk.push(entry);
        self.hand_over(chunk)
    }

    /// Waits for a place in the queue, but not for ever: a stopping agent reads these lines again at its next start.
    fn hand_over(&self, chunk: Packer) -> Result<(), SourceError> {
        let (intake, shutdown): (_, CancellationToken) =
            (self.context.intake.clone(), self.context.shutdown.clone());
        let sent = tokio::runtime::Handle::current().block_on(async move {
            tokio::select! {
                sent = intake.hand_over(chunk) => sent.is_ok(),
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

#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole;

/// A stream's name.
fn stream_name(path: &Path, device: u64, inode: u64, print: u32, generation: u32) -> Arc<str> {
    format!("tail:{}#{device}:{inode}:{print:08x}#{generation}", path.display()).into()
}
