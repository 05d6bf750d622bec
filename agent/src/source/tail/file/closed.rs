//! A file that is followed without being held open: it is looked at by its name, and opened again when it changed.
//!
//! A rotation may give it another name meanwhile, by which it is found again as long as it stays in its folder, or pack it. What was
//! removed although it was not read to its end is lost, and that is told with its size.

use std::{
    fs, io,
    os::unix::fs::{DirEntryExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{super::rotated, Content, Follow, Identity, Line, Seen, is_packed};

/// Whether a file is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reopened {
    /// It is.
    Open,
    /// It need not be: nothing changed, or it is being renamed just now.
    Resting,
    /// It is nowhere any more.
    Gone,
}

impl Follow {
    /// Lets go of the open file; tells whether it did. What has no name any more stays open, since it could not be opened again.
    pub(in super::super) fn close(&mut self) -> bool {
        let length = self.content.length().ok().flatten();
        let closes = self.content.close();
        if closes {
            // Should it be removed meanwhile, it is known how much is lost.
            self.known_length = self.known_length.max(length.unwrap_or_default());
        }
        closes
    }

    /// The kernel holds it open for the agent.
    pub(in super::super) const fn is_open(&self) -> bool {
        self.content.is_open()
    }

    /// Opens it again if it was closed and may have changed.
    pub(super) fn reopen(&mut self) -> io::Result<Reopened> {
        let Content::Closed(at) = &self.content else { return Ok(Reopened::Open) };
        let has_name = !self.is_leaving() && !self.is_late;
        let place = if has_name && self.is_at(&self.path).is_some() {
            self.path.clone()
        } else if self.is_at(at).is_some() {
            at.clone()
        } else if let Some(found) = self.renamed() {
            found
        } else {
            return Ok(Reopened::Gone);
        };
        let Some((length, changed)) = self.is_at(&place) else { return Ok(Reopened::Resting) };
        if !is_packed(&place) {
            let still = self.is_late || has_name && place == self.path;
            if still && length == self.offset && changed == self.changed {
                return Ok(Reopened::Resting);
            }
        }
        let (content, identity) = match Content::open(&place) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Reopened::Resting),
            Err(error) => return Err(error),
        };
        if identity != self.own() {
            return Ok(Reopened::Resting);
        }
        self.content = content;
        // The inode of a file that is gone is used again: with another first line it is another file.
        let other = !has_name && self.stream.is_some() && self.print()? != Some(self.print);
        if other {
            self.content = Content::Closed(place);
            return Ok(Reopened::Gone);
        }
        Ok(Reopened::Open)
    }

    /// The length of the file with this name and when it was changed, if it is this one.
    fn is_at(&self, path: &Path) -> Option<(u64, (i64, i64))> {
        let data = fs::metadata(path).ok()?;
        let found = (data.len(), (data.mtime(), data.mtime_nsec()));
        (Identity::of(&data) == self.own()).then_some(found)
    }

    /// What its file system knows it by.
    pub(in super::super) const fn own(&self) -> Identity {
        Identity { device: self.device, inode: self.inode, born: self.born }
    }

    /// It is closed, and is as it was then; or it is packed, and does not change.
    pub(super) fn is_unchanged(&self) -> bool {
        match &self.content {
            Content::Plain(_) => false,
            Content::Packed(_) => true,
            Content::Closed(at) => {
                is_packed(at) || self.is_at(at) == Some((self.known_length, self.changed))
            }
        }
    }

    /// The name that a rotation gave it, in its folder.
    fn renamed(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.path.parent()?).ok()?;
        let mut alike = entries.filter_map(Result::ok).filter(|entry| entry.ino() == self.inode);
        alike.find(|entry| self.is_at(&entry.path()).is_some()).map(|entry| entry.path())
    }

    /// It is nowhere any more. What a rotation packed of it is read instead; what was not read and is not there is lost.
    pub(super) fn vanished(&mut self, lines: &mut Vec<Line>) -> Seen {
        if std::mem::replace(&mut self.is_gone, true) {
            return Seen::Gone;
        }
        if let Some(copy) = rotated::copy_of(self) {
            self.copy = Some(Box::new(copy));
            self.partial.clear();
            return Seen::More;
        }
        self.lost += self.known_length.saturating_sub(self.offset);
        if let (false, Some(stream)) = (self.partial.is_empty(), self.stream.clone()) {
            let end = self.offset;
            lines.push(self.take_line(&stream, end));
        }
        Seen::Gone
    }

    /// It is what a rotation packed of a file that is followed already, and not read to its end.
    pub(in super::super) fn is_packed_of(&self, other: &Self) -> bool {
        let length = other.content.length().ok().flatten();
        other.has_print(Some(self.print)) && length.is_some_and(|length| self.content.packs(length))
    }

    /// Bytes that were gone before they could be read, since this was asked last.
    pub(in super::super) const fn take_lost(&mut self) -> u64 {
        std::mem::replace(&mut self.lost, 0)
    }

    /// Bytes that were there at the last look and are not read; of what is packed nobody knows.
    pub(in super::super) const fn behind(&self) -> Option<u64> {
        if self.content.is_packed() {
            return None;
        }
        Some(self.known_length.saturating_sub(self.offset))
    }
}
