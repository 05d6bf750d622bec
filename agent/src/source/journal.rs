//! The systemd journal, through `journalctl`, which knows all its file formats.
//!
//! An entry's place is its number in its journal's sequence. Reading goes on at the last entry that was read, inclusive: the spool
//! leaves it out. A journal that is another one than was read before is read from its beginning, and the exchange is told.

use std::{
    io,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::Command,
};
use vonggac_wire::{
    Event, Lane, Time,
    event::{Body, Gap, GapReason},
};

use super::{Running, Source, SourceContext, SourceError};
use crate::{
    config::{JournalConfig, JournalFrom},
    format::{Context, connection::Connections},
    governor::Rank,
    intake::{CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, Chunk, Entry, Position},
    ship,
};

mod entry;
#[cfg(test)]
mod tests;

/// Bytes of one entry; what is beyond is cut and counted.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// Bytes of what `journalctl` complains of.
const COMPLAINT_BYTES_MAX: u64 = 4_096;

/// How long the journal rests at most after a chunk, where the agent has to keep within a ceiling.
const REST_MAX: Duration = Duration::from_secs(1);

/// How long asking for the newest entry may take: a journal on a slow disk.
const ASK_MAX: Duration = Duration::from_secs(60);

pub(super) struct Journal {
    config: JournalConfig,
}

impl Journal {
    pub(super) const fn new(config: JournalConfig) -> Self {
        Self { config }
    }
}

impl Source for Journal {
    fn name(&self) -> String {
        "journal".into()
    }

    fn settings(&self) -> String {
        format!("journal {:?}", self.config)
    }

    fn run(&self, context: SourceContext) -> Running {
        Box::pin(keep_following(self.config.clone(), context))
    }
}

/// Begins again when `journalctl` ends. The same complaint is told once: a host without a journal is one for long.
async fn keep_following(config: JournalConfig, context: SourceContext) -> Result<(), SourceError> {
    let (mut failures, mut told) = (0, String::new());
    loop {
        let mut read = 0;
        let outcome = tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            outcome = follow(&config, &context, &mut read) => outcome,
        };
        let Err(error) = outcome else { return Ok(()) };
        if read > 0 {
            (failures, told) = (0, String::new());
        }
        let text = error.to_string();
        if text != told {
            context.occurrences.source_failed("journal", &error);
            told = text;
        }
        failures += 1;
        tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(ship::back_off(failures)) => {}
        }
    }
}

/// Where reading begins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Begin {
    /// At this entry; `None`: at the first.
    at: Option<Position>,
    /// It was never read: what is older is not wanted, and this is remembered.
    is_new: bool,
    /// Another journal was read before.
    lost: bool,
}

/// Decides by the newest entry and what was read before.
fn begin(from: JournalFrom, newest: Option<&Position>, known: &[(String, u64)]) -> Begin {
    if known.is_empty() {
        let at = newest.filter(|_| from == JournalFrom::End).cloned();
        return Begin { is_new: at.is_some(), at, lost: false };
    }
    let of = |stream: &str| known.iter().find(|(known, _)| known == stream);
    match newest {
        Some(newest) if of(&newest.stream).is_none() => Begin { lost: true, ..Begin::default() },
        Some(newest) => {
            let at = of(&newest.stream).map(|(stream, offset)| Position {
                stream: stream.as_str().into(),
                offset: *offset,
            });
            Begin { at, ..Begin::default() }
        }
        None => Begin::default(),
    }
}

async fn follow(
    config: &JournalConfig,
    context: &SourceContext,
    read: &mut u64,
) -> Result<(), SourceError> {
    // Old ones cannot leave fields out.
    let (newest, chooses) = match newest(config, true).await {
        Ok(newest) => (newest, true),
        Err(_) => (newest(config, false).await?, false),
    };
    let known = context.checkpoints.known("journal:");
    let Begin { at, is_new, lost } = begin(config.from, newest.as_ref(), &known);
    if lost {
        tell_loss(context).await?;
    }
    if let (Some(at), true) = (&at, is_new) {
        hand_over(context, Chunk { passed: vec![at.clone()], ..Chunk::default() }).await?;
    }
    let mut command = journalctl(config, chooses);
    command.args(["--follow", "--no-tail"]);
    if let Some(Position { stream, offset }) = &at {
        let sequence = stream.trim_start_matches("journal:");
        command.arg(format!("--cursor=s={sequence};i={offset:x}"));
    }
    let mut child = command.spawn().map_err(cannot_start)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(SourceError::Missing("journalctl has no output".into()));
    };
    let complaint = tokio::spawn(complaint(stderr));
    let mut connections = Connections::default();
    let mut reader = BufReader::with_capacity(64 * 1024, stdout);
    let passed = |position: &Position| {
        at.as_ref().is_some_and(|at| at.stream == position.stream && position.offset <= at.offset)
    };
    loop {
        let entries = chunk(&mut reader).await?;
        if entries.is_empty() {
            let complaint = complaint.await.unwrap_or_default();
            return Err(SourceError::Missing(format!(
                "journalctl ended; is there a journal on this host that the agent may read? {complaint}"
            )));
        }
        *read += entries.len() as u64;
        let (formats, begun) = (Context::here(Time::now()), Instant::now());
        let (mut chunk, mut unparsed) = (Chunk::default(), 0);
        for (json, cut) in entries {
            let (Entry { event, position }, known) = entry::entry(&json, cut, &formats);
            let entry = Entry { event: connections.complete("journal", event), position };
            if entry.position.as_ref().is_some_and(passed) {
                continue;
            }
            unparsed += u64::from(!known);
            chunk.entries.push(entry);
        }
        context.occurrences.lines_read(chunk.entries.len() as u64, unparsed);
        let took = begun.elapsed();
        hand_over(context, chunk).await?;
        // It tells of log-ins: it is slowed last.
        let share = context.occurrences.reading().share(Rank::Security);
        if share < 1.0 {
            tokio::time::sleep(took.mul_f64(1.0 / share - 1.0).min(REST_MAX)).await;
        }
    }
}

