//! A folder into which older portals drop files of CSV or JSON.
//!
//! A file is taken once it has rested for [`waiting::QUIET`]; one that does not look whole has [`waiting::WHOLE_WAIT`] to become so. Then it is called
//! `.taken`, and what was wrong in it stands, line by line, in a file `.errors` beside it. Its stream is named by its content: a
//! file that is dropped again, or read again after a crash, counts once.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rustix::fs::{CWD, RenameFlags};
use vonggac_wire::Event;

use crate::{
    config::UsageDropConfig,
    intake::{CHUNK_ENTRIES_MAX, Chunk, Entry, Position},
    source::{Running, Source, SourceContext, SourceError, plain_file},
};

mod read;
mod table;
mod text;
mod waiting;

use text::WHOLE_BYTES_MAX;
use waiting::{Seen, Waiting};

/// How often the folder is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How often files that were taken long ago are looked for.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// Bytes of a file; what is larger is refused and told.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Mistakes that are written down; the rest are counted.
const MISTAKES_MAX: usize = 1_000;

/// Files that wait in the folder and are remembered; the others are looked at when these are taken.
const FILES_WAITING_MAX: usize = 10_000;

/// Files taken in one look, so that a stop is never waited for.
const FILES_MAX: usize = 1_000;

/// Files of one name that stand beside each other once they are taken.
const NAMESAKES_MAX: u32 = 1_000;

/// How a file is called that was taken.
const TAKEN: &str = "taken";

/// What was wrong in one.
const ERRORS: &str = "errors";

pub(crate) struct UsageDrop {
    config: UsageDropConfig,
}

impl UsageDrop {
    pub(crate) const fn new(config: UsageDropConfig) -> Self {
        Self { config }
    }
}

impl Source for UsageDrop {
    fn name(&self) -> String {
        format!("usage files {}", self.config.folder.display())
    }

    fn settings(&self) -> String {
        format!("usage files {:?}", self.config)
    }

    fn run(&self, context: SourceContext) -> Running {
        Box::pin(watch(self.config.clone(), context))
    }
}

async fn watch(config: UsageDropConfig, context: SourceContext) -> Result<(), SourceError> {
    let mut folder = Folder::default();
    loop {
        let (own, shared) = (config.clone(), context.clone());
        let looked = tokio::task::spawn_blocking(move || {
            look(&own, &shared, &mut folder, Instant::now()).map(|()| folder)
        });
        folder = looked.await.map_err(|error| {
            SourceError::Missing(format!("the reading thread ended: {error}"))
        })??;
        tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// What is remembered of the folder between two looks.
#[derive(Default)]
struct Folder {
    waiting: HashMap<PathBuf, Waiting>,
    pruned: Option<Instant>,
}

fn look(
    config: &UsageDropConfig,
    context: &SourceContext,
    folder: &mut Folder,
    now: Instant,
) -> Result<(), SourceError> {
    let failed =
        |source| SourceError::Io { what: format!("list {}", config.folder.display()), source };
    let prunes = folder.pruned.is_none_or(|at| now.duration_since(at) >= PRUNE_INTERVAL);
    if prunes {
        folder.pruned = Some(now);
    }
    let mut waiting: HashMap<PathBuf, Waiting> = HashMap::new();
    for entry in fs::read_dir(&config.folder).map_err(failed)?.filter_map(Result::ok) {
        let path = entry.path();
        // What was taken before does not stand in the way of what waits, however much it is.
        let waits = kind(&path).is_some() && waiting.len() < FILES_WAITING_MAX;
        let goes = prunes && is_done(&path);
        if !waits && !goes {
            continue;
        }
        let Ok(data) = entry.metadata() else { continue };
        if !data.is_file() {
            continue;
        }
        let Ok(seen) = Seen::of(&data) else { continue };
        if !waits {
            if SystemTime::now().duration_since(seen.modified).is_ok_and(|age| age > config.keep) {
                let _gone = fs::remove_file(&path);
            }
            continue;
        }
        let file = match folder.waiting.remove(&path) {
            Some(known) if known.seen == seen => known,
            Some(known) if known.seen.inode == seen.inode && known.seen.bytes < seen.bytes => {
                Waiting { begun: known.begun, ..Waiting::new(seen, now) }
            }
            _ => Waiting::new(seen, now),
        };
        waiting.insert(path, file);
    }
    folder.waiting = waiting;
    take_ready(config, context, folder, now);
    Ok(())
}

fn take_ready(
    config: &UsageDropConfig,
    context: &SourceContext,
    folder: &mut Folder,
    now: Instant,
) {
    let mut ready: Vec<(SystemTime, PathBuf)> = folder
        .waiting
        .iter_mut()
        .filter_map(|(path, file)| {
            file.is_ready(path, now).then(|| (file.seen.modified, path.clone()))
        })
        .collect();
    // In the order in which they were dropped.
    ready.sort();
    for (_, path) in ready.into_iter().take(FILES_MAX) {
        if context.shutdown.is_cancelled() {
            return;
        }
        let Some(file) = folder.waiting.get_mut(&path) else { continue };
        match take(&path, file, config, context) {
            Ok(true) => {
                folder.waiting.remove(&path);
            }
            Ok(false) => {
                tracing::info!(path = %path.display(), "a dropped file grew while it was read; the rest is taken when it rests");
            }
            Err(TakeError::Stopping) => return,
            Err(TakeError::Io(error)) => {
                tracing::warn!(path = %path.display(), %error, "a dropped file cannot be taken; give the agent's user the right to read it and to rename it, or drop it again");
                file.stuck = true;
            }
        }
    }
}

/// What was taken is kept for a while, then it goes.
fn is_done(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == TAKEN || end == ERRORS)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Csv,
    List,
    Lines,
}

fn kind(path: &Path) -> Option<FileKind> {
    if path.file_name()?.to_string_lossy().starts_with('.') {
        return None;
    }
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => Some(FileKind::Csv),
        "json" => Some(FileKind::List),
        "jsonl" | "ndjson" => Some(FileKind::Lines),
        _ => None,
    }
}

