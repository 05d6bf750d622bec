//! Work that may hang in the kernel, on threads whose number is bounded: a mount or a name server that is gone takes a few of them, and
//! not those that read logs.

use std::{sync::LazyLock, time::Duration};

use tokio::sync::Semaphore;

use super::ProbeError;

/// Looks at files, processes and names at once. Most last a millisecond.
const THREADS_MAX: usize = 32;

/// How long a place is waited for; then others hang, and nothing is known of this target.
const PLACE_WAIT: Duration = Duration::from_secs(2);

static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(THREADS_MAX));

/// Runs `work` on a thread. Its place is given back when the work ends, not when its probe is given up.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ProbeError> {
    run_within(&PLACES, PLACE_WAIT, work).await
}

async fn run_within<T: Send + 'static>(
    places: &'static Semaphore,
    wait: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ProbeError> {
    let hangs = || {
        ProbeError::Unable(format!(
            "{THREADS_MAX} looks at files and names hang; see whether mounts and name servers answer"
        ))
    };
    let place = tokio::time::timeout(wait, places.acquire()).await.map_err(|_| hangs())?;
    let worked = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(place);
        done
    });
    worked.await.map_err(|error| ProbeError::Unable(format!("a look ended: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    static FEW: Semaphore = Semaphore::const_new(2);

    #[tokio::test]
    async fn what_hangs_takes_its_own_places_and_the_others_are_told() {
        let (free, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        let wait = Duration::from_millis(50);
        for _ in 0..2 {
            let held = std::sync::Arc::clone(&held);
            let hanging = run_within(&FEW, wait, move || held.lock().unwrap().recv().is_ok());
            // The probe is given up, and its thread hangs on.
            assert!(tokio::time::timeout(wait, hanging).await.is_err());
        }
        let told = run_within(&FEW, wait, || 7).await.unwrap_err();
        assert!(matches!(&told, ProbeError::Unable(why) if why.contains("hang")), "{told}");
        drop(free);
        assert_eq!(run_within(&FEW, Duration::from_secs(20), || 7).await.unwrap(), 7);
    }
}