fn journalctl(config: &JournalConfig, chooses: bool) -> Command {
    let mut command = Command::new("journalctl");
    command.args(["--output=json", "--all", "--no-pager", "--quiet"]);
    if chooses {
        command.arg(format!("--output-fields={}", entry::FIELDS));
    }
    if let Some(folder) = &config.folder {
        command.arg("--directory").arg(folder);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn cannot_start(source: io::Error) -> SourceError {
    SourceError::Io { what: "start journalctl".into(), source }
}

/// The newest entry's place; `None` where there is none.
async fn newest(config: &JournalConfig, chooses: bool) -> Result<Option<Position>, SourceError> {
    let mut command = journalctl(config, chooses);
    command.arg("--lines=1");
    let asked = tokio::time::timeout(ASK_MAX, command.output()).await;
    let output =
        asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(cannot_start)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let text = text.lines().next().unwrap_or_default();
        return Err(SourceError::Missing(format!("journalctl shows no journal: {text}")));
    }
    Ok(output.stdout.split(|byte| *byte == b'\n').find_map(entry::position))
}

/// What it complained of last, bounded; the rest is drained so that it never waits for a reader.
async fn complaint(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut text = Vec::new();
    let _read = (&mut stderr).take(COMPLAINT_BYTES_MAX).read_to_end(&mut text).await;
    let _drained = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

/// Waits for an entry, and takes those that are there with it; nothing at the end. Of each, its text and what was cut of it.
async fn chunk(
    reader: &mut BufReader<impl AsyncRead + Unpin>,
) -> Result<Vec<(Vec<u8>, u64)>, SourceError> {
    let failed = |source| SourceError::Io { what: "read from journalctl".into(), source };
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while entries.len() < CHUNK_ENTRIES_MAX && bytes < CHUNK_BYTES_MAX {
        if !entries.is_empty() && !reader.buffer().contains(&b'\n') {
            break;
        }
        let Some((json, cut)) = line(reader).await.map_err(failed)? else { break };
        bytes += json.len();
        if !json.is_empty() {
            entries.push((json, cut));
        }
    }
    Ok(entries)
}

/// One line; `None` at the end.
async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<(Vec<u8>, u64)>> {
    let (mut line, mut cut) = (Vec::new(), 0);
    loop {
        let block = reader.fill_buf().await?;
        if block.is_empty() {
            return Ok((!line.is_empty()).then_some((line, cut)));
        }
        let end = memchr::memchr(b'\n', block);
        let piece = &block[..end.unwrap_or(block.len())];
        let room = (ENTRY_BYTES_MAX - line.len()).min(piece.len());
        line.extend_from_slice(&piece[..room]);
        cut += (piece.len() - room) as u64;
        let used = end.map_or(block.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(Some((line, cut)));
        }
    }
}

/// The journal is another one: what was not read of the old one is gone.
async fn tell_loss(context: &SourceContext) -> Result<(), SourceError> {
    tracing::warn!(
        "the journal is another one than was read before; entries of the old one may be missing"
    );
    let now = Time::now();
    let gap =
        Gap { lane: Lane::Security.into(), reason: GapReason::Truncation.into(), ..Gap::default() };
    let event = Event::new(now, now, Body::Gap(gap)).with_source("journal:", 0);
    let entries = vec![Entry { event, position: None }];
    hand_over(context, Chunk { entries, ..Chunk::default() }).await
}

async fn hand_over(context: &SourceContext, chunk: Chunk) -> Result<(), SourceError> {
    let sent = context.intake.send(chunk).await;
    sent.map_err(|error| SourceError::Missing(format!("failed to {error}")))
}
