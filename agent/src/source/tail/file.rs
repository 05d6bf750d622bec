//! One file that is followed: its identity, where it was read to, and whether it is still there.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use vonggac_wire::{Time, limits::RAW_BYTES_MAX};

use super::{
    content::{Content, Identity, is_packed},
    stream_name,
};
use crate::{
    format::join::Joiner,
    intake::{Checkpoints, Position},
};

mod closed;
mod cut;

use closed::Reopened;

/// Bytes of the first line that identify a file.
const PRINT_BYTES: usize = 256;

/// Bytes read at once.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;

/// How long a rotated file is kept open without growing: its writer may not have opened the new one yet.
const LINGER: Duration = Duration::from_secs(2);

/// Where a file stood before it was cut.
pub(super) struct Place<'a> {
    /// The name that it has or had.
    pub(super) path: &'a Path,
    /// Its stream.
    pub(super) stream: Arc<str>,
    /// Where the next line begins.
    pub(super) next_line: u64,
    /// When it was changed before the last look, in seconds and nanoseconds.
    pub(super) changed: (i64, i64),
}

/// One line, without its end.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) stream: Arc<str>,
    pub(super) start: u64,
    /// Behind the line's end.
    pub(super) end: u64,
    /// At most [`RAW_BYTES_MAX`] bytes.
    pub(super) bytes: Vec<u8>,
    /// Bytes that were cut away.
    pub(super) cut: u64,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// There is more to read now.
    More,
    /// All read; more may come.
    Waiting,
    /// All read, and nothing more will come to this file.
    Gone,
}

/// Device, inode and the hash of the first line: an inode alone is used again.
pub(super) type FileIdentity = (u64, u64, u32);

/// A file that is followed.
#[derive(Debug)]
pub(super) struct Follow {
    path: PathBuf,
    content: Content,
    pub(super) device: u64,
    pub(super) inode: u64,
    born: Option<SystemTime>,
    /// Known once the first line is whole; before that there is nothing to send.
    stream: Option<Arc<str>>,
    generation: u32,
    /// The hash of the first line that the stream is named by.
    print: u32,
    /// The next byte to read, and the first of the line that is being gathered.
    offset: u64,
    line_start: u64,
    partial: Vec<u8>,
    partial_cut: u64,
    /// Begin at the end, if the file was never read.
    at_end: bool,
    rotated_at: Option<Instant>,
    /// Opened for its rest only: it has a successor already.
    pub(super) is_old: bool,
    /// When it was changed last before the last look.
    changed: (i64, i64),
    /// What was copied away before the file was cut, and was not read yet.
    copy: Option<Box<Self>>,
    /// Read to its end, and only looked at for what a slow writer adds.
    is_late: bool,
    /// How long it was at the last look.
    known_length: u64,
    /// Bytes that were gone before they could be read.
    lost: u64,
    /// It was closed, and was nowhere when it was looked for.
    is_gone: bool,
    /// Reading begins here although nothing before was read: told once, so that a restart begins here too.
    begins: Option<Position>,
}

impl Follow {
    /// Opens the file `path`, which is or was called `name`.
    pub(super) fn open(name: &Path, path: &Path, at_end: bool) -> io::Result<Self> {
        let (content, Identity { device, inode, born }) = Content::open(path)?;
        let mut follow = Self {
            path: name.to_owned(),
            content,
            device,
            inode,
            born,
            stream: None,
            generation: 0,
            print: 0,
            offset: 0,
            line_start: 0,
            partial: Vec::new(),
            partial_cut: 0,
            at_end,
            rotated_at: None,
            is_old: false,
            is_late: false,
            changed: (0, 0),
            copy: None,
            known_length: 0,
            lost: 0,
            is_gone: false,
            begins: None,
        };
        // A file without a whole line has no end to begin at: all of it is still to come.
        follow.at_end = at_end && follow.print()?.is_some();
        Ok(follow)
    }

