//! Threat lists that change while the collector runs: a folder's files are looked at now and then, read when they have settled, and put in the
//! place of those before at once.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use vonggac_wire::Time;

use super::{ThreatError, ThreatList};
use crate::{
    figures::Figures,
    settling::{Settling, is_taken, look},
};

/// How often the folder is looked at. Lists change by the hour.
const LOOK: Duration = Duration::from_secs(10);

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

/// Reads a folder whose files have changed, until it is told to stop.
pub async fn run(folder: PathBuf, threats: Threats, figures: Figures, stop: CancellationToken) {
    // What changed between the first reading and this is read again.
    let mut known = Settling::default();
    let mut away = false;
    loop {
        let at = folder.clone();
        let looked = tokio::task::spawn_blocking(move || look(&at, 0)).await;
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
}
