//! Files that take over a path while an older one is still read: they are held open before they can be rotated away again.

use std::{
    collections::VecDeque,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    super::{content::Identity, file::Follow, rotated},
    Followed,
};
use crate::intake::Checkpoints;

/// How often it is asked whether another file has the name, while there is more to read in this one.
const HOLD_INTERVAL: Duration = Duration::from_millis(250);

/// Files of one path that are read one after the other: a rotation each quarter of an hour may be four hours behind.
const HELD_FILES_MAX: usize = 16;

/// Files that had the name and could not be held: their sizes are known, should they be gone when it is their turn.
const UNHELD_MAX: usize = 256;

impl Followed {
    /// Opens what has the name by now, before it can be rotated away again: it may take a while until reading comes to it.
    pub(super) fn hold(&mut self, path: &Path, checkpoints: &dyn Checkpoints, now: Instant) {
        if now.saturating_duration_since(self.held_looked) < HOLD_INTERVAL {
            return;
        }
        self.held_looked = now;
        self.watch_cuts(path, checkpoints);
        let Ok(data) = fs::metadata(path) else { return };
        let own = Identity::of(&data);
        let Some(last) = self.files.back() else { return };
        if is_held(&self.files, own) {
            return;
        }
        if self.files.len() >= HELD_FILES_MAX {
            match self.unheld.iter().position(|(other, _)| *other == own) {
                Some(at) => self.unheld[at].1 = data.len(),
                None if self.unheld.len() < UNHELD_MAX => self.unheld.push((own, data.len())),
                None => {}
            }
            return;
        }
        let mut fresh = rotated::between(path, last, &self.read, checkpoints);
        fresh.extend(last.successor(path, checkpoints));
        for file in fresh {
            if self.files.len() >= HELD_FILES_MAX {
                return;
            }
            let is_known = is_held(&self.files, file.own())
                || self.files.iter().any(|held| file.is_packed_of(held));
            if !is_known {
                self.files.push_back(file);
            }
        }
        self.settle();
    }

    /// Of files that could not be held, those that are not followed now are gone.
    pub(super) fn settle(&mut self) {
        for (other, length) in std::mem::take(&mut self.unheld) {
            if !is_held(&self.files, other) {
                self.unheld_lost += length;
            }
        }
    }

    /// Files that wait for their turn may be copied away and cut meanwhile: the copy is read before.
    fn watch_cuts(&mut self, path: &Path, checkpoints: &dyn Checkpoints) {
        let mut at = 0;
        while at < self.files.len() {
            let file = &mut self.files[at];
            if let Err(error) = file.waits(checkpoints) {
                tracing::debug!(path = %path.display(), %error, "a log that waits cannot be read");
            }
            if let Some(copy) = file.take_copy() {
                self.files.insert(at, copy);
                at += 1;
            }
            at += 1;
        }
    }
}

fn is_held(files: &VecDeque<Follow>, own: Identity) -> bool {
    files.iter().any(|file| file.own() == own)
}