    /// Goes on with a stream that was read before, under another name or compressed.
    pub(super) fn take_over(&mut self, stream: &str, resume: u64, length: u64) {
        self.stream = Some(stream.into());
        self.print = self.print().ok().flatten().unwrap_or_default();
        (self.offset, self.line_start, self.known_length) = (resume, resume, length);
    }

    /// Where reading began, if that has to be remembered.
    pub(super) const fn begins(&mut self) -> Option<Position> {
        self.begins.take()
    }

    /// The columns that the last header before a place named, for logs whose lines mean nothing without.
    pub(super) fn columns_before(&mut self, place: u64) -> Option<Arc<str>> {
        if place == 0 {
            return None;
        }
        let mut joiner = Joiner::default();
        let mut block = vec![0; BLOCK_BYTES];
        // A header stands at the beginning, and again wherever its program was started anew.
        let near = match self.content {
            Content::Plain(_) => place.saturating_sub(BLOCK_BYTES as u64),
            Content::Packed(_) | Content::Closed(_) => 0,
        };
        for from in [0, near] {
            let wanted = usize::try_from(place - from).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            let read = self.content.read_at(&mut block[..wanted], from).unwrap_or(0);
            for line in block[..read].split(|byte| *byte == b'\n') {
                if line.starts_with(b"#") {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    drop(joiner.push(line, 0, Time(0)));
                }
            }
        }
        joiner.header()
    }

    /// When a plain log was changed last, in seconds and nanoseconds.
    pub(super) fn modified(&self) -> Option<(i64, i64)> {
        match &self.content {
            Content::Plain(file) => file.metadata().ok().map(|d| (d.mtime(), d.mtime_nsec())),
            // It had changed then, at the latest look that found it open.
            Content::Closed(_) => Some(self.changed).filter(|changed| *changed != (0, 0)),
            Content::Packed(_) => None,
        }
    }

    /// What it is known by, once its first line is whole.
    pub(super) fn identity(&self) -> Option<FileIdentity> {
        self.stream.is_some().then_some((self.device, self.inode, self.print))
    }

    /// What was copied away before the file was cut: it comes before what is in the file now.
    pub(super) fn take_copy(&mut self) -> Option<Self> {
        self.copy.take().map(|copy| *copy)
    }

