//! Opening what may be anything: only plain files are ever opened for reading, and none keeps its reader waiting.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags};

/// Opens a plain file that is no link. A FIFO, device or socket that took its place meanwhile is refused without waiting for it.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    opened(path, OFlags::NOFOLLOW)
}

/// The first bytes of a plain file; a link is followed.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let (file, _) = opened(path, OFlags::empty())?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same as text, with what is no UTF-8 replaced.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read(path, bytes_max)?).into_owned())
}

fn opened(path: &Path, also: OFlags) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY | also;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let data = file.metadata()?;
    if data.is_file() { Ok((file, data)) } else { Err(io::Error::other("is no plain file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_are_opened_and_nobody_waits_for_a_fifo() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("plain"), "text").unwrap();
        std::os::unix::fs::symlink("plain", at("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(open(&at("plain")).is_ok());
        assert!(open(&at("link")).is_err());
        assert_eq!(read(&at("link"), 2).unwrap(), b"te");
        assert!(open(&at("fifo")).is_err() && read(&at("fifo"), 9).is_err());
        assert!(open(Path::new("/dev/zero")).is_err() && open(dir.path()).is_err());
    }
}
