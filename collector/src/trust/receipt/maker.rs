//! Makes receipts: once a minute it looks whether an hour is over in every partition.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use vonggac_daemon::log::Harmless;
use vonggac_wire::{BatchHash, Signer, Time, topic};

use super::{HOUR_NANOS, Hour, SignError, Signed, sign};
use crate::{
    config::Config,
    store::{GapRow, Store, StoreError},
};

/// How often it looks.
const LOOKS: Duration = Duration::from_secs(60);

/// How far a collector's clock, by which canaries are sent, may be ahead of the broker's, by which hours are told.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(120);

/// Hours of one look: a collector that was away for a week catches up within some minutes, and stops when it is told to.
const HOURS_MAX: u64 = 24;

/// Gaps of an agency in an hour.
const GAPS_MAX: u64 = 100_000;

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl From<clickhouse::error::Error> for MakeError {
    fn from(error: clickhouse::error::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Makes receipts until `stop`.
pub fn spawn(config: &Config, store: Store, signer: Arc<Signer>, stop: CancellationToken) {
    let topics = u64::try_from(topic::EVENTS.len()).unwrap_or(u64::MAX);
    let partitions = topics.saturating_mul(u64::try_from(config.partitions).unwrap_or(1));
    tokio::spawn(async move {
        tracing::info!(key = signer.key_id(), "receipts are made");
        loop {
            match look(&store, &signer, partitions).await {
                Ok(0) => {}
                Ok(receipts) => tracing::info!(receipts, "receipts were made"),
                Err(error) => {
                    let error = Harmless(&error.to_string()).to_string();
                    tracing::warn!(error, "receipts are made later");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOKS) => {}
            }
        }
    });
}

/// When the hour of a time began.
#[must_use]
pub const fn hour_of(time: Time) -> Time {
    Time(time.0 - time.0.rem_euclid(HOUR_NANOS))
}

/// Makes what is due; gives how many.
///
/// # Errors
/// If the store does not answer.
pub async fn look(
    store: &Store,
    signer: &Arc<Signer>,
    partitions: u64,
) -> Result<usize, MakeError> {
    let Some(until) = store.stored_until(partitions).await? else { return Ok(0) };
    make_until(store, signer, until.minus(CLOCKS_APART_MAX)).await
}

/// Makes the receipts of all hours that end before a time.
///
/// # Errors
/// If the store does not answer.
pub async fn make_until(
    store: &Store,
    signer: &Arc<Signer>,
    until: Time,
) -> Result<usize, MakeError> {
    let Some(begins) = store.evidence_begins().await? else { return Ok(0) };
    // The last hour again: it may have been cut between two agencies.
    let first = store.last_receipt().await?.unwrap_or(begins).max(begins);
    let mut made = 0;
    for hour in store.hours_with_batches(hour_of(first), hour_of(until), HOURS_MAX).await? {
        for agency in store.agencies_without_receipt(hour).await? {
            let receipts = of_hour(store, signer, &agency, hour).await?;
            let token = format!("receipts/{agency}/{}", hour.seconds());
            store.insert_receipts(&receipts, &token).await?;
            made += receipts.len();
        }
    }
    Ok(made)
}

/// The receipts of an agency's agents.
async fn of_hour(
    store: &Store,
    signer: &Arc<Signer>,
    agency: &str,
    hour: Time,
) -> Result<Vec<Signed>, MakeError> {
    let gaps = store.gaps_within(agency, hour, GAPS_MAX).await?;
    let before: HashMap<String, BatchHash> = store
        .receipts_before(agency, hour)
        .await?
        .into_iter()
        .map(|(agent, hash)| (agent, BatchHash(hash)))
        .collect();
    let signed_of = |agent: &str, done: Hour, gaps: &[GapRow]| {
        sign(done, (agency, agent, hour), gaps, before.get(agent).copied(), signer)
    };
    let mut batches = store.digests(agency, "", hour)?;
    let mut current: Option<(String, Hour)> = None;
    let mut signed = Vec::new();
    while let Some(batch) = batches.next().await? {
        if current.as_ref().is_none_or(|(agent, _)| *agent != batch.agent)
            && let Some((agent, done)) = current.replace((batch.agent.clone(), Hour::default()))
        {
            signed.push(signed_of(&agent, done, &gaps)?);
        }
        if let Some((_, hour)) = &mut current {
            hour.add(&vonggac_evidence::said!(batch));
        }
    }
    if let Some((agent, done)) = current {
        signed.push(signed_of(&agent, done, &gaps)?);
    }
    Ok(signed)
}
