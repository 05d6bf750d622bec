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
    format::{Context, NAMED, connection::Connections},
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
mod pacing;
mod record;
mod rhythm;
mod rotated;

use find::Found;
use followed::{Followed, Gave, Looked};
use pacing::Pacing;
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

/// Files of which it is remembered that a wrong format was told.
const CORRECTED_MAX: usize = 1_024;

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
    connections: Connections,
    /// Files whose format was found to be named wrongly, told once.
    corrected: HashSet<PathBuf>,
    block: Vec<u8>,
    pacing: Pacing,
    /// Files that are held open.
    open: u64,
}

/// What a look left for later.
#[derive(Default)]
struct Left {
    /// Files that have more.
    paths: HashSet<PathBuf>,
    /// Some of them can be read at once.
    at_once: bool,
    /// When the first of those that have to wait can be.
    rest: Option<Duration>,
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
            connections: Connections::default(),
            corrected: HashSet::new(),
            block: vec![0; file::BLOCK_BYTES],
            pacing: Pacing::new(Instant::now()),
            open: 0,
        })
    }

    fn run(&mut self) -> Result<(), SourceError> {
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
            let rest = left.rest.unwrap_or(LOOK_INTERVAL).min(LOOK_INTERVAL);
            rhythm.leave(left.paths);
            if !left.at_once {
                match woken.recv_timeout(rest) {
                    Ok(()) => thread::sleep(BURST),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => thread::sleep(LOOK_INTERVAL),
                }
            }
        };
        self.context.occurrences.forget_standings(&self.config.path);
        outcome
    }

    /// So many files more or less are held open than before. Of too many, those close that changed least lately.
    fn holds(&mut self, before: u64, now: u64) {
        let fresh = (self.open + now).saturating_sub(before);
        let reading = self.context.occurrences.reading();
        let too_many = reading.hold(self.open, fresh);
        self.open = fresh;
        if too_many == 0 {
            return;
        }
        // Some more than that, so that not every look has to choose.
        let wanted = too_many + reading.log_files_max() / 8;
        let mut open: Vec<&mut Followed> =
            self.files.values_mut().filter(|followed| followed.open_files() > 0).collect();
        open.sort_by_key(|followed| followed.times().0);
        let mut closed = 0;
        for followed in open {
            if closed >= wanted {
                break;
            }
            closed += followed.close();
        }
        reading.closed(closed);
        reading.hold(self.open, self.open.saturating_sub(closed));
        self.open = self.open.saturating_sub(closed);
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
                "more files match than are followed; those that changed last are: narrow the pattern, or give each folder its own"
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
                    tracing::warn!(path = %path.display(), "the log was replaced while the agent was away, and what was read of before is gone; lines may be missing");
                    self.tell_loss(&path, 0)?;
                }
                let followed = Followed::new(
                    opened.files,
                    self.joining.clone(),
                    self.config.lines_per_second_max,
                );
                let open = followed.open_files();
                self.files.insert(path, followed);
                self.holds(0, open);
            }
            Err(error) => {
                // Said once for each reason: the pattern is matched every few seconds.
                let text = match error.kind() {
                    std::io::ErrorKind::PermissionDenied => format!(
                        "{error}; give the agent's user the right to read it, e.g. by setfacl -m u:USER:r, or by its group"
                    ),
                    _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                        format!("{error}; the link leads to itself: remove it")
                    }
                    _ => error.to_string(),
                };
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

    /// Reads what is new in these files, or in all, as far as the agent may.
    fn look(&mut self, only: Option<&HashSet<PathBuf>>) -> Result<Left, SourceError> {
        let mut paths: Vec<PathBuf> = match only {
            Some(changed) => {
                changed.iter().filter(|p| self.files.contains_key(*p)).cloned().collect()
            }
            None => self.files.keys().cloned().collect(),
        };
        let reading = self.context.occurrences.reading().clone();
        let is_slowed = reading.is_slowed();
        if is_slowed {
            // Whoever waited longest is first: there may not be time for all.
            paths.sort_by_key(|path| self.files.get(path).map(|followed| followed.times().1));
        }
        let mut left = Left::default();
        for path in paths {
            let Some(mut followed) = self.files.remove(&path) else { continue };
            let (now, rank, open) = (Instant::now(), followed.rank(), followed.open_files());
            let rest = self.pacing.rest(rank, reading.share(rank), now);
            if let Some(rest) = rest {
                followed.waits(&path, self.context.checkpoints.as_ref(), now);
                left.rest = Some(left.rest.map_or(rest, |least| least.min(rest)));
                left.paths.insert(path.clone());
            } else {
                let begun = is_slowed.then(pacing::thread_cpu);
                let looked = self.read(&path, &mut followed, now)?;
                if looked.more {
                    left.at_once = true;
                    left.paths.insert(path.clone());
                }
                if let Some(begun) = begun {
                    self.pacing.took(rank, pacing::thread_cpu().saturating_sub(begun));
                }
                if looked.gone {
                    self.holds(open, 0);
                    continue;
                }
            }
            if let Some(standing) = followed.standing(Instant::now()) {
                let name = path.display().to_string();
                self.context.occurrences.stands(&self.config.path, &name, standing);
            }
            let now_open = followed.open_files();
            self.files.insert(path, followed);
            self.holds(open, now_open);
        }
        Ok(left)
    }

    /// Reads what is new in a file, up to a chunk, and hands it over. What of it is left has no records any more.
    fn read(
        &mut self,
        path: &Path,
        followed: &mut Followed,
        now: Instant,
    ) -> Result<Looked, SourceError> {
        let mut looked =
            followed.look(path, &mut self.block, self.context.checkpoints.as_ref(), now);
        if looked.lost_bytes > 0 {
            self.context.occurrences.log_lost(&path.display(), looked.lost_bytes);
            self.tell_loss(path, looked.lost_bytes)?;
        }
        let records = std::mem::take(&mut looked.records);
        followed.gave(self.send(path, looked.begins.take(), records, looked.lines)?);
        if looked.slowed {
            self.context.occurrences.tail_slowed(&path.display());
        }
        Ok(looked)
    }

    fn send(
        &mut self,
        path: &Path,
        begins: Option<Position>,
        records: Vec<Record>,
        lines: u64,
    ) -> Result<Gave, SourceError> {
        let mut gave = Gave::default();
        if records.is_empty() && begins.is_none() {
            return Ok(gave);
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
            self.tell_corrected(path, &event);
            let event = self.connections.complete(&name, event);
            gave.all += 1;
            gave.usage += usize::from(event.lane() == Lane::Usage);
            gave.security += usize::from(event::is_of_security(&event));
            let event = event.with_origin(&system, &name, start);
            chunk.push(Entry { event, position: Some(position) });
        }
        self.context.occurrences.lines_read(lines, unparsed);
        self.hand_over(chunk)?;
        Ok(gave)
    }

    /// Another format than the named one read a line: once for each file somebody is told.
    fn tell_corrected(&mut self, path: &Path, event: &Event) {
        let named = event.activity().and_then(|activity| activity.unmapped.get(NAMED));
        let Some(named) = named else { return };
        if self.corrected.len() < CORRECTED_MAX && self.corrected.insert(path.to_owned()) {
            tracing::warn!(
                path = %path.display(),
                named,
                found = event.format(),
                "the format that is named for this file does not read its lines, another does; name that one or auto"
            );
        }
    }

    /// What was to be read is nowhere any more: the centre is told that lines are missing, and how many bytes; 0: nobody knows.
    fn tell_loss(&self, path: &Path, bytes: u64) -> Result<(), SourceError> {
        let now = Time::now();
        let gap = Gap {
            lane: Lane::Security.into(),
            reason: GapReason::Truncation.into(),
            bytes,
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
mod closing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole;

/// A thread that ends holds nothing open any more.
impl Drop for Follower {
    fn drop(&mut self) {
        self.context.occurrences.reading().hold(self.open, 0);
    }
}

/// A stream's name.
fn stream_name(path: &Path, device: u64, inode: u64, print: u32, generation: u32) -> Arc<str> {
    format!("tail:{}#{device}:{inode}:{print:08x}#{generation}", path.display()).into()
}
