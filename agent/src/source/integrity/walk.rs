//! All files under some folders, in the order of their paths, without following any link.

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    vec,
};

use super::scope::Scope;

/// Folders within folders. A deeper one is made to hurt whoever looks.
const DEPTH_MAX: usize = 128;

/// One after another.
pub(super) struct Walk<'a> {
    scope: &'a Scope,
    roots: vec::IntoIter<PathBuf>,
    /// The folders that are open, each with what is left of it.
    open: Vec<(PathBuf, vec::IntoIter<OsString>)>,
    left: u64,
    /// Told of each folder before its names are read, so that nothing falls between.
    enters: &'a mut dyn FnMut(&Path),
    /// What could not be looked into, with the reason; in order.
    pub(super) blind: Vec<(PathBuf, io::Error)>,
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
            blind: Vec::new(),
            cut_at: None,
        }
    }

    /// Whether what is not met there may be there all the same.
    pub(super) fn is_blind_at(&self, path: &Path) -> bool {
        // Of the same folder, the last one counts: those before lie before all paths that are still asked for.
        self.blind.last().is_some_and(|(blind, _)| path.starts_with(blind))
            || self.cut_at.as_ref().is_some_and(|cut| path >= cut.as_path())
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
            self.blind.push((folder.to_owned(), deep));
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
            Err(error) => self.blind.push((folder.to_owned(), error)),
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
                    self.blind.push((path, error));
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
}
