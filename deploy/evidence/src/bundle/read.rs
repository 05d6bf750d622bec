//! Reads a bundle that anybody may have made: nothing is unpacked, and nothing is believed before it was bounded.

use std::{
    cell::Cell,
    io::{self, BufReader, Read},
    rc::Rc,
};

use super::{ENTRY_BYTES_MAX, Name};

/// zstd's window: what its decoder may hold.
const WINDOW_LOG_MAX: u32 = 25;

/// How many times its own size a bundle may be. Ours are some ten to thirty times; hashes and signatures do not shrink at all.
const GROWS_TIMES_MAX: u64 = 400;

/// What a bundle may grow to in any case.
const GROWS_BYTES_MIN: u64 = 64 << 20;

/// Why a bundle cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file.
    #[error("read the bundle: {0}")]
    Io(io::Error),
    /// It ends within something.
    #[error("read the bundle to its end: it is cut, so nothing is proved; have it sent again")]
    Cut,
    /// It is no tar under zstd.
    #[error("read the bundle: it is none, or it is damaged: {0}")]
    Damaged(io::Error),
    /// It grows beyond all measure.
    #[error(
        "read the bundle: it grows to more than {GROWS_TIMES_MAX} times its size, as no bundle does"
    )]
    Bomb,
    /// A file of it is too large.
    #[error("read the bundle: its file {0:?} has more than {ENTRY_BYTES_MAX} bytes")]
    Large(String),
    /// It holds more than a bundle can.
    #[error("read the bundle: it holds more {0} than a bundle can")]
    Many(&'static str),
    /// A file is of no kind that there is.
    #[error("read the bundle: it holds {0:?}, as no bundle does")]
    Strange(String),
}

/// Counts what passes.
struct Counted<R> {
    inner: R,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to)?;
        self.bytes.set(self.bytes.get().saturating_add(read as u64));
        Ok(read)
    }
}

/// What comes out of the decoder, no more than what went in allows.
struct Bounded<R> {
    inner: R,
    read: u64,
    packed: Rc<Cell<u64>>,
}

/// What [`Bounded`] says; told apart from other errors by its kind.
const BOMB: io::ErrorKind = io::ErrorKind::QuotaExceeded;

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to)?;
        self.read = self.read.saturating_add(read as u64);
        let most =
            self.packed.get().saturating_mul(GROWS_TIMES_MAX).saturating_add(GROWS_BYTES_MIN);
        if self.read > most {
            return Err(BOMB.into());
        }
        Ok(read)
    }
}

/// A file of a bundle.
pub type File = (Name, Vec<u8>);

/// Hands out each file of a bundle, in order.
///
/// # Errors
/// If it is no bundle, is cut, or is larger than any; or what `each` says.
pub fn files<E: From<ReadError>>(
    from: impl Read,
    mut each: impl FnMut(File) -> Result<(), E>,
) -> Result<(), E> {
    let packed = Rc::new(Cell::new(0));
    let counted = Counted { inner: from, bytes: Rc::clone(&packed) };
    let mut decoder = zstd::Decoder::with_buffer(BufReader::new(counted)).map_err(told)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(told)?;
    let mut archive = tar::Archive::new(Bounded { inner: decoder, read: 0, packed });
    // Raw: long names would be read without a bound, and a bundle has none.
    for entry in archive.entries().map_err(told)?.raw(true) {
        let mut entry = entry.map_err(told)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let known = Name::read(&name).filter(|_| entry.header().entry_type().is_file());
        let Some(known) = known else { return Err(ReadError::Strange(name).into()) };
        let bytes = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        if bytes > ENTRY_BYTES_MAX {
            return Err(ReadError::Large(name).into());
        }
        // Grows with what comes, whatever the header promises.
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(told)?;
        if content.len() != bytes {
            return Err(ReadError::Cut.into());
        }
        each((known, content))?;
    }
    Ok(())
}

fn told(error: io::Error) -> ReadError {
    match error.kind() {
        BOMB => ReadError::Bomb,
        io::ErrorKind::UnexpectedEof => ReadError::Cut,
        io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => ReadError::Io(error),
        _ if is_cut(&error) => ReadError::Cut,
        _ => ReadError::Damaged(error),
    }
}

/// tar and zstd wrap an end that came too soon.
fn is_cut(error: &io::Error) -> bool {
    let text = error.to_string();
    text.contains("incomplete frame")
        || text.contains("unexpected EOF")
        || text.contains("unexpected end")
}
