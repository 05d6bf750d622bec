//! The bytes of a log, plain or compressed by the rotation.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

use flate2::read::MultiGzDecoder;

/// What rotations and administrators compress with; those that cannot be read are not taken for logs either.
const PACKED: [&str; 7] = ["gz", "zst", "xz", "bz2", "lz4", "Z", "zip"];

/// Bytes thrown away at once on the way to a place in a compressed log.
const SKIP_BYTES: usize = 64 * 1024;

/// Written zeros at the end of a log that are waited for: what a writer elsewhere has sent and the server has not shown yet is less.
const ZEROS_WAIT_BYTES_MAX: u64 = 4 << 20;

/// A log's bytes.
#[derive(Debug)]
pub(super) enum Content {
    Plain(File),
    Packed(Box<Packed>),
    /// Not held open; it had this name when it was closed.
    Closed(PathBuf),
}

/// A compressed log, read forward.
pub(super) struct Packed {
    path: PathBuf,
    decoder: Box<dyn Read + Send>,
    at: u64,
    /// What was read last: a reader that takes less comes back for the rest, and nothing is unpacked again.
    last: Vec<u8>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Packed").field("path", &self.path).field("at", &self.at).finish()
    }
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// When it was made, where the file system knows: an inode is used again as soon as its file is gone.
    pub(super) born: Option<SystemTime>,
}

impl Identity {
    pub(super) fn of(data: &std::fs::Metadata) -> Self {
        Self { device: data.dev(), inode: data.ino(), born: data.created().ok() }
    }
}

impl Content {
    /// Opens an ordinary file; anything else is refused with a sentence, and never waited for.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Identity)> {
        // A pipe would hold the opening until somebody writes.
        let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("is no ordinary file; name log files only"));
        }
        let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
        let data = file.metadata()?;
        if !data.is_file() {
            return Err(io::Error::other("is no ordinary file; name log files only"));
        }
        let identity = Identity::of(&data);
        if is_packed(path) {
            let decoder = decoder(path, file)?;
            let packed = Packed { path: path.to_owned(), decoder, at: 0, last: Vec::new() };
            return Ok((Self::Packed(Box::new(packed)), identity));
        }
        Ok((Self::Plain(file), identity))
    }

    /// Reads at a place; in a compressed log everything before it has to be unpacked.
    pub(super) fn read_at(&mut self, block: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read_at(block, offset),
            Self::Packed(packed) => packed.read_at(block, offset),
            Self::Closed(_) => Err(io::Error::other("is not open")),
        }
    }

    /// Behind zeros that begin at a place: where a byte follows that is none, if one does.
    ///
    /// A power cut leaves such holes, and a file that another machine writes shows them for a moment where its bytes have not come yet.
    /// So zeros at the end are waited for, unless they are more than [`ZEROS_WAIT_BYTES_MAX`].
    ///
    /// `block` holds what stands there, and is read into.
    pub(super) fn behind_zeros(&self, place: u64, block: &mut [u8]) -> io::Result<Option<u64>> {
        let Self::Plain(file) = self else {
            let zeros = block.iter().take_while(|byte| **byte == 0).count();
            return Ok(Some(place + zeros as u64));
        };
        let mut at = place;
        loop {
            // What was never written need not be read: a sparse file may be larger than any disk.
            match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
                Ok(data) => at = at.max(data),
                Err(rustix::io::Errno::NXIO) => return Ok(None),
                Err(_) => {}
            }
            let read = file.read_at(block, at)?;
            if let Some(found) = block[..read].iter().position(|byte| *byte != 0) {
                return Ok(Some(at + found as u64));
            }
            at += read as u64;
            if read == 0 {
                return Ok(None);
            }
            if at - place > ZEROS_WAIT_BYTES_MAX {
                return Ok(Some(at));
            }
        }
    }

    /// How long a plain log is; `None` for a compressed one, which does not say.
    pub(super) fn length(&self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain(file) => Ok(Some(file.metadata()?.len())),
            Self::Closed(at) if !is_packed(at) => {
                Ok(std::fs::metadata(at).ok().map(|data| data.len()))
            }
            Self::Packed(_) | Self::Closed(_) => Ok(None),
        }
    }

    /// Held open.
    pub(super) const fn is_open(&self) -> bool {
        !matches!(self, Self::Closed(_))
    }

    /// Whether this open compressed log holds so many bytes.
    pub(super) fn packs(&self, length: u64) -> bool {
        let Self::Packed(packed) = self else { return false };
        packed_length(&packed.path).is_ok_and(|packed| u64::from(packed) == length % (1 << 32))
    }

    /// Compressed, and open.
    pub(super) const fn is_packed(&self) -> bool {
        matches!(self, Self::Packed(_))
    }

    /// Lets go of it and remembers its name; tells whether it did. What has no name any more stays open.
    pub(super) fn close(&mut self) -> bool {
        let name = match self {
            Self::Plain(file) => name_of(file),
            Self::Packed(packed) => Some(packed.path.clone()).filter(|path| path.exists()),
            Self::Closed(_) => None,
        };
        let closes = name.is_some();
        if let Some(name) = name {
            *self = Self::Closed(name);
        }
        closes
    }
}

