//! The running agent has its certificate renewed at two thirds of its life, and fetches lists and receipts meanwhile.

use std::{path::PathBuf, time::Duration};

use tokio_util::sync::CancellationToken;
use vonggac_enrol::{
    EnrolError, Holding,
    renewal::{self, Looked, RETRY},
};
use vonggac_wire::AgentId;

use super::receipts::{self, ReceiptsError};

/// Runs until `stop`. An agent that was not enrolled has nothing to renew.
pub async fn run(dir: PathBuf, agent: AgentId, stop: CancellationToken) {
    let mut told = false;
    loop {
        let rest = if Holding::is_in(&dir) { look(&dir, &agent, &mut told).await } else { RETRY };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(renewal::spread(rest)) => {}
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
    let looked = renewal::look(&holding).await;
    if matches!(looked, Looked::Rested(_)) {
        receipts(&holding).await;
    }
    looked.rest()
}

async fn receipts(holding: &Holding) {
    match receipts::fetch(holding).await {
        Ok(0) => {}
        Ok(receipts) => {
            tracing::info!(receipts, "the centre signed for what it holds of this agent");
        }
        // A centre without receipts, or without its store for now.
        Err(ReceiptsError::Enrol(EnrolError::Centre(error))) => {
            tracing::debug!(%error, "no receipts came");
        }
        Err(error) => tracing::error!(%error, "the centre's receipts are not as they should be"),
    }
}
