//! A folder into which older portals drop files of CSV or JSON.
//!
//! A file is taken once it has not changed for [`QUIET`]; then it is called `.taken`, and what was wrong in it stands, line by line, in
//! a file `.errors` beside it. Its stream is named by its content: a file that is dropped again, or read again after a crash,
//! counts once.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::tz::TimeZone;
use serde_json::Value;
use vonggac_wire::{Event, Time};

use super::{
    posted::{self, Envelope},
    sheet,
};
use crate::{
    config::UsageDropConfig,
    intake::{CHUNK_ENTRIES_MAX, Chunk, Entry, Position},
    source::{Running, Source, SourceContext, SourceError},
};

/// How often the folder is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How long a file has to be left alone before it counts as whole.
const QUIET: Duration = Duration::from_secs(2);

/// Bytes of a file; what is larger is refused and told.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Bytes of a JSON file that is one list, which has to be in memory as a whole.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// Bytes of one line or row.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Mistakes that are written down; the rest are counted.
const MISTAKES_MAX: usize = 1_000;

/// Files taken in one look, so that a stop is never waited for.
const FILES_MAX: usize = 1_000;

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
    // Files that cannot be renamed, with their time: they are not read again and again.
    let mut stuck: HashMap<PathBuf, SystemTime> = HashMap::new();
    loop {
        let (own, shared) = (config.clone(), context.clone());
        let looked =
            tokio::task::spawn_blocking(move || look(&own, &shared, &mut stuck).map(|()| stuck));
        stuck = looked.await.map_err(|error| {
            SourceError::Missing(format!("the reading thread ended: {error}"))
        })??;
        tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

fn look(
    config: &UsageDropConfig,
    context: &SourceContext,
    stuck: &mut HashMap<PathBuf, SystemTime>,
) -> Result<(), SourceError> {
    let failed =
        |source| SourceError::Io { what: format!("list {}", config.folder.display()), source };
    let now = SystemTime::now();
    let mut ready: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in
        fs::read_dir(&config.folder).map_err(failed)?.filter_map(Result::ok).take(FILES_MAX * 10)
    {
        let path = entry.path();
        let Ok(data) = entry.metadata() else { continue };
        let Ok(modified) = data.modified() else { continue };
        if is_old(&path, modified, now, config.keep) {
            let _gone = fs::remove_file(&path);
        } else if data.is_file()
            && kind(&path).is_some()
            && now.duration_since(modified).is_ok_and(|age| age >= QUIET)
            && stuck.get(&path) != Some(&modified)
        {
            ready.push((modified, path));
        }
    }
    stuck.retain(|path, _| ready.iter().any(|(_, ready)| ready == path) || path.exists());
    // In the order in which they were dropped.
    ready.sort();
    for (modified, path) in ready.into_iter().take(FILES_MAX) {
        if context.shutdown.is_cancelled() {
            return Ok(());
        }
        match take(&path, config, context) {
            Ok(()) => {}
            Err(TakeError::Stopping) => return Ok(()),
            Err(TakeError::Io(error)) => {
                tracing::warn!(path = %path.display(), %error, "a dropped file cannot be taken");
                stuck.insert(path, modified);
            }
        }
    }
    Ok(())
}

/// What was taken is kept for a while, then it goes.
fn is_old(path: &Path, modified: SystemTime, now: SystemTime, keep: Duration) -> bool {
    path.extension().is_some_and(|end| end == TAKEN || end == ERRORS)
        && now.duration_since(modified).is_ok_and(|age| age > keep)
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

enum TakeError {
    Stopping,
    Io(io::Error),
}

impl From<io::Error> for TakeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One file on its way into the spool.
struct Taking<'a> {
    config: &'a UsageDropConfig,
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

fn take(path: &Path, config: &UsageDropConfig, context: &SourceContext) -> Result<(), TakeError> {
    let mut taking = Taking {
        config,
        context,
        source: path.display().to_string(),
        stream: format!("drop:{}", fingerprint(path)?).into(),
        chunk: Chunk::default(),
        records: 0,
        rejected: 0,
        mistakes: Vec::new(),
    };
    let length = fs::metadata(path)?.len();
    let known = context.checkpoints.resume(&taking.stream).is_some();
    match kind(path) {
        _ if length > FILE_BYTES_MAX => {
            let error = format!("the file has {length} bytes; at most {FILE_BYTES_MAX} are taken");
            taking.record(1, Err(error))?;
        }
        Some(FileKind::Csv) => rows(path, &mut taking)?,
        Some(FileKind::List) if length <= LIST_BYTES_MAX => list(path, &mut taking)?,
        _ => lines(path, &mut taking)?,
    }
    taking.send()?;
    let (records, rejected) = (taking.records, taking.rejected);
    if rejected > taking.mistakes.len() as u64 {
        taking.mistakes.push(format!("and {} more", rejected - taking.mistakes.len() as u64));
    }
    if !taking.mistakes.is_empty() {
        write_errors(path, &taking.mistakes)?;
    }
    fs::rename(path, beside(path, TAKEN))?;
    tracing::info!(path = %path.display(), records, rejected, known, "a dropped file was taken");
    Ok(())
}

/// The content's name: two files that say the same are one.
fn fingerprint(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = BufReader::new(File::open(path)?);
    loop {
        let block = file.fill_buf()?;
        if block.is_empty() {
            return Ok(hasher.finalize().to_hex()[..32].to_owned());
        }
        hasher.update(block);
        let length = block.len();
        file.consume(length);
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

fn write_errors(path: &Path, mistakes: &[String]) -> io::Result<()> {
    let fresh = beside(path, "errors.new");
    let mut file = File::create(&fresh)?;
    file.write_all((mistakes.join("\n") + "\n").as_bytes())?;
    fs::rename(fresh, beside(path, ERRORS))
}

/// A table: its first row names the columns.
fn rows(path: &Path, taking: &mut Taking<'_>) -> Result<(), TakeError> {
    let mut head = String::new();
    let mut first = BufReader::new(File::open(path)?).take(LINE_BYTES_MAX);
    if first.read_line(&mut head).is_err() {
        return taking.record(1, Err("the file is no UTF-8; save it as CSV UTF-8".into()));
    }
    let zone = TimeZone::system();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(sheet::separator(&head))
        .flexible(true)
        .from_reader(BufReader::new(File::open(path)?));
    let columns: Vec<String> = match reader.headers() {
        Ok(headers) => headers.iter().map(|name| column(name, taking.config)).collect(),
        Err(error) => return taking.record(1, Err(format!("the head is no row: {error}"))),
    };
    let mut row = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut row) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) if error.is_io_error() => {
                return Err(TakeError::Io(io::Error::other(error)));
            }
            Err(error) => {
                taking.record(line, Err(format!("it is no row: {error}")))?;
                continue;
            }
        }
        let line = row.position().map_or(line, csv::Position::line);
        let cells: Vec<&str> = row.iter().collect();
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let outcome = if cells.len() == columns.len() {
            let mut object = sheet::object(&columns, &cells, &zone);
            for (key, value) in &taking.config.fields {
                object.entry(key.as_str()).or_insert_with(|| value.as_str().into());
            }
            let text = Value::Object(object).to_string();
            posted::line(text.as_bytes(), &taking.config.system, Time::now())
        } else {
            Err(format!("the row has {} cells, the head {}", cells.len(), columns.len()))
        };
        taking.record(line, outcome)?;
    }
}

