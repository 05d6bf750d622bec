//! Files that others read while they are written: each replaced as a whole, keys for the owner alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What could not be done with a file.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {source}", .path.display())]
pub struct FileError {
    /// What was tried.
    what: &'static str,
    /// The file.
    path: PathBuf,
    /// Why not.
    source: io::Error,
}

/// Names the file in an error.
pub fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError { what, path: path.to_owned(), source }
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// 0600.
    Owner,
    /// 0644.
    All,
}

/// Puts a file in place as a whole: who reads it finds the old one or the new one.
///
/// # Errors
/// If it cannot be written.
pub fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), FileError> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
    // One that a crash left may have another mode.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("replace", &fresh)(error));
        }
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&fresh)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(failed("write", &fresh))?;
    fs::rename(&fresh, path).map_err(failed("write", path))?;
    sync_folder(path)
}

/// Makes a name that was put into a folder outlive a power cut.
///
/// # Errors
/// If the disk refuses.
pub fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}

/// Makes a folder for the owner alone, unless it is there.
///
/// # Errors
/// If it cannot be made.
pub fn make(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))
}

/// A whole file that is a text.
///
/// # Errors
/// If it cannot be read, or is none.
pub fn read(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(failed("read", path))
}
