//! Rules that change while the collector runs: the folder's files are looked at now and then, read when they have settled, compiled beside what
//! is in force, and put in its place as a whole. The incident book and the picture know them at once; detection follows [`FOLLOWS_AFTER`]
//! later and keeps what it has counted, so that no signal comes before its rule is known where it is told.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use vonggac_wire::Time;

use super::{RuleError, RuleSet, folder::FOLDERS_DEEP_MAX};
use crate::{
    detect::sigma::Matcher,
    figures::Figures,
    settling::{Settling, is_taken, look},
    threat::reload::Threats,
};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// How long after the book detection goes by new rules: more than the book's clock takes to see them, on each collector that reads the same
/// folder.
pub const FOLLOWS_AFTER: Duration = Duration::from_secs(15);

/// Rules, and since when.
#[derive(Clone)]
pub struct InForce {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// The same, compiled.
    pub matcher: Arc<Matcher>,
    /// Why some of the folder's were left out, a line for each.
    pub refused: Arc<[String]>,
    /// Since when.
    pub since: Time,
}

/// The rules in force. Cloning shares them.
#[derive(Clone)]
pub struct Ruling(Arc<RwLock<[InForce; 2]>>);

impl Ruling {
    /// These rules, for detection, too, and why others were left out.
    #[must_use]
    pub fn of(
        rules: Arc<RuleSet>,
        refused: Vec<String>,
        matcher: Arc<Matcher>,
        since: Time,
    ) -> Self {
        let first = InForce { rules, matcher, refused: refused.into(), since };
        Self(Arc::new(RwLock::new([first.clone(), first])))
    }

    /// The newest rules: by them is told what signals mean.
    #[must_use]
    pub fn rules(&self) -> Arc<RuleSet> {
        let [newest, _] = &*self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&newest.rules)
    }

    /// Why rules are not among the newest.
    #[must_use]
    pub fn refused(&self) -> Arc<[String]> {
        let [newest, _] = &*self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&newest.refused)
    }

    /// What detection goes by at this time.
    #[must_use]
    pub fn detects(&self, now: Time) -> InForce {
        let [newest, before] = &*self.0.read().unwrap_or_else(PoisonError::into_inner);
        if now.since(newest.since) < FOLLOWS_AFTER { before.clone() } else { newest.clone() }
    }

    /// Puts others in their place.
    fn replace(&self, (rules, refused): (RuleSet, Vec<String>), matcher: Matcher, now: Time) {
        let before = self.detects(now);
        let (rules, matcher) = (Arc::new(rules), Arc::new(matcher));
        let newest = InForce { rules, matcher, refused: refused.into(), since: now };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = [newest, before];
    }
}

/// Reads our own rules and those of a folder.
///
/// # Errors
/// If the folder cannot be read.
pub fn read(folder: Option<&Path>) -> Result<(RuleSet, Vec<RuleError>), RuleError> {
    let mut rules = RuleSet::builtin()?;
    let refused = folder.map(|folder| rules.add_folder(folder)).transpose()?.unwrap_or_default();
    Ok((rules, refused))
}

/// Reads a folder whose files have changed, until it is told to stop.
pub async fn run(folder: PathBuf, ruling: Ruling, figures: Figures, stop: CancellationToken) {
    // What changed between the first reading and this is read again.
    let mut known = Settling::default();
    let mut away = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let at = folder.clone();
        let looked = tokio::task::spawn_blocking(move || look(&at, FOLDERS_DEEP_MAX)).await;
        match looked {
            Ok(Ok(stamp)) => {
                away = false;
                if known.is_due(stamp) {
                    renew(&folder, &ruling, &figures).await;
                }
            }
            Ok(Err(error)) if !away => {
                away = true;
                tracing::error!(folder = %folder.display(), %error, "the folder of rules cannot be looked at; the rules of before stay in force");
            }
            Ok(Err(_)) => {}
            Err(error) => tracing::error!(%error, "looking at rules broke off"),
        }
    }
}

async fn renew(folder: &Path, ruling: &Ruling, figures: &Figures) {
    let at = folder.to_owned();
    let threats = ruling.detects(Time::now()).matcher.threats();
    let before = ruling.rules().rules().len();
    let reading = tokio::task::spawn_blocking(move || compiled(&at, before, threats)).await;
    match reading {
        Ok(Ok((rules, refused, matcher))) => {
            let count = rules.rules().len();
            ruling.replace((rules, refused), matcher, Time::now());
            figures.rules(u32::try_from(count).unwrap_or(u32::MAX));
            tracing::info!(rules = count, before, "rules were read");
        }
        Ok(Err(error)) => {
            let error = vonggac_daemon::log::Harmless(&error).to_string();
            tracing::error!(error, "rules were not read; those of before stay in force");
        }
        Err(error) => tracing::error!(%error, "reading rules broke off"),
    }
}

/// Rules, why others were left out, and what detection goes by.
type Compiled = (RuleSet, Vec<String>, Matcher);

fn compiled(folder: &Path, before: usize, threats: Threats) -> Result<Compiled, String> {
    let (rules, refused) = read(Some(folder)).map_err(|error| error.to_string())?;
    let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
    for error in &refused {
        let error = vonggac_daemon::log::Harmless(error).to_string();
        tracing::error!(error, "a rule was left out");
    }
    if !is_taken(before, rules.rules().len(), refused.len()) {
        return Err(format!("{} were refused, and more than half would be gone", refused.len()));
    }
    let matcher = Matcher::new(&rules).map_err(|error| error.to_string())?;
    Ok((rules, refused, matcher.with_threats(threats)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str) -> String {
        format!(
            "title: {name}\nlogsource: {{product: linux}}\ndetection: {{sel: {{Image: /bin/{name}}}, condition: sel}}\n"
        )
    }

    #[test]
    fn others_are_told_by_at_once_and_detection_follows_when_everybody_knows_them() {
        let set = || RuleSet::builtin().unwrap();
        let (first, matcher) = (Arc::new(set()), Arc::new(Matcher::new(&set()).unwrap()));
        let now = Time::from_seconds(1_764_000_000);
        let ruling = Ruling::of(Arc::clone(&first), Vec::new(), matcher, now);
        assert!(Arc::ptr_eq(&ruling.detects(now).rules, &first));
        let later = now.plus(Duration::from_secs(3_600));
        ruling.replace((set(), Vec::new()), Matcher::new(&set()).unwrap(), later);
        assert!(!Arc::ptr_eq(&ruling.rules(), &first));
        let soon = later.plus(FOLLOWS_AFTER - Duration::from_secs(1));
        assert!(Arc::ptr_eq(&ruling.detects(soon).rules, &first));
        let then = later.plus(FOLLOWS_AFTER);
        assert!(Arc::ptr_eq(&ruling.detects(then).rules, &ruling.rules()));
    }

    #[test]
    fn what_is_read_is_compiled_and_a_broken_file_is_left_out_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yml"), rule("one")).unwrap();
        std::fs::write(folder.path().join("b.yml"), "title: [").unwrap();
        let own = RuleSet::builtin().unwrap().rules().len();
        let (rules, told, _) = compiled(folder.path(), own, Threats::default()).unwrap();
        assert!(told.len() == 1 && told[0].contains("b.yml"), "{told:?}");
        assert_eq!(rules.rules().len(), own + 1);
        let refused = compiled(folder.path(), 3 * own, Threats::default());
        assert!(refused.is_err_and(|error| error.contains("more than half")));
    }
}
