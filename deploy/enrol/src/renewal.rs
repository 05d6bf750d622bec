//! A certificate is renewed at two thirds of its life, and lists are fetched meanwhile: by a program that runs, or each time that one is used.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rand::Rng as _;
use vonggac_wire::{Time, enrol::Granted};

use super::{EnrolError, Holding, centre::CentreError};

/// How often the lists are fetched.
const LISTS_EVERY: Duration = Duration::from_secs(3_600);

/// How old lists may be for a program that is used now and then: what is revoked since is known by the other side.
const LISTS_AGE_MAX: Duration = Duration::from_secs(86_400);

/// The shortest rest: what is due is looked at this soon.
const REST_MIN: Duration = Duration::from_secs(2);

/// How long a refusal or an outage is waited for.
pub const RETRY: Duration = Duration::from_secs(60);

/// How long somebody who wants something else waits for a renewal.
const ON_USE_WITHIN: Duration = Duration::from_secs(5);

/// What is to be done now, and when to look again (pure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Renew,
    Rest(Duration),
}

fn step(due: Time, now: Time) -> Step {
    if due <= now { Step::Renew } else { Step::Rest(due.since(now).clamp(REST_MIN, LISTS_EVERY)) }
}

/// What came of a look, and how long to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Nothing was due; the lists were fetched.
    Rested(Duration),
    /// The next certificate was due.
    Due(Duration),
}

impl Looked {
    /// How long to rest.
    #[must_use]
    pub const fn rest(self) -> Duration {
        match self {
            Self::Rested(rest) | Self::Due(rest) => rest,
        }
    }
}

/// A rest of about this length: who was enrolled together does not ask together.
#[must_use]
pub fn spread(rest: Duration) -> Duration {
    rest + rest.mul_f64(rand::rng().random::<f64>() / 10.0)
}

/// Runs until it is dropped, at any moment. Where nobody was enrolled there is nothing to renew.
pub async fn run(dir: PathBuf) {
    loop {
        let rest = match Holding::is_in(&dir).then(|| Holding::read(&dir)) {
            None => RETRY,
            Some(Ok(holding)) => look(&holding).await.rest(),
            Some(Err(error)) => {
                tracing::error!(%error, "the certificate cannot be renewed");
                RETRY
            }
        };
        tokio::time::sleep(spread(rest)).await;
    }
}

/// Does what is due.
pub async fn look(holding: &Holding) -> Looked {
    match step(holding.span.due(), Time::now()) {
        Step::Renew => match holding.renew().await {
            Ok(granted) => {
                tracing::info!(until = granted.until, "the certificate was renewed");
                // One that is due again at once ends with its issuer: asking more often makes it no longer.
                match Holding::read(holding.dir()).map(|new| step(new.span.due(), Time::now())) {
                    Ok(Step::Rest(rest)) => Looked::Due(rest),
                    _ => Looked::Due(RETRY),
                }
            }
            Err(error) => {
                tell(&error);
                Looked::Due(RETRY)
            }
        },
        Step::Rest(rest) => {
            if let Err(error) = holding.fetch_lists().await {
                tracing::warn!(%error, "the revocation lists stay as they are");
            }
            Looked::Rested(rest)
        }
    }
}

fn tell(error: &EnrolError) {
    match error {
        EnrolError::Centre(CentreError::Refused(refused)) => {
            tracing::error!(refused.reason, refused.error, "the certificate is not renewed");
        }
        error => tracing::warn!(%error, "the certificate could not be renewed yet"),
    }
}

/// Does what is due of a folder for somebody who wants something else, and waits for it no longer than they would; what was granted, if anything was.
///
/// # Errors
/// If a renewal is due and does not come. Lists that do not come are asked for the next time.
pub async fn on_use(dir: &Path, now: Time) -> Result<Option<Granted>, EnrolError> {
    if !Holding::is_in(dir) {
        return Ok(None);
    }
    let holding = Holding::read(dir)?;
    if holding.span.due() <= now {
        return match tokio::time::timeout(ON_USE_WITHIN, holding.renew()).await {
            Ok(renewed) => renewed.map(Some),
            Err(_) => Err(CentreError::Answer("it does not come in time".into()).into()),
        };
    }
    let age = holding.lists_of().map(|fetched| now.since(fetched));
    if age.is_none_or(|age| age >= LISTS_AGE_MAX) {
        let _later = tokio::time::timeout(ON_USE_WITHIN, holding.fetch_lists()).await;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_renewed_and_what_is_not_rests_until_then() {
        let at = Time::from_seconds;
        assert_eq!(step(at(100), at(100)), Step::Renew);
        assert_eq!(step(at(100), at(200)), Step::Renew);
        assert_eq!(step(at(130), at(100)), Step::Rest(Duration::from_secs(30)));
        assert_eq!(step(at(101), at(100)), Step::Rest(REST_MIN));
        assert_eq!(step(at(1_000_000), at(100)), Step::Rest(LISTS_EVERY));
    }

    #[tokio::test]
    async fn a_folder_into_which_nobody_was_enrolled_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(on_use(dir.path(), Time::now()).await.unwrap().is_none());
    }
}
