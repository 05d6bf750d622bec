//! What a rotation did while nobody looked: files that have another name now, some of them compressed, some never seen.
//!
//! A rotated file is known again by its inode, or, compressed, by its first line. Those that were rotated after the newest known
//! one are new and are read from their beginning; order is that of their last change, which compression keeps.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    content::{is_packed, packed_length},
    file::{FileIdentity, Follow, Place},
};
use crate::intake::Checkpoints;

/// Rotated files of one log that are looked at: years of a daily one.
const SIBLINGS_MAX: usize = 1_024;

/// What was found for a path.
pub(super) struct Opened {
    /// The oldest first; the last is the one that has the name now.
    pub(super) files: Vec<Follow>,
    /// What was read of before is nowhere any more: lines may be lost.
    pub(super) lost: bool,
}

/// A file that was rotated.
struct Sibling {
    path: PathBuf,
    modified: (i64, i64),
    device: u64,
    inode: u64,
}

impl Sibling {
    /// Whether it was changed after a file whose last change is this. Compression may keep the time to the second only.
    fn is_newer(&self, than: (i64, i64)) -> bool {
        if is_packed(&self.path) { self.modified.0 >= than.0 } else { self.modified > than }
    }
}

/// Opens a log, and before it what was rotated away since the agent last read it.
pub(super) fn open(path: &Path, at_end: bool, checkpoints: &dyn Checkpoints) -> io::Result<Opened> {
    let known = known(path, checkpoints);
    let mut current = Follow::open(path, path, at_end && known.is_empty())?;
    if known.is_empty() {
        current.identify(checkpoints)?;
        return Ok(Opened { files: vec![current], lost: false });
    }
    let print = current.print()?;
    // Cut, and copied before: the copy is another file that begins as the cut one did.
    let cut_print = |k: &&Known| {
        (k.device, k.inode) == (current.device, current.inode) && Some(k.print) != print
    };
    let cut: Vec<u32> = known.iter().filter(cut_print).map(|k| k.print).collect();
    let goes_on = known.iter().any(|k| k.is(current.device, current.inode, print));
    let mut siblings = siblings(path);
    siblings.retain(|s| (s.device, s.inode) != (current.device, current.inode));
    let (mut files, mut newest_known) = (Vec::new(), None);
    let mut strangers = Vec::new();
    for sibling in siblings {
        match old(path, &sibling, &known, &cut, checkpoints) {
            Ok(Found::Unread(mut follow)) => {
                newest_known = newest_known.max(Some(sibling.modified));
                // It is opened again when it is its turn.
                follow.close();
                files.push(*follow);
            }
            Ok(Found::Read) => newest_known = newest_known.max(Some(sibling.modified)),
            Ok(Found::Stranger) => strangers.push((sibling, files.len())),
            Err(error) => {
                tracing::warn!(path = %sibling.path.display(), %error, "a rotated log cannot be read");
            }
        }
    }
    if !goes_on {
        let mut inserted = 0;
        for (sibling, place) in strangers {
            if newest_known.is_none_or(|newest| !sibling.is_newer(newest)) {
                continue;
            }
            let mut follow = Follow::open(path, &sibling.path, false)?;
            follow.is_old = true;
            follow.identify(checkpoints)?;
            follow.close();
            files.insert(place + inserted, follow);
            inserted += 1;
        }
    }
    current.identify(checkpoints)?;
    files.push(current);
    Ok(Opened { files, lost: !goes_on && newest_known.is_none() })
}

