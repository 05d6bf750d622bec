//! Retention in the background of `serve`: once a day, bounded, and never a reason to stop watching.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    figures::keeping::Kept,
    retention::Keeping,
    store::{Store, retention::RetentionError},
};

/// How often it runs.
const INTERVAL: Duration = Duration::from_secs(86_400);

/// After a start the night's first work is catching up; retention can wait.
const FIRST_AFTER: Duration = Duration::from_secs(600);

/// How soon one that failed, or found another at work, is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(3_600);

/// How long one run takes at most before it leaves the rest to the next: well within a night.
const LASTS_MAX: Duration = Duration::from_secs(4 * 3_600);

/// How the log calls it.
const WHO: &str = "vonggac-collector serve";

/// Runs until `stop`, if the settings want it.
pub fn spawn(store: Store, keeping: Keeping, kept: Kept, stop: CancellationToken) {
    if !keeping.daily {
        tracing::info!("retention is not applied by itself: retention.daily is false");
        return;
    }
    let store = store.patiently();
    tokio::spawn(async move {
        let mut wait = FIRST_AFTER;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = after(&store, &keeping, &kept).await;
        }
    });
}

/// One run, and how long to wait for the next.
async fn after(store: &Store, keeping: &Keeping, kept: &Kept) -> Duration {
    let tell = |text: &str| tracing::info!("retention: {text}");
    match store.apply(keeping, WHO, LASTS_MAX, &tell).await {
        Ok(report) => {
            kept.ran(false);
            tracing::info!(
                run = %report.run,
                cooled_rows = report.cooled_rows,
                deleted_rows = report.deleted_rows,
                incidents = report.incidents,
                others = report.others,
                unfinished = report.unfinished,
                "retention was applied"
            );
            if report.unfinished { AGAIN_AFTER } else { INTERVAL }
        }
        // With several collectors one of them does it.
        Err(RetentionError::Busy { owner, .. }) => {
            tracing::debug!(owner, "another works on the store");
            AGAIN_AFTER
        }
        Err(error) => {
            kept.ran(true);
            tracing::error!(error = %error, "failed to apply the retention; nothing is deleted until this is put right");
            AGAIN_AFTER
        }
    }
}
