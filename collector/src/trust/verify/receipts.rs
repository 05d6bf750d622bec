//! Receipts of a span's hours against the batches that are there.

use std::collections::{BTreeMap, BTreeSet};

use vonggac_wire::{BatchHash, Signer, Time};

use super::Told;
use crate::{
    store::{Store, StoreError, batch::Span, month::Times},
    trust::{
        compare::Fault,
        receipt::{self, Hour, Signed, maker::hour_of},
    },
};

/// Receipts that do not hold, each as one finding of its agent and hour.
pub(super) async fn wrong(
    store: &Store,
    span: &Span,
    signer: &Signer,
) -> Result<Vec<Told>, StoreError> {
    let since = hour_of(span.since);
    let key = signer.public_key();
    let mut hours: BTreeMap<Time, Vec<(Signed, Option<BatchHash>)>> = BTreeMap::new();
    let mut last: Option<(String, BatchHash)> = None;
    for signed in store.receipts(&span.agency, since, span.until).await? {
        // Of the first in the span it is not known what it follows.
        let before = last.take().filter(|(agent, _)| *agent == signed.agent).map(|(_, hash)| hash);
        last = Some((signed.agent.clone(), signed.hash));
        hours.entry(signed.hour).or_default().push((signed, before));
    }
    let of_host: BTreeSet<String> = store.agents_of(span).await?.into_iter().collect();
    let mut all = Vec::new();
    for (hour, receipts) in hours {
        let mut agents = of_hour(store, span, hour).await?;
        for (signed, before) in receipts {
            let found = agents.remove(&signed.agent);
            // Asked for one host, the others' are not looked at.
            if !span.host.is_empty() && found.is_none() && !of_host.contains(&signed.agent) {
                continue;
            }
            let root = found.map(|hour| hour.root()).unwrap_or_default();
            if receipt::is_wrong(&signed, &root, before, &key) {
                all.push(told(span, signed.agent, hour));
            }
        }
        all.extend(agents.into_keys().map(|agent| told(span, agent, hour)));
    }
    Ok(all)
}

/// What an hour's batches come to, by agent.
async fn of_hour(
    store: &Store,
    span: &Span,
    hour: Time,
) -> Result<BTreeMap<String, Hour>, StoreError> {
    let mut agents: BTreeMap<String, Hour> = BTreeMap::new();
    let mut batches = store.digests(&span.agency, &span.host, hour)?;
    while let Some(batch) = batches.next().await? {
        agents.entry(batch.agent.clone()).or_default().add(&vonggac_evidence::said!(batch));
    }
    Ok(agents)
}

fn told(span: &Span, agent: String, hour: Time) -> Told {
    Told {
        fault: Fault::Receipt,
        key: (String::new(), 0),
        offset: hour.seconds(),
        index: None,
        agency: span.agency.clone(),
        agent,
        host: span.host.clone(),
        lane: String::new(),
        seq: 0,
        month: Times { time: hour.micros(), stored: hour.micros() }.month(),
    }
}