/// What had the name between a file that has ended and the one that has it now: rotations within a moment. Those in `read` were read
/// already, although the spool may not hold them yet.
pub(super) fn between(
    path: &Path,
    ended: &Follow,
    read: &VecDeque<FileIdentity>,
    checkpoints: &dyn Checkpoints,
) -> Vec<Follow> {
    let Some(since) = ended.modified() else { return Vec::new() };
    let current = fs::metadata(path).ok().map(|data| (data.dev(), data.ino()));
    let known = known(path, checkpoints);
    let stranger = |sibling: &Sibling| {
        let mut follow = Follow::open(path, &sibling.path, false)?;
        follow.is_old = true;
        let print = follow.print()?;
        let was_read = if is_packed(&sibling.path) {
            let length = packed_length(&sibling.path)?;
            let whole = |resume: u64| resume % (1 << 32) == u64::from(length);
            known.iter().any(|k| Some(k.print) == print && whole(k.resume))
                || (ended.has_print(print) && whole(ended.standing().0))
        } else {
            known.iter().any(|k| k.is(sibling.device, sibling.inode, print))
        };
        follow.identify(checkpoints)?;
        // An inode is used again soon after its file is gone: only with the first line it is the same file.
        let was_read = was_read || follow.identity().is_some_and(|own| read.contains(&own));
        Ok::<_, io::Error>((!was_read).then_some(follow))
    };
    let mut files = Vec::new();
    for sibling in siblings(path) {
        let own = (sibling.device, sibling.inode);
        let others = Some(own) != current && own != (ended.device, ended.inode);
        if !others || !sibling.is_newer(since) {
            continue;
        }
        match stranger(&sibling) {
            Ok(follow) => files.extend(follow),
            Err(error) => {
                tracing::warn!(path = %sibling.path.display(), %error, "a rotated log cannot be read");
            }
        }
    }
    files
}

/// What a rotation copied away before it cut this file, from the first line that was not read. Of copies that begin alike, the
/// newest; one that was made before the file's last change is none of it.
pub(super) fn copy_of(cut: &Follow) -> Option<Follow> {
    let Place { path, stream, next_line: place, changed } = cut.place()?;
    let copied = |sibling: &Sibling| {
        let mut follow = Follow::open(path, &sibling.path, false)?;
        if !cut.has_print(follow.print()?) {
            return Ok(None);
        }
        let length = length(&sibling.path)?;
        follow.is_old = true;
        follow.take_over(&stream, place, length);
        Ok::<_, io::Error>((length > place % (1 << 32)).then_some(follow))
    };
    let siblings = siblings(path).into_iter().rev();
    let others = |s: &Sibling| (s.device, s.inode) != (cut.device, cut.inode);
    let fresh = siblings.filter(|s| others(s) && (s.modified == changed || s.is_newer(changed)));
    fresh.filter_map(|sibling| copied(&sibling).ok().flatten()).next()
}

/// The streams of a path that were read before.
fn known(path: &Path, checkpoints: &dyn Checkpoints) -> Vec<Known> {
    let prefix = format!("tail:{}#", path.display());
    let streams = checkpoints.known(&prefix).into_iter();
    streams.filter_map(|(name, resume)| Known::of(name, prefix.len(), resume)).collect()
}

/// A stream that was read before.
struct Known {
    name: String,
    device: u64,
    inode: u64,
    print: u32,
    resume: u64,
}

impl Known {
    /// Of "tail:PATH#DEVICE:INODE:PRINT#GENERATION", where the path takes so many bytes.
    fn of(name: String, path_bytes: usize, resume: u64) -> Option<Self> {
        let (identity, _) = name.get(path_bytes..)?.split_once('#')?;
        let mut parts = identity.split(':');
        let device = parts.next()?.parse().ok()?;
        let inode = parts.next()?.parse().ok()?;
        let print = u32::from_str_radix(parts.next()?, 16).ok()?;
        Some(Self { name, device, inode, print, resume })
    }

    fn is(&self, device: u64, inode: u64, print: Option<u32>) -> bool {
        (self.device, self.inode) == (device, inode) && Some(self.print) == print
    }
}

enum Found {
    Unread(Box<Follow>),
    Read,
    Stranger,
}