/// The key that a column means.
fn column(name: &str, config: &UsageDropConfig) -> String {
    let name = name.trim_start_matches('\u{feff}').trim();
    let renamed = config.columns.iter().find(|(from, _)| from == name);
    renamed.map_or_else(|| name.to_owned(), |(_, to)| to.clone())
}

/// One JSON value, or an object a line after all.
fn list(path: &Path, taking: &mut Taking<'_>) -> Result<(), TakeError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIST_BYTES_MAX).read_to_end(&mut bytes)?;
    if serde_json::from_slice::<Value>(&bytes).is_err() {
        return lines(path, taking);
    }
    let outcomes = posted::body(&bytes, &Envelope::default(), &taking.config.system, Time::now());
    for (place, outcome) in outcomes.into_iter().enumerate() {
        taking.record(place as u64 + 1, outcome)?;
    }
    Ok(())
}

fn lines(path: &Path, taking: &mut Taking<'_>) -> Result<(), TakeError> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut text, mut number) = (Vec::new(), 0);
    loop {
        text.clear();
        let read = (&mut reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(());
        }
        number += 1;
        if text.len() as u64 > LINE_BYTES_MAX {
            taking.record(number, Err(format!("it is longer than {LINE_BYTES_MAX} bytes")))?;
            // The rest of the line is none of its own.
            while text.last() != Some(&b'\n') {
                text.clear();
                if (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut text)? == 0 {
                    return Ok(());
                }
            }
            continue;
        }
        let line = text.trim_ascii();
        if !line.is_empty() {
            let outcome = posted::line(line, &taking.config.system, Time::now());
            taking.record(number, outcome)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio_util::sync::CancellationToken;
    use vonggac_wire::Lane;

    use super::*;
    use crate::{config::Fsync, intake, occurrence::Occurrences, ship::SharedSpool, spool::Spool};

    fn age(path: &Path) {
        let then = SystemTime::now() - Duration::from_secs(10);
        File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }

    /// Takes what lies in the folder; gives how many events the spool holds then.
    async fn taken(config: &UsageDropConfig, spool: &SharedSpool) -> usize {
        let (intake, mut chunks) = intake::queue();
        let stop = CancellationToken::new();
        let context = SourceContext {
            intake,
            checkpoints: Arc::new(spool.clone()),
            shutdown: stop.clone(),
            occurrences: Occurrences::new().unwrap(),
        };
        let source = tokio::spawn(UsageDrop::new(config.clone()).run(context));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(600) {
            let wait = tokio::time::timeout(Duration::from_millis(300), chunks.recv()).await;
            if let Ok(Some(chunk)) = wait {
                let done = spool.lock().append(chunk.entries, &chunk.passed, Time::now()).unwrap();
                let _told = chunk.appended.unwrap().send(done);
            }
        }
        stop.cancel();
        let _ended = source.await;
        let mut spool = spool.lock();
        spool.rewind(Lane::Usage);
        spool.next(Lane::Usage, 1_000, 1 << 20).unwrap().map_or(0, |pending| pending.events.len())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn dropped_files_are_taken_once_and_their_mistakes_told_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("drop");
        fs::create_dir(&folder).unwrap();
        let spool =
            Spool::open(&dir.path().join("spool"), "h", 1 << 30, Fsync::EachChunk, Time::now());
        let spool = SharedSpool::new(spool.unwrap());
        let config = UsageDropConfig {
            folder: folder.clone(),
            system: "old-portal".into(),
            columns: vec![("Bước".into(), "step".into()), ("Dịch vụ".into(), "service".into())],
            fields: vec![("kind".into(), "dossier".into())],
            keep: Duration::from_secs(86_400),
        };
        let table = "\u{feff}Bước;Dịch vụ;online;time\nreceived;khai-sinh;có;24/11/2026 09:41\neaten;x;có;\nclosed;\"a;\nb\";x\nreceived;y;không;24/11/2026\n";
        fs::write(folder.join("a.csv"), table).unwrap();
        fs::write(
            folder.join("b.json"),
            r#"[{"kind":"rating","score":5},{"kind":"rating","score":7}]"#,
        )
        .unwrap();
        fs::write(
            folder.join("c.jsonl"),
            format!("{}\n{{\"kind\":\"rating\",\"score\":1}}\n", "x".repeat(70_000)),
        )
        .unwrap();
        fs::write(folder.join("d.txt"), "not ours").unwrap();
        fs::write(folder.join("e.csv"), "still being written").unwrap();
        for name in ["a.csv", "b.json", "c.jsonl", "d.txt"] {
            age(&folder.join(name));
        }
        assert_eq!(taken(&config, &spool).await, 4);
        let errors = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let told = errors("a.csv.errors");
        let told: Vec<&str> = told.lines().collect();
        assert!(told[0].starts_with("line 3: `step` is eaten"), "{told:?}");
        assert!(told[1].starts_with("line 4: the row has 3 cells, the head 4"), "{told:?}");
        assert_eq!(told.len(), 2);
        assert!(errors("b.json.errors").starts_with("line 2: `score`"));
        assert!(errors("c.jsonl.errors").starts_with("line 1: it is longer than"));
        assert!(folder.join("a.csv.taken").exists() && !folder.join("a.csv").exists());
        assert!(folder.join("d.txt").exists() && folder.join("e.csv").exists());
        // The same file again, under another name: nothing is counted twice.
        fs::write(folder.join("again.csv"), table).unwrap();
        age(&folder.join("again.csv"));
        assert_eq!(taken(&config, &spool).await, 4);
        assert!(folder.join("again.csv.taken").exists());
    }
}