/// The name that an open file has now, whatever it was opened by.
fn name_of(file: &File) -> Option<PathBuf> {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let (own, named) = (file.metadata().ok()?, std::fs::metadata(&name).ok()?);
    ((own.dev(), own.ino()) == (named.dev(), named.ino())).then_some(name)
}

impl Packed {
    fn read_at(&mut self, block: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some(rest) = self.rest_of_last(offset) {
            let length = rest.len().min(block.len());
            block[..length].copy_from_slice(&rest[..length]);
            return Ok(length);
        }
        if offset < self.at {
            self.decoder = decoder(&self.path, File::open(&self.path)?)?;
            self.at = 0;
        }
        let mut skipped = vec![0; if offset > self.at { SKIP_BYTES } else { 0 }];
        while self.at < offset {
            let wanted = usize::try_from(offset - self.at).unwrap_or(SKIP_BYTES).min(SKIP_BYTES);
            let read = self.decoder.read(&mut skipped[..wanted])?;
            if read == 0 {
                return Ok(0);
            }
            self.at += read as u64;
            self.last.clear();
        }
        let read = self.decoder.read(block)?;
        self.at += read as u64;
        self.last.clear();
        self.last.extend_from_slice(&block[..read]);
        Ok(read)
    }

    fn rest_of_last(&self, offset: u64) -> Option<&[u8]> {
        let back = usize::try_from(self.at.checked_sub(offset)?).ok()?;
        let rest = &self.last[self.last.len().checked_sub(back)?..];
        (!rest.is_empty()).then_some(rest)
    }
}

/// What unpacks a file, by its name.
fn decoder(path: &Path, file: File) -> io::Result<Box<dyn Read + Send>> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("gz") => Ok(Box::new(MultiGzDecoder::new(BufReader::new(file)))),
        Some("zst") => Ok(Box::new(zstd::Decoder::new(file)?)),
        _ => Err(io::Error::other(
            "is compressed in a way that is not read; let the rotation use gzip or zstd",
        )),
    }
}

pub(super) fn is_packed(path: &Path) -> bool {
    path.extension().and_then(|end| end.to_str()).is_some_and(|end| PACKED.contains(&end))
}

/// The length of a compressed log, modulo 2^32: of gzip by its last four bytes (RFC 1952), of others by unpacking.
pub(super) fn packed_length(path: &Path) -> io::Result<u32> {
    let file = File::open(path)?;
    if path.extension().is_none_or(|end| end != "gz") {
        let length = io::copy(&mut decoder(path, file)?, &mut io::sink())?;
        return Ok(u32::try_from(length % (1 << 32)).unwrap_or(0));
    }
    let mut tail = [0; 4];
    let length = file.metadata()?.len();
    file.read_exact_at(&mut tail, length.checked_sub(4).ok_or(io::ErrorKind::UnexpectedEof)?)?;
    Ok(u32::from_le_bytes(tail))
}