pub(crate) enum TakeError {
    Stopping,
    Io(io::Error),
}

impl From<io::Error> for TakeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads what a file of a kind may hold, for who wants to know how it is read: 0 a table, 1 a list, others lines. Gives the lines on
/// which its records begin.
pub(crate) fn places(kind: u8, bytes: &[u8]) -> Vec<u64> {
    let config = UsageDropConfig {
        folder: PathBuf::new(),
        system: String::new(),
        columns: Vec::new(),
        fields: vec![("kind".into(), "rating".into())],
        keep: Duration::ZERO,
    };
    let mut places = Vec::new();
    let mut record = |line, _| {
        places.push(line);
        Ok(())
    };
    let input = io::Cursor::new(bytes);
    let _whole = match kind {
        0 => read::rows(input, &config, &mut record),
        1 => read::list(input, &config, &mut record),
        _ => read::lines(input, &config, &mut record),
    };
    places
}

/// One file on its way into the spool.
struct Taking<'a> {
    context: &'a SourceContext,
    source: String,
    stream: Arc<str>,
    chunk: Chunk,
    records: u64,
    rejected: u64,
    mistakes: Vec<String>,
}

impl Taking<'_> {
    /// What became of one record.
    fn record(&mut self, line: u64, outcome: Result<Event, String>) -> Result<(), TakeError> {
        self.records += 1;
        match outcome {
            Ok(event) => {
                let event = event.with_source(&self.source, line);
                let position = Position { stream: Arc::clone(&self.stream), offset: self.records };
                self.chunk.entries.push(Entry { event, position: Some(position) });
            }
            Err(error) => {
                self.rejected += 1;
                if self.mistakes.len() < MISTAKES_MAX {
                    self.mistakes.push(format!("line {line}: {error}"));
                }
            }
        }
        // A file of mistakes alone hands nothing over, and is left at a stop all the same.
        if self.records.is_multiple_of(1_024) && self.context.shutdown.is_cancelled() {
            return Err(TakeError::Stopping);
        }
        if self.chunk.entries.len() >= CHUNK_ENTRIES_MAX { self.send() } else { Ok(()) }
    }

    /// Hands over and waits until it is in the spool.
    fn send(&mut self) -> Result<(), TakeError> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.entries.is_empty() {
            return Ok(());
        }
        self.context.occurrences.lines_read(chunk.entries.len() as u64, 0);
        let spooled = self.context.wait_for(self.context.intake.spool(chunk));
        spooled.map(drop).map_err(|_| TakeError::Stopping)
    }
}