/// Whether a rotated file was read before, and whether wholly. Where the file itself was `cut`, copies of what began so are it.
fn old(
    path: &Path,
    sibling: &Sibling,
    known: &[Known],
    cut: &[u32],
    checkpoints: &dyn Checkpoints,
) -> io::Result<Found> {
    let packed = is_packed(&sibling.path);
    let mut follow = Follow::open(path, &sibling.path, false)?;
    follow.is_old = true;
    let print = follow.print()?;
    if !known.iter().any(|k| Some(k.print) == print) {
        return Ok(Found::Stranger);
    }
    let length = length(&sibling.path)?;
    // Compression gives another inode. Of several logs that begin alike, the one that was read furthest is meant.
    let of_inode = known
        .iter()
        .filter(|k| k.is(sibling.device, sibling.inode, print))
        .max_by_key(|k| generation(&k.name));
    let of_print = || {
        let alike =
            known.iter().filter(|k| (packed || cut.contains(&k.print)) && Some(k.print) == print);
        alike.filter(|k| k.resume % (1 << 32) <= length).max_by_key(|k| k.resume)
    };
    let Some(found) = of_inode.or_else(of_print) else { return Ok(Found::Stranger) };
    let read = if packed { found.resume % (1 << 32) == length } else { found.resume >= length };
    if read {
        return Ok(Found::Read);
    }
    let resume = checkpoints.resume(&found.name).unwrap_or(found.resume);
    follow.take_over(&found.name, resume, length);
    Ok(Found::Unread(Box::new(follow)))
}

/// How long it is; of a compressed one modulo 2^32.
fn length(path: &Path) -> io::Result<u64> {
    if is_packed(path) { packed_length(path).map(u64::from) } else { Ok(fs::metadata(path)?.len()) }
}

fn generation(name: &str) -> u32 {
    name.rsplit('#').next().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The rotated files of a log, the oldest first.
fn siblings(path: &Path) -> Vec<Sibling> {
    let Some(folder) = path.parent() else { return Vec::new() };
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut all: Vec<Sibling> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_rotated(path, &entry.path()))
        // What is being compressed is still there, and is read instead.
        .filter(|entry| !is_packed(&entry.path()) || !entry.path().with_extension("").exists())
        .filter_map(|entry| {
            let data = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(Sibling {
                path: entry.path(),
                modified: (data.mtime(), data.mtime_nsec()),
                device: data.dev(),
                inode: data.ino(),
            })
        })
        .take(SIBLINGS_MAX)
        .collect();
    all.sort_by_key(|sibling| sibling.modified);
    all
}

/// Whether `other` has the name that a rotation of `path` gives: `a.log.1`, `a.log-20261124.gz`, `a-2026-11-24.log`, `a.1.log`.
pub(super) fn is_rotated(path: &Path, other: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(own), Some(other)) = (name(path), name(other)) else { return false };
    if own == other {
        return false;
    }
    let (stem, end) = own.rsplit_once('.').unwrap_or((own.as_str(), ""));
    let Some(rest) = other.strip_prefix(stem) else { return false };
    let packed = is_packed(Path::new(rest)).then(|| rest.rsplit_once('.')).flatten();
    let rest = packed.map_or(rest, |(rest, _)| rest);
    let dotted = format!(".{end}");
    let rest = if end.is_empty() {
        rest
    } else if let Some(rest) = rest.strip_prefix(&dotted) {
        rest
    } else if let Some(rest) = rest.strip_suffix(&dotted) {
        rest
    } else {
        return false;
    };
    let number = rest.strip_suffix(".old").unwrap_or(rest);
    other.ends_with(".old") && number.is_empty()
        || matches!(number.as_bytes(), [b'.' | b'-' | b'_', rest @ ..] if rest.first().is_some_and(u8::is_ascii_digit)
            && rest.iter().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b'T' | b':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_rotations_give_are_known() {
        let is = |other: &str| is_rotated(Path::new("/l/access.log"), Path::new(other));
        for name in [
            "access.log.1",
            "access.log.12.gz",
            "access.log.2.zst",
            "access.log-20261124.xz",
            "access.log-20261124",
            "access.log-20261124.gz",
            "access-2026-11-24.log",
            "access.1.log",
            "access.log.old",
            "access.log-2026-11-24T00:00:00.gz",
        ] {
            assert!(is(name), "{name}");
        }
        for name in [
            "access.log",
            "error.log.1",
            "access.log.bak",
            "access.logs",
            "access_ssl.log",
            "access.log.swp",
        ] {
            assert!(!is(name), "{name}");
        }
        assert!(is_rotated(Path::new("/l/syslog"), Path::new("/l/syslog.2.gz")));
        assert!(is_rotated(Path::new("/l/messages"), Path::new("/l/messages-20261124")));
    }
}
