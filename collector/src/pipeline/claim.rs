//! How a tenure begins, and how the engine is asked until it answers.

use std::time::Duration;

use vonggac_wire::Time;

use crate::{
    figures::Figures,
    store::{Store, StoreError},
    tenure::{self, Key, Taking, Tenure},
};

/// How long a refused question waits before it is asked again; doubles up to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How often a taking is tried while others take the same: two who were given the same at once are apart after one.
const TRIES_MAX: usize = 4;

/// How long to wait between.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Begins a tenure; `None`: others take the same again and again.
///
/// # Errors
/// What can never work.
pub(crate) async fn claim(
    store: &Store,
    figures: &Figures,
    keys: &[Key],
) -> Result<Option<Tenure>, StoreError> {
    let name = uuid::Uuid::new_v4().simple().to_string();
    for _ in 0..TRIES_MAX {
        let takings = keep_trying(figures, "takings", || store.takings(keys)).await?;
        let now = Time::now();
        let epoch = tenure::epoch(&takings, now.0);
        let tenure = Tenure::new(name.clone(), epoch, keys.to_vec());
        keep_trying(figures, "a taking", || store.begin_tenure(&tenure, now)).await?;
        match keep_trying(figures, "the tenure", || store.sure_of(&tenure)).await {
            Ok(()) => return Ok(Some(tenure)),
            Err(StoreError::Superseded) => tokio::time::sleep(TRY_AGAIN).await,
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Makes those before void that came to nothing yet.
///
/// # Errors
/// What can never work.
pub(crate) async fn decide(
    store: &Store,
    figures: &Figures,
    takings: &[Taking],
    tenure: &Tenure,
) -> Result<(), StoreError> {
    for (epoch, name) in tenure::undecided(takings, tenure.epoch) {
        let void = || store.make_void(epoch, &name, Time::now());
        keep_trying(figures, "a tenure that came to nothing", void).await?;
    }
    Ok(())
}

/// Tries until the engine does it; only what can never work ends it.
///
/// # Errors
/// What can never work.
pub(crate) async fn keep_trying<T, F>(
    figures: &Figures,
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut wait = RETRY.0;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => figures.store_failed(what, &error, Time::now()),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
}
