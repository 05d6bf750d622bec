//! Reading contents, never faster than the host can spare.

use std::{
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use md5::{Digest, Md5};
use tokio_util::sync::CancellationToken;

use super::entry::{Content, Entry};
use crate::{
    governor::{self, Rank},
    source::{allowance::Allowance, plain_file},
};

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// How long a stop may be waited for.
const NAP_MAX: Duration = Duration::from_millis(200);

/// A file that changes while it is read is read again so often; then the next look has to find it at rest.
const TRIES_MAX: usize = 3;

/// The agent stops.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// What reading found.
pub(super) enum Reading {
    /// What it is, with its content, and the content itself where it was asked for and is small.
    Here(Box<Entry>, Option<Vec<u8>>),
    /// It went away, or something else took its place.
    Gone,
    /// It cannot be read.
    Refused(io::Error),
}

/// Reads and sums.
pub(super) struct Hasher {
    per_second: u64,
    bytes_max: u64,
    allowance: Allowance,
    /// How much of that the agent may take now, to keep within its ceilings.
    reading_pace: governor::Reading,
    stop: CancellationToken,
    block: Vec<u8>,
    /// Bytes read in all.
    pub(super) bytes: u64,
}

impl Hasher {
    pub(super) fn new(per_second: u64, bytes_max: u64, stop: CancellationToken) -> Self {
        let allowance = Allowance::new(per_second, Instant::now());
        let (reading_pace, block) = (governor::Reading::default(), vec![0; BLOCK_BYTES]);
        Self { per_second, bytes_max, allowance, reading_pace, stop, block, bytes: 0 }
    }

    /// Slows down with what can wait.
    pub(super) fn with_pace(mut self, pace: governor::Reading) -> Self {
        self.reading_pace = pace;
        self
    }

    /// The file as it is now, with its hashes. `keep`: the content is handed out if it is no longer than this.
    pub(super) fn read(&mut self, path: &Path, keep: u64) -> Result<Reading, Stopped> {
        for last in (0..TRIES_MAX).rev() {
            let (mut file, data) = match plain_file::open(path) {
                Ok(opened) => opened,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Reading::Gone),
                Err(error) => return Ok(Reading::Refused(error)),
            };
            let mut entry = Entry::of(path, &data);
            if data.size() > self.bytes_max {
                entry.content = Content::TooLarge;
                return Ok(Reading::Here(Box::new(entry), None));
            }
            let mut blake3 = blake3::Hasher::new();
            let mut sha256 = ring::digest::Context::new(&ring::digest::SHA256);
            let mut kept = (data.size() <= keep).then(Vec::new);
            let mut read = 0;
            // What grows while it is read would never end.
            while read <= self.bytes_max {
                let count = match file.read(&mut self.block) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Ok(Reading::Refused(error)),
                };
                let bytes = self.block.get(..count).unwrap_or_default();
                blake3.update(bytes);
                sha256.update(bytes);
                if let Some(all) = &mut kept
                    && (all.len() + count) as u64 <= keep
                {
                    all.extend_from_slice(bytes);
                }
                read += count as u64;
                self.pay(count as u64)?;
            }
            let same =
                file.metadata().is_ok_and(|after| Entry::of(path, &after).looks_like(&entry));
            if same || last == 0 {
                let mut sum = [0; 32];
                sum.copy_from_slice(sha256.finish().as_ref());
                entry.content =
                    Content::Hashed { blake3: *blake3.finalize().as_bytes(), sha256: sum };
                return Ok(Reading::Here(Box::new(entry), kept));
            }
        }
        Ok(Reading::Gone)
    }

    /// The sum by which dpkg, and rpm of old, know a file; `None` if it cannot be read.
    pub(super) fn md5(&mut self, path: &Path) -> Result<Option<String>, Stopped> {
        let Ok((mut file, data)) = plain_file::open(path) else { return Ok(None) };
        if data.size() > self.bytes_max {
            return Ok(None);
        }
        let mut sum = Md5::new();
        loop {
            match file.read(&mut self.block) {
                Ok(0) => return Ok(Some(hex(&sum.finalize()))),
                Ok(count) => {
                    sum.update(self.block.get(..count).unwrap_or_default());
                    self.pay(count as u64)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
        }
    }

    fn pay(&mut self, bytes: u64) -> Result<(), Stopped> {
        self.bytes += bytes;
        let per_second = slowed(self.per_second, self.reading_pace.share(Rank::Later));
        wait(&mut self.allowance, bytes, per_second, &self.stop)
    }
}

/// What is left of a rate; never nothing.
fn slowed(per_second: u64, share: f64) -> u64 {
    if share >= 1.0 {
        return per_second;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a part of a rate that is far below 2^52"
    )]
    let left = (per_second as f64 * share) as u64;
    left.max(1)
}

/// Waits until as much may be taken.
pub(super) fn wait(
    allowance: &mut Allowance,
    count: u64,
    per_second: u64,
    stop: &CancellationToken,
) -> Result<(), Stopped> {
    while let Err(wait) = allowance.take(count, per_second, Instant::now()) {
        if stop.is_cancelled() {
            return Err(Stopped);
        }
        thread::sleep(wait.min(NAP_MAX));
    }
    if stop.is_cancelled() { Err(Stopped) } else { Ok(()) }
}

/// In small letters.
pub(in crate::source) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_that_everybody_computes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let mut hasher = Hasher::new(1 << 20, 1 << 20, CancellationToken::new());
        let Ok(Reading::Here(entry, Some(text))) = hasher.read(&path, 3) else { panic!("read") };
        let Content::Hashed { blake3, sha256 } = entry.content else { panic!("hashed") };
        assert_eq!(text, b"abc");
        assert!(hex(&blake3).starts_with("6437b3ac38465133ffb63b75273a8db5"));
        assert!(hex(&sha256).starts_with("ba7816bf8f01cfea414140de5dae2223"));
        assert_eq!(hasher.md5(&path).unwrap().unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hasher.bytes, 6);
    }

    #[test]
    fn what_is_too_large_gone_or_no_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("long"), "abcdef").unwrap();
        let mut hasher = Hasher::new(1 << 20, 5, CancellationToken::new());
        let Ok(Reading::Here(entry, None)) = hasher.read(&dir.path().join("long"), 100) else {
            panic!("read")
        };
        assert_eq!(entry.content, Content::TooLarge);
        assert!(matches!(hasher.read(&dir.path().join("none"), 0), Ok(Reading::Gone)));
        assert!(matches!(hasher.read(Path::new("/dev/zero"), 0), Ok(Reading::Refused(_))));
        assert_eq!(hasher.bytes, 0);
    }

    #[test]
    fn contents_can_wait_where_the_agent_keeps_within_a_ceiling() {
        assert_eq!(slowed(1 << 20, 1.0), 1 << 20);
        assert_eq!((slowed(1_000, 0.25), slowed(10, 0.01)), (250, 1));
        let pace = governor::Reading::default();
        let mut hasher =
            Hasher::new(1 << 20, 1 << 20, CancellationToken::new()).with_pace(pace.clone());
        hasher.pay(2 << 20).unwrap();
        pace.set(governor::Paces { shares: [0.5, 1.0, 1.0], ..governor::Paces::full(9) });
        let begun = Instant::now();
        hasher.pay(256 << 10).unwrap();
        // A quarter of a second's bytes take half of one.
        assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_stop_is_not_waited_for() {
        let stop = CancellationToken::new();
        let mut allowance = Allowance::new(1, Instant::now());
        stop.cancel();
        assert_eq!(wait(&mut allowance, 1_000_000, 1, &stop), Err(Stopped));
    }
}