    /// The name that it has or had, its stream, where the next line begins, and when it was changed before the last look.
    pub(super) fn place(&self) -> Option<Place<'_>> {
        let stream = Arc::clone(self.stream.as_ref()?);
        let (next_line, changed) = (self.line_start, self.changed);
        Some(Place { path: &self.path, stream, next_line, changed })
    }

    /// Whether its stream is named by this first line.
    pub(super) fn has_print(&self, print: Option<u32>) -> bool {
        self.stream.is_some() && Some(self.print) == print
    }

    /// It has its name no more, and ends soon.
    pub(super) const fn is_leaving(&self) -> bool {
        self.is_old || self.rotated_at.is_some()
    }

    /// Keeps it for what its writers may still add; `None` if nothing can come any more.
    pub(super) fn late(mut self) -> Option<Self> {
        let exists = match &self.content {
            Content::Plain(file) => file.metadata().is_ok_and(|data| data.nlink() > 0),
            Content::Closed(at) => !self.is_gone && !is_packed(at),
            Content::Packed(_) => false,
        };
        (self.is_old, self.is_late) = (true, true);
        exists.then_some(self)
    }

    /// How far reading has come, and how many bytes are left.
    pub(super) fn standing(&self) -> (u64, Option<u64>) {
        let length = self.content.length().ok().flatten();
        (self.offset, length.map(|length| length.saturating_sub(self.offset)))
    }

    /// Names the stream once the first line is whole, and goes to where it was read to.
    pub(super) fn identify(&mut self, checkpoints: &dyn Checkpoints) -> io::Result<()> {
        if self.stream.is_some() {
            return Ok(());
        }
        let Some(print) = self.print()? else { return Ok(()) };
        let length = self.content.length()?;
        self.known_length = length.unwrap_or(self.known_length);
        let length = length.unwrap_or(u64::MAX);
        let (path, device, inode) = (self.path.clone(), self.device, self.inode);
        let name = |generation| stream_name(&path, device, inode, print, generation);
        // The newest generation that was read; a file shorter than that was cut while nobody looked.
        let mut generation = self.generation;
        while checkpoints.resume(&name(generation + 1)).is_some() {
            generation += 1;
        }
        let mut resume = checkpoints.resume(&name(generation));
        if resume.is_some_and(|resume| resume > length) {
            generation += 1;
            resume = None;
        }
        let start = match resume {
            Some(resume) => resume,
            None if self.at_end => self.last_line_end(length)?,
            None => 0,
        };
        let stream = name(generation);
        if resume.is_none() && start > 0 {
            self.begins = Some(Position { stream: Arc::clone(&stream), offset: start });
        }
        (self.generation, self.stream, self.print) = (generation, Some(stream), print);
        (self.offset, self.line_start) = (start, start);
        Ok(())
    }

    /// The hash of the first line, or of its first bytes; `None` while there is no whole line.
    pub(super) fn print(&mut self) -> io::Result<Option<u32>> {
        let mut head = [0; PRINT_BYTES];
        let mut length = 0;
        while length < PRINT_BYTES {
            let read = self.content.read_at(&mut head[length..], length as u64)?;
            if read == 0 {
                break;
            }
            length += read;
        }
        match memchr::memchr(b'\n', &head[..length]) {
            Some(end) => Ok(Some(crc32c::crc32c(&head[..end]))),
            None if length == PRINT_BYTES => Ok(Some(crc32c::crc32c(&head))),
            None => Ok(None),
        }
    }

    /// Where the last whole line ends: a line that is being written is taken from its beginning.
    fn last_line_end(&mut self, length: u64) -> io::Result<u64> {
        let mut block = vec![0; BLOCK_BYTES];
        let mut end = length;
        while end > 0 {
            let start = end.saturating_sub(BLOCK_BYTES as u64);
            let wanted = usize::try_from(end - start).unwrap_or(BLOCK_BYTES);
            let read = self.content.read_at(&mut block[..wanted], start)?;
            if let Some(at) = memchr::memrchr(b'\n', &block[..read]) {
                return Ok(start + at as u64 + 1);
            }
            end = start;
        }
        Ok(0)
    }

    /// Reads lines up to the limits. `block` is room to read into.
    pub(super) fn read(
        &mut self,
        limits: (usize, usize),
        block: &mut [u8],
        checkpoints: &dyn Checkpoints,
        now: Instant,
    ) -> (Vec<Line>, Seen) {
        let mut lines = Vec::new();
        let seen = self.try_read(&mut lines, limits, block, checkpoints, now);
        let seen = seen.unwrap_or_else(|error| {
            tracing::warn!(path = %self.path.display(), %error, "reading failed; the file is opened again");
            Seen::Gone
        });
        (lines, seen)
    }

    fn try_read(
        &mut self,
        lines: &mut Vec<Line>,
        (lines_max, bytes_max): (usize, usize),
        block: &mut [u8],
        checkpoints: &dyn Checkpoints,
        now: Instant,
    ) -> io::Result<Seen> {
        match self.reopen()? {
            Reopened::Open => {}
            Reopened::Resting => return Ok(Seen::Waiting),
            Reopened::Gone => return Ok(self.vanished(lines)),
        }
        let length = self.content.length()?;
        if length == Some(self.offset) && !self.was_rewritten()? {
            self.known_length = self.offset;
            return self.at_the_end(lines, now);
        }
        let cut = length.is_some_and(|length| length < self.offset);
        if cut && self.is_late {
            return Ok(Seen::Gone);
        }
        if cut || self.was_replaced()? {
            self.was_cut(checkpoints)?;
            if self.copy.is_some() {
                return Ok(Seen::More);
            }
        }
        self.changed = self.modified().unwrap_or_default();
        self.known_length = length.unwrap_or_default();
        self.identify(checkpoints)?;
        let mut taken = 0;
        if let Some(stream) = self.stream.clone() {
            loop {
                if lines.len() >= lines_max || taken >= bytes_max {
                    return Ok(Seen::More);
                }
                let read = self.content.read_at(block, self.offset)?;
                if read == 0 {
                    break;
                }
                if self.partial.is_empty() && block[0] == 0 {
                    let Some(behind) =
                        self.content.behind_zeros(self.offset, &mut block[..read])?
                    else {
                        break;
                    };
                    tracing::warn!(path = %self.path.display(), bytes = behind - self.offset, "zeros in the log were passed over; a power cut leaves such holes");
                    self.offset = behind;
                    continue;
                }
                let used = self.split(&block[..read], &stream, lines, lines_max);
                taken += used;
                self.offset += used as u64;
            }
        }
        self.at_the_end(lines, now)
    }

    /// Cuts a block into lines; gives the bytes that were used.
    fn split(
        &mut self,
        block: &[u8],
        stream: &Arc<str>,
        lines: &mut Vec<Line>,
        lines_max: usize,
    ) -> usize {
        let mut used = 0;
        while used < block.len() && lines.len() < lines_max {
            let rest = &block[used..];
            if self.partial.is_empty() && rest[0] == 0 {
                return used;
            }
            let end = memchr::memchr(b'\n', rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            let room = RAW_BYTES_MAX.saturating_sub(self.partial.len()).min(piece.len());
            self.partial.extend_from_slice(&piece[..room]);
            self.partial_cut += (piece.len() - room) as u64;
            let Some(end) = end else { return block.len() };
            used += end + 1;
            let line_end = self.offset + used as u64;
            lines.push(self.take_line(stream, line_end));
        }
        used
    }

    fn take_line(&mut self, stream: &Arc<str>, end: u64) -> Line {
        let start = std::mem::replace(&mut self.line_start, end);
        let mut bytes = std::mem::take(&mut self.partial);
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Line {
            stream: Arc::clone(stream),
            start,
            end,
            bytes,
            cut: std::mem::take(&mut self.partial_cut),
        }
    }

    /// Everything was read: is the file still the one with its name?
    fn at_the_end(&mut self, lines: &mut Vec<Line>, now: Instant) -> io::Result<Seen> {
        if self.is_late {
            return Ok(Seen::Waiting);
        }
        let same = match fs::metadata(&self.path) {
            Ok(data) => (data.dev(), data.ino()) == (self.device, self.inode),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if same && !self.is_old {
            self.rotated_at = None;
            return Ok(Seen::Waiting);
        }
        if !lines.is_empty() {
            self.rotated_at = Some(now);
            return Ok(Seen::More);
        }
        let since = *self.rotated_at.get_or_insert(now);
        if !self.is_old && now.saturating_duration_since(since) < LINGER {
            return Ok(Seen::Waiting);
        }
        // A last line without an end will not get one any more.
        if let (false, Some(stream)) = (self.partial.is_empty(), self.stream.clone()) {
            let end = self.offset;
            lines.push(self.take_line(&stream, end));
        }
        Ok(Seen::Gone)
    }

    /// The file that has the name now, if any.
    pub(super) fn successor(&self, path: &Path, checkpoints: &dyn Checkpoints) -> Option<Self> {
        let mut next = Self::open(path, path, false).ok()?;
        if (next.device, next.inode) == (self.device, self.inode) {
            // Reading failed on it: go on where it was.
            (next.generation, next.print) = (self.generation, self.print);
            next.stream.clone_from(&self.stream);
            (next.offset, next.line_start) = (self.line_start, self.line_start);
            return Some(next);
        }
        next.identify(checkpoints).ok()?;
        Some(next)
    }
}
