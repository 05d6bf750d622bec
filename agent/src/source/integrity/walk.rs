//! All files under some folders, in the order of their paths, without following any link.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    vec,
};

use super::scope::Scope;

/// Folders within folders. A deeper one is made to hurt whoever looks.
const DEPTH_MAX: usize = 128;

/// Paths that cannot be looked into one after another, before what is next: a folder whose names can be read and nothing more.
const BLIND_MAX: usize = 4_096;

/// One after another.
pub(super) struct Walk<'a> {
    scope: &'a Scope,
    roots: vec::IntoIter<PathBuf>,
    /// The folders that are open, each with what is left of it.
    open: Vec<(PathBuf, vec::IntoIter<OsString>)>,
    left: u64,
    /// Told of each folder before its names are read, so that nothing falls between.
    enters: &'a mut dyn FnMut(&Path),
    /// What could not be looked into, with the reason; in order, as long as something below it is still asked for.
    blind: VecDeque<(PathBuf, io::Error)>,
    /// How many of them were handed out.
    blind_told: usize,
    /// The first path beyond what may be watched.
    pub(super) cut_at: Option<PathBuf>,
}

impl<'a> Walk<'a> {
    /// Over these, which are in order; at most so many.
    pub(super) fn new(
        roots: Vec<PathBuf>,
        files_max: u64,
        scope: &'a Scope,
        enters: &'a mut dyn FnMut(&Path),
    ) -> Self {
        Self {
            scope,
            roots: roots.into_iter(),
            open: Vec::new(),
            left: files_max,
            enters,
            blind: VecDeque::new(),
            blind_told: 0,
            cut_at: None,
        }
    }

    /// Whether what is not met there may be there all the same.
    pub(super) fn is_blind_at(&self, path: &Path) -> bool {
        self.blind.iter().any(|(blind, _)| path.starts_with(blind))
            || self.cut_at.as_ref().is_some_and(|cut| path >= cut.as_path())
    }

    /// What could not be looked into since this was asked last.
    pub(super) fn fresh_blind(&mut self) -> impl Iterator<Item = &(PathBuf, io::Error)> {
        let told = std::mem::replace(&mut self.blind_told, self.blind.len());
        self.blind.iter().skip(told)
    }

    /// Forgets what lies before the path that is asked for next; `None`: nothing is asked for any more.
    pub(super) fn pass_blind(&mut self, next: Option<&Path>) {
        let is_over = |(blind, _): &(PathBuf, io::Error)| {
            next.is_none_or(|next| blind.as_path() < next && !next.starts_with(blind))
        };
        while self.blind_told > 0 && self.blind.front().is_some_and(is_over) {
            self.blind.pop_front();
            self.blind_told -= 1;
        }
    }

    /// Remembers what cannot be looked into. Beyond the limit nothing is taken for known.
    fn refused(&mut self, path: PathBuf, error: io::Error) {
        if self.blind.len() >= BLIND_MAX {
            self.cut_at.get_or_insert(path);
        } else {
            self.blind.push_back((path, error));
        }
    }

    fn path(&mut self) -> Option<PathBuf> {
        while let Some((folder, names)) = self.open.last_mut() {
            if let Some(name) = names.next() {
                return Some(folder.join(name));
            }
            self.open.pop();
        }
        self.roots.next()
    }

    fn enter(&mut self, folder: &Path) {
        if self.open.len() >= DEPTH_MAX {
            let deep = io::Error::other("is deeper than is looked");
            self.refused(folder.to_owned(), deep);
            return;
        }
        (self.enters)(folder);
        match fs::read_dir(folder) {
            Ok(names) => {
                let mut names: Vec<OsString> =
                    names.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
                names.sort_unstable();
                self.open.push((folder.to_owned(), names.into_iter()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.refused(folder.to_owned(), error),
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = (PathBuf, Metadata);

    fn next(&mut self) -> Option<Self::Item> {
        while self.cut_at.is_none() {
            let path = self.path()?;
            if self.scope.leaves_out(&path) {
                continue;
            }
            let data = match fs::symlink_metadata(&path) {
                Ok(data) => data,
                // It went between the list and the look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => continue,
                Err(error) => {
                    self.refused(path, error);
                    continue;
                }
            };
            if self.left == 0 {
                self.cut_at = Some(path);
                return None;
            }
            self.left -= 1;
            if data.is_dir() {
                self.enter(&path);
            }
            return Some((path, data));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_paths_and_a_loop_of_links_ends() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/x/1", "a/x.d/1", "a-b/1", "a/x-/1"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("..", dir.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink("self", dir.path().join("self")).unwrap();
        let scope = Scope::new(&[], &["*.d".into()], Path::new("/nowhere"));
        let mut enter = |_: &Path| {};
        let roots = vec![dir.path().to_owned()];
        let walked: Vec<PathBuf> =
            Walk::new(roots.clone(), 100, &scope, &mut enter).map(|(path, _)| path).collect();
        let mut sorted = walked.clone();
        sorted.sort();
        assert_eq!(walked, sorted);
        let names: Vec<_> =
            walked.iter().map(|p| p.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(
            names,
            ["", "a", "a/loop", "a/x", "a/x/1", "a/x-", "a/x-/1", "a-b", "a-b/1", "self"]
        );
        let mut short = Walk::new(roots, 3, &scope, &mut enter);
        assert_eq!(short.by_ref().count(), 3);
        assert!(short.is_blind_at(&dir.path().join("self")));
        assert!(!short.is_blind_at(&dir.path().join("a/a")));
    }

    #[test]
    fn each_of_several_folders_that_cannot_be_looked_into_hides_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let scope = Scope::new(&[], &[], Path::new("/nowhere"));
        let mut enter = |_: &Path| {};
        let mut walk = Walk::new(vec![], 100, &scope, &mut enter);
        for name in ["a", "b", "c"] {
            walk.refused(dir.path().join(name), io::Error::other("not yours"));
        }
        assert_eq!(walk.fresh_blind().count(), 3);
        assert_eq!(walk.fresh_blind().count(), 0, "each is told once");
        for name in ["a/1", "a/2", "b/1", "c/1"] {
            let path = dir.path().join(name);
            walk.pass_blind(Some(&path));
            assert!(walk.is_blind_at(&path), "{name}");
        }
        let after = dir.path().join("c.d");
        walk.pass_blind(Some(&after));
        assert!(!walk.is_blind_at(&after) && walk.blind.is_empty());
        for number in 0..=BLIND_MAX {
            walk.refused(dir.path().join(format!("x{number:05}")), io::Error::other("not yours"));
        }
        assert!(walk.is_blind_at(&dir.path().join("y")), "beyond the limit nothing is known");
    }
}
