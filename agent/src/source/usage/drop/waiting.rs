//! When a dropped file is whole: it has rested, and ends as whole ones do.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{FileKind, kind};
use crate::source::plain_file;

/// How long a file has to be left alone before it counts as whole.
pub(super) const QUIET: Duration = Duration::from_secs(2);

/// The same of a file that ends in the middle of a line or of a value: a slow writer is at work, or it will never be whole.
pub(super) const WHOLE_WAIT: Duration = Duration::from_secs(60);

/// A file that waits to be taken.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) seen: Seen,
    /// When it was first seen like this, by a clock that nobody sets.
    pub(super) since: Instant,
    /// It cannot be taken, or not be renamed: it is not read again until it changes.
    pub(super) stuck: bool,
    pub(super) told: bool,
    /// It grew while it was read: what comes belongs to the stream that was begun.
    pub(super) begun: Option<Arc<str>>,
}

/// By what a change is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) modified: SystemTime,
    pub(super) bytes: u64,
    pub(super) inode: u64,
}

impl Seen {
    pub(super) fn of(data: &fs::Metadata) -> io::Result<Self> {
        Ok(Self { modified: data.modified()?, bytes: data.len(), inode: data.ino() })
    }
}

impl Waiting {
    pub(super) fn new(seen: Seen, since: Instant) -> Self {
        Self { seen, since, stuck: false, told: false, begun: None }
    }

    /// How long it has rested: by its own time, or by ours where its clock is ahead or was set.
    pub(super) fn rested(&self, now: Instant, clock: SystemTime) -> Duration {
        let own = clock.duration_since(self.seen.modified).unwrap_or(Duration::ZERO);
        own.max(now.saturating_duration_since(self.since))
    }

    pub(super) fn is_ready(&mut self, path: &Path, now: Instant) -> bool {
        let rested = self.rested(now, SystemTime::now());
        if self.stuck || rested < QUIET {
            return false;
        }
        if rested >= WHOLE_WAIT || looks_whole(path) {
            return true;
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::info!(path = %path.display(), seconds = WHOLE_WAIT.as_secs(), "a dropped file ends in the middle of a line; it is given time to become whole");
        }
        false
    }
}

/// Whether a file ends as whole ones do: with a line's end, or with the end of a JSON value.
fn looks_whole(path: &Path) -> bool {
    /// What editors put behind a value.
    const END_BYTES: u64 = 64;
    let end = plain_file::open(path).and_then(|(mut file, data)| {
        file.seek(SeekFrom::Start(data.len().saturating_sub(END_BYTES)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(end)
    });
    // What cannot be read is told where it is taken.
    let Ok(end) = end else { return true };
    // In UTF-16 a zero may stand behind it.
    let ends_line = end.ends_with(b"\n") || end.ends_with(b"\n\0");
    let last = end.iter().rev().find(|byte| !byte.is_ascii_whitespace() && **byte != 0);
    match (kind(path), last) {
        (_, None) => true,
        (Some(FileKind::Csv), _) => ends_line,
        (Some(FileKind::Lines), _) if ends_line => true,
        (_, Some(last)) => matches!(last, b'}' | b']'),
    }
}
