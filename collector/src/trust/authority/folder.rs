//! Files of the authority: one writer at a time.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

pub use vonggac_daemon::files::FileError;
pub(in crate::trust) use vonggac_daemon::files::{
    Readers, failed, make, read, replace, sync_folder,
};

/// Held by who writes to the authority's folder; other processes wait. It ends with the process, however that ends.
pub(in crate::trust) struct Held {
    _file: File,
}

/// Waits until nobody else holds the lock.
pub(in crate::trust) fn hold(dir: &Path, what: &str) -> Result<Held, FileError> {
    let path = dir.join(what);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open", &path))?;
    file.lock().map_err(failed("lock", &path))?;
    Ok(Held { _file: file })
}
