//! A file that is cut: by copytruncate, which copies it before, or by `> file`.

use std::io;

use super::{super::rotated, Content, Follow, Reopened};
use crate::intake::Checkpoints;

impl Follow {
    /// Changed although it is as long as what was read: written to just now, or cut and grown to the same length.
    pub(super) fn was_rewritten(&mut self) -> io::Result<bool> {
        let changed = self.modified().unwrap_or_default();
        if changed != self.changed && self.was_replaced()? {
            return Ok(true);
        }
        self.changed = changed;
        Ok(false)
    }

    /// Cut and grown again beyond where it was read to: its first line is another.
    pub(super) fn was_replaced(&mut self) -> io::Result<bool> {
        let plain = matches!(self.content, Content::Plain(_));
        Ok(plain && !self.is_old && self.stream.is_some() && self.print()? != Some(self.print))
    }

    /// A new generation from its first byte. What was copied away before is read first; what was neither read nor copied is lost.
    pub(super) fn was_cut(&mut self, checkpoints: &dyn Checkpoints) -> io::Result<()> {
        tracing::info!(path = %self.path.display(), "the file was cut; it is read from its beginning");
        let copy = rotated::copy_of(self);
        if copy.is_none() {
            self.lost += self.known_length.saturating_sub(self.line_start);
        }
        self.copy = copy.map(Box::new);
        self.generation += 1;
        self.stream = None;
        (self.offset, self.line_start) = (0, 0);
        self.partial.clear();
        self.partial_cut = 0;
        self.at_end = false;
        self.changed = self.modified().unwrap_or_default();
        // It may be cut again before the copy is read.
        self.known_length = self.content.length()?.unwrap_or_default();
        self.identify(checkpoints)
    }

    /// It is not its turn yet: it is known by its first line, and what is copied away and cut meanwhile is not missed.
    pub(in super::super) fn waits(&mut self, checkpoints: &dyn Checkpoints) -> io::Result<()> {
        if self.copy.is_some() || self.is_unchanged() || self.reopen()? != Reopened::Open {
            return Ok(());
        }
        // What is packed is not cut.
        let Some(length) = self.content.length()? else { return Ok(()) };
        if length < self.offset || self.was_replaced()? {
            return self.was_cut(checkpoints);
        }
        self.changed = self.modified().unwrap_or_default();
        self.known_length = length;
        self.identify(checkpoints)
    }
}
