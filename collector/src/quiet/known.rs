//! The quiet periods as this collector knows them: read from the store every few seconds, and at once behind a change that came by here.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use vonggac_wire::Time;

use super::{Periods, days};
use crate::store::{Store, StoreError};

/// How often they are read: so long a period that was added at another collector withholds nothing yet.
const READ_EVERY: Duration = Duration::from_secs(2);

/// Those that ended so lately are known, too: minutes of today count by what was planned for them.
const ENDED_DAYS: u64 = 1;

/// What is known of them.
#[derive(Clone)]
pub struct Known {
    store: Store,
    told: Arc<watch::Sender<Arc<Periods>>>,
    /// One reading after the other, so that an older one never stands behind a newer one.
    reading: Arc<Mutex<()>>,
}

impl Known {
    /// Knows of none until they are read.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, told: Arc::new(watch::channel(Arc::default()).0), reading: Arc::default() }
    }

    /// As they were read last.
    #[must_use]
    pub fn now(&self) -> Arc<Periods> {
        Arc::clone(&self.told.borrow())
    }

    /// Reads them.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn read(&self) -> Result<Arc<Periods>, StoreError> {
        let _one = self.reading.lock().await;
        let since = Time::now().minus(days(ENDED_DAYS));
        let periods = Arc::new(Periods::of(self.store.quiet_periods(since).await?));
        self.told.send_if_modified(|told| {
            let is_other = *told != periods;
            if is_other {
                *told = Arc::clone(&periods);
            }
            is_other
        });
        Ok(periods)
    }

    /// Reads them now and then until `stop`. While the store does not answer, those that were known hold on, each to its end.
    pub async fn keep(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.read().await {
                tracing::debug!(%error, "quiet periods could not be read");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(READ_EVERY) => {}
            }
        }
    }
}
