//! Whose file it is: what dpkg and rpm say of it, so that an upgrade is told from a tampering.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    entry::{Entry, Kind},
    hash::Stopped,
};
use crate::source::plain_file;

mod dpkg;
mod rpm;

pub(in crate::source) use rpm::is_there as has_rpm;

/// Where packages put files. Elsewhere nobody is asked.
const PLACES: [&str; 8] = ["usr", "etc", "bin", "sbin", "lib", "lib64", "boot", "opt"];

/// Bytes of the kernel's list of locks.
const LOCKS_BYTES_MAX: u64 = 4 << 20;

/// What a package manager says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody was asked: there is no package manager, or it never puts files there.
    NotAsked,
    /// It is in no package that is installed.
    NotPackaged,
    /// As the package has it.
    AsPackaged(Package),
    /// It is in the package, which has no sum of it: a folder, a link, a file made at the installation.
    Named(Package),
    /// Another than the package has.
    Differs(Package),
    /// The same of a file that administrators are meant to change.
    ConfigurationDiffers(Package),
}

/// Name and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
}

/// The sum that a package has of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sum {
    Md5(String),
    Sha256(String),
}

/// A package's word on a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    package: Package,
    sum: Option<Sum>,
    configuration: bool,
}

/// The package managers of one host.
pub(super) struct Packages {
    root: PathBuf,
}

impl Packages {
    /// Of the host whose files are below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Whether one of them is at work: then files are in place that it has not written down yet.
    pub(super) fn are_busy(&self) -> bool {
        let inode = |path: &str| fs::metadata(self.root.join(path)).ok().map(|data| data.ino());
        let locks: Vec<u64> = ["var/lib/dpkg/lock", "var/lib/rpm/.rpm.lock"]
            .into_iter()
            .chain(["usr/lib/sysimage/rpm/.rpm.lock"])
            .filter_map(inode)
            .collect();
        !locks.is_empty()
            && plain_file::read_text(&self.root.join("proc/locks"), LOCKS_BYTES_MAX)
                .is_ok_and(|held| is_held(&held, &locks))
    }

    /// What they say of these files; `gone` ones are those that are not there any more.
    pub(super) fn ask(
        &self,
        files: &[(&Entry, bool)],
        md5: &mut dyn FnMut(&Path) -> Result<Option<String>, Stopped>,
    ) -> Result<Vec<Verdict>, Stopped> {
        let places: Vec<PathBuf> = PLACES.iter().map(|place| self.root.join(place)).collect();
        let local = self.root.join("usr/local");
        let asked = |path: &Path| {
            places.iter().any(|place| path.starts_with(place)) && !path.starts_with(&local)
        };
        let names: Vec<PathBuf> = files
            .iter()
            .filter(|(entry, _)| asked(&entry.path))
            .filter_map(|(entry, _)| entry.path.strip_prefix(&self.root).ok())
            .map(|path| Path::new("/").join(path))
            .collect();
        if names.is_empty() {
            return Ok(vec![Verdict::NotAsked; files.len()]);
        }
        let mut words: HashMap<PathBuf, Word> = HashMap::new();
        let mut any = false;
        if let Some(told) = dpkg::ask(&self.root, &names) {
            words.extend(told);
            any = true;
        }
        let rest: Vec<PathBuf> =
            names.iter().filter(|name| !words.contains_key(*name)).cloned().collect();
        if let Some(told) = rpm::ask(&self.root, &rest) {
            words.extend(told);
            any = true;
        }
        let mut verdicts = Vec::with_capacity(files.len());
        for (entry, gone) in files {
            let name = entry.path.strip_prefix(&self.root).map(|path| Path::new("/").join(path));
            verdicts.push(match name.ok().and_then(|name| words.get(&name)) {
                _ if !any || !asked(&entry.path) => Verdict::NotAsked,
                None => Verdict::NotPackaged,
                Some(word) => judge(entry, *gone, word, md5)?,
            });
        }
        Ok(verdicts)
    }
}

fn judge(
    entry: &Entry,
    gone: bool,
    word: &Word,
    md5: &mut dyn FnMut(&Path) -> Result<Option<String>, Stopped>,
) -> Result<Verdict, Stopped> {
    let package = word.package.clone();
    let differs = |package| {
        if word.configuration {
            Verdict::ConfigurationDiffers(package)
        } else {
            Verdict::Differs(package)
        }
    };
    if gone {
        return Ok(differs(package));
    }
    let Some(sum) = &word.sum else { return Ok(Verdict::Named(package)) };
    if entry.kind != Kind::File {
        return Ok(differs(package));
    }
    let same = match sum {
        Sum::Md5(sum) => md5(&entry.path)?.map(|now| now == *sum),
        Sum::Sha256(sum) => match &entry.content {
            super::entry::Content::Hashed { sha256, .. } => Some(super::hash::hex(sha256) == *sum),
            _ => None,
        },
    };
    Ok(match same {
        Some(true) => Verdict::AsPackaged(package),
        Some(false) => differs(package),
        None => Verdict::Named(package),
    })
}

/// Whether one of these inodes is locked, by the kernel's list (`1: POSIX  ADVISORY  WRITE 812 08:01:131 0 EOF`).
fn is_held(list: &str, inodes: &[u64]) -> bool {
    list.lines().any(|line| {
        let place = line.split_whitespace().find(|word| word.matches(':').count() == 2);
        let inode = place.and_then(|place| place.rsplit(':').next()?.parse().ok());
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_known_by_its_inode() {
        let list = "1: POSIX  ADVISORY  WRITE 812 08:01:131 0 EOF\n2: FLOCK  ADVISORY  WRITE 9 00:19:77 0 EOF\n";
        assert!(is_held(list, &[131]) && is_held(list, &[5, 77]));
        assert!(!is_held(list, &[13]) && !is_held("", &[131]) && !is_held("x\n::\n", &[0]));
    }
}
