//! What the picture of incidents missed is taken from the store. Changes come at once from the book, or through Kafka from another
//! collector's; but who leads the book may die between storing a step and telling it, Kafka may be away just then, and whoever is slow
//! has some passed over. An incident that then rests would be shown as it was before, for ever.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use vonggac_wire::{
    Time,
    proto::{Incident, WatchReply},
};

use crate::{
    health::INCIDENTS_SHOWN_MAX,
    store::{Store, StoreError},
};

/// How often it is asked: so long an incident that nobody told is out of date.
const INTERVAL: Duration = Duration::from_secs(5);

/// A step has the time at which it was made, and may be stored so much later: as long as an engine is waited for, and more.
const STORED_WITHIN: Duration = Duration::from_secs(600);

/// Incidents that wait to be shown.
const WAITING_MAX: usize = 64;

/// Asks until the picture ends; gives what is newer than `whole`.
pub(super) fn spawn(
    store: Store,
    whole: watch::Receiver<Arc<WatchReply>>,
    stop: CancellationToken,
) -> mpsc::Receiver<Arc<Incident>> {
    let (tell, told) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        let mut since = Time::now().minus(STORED_WITHIN);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let asked = Time::now();
            match newer(&store, since, &whole).await {
                Ok(incidents) => {
                    for incident in incidents {
                        if tell.send(Arc::new(incident)).await.is_err() {
                            return;
                        }
                    }
                    since = asked.minus(STORED_WITHIN);
                }
                Err(error) => tracing::debug!(%error, "incidents are not compared with the store"),
            }
        }
    });
    told
}

/// What the store knows better.
async fn newer(
    store: &Store,
    since: Time,
    whole: &watch::Receiver<Arc<WatchReply>>,
) -> Result<Vec<Incident>, StoreError> {
    let stored = store.incident_versions(since).await?;
    let shown: HashMap<u64, u64> =
        whole.borrow().incidents.iter().map(|shown| (shown.id, shown.version)).collect();
    let ids = outdated(&stored, &shown);
    if ids.is_empty() { Ok(Vec::new()) } else { store.incidents(&ids).await }
}

/// Which of these incidents and versions are not shown. Of very many the newest, as the picture has them.
fn outdated(stored: &[(u64, u64)], shown: &HashMap<u64, u64>) -> Vec<u64> {
    let newest = stored.iter().take(INCIDENTS_SHOWN_MAX);
    let outdated = newest.filter(|(id, version)| shown.get(id).is_none_or(|known| known < version));
    outdated.map(|(id, _)| *id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_or_shown_as_it_was_is_asked_for() {
        let shown = HashMap::from([(1, 4), (2, 4), (3, 4)]);
        assert_eq!(outdated(&[(9, 1), (3, 5), (2, 4), (1, 3)], &shown), [9, 3]);
    }

    #[test]
    fn of_very_many_the_newest_are_asked_for() {
        let many: Vec<(u64, u64)> = (1..=5_000).rev().map(|id| (id, 1)).collect();
        let ids = outdated(&many, &HashMap::new());
        assert_eq!((ids.len(), ids.first()), (INCIDENTS_SHOWN_MAX, Some(&5_000)));
    }
}
