//! What the kernel tells of changes.
//!
//! `inotify` itself, not the general crate over it: that one asks to be told of each opening of a file too, and would be woken by
//! every program that starts.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

/// Paths that are remembered; beyond, all files are looked at.
const PATHS_MAX: usize = 4_096;

/// A burst of changes is looked at once it is over ...
const QUIET: Duration = Duration::from_millis(500);

/// ... or has lasted so long.
const BURST_MAX: Duration = Duration::from_secs(5);

/// Paths in which something changed.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub(super) paths: BTreeSet<PathBuf>,
    /// More than could be remembered.
    pub(super) all: bool,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Dirty {
    pub(super) fn note(&mut self, path: PathBuf, now: Instant) {
        if self.paths.len() >= PATHS_MAX {
            self.overflow(now);
            return;
        }
        self.paths.insert(path);
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    pub(super) fn overflow(&mut self, now: Instant) {
        self.all = true;
        self.paths.clear();
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// How long the oldest change has waited, once the burst is over.
    pub(super) fn ripe(&self, now: Instant) -> Option<Duration> {
        let (first, last) = (self.first?, self.last?);
        let waited = now.saturating_duration_since(first);
        (now.saturating_duration_since(last) >= QUIET || waited >= BURST_MAX).then_some(waited)
    }

    /// The topmost paths, and whether all have to be looked at instead.
    pub(super) fn take(&mut self) -> (Vec<PathBuf>, bool) {
        let Self { paths, all, .. } = std::mem::take(self);
        let mut paths: Vec<PathBuf> = paths.into_iter().collect();
        paths.dedup_by(|later, earlier| later.starts_with(earlier));
        (paths, all)
    }
}

/// The folders that are watched.
pub(super) struct Watch {
    inotify: Option<Inotify>,
    folders: HashMap<WatchDescriptor, PathBuf>,
    folders_max: usize,
    refused: bool,
}

impl Watch {
    /// At most so many. Where the kernel gives none, files are looked at by the interval alone.
    pub(super) fn new(folders_max: u64) -> Self {
        let inotify = Inotify::init()
            .inspect_err(|error| tracing::warn!(%error, "changes are not told here; files are looked at by the interval"))
            .ok();
        let folders_max = usize::try_from(folders_max).unwrap_or(usize::MAX);
        Self { inotify, folders: HashMap::new(), folders_max, refused: false }
    }

    /// Has changes in this folder told from now on.
    pub(super) fn enter(&mut self, folder: &Path) {
        let Some(inotify) = &self.inotify else { return };
        if self.folders.len() >= self.folders_max {
            self.refuse(&"more folders than watches_max");
            return;
        }
        let mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::CLOSE_WRITE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::ATTRIB
            | WatchMask::ONLYDIR
            | WatchMask::DONT_FOLLOW;
        match inotify.watches().add(folder, mask) {
            Ok(descriptor) => {
                self.folders.insert(descriptor, folder.to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&mut self, error: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.refused, true) {
            tracing::warn!(%error, "some folders are looked at by the interval alone");
        }
    }

    /// Takes what was told.
    pub(super) fn drain(&mut self, dirty: &mut Dirty, now: Instant) {
        let Some(inotify) = &mut self.inotify else { return };
        let mut buffer = [0; 16 * 1024];
        loop {
            let events = match inotify.read_events(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!(%error, "what changed was not told; all files are looked at");
                    dirty.overflow(now);
                    return;
                }
            };
            for event in events {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    tracing::warn!(
                        "more changed than the kernel could tell; all files are looked at"
                    );
                    dirty.overflow(now);
                } else if event.mask.contains(EventMask::IGNORED) {
                    self.folders.remove(&event.wd);
                } else if let (Some(folder), Some(name)) = (self.folders.get(&event.wd), event.name)
                {
                    dirty.note(folder.join(name), now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_ripe_when_it_is_over_and_too_many_paths_are_all() {
        let now = Instant::now();
        let mut dirty = Dirty::default();
        assert_eq!(dirty.ripe(now), None);
        dirty.note("/a/b".into(), now);
        dirty.note("/a".into(), now);
        dirty.note("/ab".into(), now);
        assert_eq!(dirty.ripe(now + QUIET / 2), None);
        assert_eq!(dirty.ripe(now + QUIET), Some(QUIET));
        assert_eq!(dirty.take(), (vec!["/a".into(), "/ab".into()], false));
        for n in 0..=PATHS_MAX {
            dirty.note(format!("/{n}").into(), now + BURST_MAX);
        }
        assert_eq!(dirty.take(), (vec![], true));
    }

    #[test]
    fn the_kernel_tells_of_a_file_that_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let (mut watch, mut dirty) = (Watch::new(10), Dirty::default());
        watch.enter(dir.path());
        std::fs::write(dir.path().join("a"), "x").unwrap();
        watch.drain(&mut dirty, Instant::now());
        assert_eq!(dirty.take().0, [dir.path().join("a")]);
        // One that is removed is forgotten.
        std::fs::remove_dir_all(dir.path()).unwrap();
        watch.drain(&mut dirty, Instant::now());
        assert!(watch.folders.is_empty());
    }
}
