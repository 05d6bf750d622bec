//! Threat lists that change while the collector runs: a folder's files are looked at now and then, read when they have settled, and put in the
//! place of those before at once. [`Folder`] is pure; [`run`] is its edge.
//!
//! Files are looked at and not watched by notification, so that lists on a network's folder count as well, and a list that is being written
//! for a while is not read in halves.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;
use vonggac_wire::Time;

use super::{ThreatError, ThreatList};
use crate::figures::Figures;

/// How often the folder is looked at. Lists change by the hour.
const LOOK: Duration = Duration::from_secs(10);

/// Files that are told apart; a folder of lists has some dozens.
const FILES_MAX: usize = 10_000;

/// The lists in force. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Threats(Arc<RwLock<InForce>>);

/// Lists, and since when events are held against them.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// The lists.
    pub list: Arc<ThreatList>,
    /// Since when.
    pub since: Time,
}

impl Threats {
    /// These lists, in force since then.
    #[must_use]
    pub fn of(list: Arc<ThreatList>, since: Time) -> Self {
        Self(Arc::new(RwLock::new(InForce { list, since })))
    }

    /// The lists as they are now; whoever looks an event up keeps them until it is done.
    #[must_use]
    pub fn now(&self) -> Arc<ThreatList> {
        self.in_force().list
    }

    /// The same with the time at which they came into force.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, list: ThreatList, since: Time) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) =
            InForce { list: Arc::new(list), since };
    }
}

/// Length and time of change of each file.
type Stamp = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// What is known of the folder.
#[derive(Debug)]
struct Folder {
    /// As it was read.
    read: Stamp,
    /// As it was seen last.
    seen: Stamp,
}

impl Folder {
    fn new(read: Stamp) -> Self {
        Self { seen: read.clone(), read }
    }

    /// It is to be read: it is other than what was read, and is not being changed any more.
    fn is_due(&mut self, stamp: Stamp) -> bool {
        let settled = stamp == self.seen;
        let due = settled && stamp != self.read;
        if due {
            self.read.clone_from(&stamp);
        }
        self.seen = stamp;
        due
    }
}

/// Whether a new reading takes the place of the lists before. One in which something was refused, and which lacks more than half of what was
/// known, is more likely a broken file than a shorter list: detection would go blind where nobody looks.
fn is_taken(before: usize, now: usize, refused: usize) -> bool {
    refused == 0 || now >= before.div_ceil(2)
}

fn stamp(folder: &Path) -> std::io::Result<Stamp> {
    let mut stamp = Stamp::new();
    for entry in std::fs::read_dir(folder)?.flatten().take(FILES_MAX) {
        // Through links, as they are read: a list is often one that points at the newest.
        if let Ok(data) = std::fs::metadata(entry.path()) {
            stamp.insert(entry.path(), (data.len(), data.modified().ok()));
        }
    }
    Ok(stamp)
}

/// Reads a folder whose files have changed, until it is told to stop.
pub async fn run(folder: PathBuf, threats: Threats, figures: Figures, stop: CancellationToken) {
    // What changed between the first reading and this is read again.
    let mut known = Folder::new(Stamp::new());
    let mut away = false;
    loop {
        let at = folder.clone();
        let looked = tokio::task::spawn_blocking(move || stamp(&at)).await;
        match looked {
            Ok(Ok(stamp)) => {
                away = false;
                if known.is_due(stamp) {
                    read(&folder, &threats, &figures).await;
                }
            }
            Ok(Err(error)) if !away => {
                away = true;
                tracing::error!(folder = %folder.display(), %error, "the folder of threat lists cannot be looked at; the lists of before stay in force");
            }
            Ok(Err(_)) => {}
            Err(error) => tracing::error!(%error, "looking at threat lists broke off"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn read(folder: &Path, threats: &Threats, figures: &Figures) {
    let at = folder.to_owned();
    let reading = tokio::task::spawn_blocking(move || ThreatList::read_folder(&at)).await;
    match reading {
        Ok(Ok((list, wrong))) => take(list, &wrong, threats, figures, Time::now()),
        Ok(Err(error)) => {
            tracing::error!(%error, "threat lists were not read; those of before stay in force");
        }
        Err(error) => tracing::error!(%error, "reading threat lists broke off"),
    }
}

/// Puts what was read in force, and tells what was refused.
fn take(list: ThreatList, wrong: &[ThreatError], threats: &Threats, figures: &Figures, now: Time) {
    for error in wrong {
        let error = vonggac_daemon::log::Harmless(&error.to_string()).to_string();
        tracing::error!(error, "a threat list, or an entry of it, was left out");
    }
    let (before, entries) = (threats.now().len(), list.len());
    let taken = is_taken(before, entries, wrong.len());
    if taken {
        threats.replace(list, now);
        tracing::info!(entries, before, "threat lists were read");
    } else {
        tracing::error!(
            entries,
            before,
            "threat lists were refused and lack more than half of what was known; those of before stay in force"
        );
    }
    figures.threats(if taken { entries } else { before }, wrong.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, u64)]) -> Stamp {
        files.iter().map(|(name, length)| (PathBuf::from(name), (*length, None))).collect()
    }

    #[test]
    fn a_folder_is_read_once_it_has_changed_and_settled() {
        let mut folder = Folder::new(of(&[("a.csv", 5)]));
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
    fn what_is_read_is_in_force_at_once_for_whoever_shares_it() {
        let figures = Figures::new().unwrap();
        let threats = Threats::default();
        let seen = threats.clone();
        let mut list = ThreatList::default();
        list.add_csv("type,value,expires,name\nip,203.0.113.9,,scanner\n");
        take(list, &[], &threats, &figures, Time(7));
        let address = "203.0.113.9".parse().unwrap();
        assert_eq!(seen.now().address(Some(address), Time(0)), Some("scanner"));
        let broken = ThreatError::Wrong { path: "a.csv".into(), reason: "entry 1: no".into() };
        take(ThreatList::default(), &[broken], &threats, &figures, Time(8));
        assert_eq!((seen.now().len(), seen.in_force().since), (1, Time(7)));
        take(ThreatList::default(), &[], &threats, &figures, Time(9));
        assert!(seen.now().is_empty() && seen.in_force().since == Time(9));
    }

    #[test]
    fn files_are_told_apart_by_length_and_time_also_behind_links() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        std::fs::write(&file, "one").unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join("b.csv")).unwrap();
        let first = stamp(folder.path()).unwrap();
        assert_eq!(first, stamp(folder.path()).unwrap());
        std::fs::write(&file, "longer").unwrap();
        let second = stamp(folder.path()).unwrap();
        assert!(first.len() == 2 && first.iter().all(|(path, of)| second[path] != *of));
        assert!(stamp(Path::new("/nowhere")).is_err());
    }
}
