//! What detection goes by, in the audit log: a row when rules or threat lists are others than those that were written down last.
//!
//! Rules and threat lists are read whenever their files change. A row has a digest over all of it, so that nothing changes
//! unseen, and names the files that are newer than the row before, with their owners. A file that was dated back or taken away is told by the digest alone.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;
use vonggac_wire::Time;

use super::{Deed, account, log::Chain};
use crate::{
    config::Config,
    rule,
    store::{Store, StoreError},
};

/// How often rules and threat lists are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Files that are looked at: as many as a folder of rules may have.
const FILES_MAX: usize = 10_000;

/// Folders within a folder.
const FOLDERS_DEEP_MAX: usize = 8;

/// Files that are named in a row.
const NAMED_MAX: usize = 20;

/// A file, before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    changed: Option<SystemTime>,
    owner: u32,
}

/// Files by their paths.
type Folder = BTreeMap<PathBuf, Seen>;

/// What is told of a folder.
struct Told {
    digest: String,
    words: String,
}

/// The files of a folder with one of these ends; one that is not there has none.
fn look(folder: Option<&Path>, ends: &[&str]) -> Folder {
    let mut found = Folder::new();
    let mut folders: Vec<(PathBuf, usize)> =
        folder.map(|folder| (folder.to_owned(), 0)).into_iter().collect();
    while let Some((folder, depth)) = folders.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let Ok(meta) = fs::metadata(&path) else { continue };
            let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
            if meta.is_dir() && depth < FOLDERS_DEEP_MAX && folders.len() < FILES_MAX {
                folders.push((path, depth + 1));
            } else if ends.contains(&end) && found.len() < FILES_MAX {
                let (bytes, changed) = (meta.len(), meta.modified().ok());
                found.insert(path, Seen { bytes, changed, owner: meta.uid() });
            }
        }
    }
    found
}

