//! The baseline: what each file was when it was last told of.
//!
//! A look at all files and the store go through the paths in one order, so both are streams and neither is ever in memory as a whole:
//! `baseline` is a file of entries sorted by path, replaced as a whole by a rename; `changes` is appended to, and is worked into it
//! when it grows. In memory are the place of each [`BLOCK_BYTES`]th byte and the recent changes. A database would keep its own pages in
//! memory and its own log on the disk, for a store that is either read from end to end or asked for one path in a minute.
//!
//! Each record is its length, its crc32c, its bytes. A power cut can tear only the end of `changes`: what stood there is told again.
//! Anything else that is damaged has the baseline made anew.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    ops::Bound,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::entry::Entry;

const MAIN: &str = "baseline";
const FRESH: &str = "baseline.new";
const CHANGES: &str = "changes";

/// Between two places that are remembered: the bytes that are read to find one path.
const BLOCK_BYTES: u64 = 16 * 1024;

/// Changes in memory before they are worked in.
const CHANGES_MAX: usize = 4_096;

/// Bytes of one record: a path, a link and a packed text of 64 KiB.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// How the file ends, so that one that was cut is known.
const END: &[u8] = b"end";

/// What the store says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Seconds since 1970 when it was made.
    pub(super) made: i64,
    /// The same when all contents were last read.
    pub(super) verified: i64,
    /// The patterns that it was made by.
    pub(super) paths: Vec<String>,
    /// The patterns that were left out.
    pub(super) exclude: Vec<String>,
}

/// In what state the store was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There was none.
    Fresh,
    /// As it should be.
    Whole,
    /// Not to be used, and why.
    Damaged(String),
}

/// The store.
pub(super) struct Baseline {
    dir: PathBuf,
    header: Header,
    index: Vec<(PathBuf, u64)>,
    count: u64,
    changes: BTreeMap<PathBuf, Option<Entry>>,
    journal: File,
}

