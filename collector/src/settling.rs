//! Folders that somebody changes while the collector runs: what is in them is read once it is another than before and is not being changed any
//! more. Files are looked at and not watched by notification, so that folders on a network count as well.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Files that are told apart: as many as a folder of rules may have.
const FILES_MAX: usize = 10_000;

/// Length and time of change of each file.
pub(crate) type Stamp = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// What is known of a folder.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// As it was read.
    read: Stamp,
    /// As it was seen last.
    seen: Stamp,
}

impl Settling {
    /// Was read when it looked so.
    #[cfg(test)]
    pub(crate) fn of(read: Stamp) -> Self {
        Self { seen: read.clone(), read }
    }

    /// It is to be read: it is other than what was read, and is not being changed any more.
    pub(crate) fn is_due(&mut self, stamp: Stamp) -> bool {
        let settled = stamp == self.seen;
        let due = settled && stamp != self.read;
        if due {
            self.read.clone_from(&stamp);
        }
        self.seen = stamp;
        due
    }
}

/// Whether a new reading takes the place of what was known before. One in which something was refused, and which lacks more than half of what
/// was known, is more likely a broken file than a shorter list: detection would go blind where nobody looks.
pub(crate) const fn is_taken(before: usize, now: usize, refused: usize) -> bool {
    refused == 0 || now >= before.div_ceil(2)
}

/// How a folder's files look, with those of so many folders within each other. What is hidden is being made.
pub(crate) fn look(folder: &Path, folders_deep_max: usize) -> std::io::Result<Stamp> {
    let mut stamp = Stamp::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder)?.flatten() {
            // Through links, as they are read: a list is often one that points at the newest.
            let Ok(data) = std::fs::metadata(entry.path()) else { continue };
            if data.is_dir() {
                if depth < folders_deep_max && !is_hidden(&entry.path()) {
                    folders.push((entry.path(), depth + 1));
                }
            } else if stamp.len() < FILES_MAX {
                stamp.insert(entry.path(), (data.len(), data.modified().ok()));
            }
        }
    }
    Ok(stamp)
}

/// A name that begins with a point.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, u64)]) -> Stamp {
        files.iter().map(|(name, length)| (PathBuf::from(name), (*length, None))).collect()
    }

    #[test]
    fn a_folder_is_read_once_it_has_changed_and_settled() {
        let mut folder = Settling::of(of(&[("a.csv", 5)]));
        assert!(!folder.is_due(of(&[("a.csv", 5)])));
        // It grows while it is written.
        for length in [9, 20, 31] {
            assert!(!folder.is_due(of(&[("a.csv", length)])), "{length}");
        }
        assert!(folder.is_due(of(&[("a.csv", 31)])));
        assert!(!folder.is_due(of(&[("a.csv", 31)])), "once");
        assert!(!folder.is_due(of(&[])));
        assert!(folder.is_due(of(&[])), "what was taken away is taken away");
        // There and back between two looks is no change.
        assert!(!folder.is_due(of(&[("a.csv", 1)])));
        assert!(!folder.is_due(of(&[])));
        assert!(!folder.is_due(of(&[])));
    }

    #[test]
    fn a_broken_list_does_not_take_what_was_known_away() {
        for (before, now, refused, taken) in [
            (0, 0, 1, true),
            (100, 100, 3, true),
            (100, 50, 1, true),
            (100, 49, 1, false),
            (100, 0, 1, false),
            (100, 0, 0, true),
        ] {
            assert_eq!(is_taken(before, now, refused), taken, "{before} {now} {refused}");
        }
    }

    #[test]
    fn files_are_told_apart_by_length_and_time_also_behind_links_and_in_folders() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        std::fs::write(&file, "one").unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join("b.csv")).unwrap();
        for name in ["deep", ".hidden"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("c.csv"), "c").unwrap();
        }
        let first = look(folder.path(), 0).unwrap();
        assert_eq!(first, look(folder.path(), 0).unwrap());
        assert_eq!(look(folder.path(), 1).unwrap().len(), 3);
        std::fs::write(&file, "longer").unwrap();
        let second = look(folder.path(), 0).unwrap();
        assert!(first.len() == 2 && first.iter().all(|(path, of)| second[path] != *of));
        assert!(look(Path::new("/nowhere"), 0).is_err());
    }
}
