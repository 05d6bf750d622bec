//! The running agent has its certificate renewed at two thirds of its life, and fetches lists and receipts meanwhile.

use std::{path::PathBuf, time::Duration};

use rand::Rng as _;
use tokio_util::sync::CancellationToken;
use vonggac_wire::{AgentId, Time};

use super::{EnrolError, Holding, centre::CentreError};

/// How often the lists are fetched.
const LISTS_EVERY: Duration = Duration::from_secs(3_600);

/// The shortest rest: what is due is looked at this soon.
const REST_MIN: Duration = Duration::from_secs(2);

/// How long a refusal or an outage is waited for.
const RETRY: Duration = Duration::from_secs(60);

/// What is to be done now, and when to look again (pure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Renew,
    Rest(Duration),
}

fn step(due: Time, now: Time) -> Step {
    if due <= now { Step::Renew } else { Step::Rest(due.since(now).clamp(REST_MIN, LISTS_EVERY)) }
}

/// Runs until `stop`. An agent that was not enrolled has nothing to renew.
pub async fn run(dir: PathBuf, agent: AgentId, stop: CancellationToken) {
    let mut told = false;
    loop {
        let rest = if Holding::is_in(&dir) { look(&dir, &agent, &mut told).await } else { RETRY };
        // Agents that were enrolled together do not ask together.
        let rest = rest + rest.mul_f64(rand::rng().random::<f64>() / 10.0);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

async fn look(dir: &std::path::Path, agent: &AgentId, told: &mut bool) -> Duration {
    let holding = match Holding::read(dir) {
        Ok(holding) => holding,
        Err(error) => {
            tracing::error!(%error, "the certificate cannot be renewed");
            return RETRY;
        }
    };
    if !holding.identity().ends_with(&format!("/agent/{agent}")) && !std::mem::replace(told, true) {
        tracing::error!(identity = holding.identity(), %agent, "the certificate names another agent; enrol again with a new token");
    }
    match step(holding.span.due(), Time::now()) {
        Step::Renew => match holding.renew().await {
            Ok(granted) => {
                tracing::info!(until = granted.until, "the certificate was renewed");
                // One that is due again at once ends with its issuer: asking more often makes it no longer.
                match Holding::read(dir).map(|fresh| step(fresh.span.due(), Time::now())) {
                    Ok(Step::Rest(rest)) => rest,
                    _ => RETRY,
                }
            }
            Err(error) => {
                tell(&error);
                RETRY
            }
        },
        Step::Rest(rest) => {
            if let Err(error) = holding.fetch_lists().await {
                tracing::warn!(%error, "the revocation lists stay as they are");
            }
            receipts(&holding).await;
            rest
        }
    }
}

async fn receipts(holding: &Holding) {
    match holding.fetch_receipts().await {
        Ok(0) => {}
        Ok(receipts) => {
            tracing::info!(receipts, "the centre signed for what it holds of this agent");
        }
        // A centre without receipts, or without its store for now.
        Err(EnrolError::Centre(error)) => tracing::debug!(%error, "no receipts came"),
        Err(error) => tracing::error!(%error, "the centre's receipts are not as they should be"),
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
}