fn put(out: &mut impl Write, payload: &[u8]) -> io::Result<u64> {
    let length = u32::try_from(payload.len())
        .map_err(|_| io::Error::other("a record of the baseline is too long"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&crc32c::crc32c(payload).to_le_bytes())?;
    out.write_all(payload)?;
    Ok(8 + u64::from(length))
}

/// The next record. An end within a record, a wrong length or sum are errors.
fn take(from: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<()> {
    let mut head = [0; 8];
    from.read_exact(&mut head)?;
    let [a, b, c, d, e, f, g, h] = head;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > RECORD_BYTES_MAX {
        return Err(io::Error::other("a record has a wrong length"));
    }
    payload.resize(length, 0);
    from.read_exact(payload)?;
    if crc32c::crc32c(payload) == u32::from_le_bytes([e, f, g, h]) {
        Ok(())
    } else {
        Err(io::Error::other("a record does not fit its sum"))
    }
}

impl Baseline {
    /// Opens the store of this folder, which is made if it is not there.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Found)> {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut journal = options.read(true).append(true).create(true).open(dir.join(CHANGES))?;
        let mut store = Self {
            dir: dir.to_owned(),
            header: Header::default(),
            index: Vec::new(),
            count: 0,
            changes: BTreeMap::new(),
            journal: journal.try_clone()?,
        };
        let found = match store.load() {
            Ok(true) => Found::Whole,
            Ok(false) => Found::Fresh,
            Err(error) => Found::Damaged(error.to_string()),
        };
        if found == Found::Whole {
            store.replay(&mut journal)?;
        } else {
            store.index.clear();
            journal.set_len(0)?;
        }
        Ok((store, found))
    }

    /// Reads the sorted file once from end to end.
    fn load(&mut self) -> io::Result<bool> {
        let file = match File::open(self.dir.join(MAIN)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut from = BufReader::with_capacity(64 * 1024, file);
        let mut payload = Vec::new();
        take(&mut from, &mut payload)?;
        self.header = serde_json::from_slice(&payload)?;
        let mut at = 8 + payload.len() as u64;
        let mut index = Index::default();
        loop {
            take(&mut from, &mut payload)?;
            if payload == END {
                self.index = index.places;
                self.count = index.count;
                return Ok(true);
            }
            let entry =
                Entry::decode(&payload).ok_or_else(|| io::Error::other("a record is no entry"))?;
            index.note(&entry.path, at);
            at += 8 + payload.len() as u64;
        }
    }

    /// Takes what was appended, up to where a power cut tore it.
    fn replay(&mut self, journal: &mut File) -> io::Result<()> {
        let length = journal.metadata()?.len();
        let mut from = BufReader::new(&mut *journal);
        let (mut whole, mut payload) = (0, Vec::new());
        while whole < length && take(&mut from, &mut payload).is_ok() {
            let Some((first, rest)) = payload.split_first() else { break };
            if *first == 0 {
                let path = std::os::unix::ffi::OsStringExt::from_vec(rest.to_vec());
                let path: std::ffi::OsString = path;
                self.changes.insert(path.into(), None);
            } else if let Some(entry) = Entry::decode(rest) {
                self.changes.insert(entry.path.clone(), Some(entry));
            } else {
                break;
            }
            whole += 8 + payload.len() as u64;
        }
        if whole < length {
            tracing::info!(
                bytes = length - whole,
                "the last changes of the baseline were torn; they are told again"
            );
            journal.set_len(whole)?;
        }
        Ok(())
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    /// Entries of the sorted file.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// A store in place of this one; entries come in the order of their paths.
    pub(super) fn begin(&self, header: &Header) -> io::Result<Writer> {
        let path = self.dir.join(FRESH);
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.write(true).create(true).truncate(true).open(&path)?;
        let mut out = BufWriter::with_capacity(64 * 1024, file);
        let at = put(&mut out, &serde_json::to_vec(header)?)?;
        Ok(Writer { out, at, header: header.clone(), index: Index::default(), payload: Vec::new() })
    }

    /// Puts it in place. From then on it is there, whatever happens.
    pub(super) fn replace(&mut self, writer: Writer) -> io::Result<()> {
        let Writer { mut out, header, index, .. } = writer;
        put(&mut out, END)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(self.dir.join(FRESH), self.dir.join(MAIN))?;
        File::open(&self.dir)?.sync_all()?;
        (self.header, self.index, self.count) = (header, index.places, index.count);
        // What stands in the changes is in the new file: reading them again would change nothing.
        self.changes.clear();
        self.journal.set_len(0)
    }

    /// Notes what became of these paths; `None`: it is gone. On the disk when this returns.
    pub(super) fn put(&mut self, changes: Vec<(PathBuf, Option<Entry>)>) -> io::Result<()> {
        let (mut bytes, mut payload) = (Vec::new(), Vec::new());
        for (path, entry) in changes {
            payload.clear();
            match &entry {
                Some(entry) => {
                    payload.push(1);
                    entry.encode(&mut payload);
                }
                None => {
                    payload.push(0);
                    payload.extend_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(
                        path.as_os_str(),
                    ));
                }
            }
            put(&mut bytes, &payload)?;
            self.changes.insert(path, entry);
        }
        self.journal.write_all(&bytes)?;
        self.journal.sync_data()?;
        if self.changes.len() > CHANGES_MAX {
            let header = self.header.clone();
            self.work_in(&header)?;
        }
        Ok(())
    }

    /// Works the changes into the sorted file, under this header.
    pub(super) fn work_in(&mut self, header: &Header) -> io::Result<()> {
        let mut writer = self.begin(header)?;
        let mut all = self.under(Path::new("/"))?;
        while let Some(entry) = all.next()? {
            writer.put(&entry)?;
        }
        self.replace(writer)
    }

    /// All entries at and below this path, in order.
    pub(super) fn under(&self, path: &Path) -> io::Result<Cursor> {
        let block = self.index.partition_point(|(first, _)| first.as_path() <= path);
        let place = self.index.get(block.saturating_sub(1)).map(|(_, at)| *at);
        let main = match place {
            None => None,
            Some(at) => {
                let mut file = File::open(self.dir.join(MAIN))?;
                file.seek(SeekFrom::Start(at))?;
                Some(BufReader::with_capacity(usize::try_from(BLOCK_BYTES).unwrap_or(4096), file))
            }
        };
        let from = (Bound::Included(path), Bound::Unbounded);
        let changes: Vec<_> = self
            .changes
            .range::<Path, _>(from)
            .take_while(|(changed, _)| changed.starts_with(path))
            .map(|(changed, entry)| (changed.clone(), entry.clone()))
            .collect();
        Ok(Cursor {
            under: path.to_owned(),
            main,
            read: None,
            changes: changes.into_iter().peekable(),
            payload: Vec::new(),
        })
    }
}

/// Where blocks begin.
#[derive(Default)]
struct Index {
    places: Vec<(PathBuf, u64)>,
    count: u64,
}

impl Index {
    fn note(&mut self, path: &Path, at: u64) {
        self.count += 1;
        if self.places.last().is_none_or(|(_, last)| at - last >= BLOCK_BYTES) {
            self.places.push((path.to_owned(), at));
        }
    }
}

/// A store that is being made.
pub(super) struct Writer {
    out: BufWriter<File>,
    at: u64,
    header: Header,
    index: Index,
    payload: Vec<u8>,
}

impl Writer {
    pub(super) fn put(&mut self, entry: &Entry) -> io::Result<()> {
        self.payload.clear();
        entry.encode(&mut self.payload);
        self.index.note(&entry.path, self.at);
        self.at += put(&mut self.out, &self.payload)?;
        Ok(())
    }
}

/// Entries in order: the sorted file with the changes laid over it.
pub(super) struct Cursor {
    under: PathBuf,
    main: Option<BufReader<File>>,
    /// The next of the sorted file.
    read: Option<Entry>,
    changes: std::iter::Peekable<std::vec::IntoIter<(PathBuf, Option<Entry>)>>,
    payload: Vec<u8>,
}

impl Cursor {
    /// The next entry. It goes on over the file that it began with, whatever becomes of the store meanwhile.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        loop {
            self.fill()?;
            let changed_first = match (&self.read, self.changes.peek()) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(read), Some((changed, _))) => *changed <= read.path,
            };
            if !changed_first {
                return Ok(self.read.take());
            }
            let Some((path, entry)) = self.changes.next() else { return Ok(None) };
            if self.read.as_ref().is_some_and(|read| read.path == path) {
                self.read = None;
            }
            if entry.is_some() {
                return Ok(entry);
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.read.is_none() {
            let Some(main) = &mut self.main else { return Ok(()) };
            take(main, &mut self.payload)?;
            let entry = if self.payload == END { None } else { Entry::decode(&self.payload) };
            match entry {
                Some(entry) if entry.path.starts_with(&self.under) => self.read = Some(entry),
                Some(entry) if entry.path < self.under => {}
                _ => self.main = None,
            }
        }
        Ok(())
    }
}
