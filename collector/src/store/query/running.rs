//! A question that is under way: how much was read for it so far, and how the engine is told to stop.
//!
//! The engine is asked by a mark that each statement of the question carries (`log_comment`): the one in a process has no numbers of
//! questions, and a server's number is one statement's alone.

use std::time::Duration;

use clickhouse::QuerySummary;

use crate::store::{Store, StoreError};

/// How often the engine is told to stop: what still waited for a place when it was told first is stopped by a later one.
const KILLS_MAX: u32 = 10;

/// Between two of them.
const KILL_INTERVAL: Duration = Duration::from_millis(200);

/// What the engine read for a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Rows.
    pub rows: u64,
    /// Bytes, before compression.
    pub bytes: u64,
    /// Rows that it expects to read; 0: it does not say.
    pub rows_in_all: u64,
}

impl Read {
    pub(super) fn of(summary: &QuerySummary) -> Self {
        Self {
            rows: summary.read_rows().unwrap_or(0),
            bytes: summary.read_bytes().unwrap_or(0),
            rows_in_all: 0,
        }
    }

    #[must_use]
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            bytes: self.bytes.saturating_add(other.bytes),
            rows_in_all: self.rows_in_all.saturating_add(other.rows_in_all),
        }
    }
}

/// A question that the engine is told to stop when it is dropped before [`Running::over`].
pub struct Running {
    store: Store,
    mark: String,
    over: bool,
}

impl Running {
    /// A question of this store, which is asked through [`Running::store`].
    #[must_use]
    pub fn new(store: Store) -> Self {
        let mark = format!("question-{}", uuid::Uuid::new_v4().simple());
        Self { store, mark, over: false }
    }

    /// The store to ask through: each statement carries the question's mark.
    #[must_use]
    pub fn store(&self) -> Store {
        self.store.clone().with_setting("log_comment", &self.mark)
    }

    /// What the statement that runs now has read so far; `None`: none runs.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn read(&self) -> Result<Option<Read>, StoreError> {
        read(&self.store, &self.mark).await
    }

    /// It has its answer: nothing is to be stopped.
    pub fn over(mut self) {
        self.over = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over && tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(kill(self.store.clone(), std::mem::take(&mut self.mark)));
        }
    }
}

/// The engine in a process keeps what was stopped in its list until the connection is used again.
async fn read(store: &Store, mark: &str) -> Result<Option<Read>, StoreError> {
    let found: (u64, u64, u64, u64) = store
        .client()
        .query(
            "SELECT count(), toUInt64(sum(read_rows)), toUInt64(sum(read_bytes)), toUInt64(sum(total_rows_approx)) \
             FROM system.processes WHERE Settings['log_comment'] = ? AND NOT is_cancelled",
        )
        .bind(mark)
        .fetch_one()
        .await?;
    let (count, rows, bytes, rows_in_all) = found;
    Ok((count > 0).then_some(Read { rows, bytes, rows_in_all }))
}

/// Until nothing of the question runs, twice in a row: its next statement may have waited for a place meanwhile.
async fn kill(store: Store, mark: String) {
    let mut gone = 0;
    for _ in 0..KILLS_MAX {
        // The mark is made of letters and digits here.
        let text = format!("KILL QUERY WHERE Settings['log_comment'] = '{mark}' ASYNC");
        if let Err(error) = store.client().query_raw(&text).execute().await {
            tracing::debug!(%error, "a search that nobody waits for could not be stopped");
        }
        gone = if matches!(read(&store, &mark).await, Ok(None)) { gone + 1 } else { 0 };
        if gone > 1 {
            return;
        }
        tokio::time::sleep(KILL_INTERVAL).await;
    }
}
