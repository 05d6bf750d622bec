//! What is known of one file, and its form in the store.

use std::{
    ffi::OsString,
    fs::Metadata,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use bytes::{Buf, BufMut};

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    Fifo,
    Socket,
    Device,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::File, Self::Folder, Self::Link, Self::Fifo, Self::Socket, Self::Device];

    pub(super) fn of(data: &Metadata) -> Self {
        let kind = data.file_type();
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Folder
        } else if kind.is_symlink() {
            Self::Link
        } else if kind.is_fifo() {
            Self::Fifo
        } else if kind.is_socket() {
            Self::Socket
        } else {
            Self::Device
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Link => "link",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Device => "device",
        }
    }
}

/// What its content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It has none.
    None,
    /// Larger than is read.
    TooLarge,
    /// It could not be read.
    Unreadable,
    /// Its hashes.
    Hashed { blake3: [u8; 32], sha256: [u8; 32] },
}

/// One file, folder, link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// The lower twelve bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// Nanoseconds since 1970, of the content.
    pub(super) modified: i64,
    /// The same, of the inode.
    pub(super) changed: i64,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) content: Content,
    /// A link's target.
    pub(super) link: PathBuf,
    /// The text of a small configuration file without its secrets, packed; empty: none is kept.
    pub(super) text: Vec<u8>,
}

fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

impl Entry {
    /// What a look at the file tells, without its content.
    pub(super) fn of(path: &Path, data: &Metadata) -> Self {
        let kind = Kind::of(data);
        let link = match kind {
            Kind::Link => std::fs::read_link(path).unwrap_or_default(),
            _ => PathBuf::new(),
        };
        Self {
            path: path.to_owned(),
            kind,
            mode: data.mode() & 0o7777,
            uid: data.uid(),
            gid: data.gid(),
            size: data.size(),
            modified: nanos(data.mtime(), data.mtime_nsec()),
            changed: nanos(data.ctime(), data.ctime_nsec()),
            device: data.dev(),
            inode: data.ino(),
            content: Content::None,
            link,
            text: Vec::new(),
        }
    }

    /// Nothing speaks for a change since. The inode's time cannot be set back by whoever changes a file. Times are compared, never
    /// ordered: a clock that jumps makes no file older.
    pub(super) fn looks_like(&self, fresh: &Self) -> bool {
        let same = |a: &Self, b: &Self| {
            (a.kind, a.mode, a.uid, a.gid) == (b.kind, b.mode, b.uid, b.gid) && a.link == b.link
        };
        same(self, fresh)
            && (self.kind != Kind::File
                || (self.size, self.modified, self.changed, self.device, self.inode)
                    == (fresh.size, fresh.modified, fresh.changed, fresh.device, fresh.inode))
    }

    /// As the store keeps it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let kind = Kind::ALL.iter().position(|kind| *kind == self.kind).unwrap_or(0);
        out.put_u8(u8::try_from(kind).unwrap_or(0));
        out.put_u32_le(self.mode);
        out.put_u32_le(self.uid);
        out.put_u32_le(self.gid);
        out.put_u64_le(self.size);
        out.put_i64_le(self.modified);
        out.put_i64_le(self.changed);
        out.put_u64_le(self.device);
        out.put_u64_le(self.inode);
        match &self.content {
            Content::None => out.put_u8(0),
            Content::TooLarge => out.put_u8(1),
            Content::Unreadable => out.put_u8(2),
            Content::Hashed { blake3, sha256 } => {
                out.put_u8(3);
                out.put_slice(blake3);
                out.put_slice(sha256);
            }
        }
        put_bytes(out, self.path.as_os_str().as_bytes());
        put_bytes(out, self.link.as_os_str().as_bytes());
        put_bytes(out, &self.text);
    }

    /// Reads it again; `None`: the bytes are no entry.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let kind = *Kind::ALL.get(usize::from(from.try_get_u8().ok()?))?;
        let mode = from.try_get_u32_le().ok()?;
        let uid = from.try_get_u32_le().ok()?;
        let gid = from.try_get_u32_le().ok()?;
        let size = from.try_get_u64_le().ok()?;
        let modified = from.try_get_i64_le().ok()?;
        let changed = from.try_get_i64_le().ok()?;
        let device = from.try_get_u64_le().ok()?;
        let inode = from.try_get_u64_le().ok()?;
        let content = match from.try_get_u8().ok()? {
            0 => Content::None,
            1 => Content::TooLarge,
            2 => Content::Unreadable,
            3 => {
                let (mut blake3, mut sha256) = ([0; 32], [0; 32]);
                from.try_copy_to_slice(&mut blake3).ok()?;
                from.try_copy_to_slice(&mut sha256).ok()?;
                Content::Hashed { blake3, sha256 }
            }
            _ => return None,
        };
        let path = OsString::from_vec(take_bytes(from)?).into();
        let link = OsString::from_vec(take_bytes(from)?).into();
        let text = take_bytes(from)?;
        Some(Self {
            path,
            kind,
            mode,
            uid,
            gid,
            size,
            modified,
            changed,
            device,
            inode,
            content,
            link,
            text,
        })
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Paths and packed texts are far below four gigabytes.
    out.put_u32_le(u32::try_from(bytes.len()).unwrap_or(0));
    out.put_slice(bytes);
}

fn take_bytes(from: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(from.try_get_u32_le().ok()?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_bytes_that_are_none_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("to/nowhere", dir.path().join("link")).unwrap();
        let data = std::fs::symlink_metadata(dir.path().join("link")).unwrap();
        let mut entry = Entry::of(&dir.path().join("link"), &data);
        assert_eq!((entry.kind, entry.link.as_path()), (Kind::Link, Path::new("to/nowhere")));
        entry.content = Content::Hashed { blake3: [1; 32], sha256: [2; 32] };
        entry.text = b"text".to_vec();
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        assert_eq!(Entry::decode(&bytes), Some(entry));
        for cut in 0..bytes.len() {
            assert_eq!(Entry::decode(&bytes[..cut]), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _entry = Entry::decode(&bytes);
        }
    }
}