/// Takes a file; `false`: it grew meanwhile, and stays where it is.
fn take(
    path: &Path,
    waiting: &mut Waiting,
    config: &UsageDropConfig,
    context: &SourceContext,
) -> Result<bool, TakeError> {
    let (mut file, data) = plain_file::open(path)?;
    let seen = Seen::of(&data)?;
    let stream = match &waiting.begun {
        Some(begun) => Arc::clone(begun),
        None => format!("drop:{}", fingerprint(&mut file)?).into(),
    };
    let mut taking = Taking {
        context,
        source: path.display().to_string(),
        stream,
        chunk: Chunk::default(),
        records: 0,
        rejected: 0,
        mistakes: Vec::new(),
    };
    let known = context.checkpoints.resume(&taking.stream).is_some();
    let read = match kind(path) {
        _ if seen.bytes > FILE_BYTES_MAX => taking.record(
            1,
            Err(format!("the file has {} bytes; at most {FILE_BYTES_MAX} are taken", seen.bytes)),
        ),
        kind => {
            let mut record = |line, outcome| taking.record(line, outcome);
            match kind {
                Some(FileKind::Csv) => read::rows(&mut file, config, &mut record),
                Some(FileKind::List) if seen.bytes <= WHOLE_BYTES_MAX => {
                    read::list(&mut file, config, &mut record)
                }
                _ => read::lines(&mut file, config, &mut record),
            }
        }
    };
    match read {
        // The bytes are there and are no text: no further try reads them better.
        Err(TakeError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            taking.record(1, Err(error.to_string()))?;
        }
        read => read?,
    }
    taking.send()?;
    // A file of this name that came meanwhile is another one, and is not to be renamed.
    if fs::symlink_metadata(path).and_then(|data| Seen::of(&data))? != seen {
        waiting.begun = Some(Arc::clone(&taking.stream));
        return Ok(false);
    }
    let (records, rejected) = (taking.records, taking.rejected);
    if rejected > taking.mistakes.len() as u64 {
        taking.mistakes.push(format!("and {} more", rejected - taking.mistakes.len() as u64));
    }
    tell_errors(path, &taking.mistakes)?;
    let taken = put_aside(path)?;
    tracing::info!(path = %taken.display(), records, rejected, known, "a dropped file was taken");
    Ok(true)
}

/// The content's name: two files that say the same are one.
fn fingerprint(file: &mut File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut reader = BufReader::new(&*file);
    loop {
        let block = reader.fill_buf()?;
        if block.is_empty() {
            break;
        }
        hasher.update(block);
        let length = block.len();
        reader.consume(length);
    }
    drop(reader);
    file.seek(SeekFrom::Start(0))?;
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

/// Renames what was taken, beside others of its name that were taken before.
fn put_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..=NAMESAKES_MAX {
        let end = if number == 1 { TAKEN.to_owned() } else { format!("{number}.{TAKEN}") };
        let aside = beside(path, &end);
        match rustix::fs::renameat_with(CWD, path, CWD, &aside, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(aside),
            Err(rustix::io::Errno::EXIST) => {}
            // File systems that cannot do both at once: old NFS.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                if fs::symlink_metadata(&aside).is_err() {
                    fs::rename(path, &aside)?;
                    return Ok(aside);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let error = format!(
        "{NAMESAKES_MAX} files of this name were taken and are kept; give each its own name, or shorten keep"
    );
    Err(io::Error::other(error))
}

/// Writes down what was wrong in the file that was dropped last under this name; nothing: the sentence on the one before goes.
fn tell_errors(path: &Path, mistakes: &[String]) -> io::Result<()> {
    let told = beside(path, ERRORS);
    if mistakes.is_empty() {
        return match fs::remove_file(told) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let fresh = beside(path, "errors.new");
    // Whoever may write into the folder could have put a link to elsewhere here.
    let _left_by_a_crash = fs::remove_file(&fresh);
    let mut file = File::options().write(true).create_new(true).open(&fresh)?;
    file.write_all((mistakes.join("\n") + "\n").as_bytes())?;
    fs::rename(fresh, told)
}

#[cfg(test)]
mod tests;