/// One hash over all files with their names, and over what is built in.
fn digest(files: &Folder, built_in: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(built_in.as_bytes());
    for path in files.keys() {
        let mut of_file = blake3::Hasher::new();
        // One that cannot be read is another one than one that can.
        let read = File::open(path).and_then(|file| of_file.update_reader(file).map(|_| ()));
        let name = path.as_os_str().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name);
        hasher.update(&[u8::from(read.is_ok())]).update(of_file.finalize().as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// What is written down of files that are others than before (pure).
fn told(
    files: &Folder,
    digest: String,
    before: Option<Time>,
    name: impl Fn(u32) -> String,
) -> Told {
    let mut words = format!("digest={digest} files={}", files.len());
    let newer = |seen: &&Seen| seen.changed.map(Time::from) >= before;
    match before {
        None => words.push_str("; the first that are written down"),
        Some(_) if !files.values().any(|seen| newer(&seen)) => {
            words.push_str("; no file is newer: some were taken away or dated back, or the program is another one");
        }
        Some(_) => {
            let all = files.iter().filter(|(_, seen)| newer(seen));
            for (path, seen) in all.clone().take(NAMED_MAX) {
                let at = seen.changed.map(|at| Time::from(at).to_string()).unwrap_or_default();
                words.push_str(&format!("; {} of {} at {at}", path.display(), name(seen.owner)));
            }
            let more = all.count().saturating_sub(NAMED_MAX);
            if more > 0 {
                words.push_str(&format!("; and {more} more"));
            }
        }
    }
    Told { digest, words }
}

/// What is watched, and how.
struct Watched {
    call: &'static str,
    folder: Option<PathBuf>,
    ends: &'static [&'static str],
    built_in: String,
    seen: Option<Folder>,
}

impl Watched {
    /// Writes a row if there is something to tell.
    async fn tell(&mut self, store: &Store, chain: &mut Chain) -> Result<(), StoreError> {
        let (folder, ends) = (self.folder.clone(), self.ends);
        let looked = tokio::task::spawn_blocking(move || look(folder.as_deref(), ends)).await;
        let Some(files) = looked.ok().filter(|files| self.seen.as_ref() != Some(files)) else {
            return Ok(());
        };
        let (read, built_in) = (files.clone(), self.built_in.clone());
        let digest = tokio::task::spawn_blocking(move || digest(&read, &built_in)).await;
        let Ok(digest) = digest else { return Ok(()) };
        let last = store.audit_last(chain.name(), self.call).await?;
        let same = |words: &str| words.starts_with(&format!("digest={digest} "));
        if !last.as_ref().is_some_and(|(_, words)| same(words)) {
            let before = last.map(|(time, _)| Time(time.saturating_mul(1_000)));
            let Told { digest, words } = told(&files, digest, before, account::name);
            tracing::info!(digest, call = self.call, "detection goes by others than before");
            let deed = Deed {
                time: Time::now().micros(),
                who: account::present(),
                role: "collector".into(),
                address: "local".into(),
                call: self.call.into(),
                words,
                outcome: "ok".into(),
                ..Deed::default()
            };
            chain.append(&[deed]).await?;
        }
        self.seen = Some(files);
        Ok(())
    }
}

/// Writes down what detection goes by, at the start and whenever it changes, until `stop`.
pub async fn run(config: Config, store: Store, stop: CancellationToken) {
    let name = format!("{}:{}:detection", crate::store::host(), config.grpc.port());
    let mut chain = Chain::new(store.clone(), name);
    let mut watched = [
        Watched {
            call: "rules",
            folder: config.rules_dir.clone(),
            ends: &["yml", "yaml"],
            built_in: rule::pack_digest(),
            seen: None,
        },
        Watched {
            call: "threat-lists",
            folder: config.threats_dir.clone(),
            ends: &["csv", "json"],
            built_in: String::new(),
            seen: None,
        },
    ];
    loop {
        for one in &mut watched {
            if let Err(error) = one.tell(&store, &mut chain).await {
                let error = vonggac_daemon::log::Harmless(&error.to_string()).to_string();
                tracing::debug!(error, "what detection goes by waits for the store");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(uid: u32) -> String {
        format!("uid {uid}")
    }

    #[test]
    fn a_file_that_is_changed_added_or_taken_away_makes_another_digest() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let now = || digest(&look(Some(dir.path()), &["yml"]), "1");
        let empty = now();
        fs::write(at("a.yml"), "a").unwrap();
        fs::create_dir(at("deep")).unwrap();
        fs::write(at("deep/b.yml"), "b").unwrap();
        let two = now();
        fs::write(at("other.txt"), "x").unwrap();
        assert_eq!(now(), two);
        fs::write(at("a.yml"), "c").unwrap();
        let changed = now();
        fs::rename(at("a.yml"), at("z.yml")).unwrap();
        let renamed = now();
        fs::remove_file(at("deep/b.yml")).unwrap();
        let all = [empty, two, changed, renamed, now()];
        assert!(all.iter().enumerate().all(|(n, one)| !all[..n].contains(one)));
        assert_ne!(digest(&look(None, &["yml"]), "1"), digest(&look(None, &["yml"]), "2"));
    }

    #[test]
    fn files_that_are_newer_than_the_row_before_are_named_with_their_owners() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let seen = |seconds| Seen { bytes: 1, changed: Some(at(seconds)), owner: 1000 };
        let mut files: Folder = [("old.yml".into(), seen(10)), ("new.yml".into(), seen(30))].into();
        let words = |files: &Folder, before| told(files, "d".into(), before, name).words;
        let first = words(&files, None);
        assert!(first.starts_with("digest=d files=2; the first"), "{first}");
        let later = words(&files, Some(Time::from_seconds(20)));
        assert!(later.contains("new.yml of uid 1000") && !later.contains("old.yml"), "{later}");
        let back = words(&files, Some(Time::from_seconds(40)));
        assert!(back.contains("dated back"), "{back}");
        for number in 0..NAMED_MAX + 4 {
            files.insert(format!("{number}.yml").into(), seen(50));
        }
        let many = words(&files, Some(Time::from_seconds(40)));
        assert!(many.ends_with("; and 4 more"), "{many}");
    }
}
