//! Keeps the machine's certificates and lists while it runs: what ends soon, or comes from an issuer that was rotated, is issued anew.
//!
//! Our own programs read their files anew by themselves. Kafka does so for its clients' listener when it is told to; its controller's listener,
//! to which nobody but itself connects, keeps what it was started with.

use std::{fs, thread, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Sets, TrustError};
use crate::{kafka::rights, layout::Layout};

/// How often it is looked at: a revocation shall have its effect within a minute.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(10);

/// How often a stop is looked for.
const STOP_LOOKED_FOR_EVERY: Duration = Duration::from_millis(200);

/// Keeps them until `stop`. `kafka`: it runs here, and began with the files as they are now.
pub fn keep(layout: &Layout, kafka: bool, stop: &CancellationToken) {
    let (layout, stop) = (layout.clone(), stop.clone());
    thread::spawn(move || {
        let mut kafka = kafka.then(|| Kafka { reads: certificate(&layout) });
        while rest(&stop) {
            match Sets::ready(&layout) {
                Ok(sets) => {
                    if let Some(kafka) = &mut kafka {
                        kafka.follow(&layout, &sets);
                    }
                }
                Err(error) => tell(&error),
            }
        }
    });
}

/// `false`: it is to stop.
fn rest(stop: &CancellationToken) -> bool {
    let mut rested = Duration::ZERO;
    while rested < LOOKED_AT_EVERY {
        if stop.is_cancelled() {
            return false;
        }
        thread::sleep(STOP_LOOKED_FOR_EVERY);
        rested += STOP_LOOKED_FOR_EVERY;
    }
    true
}

fn tell(error: &TrustError) {
    tracing::warn!("failed to {error}; the certificates stay as they are");
}

fn certificate(layout: &Layout) -> String {
    fs::read_to_string(layout.path("trust/kafka/certificate.pem")).unwrap_or_default()
}

/// What the broker reads now.
struct Kafka {
    reads: String,
}

impl Kafka {
    fn follow(&mut self, layout: &Layout, sets: &Sets) {
        let now = certificate(layout);
        if now == self.reads {
            return;
        }
        match rights::renew(layout, sets) {
            Ok(()) => {
                tracing::info!("Kafka shows its renewed certificate");
                self.reads = now;
            }
            Err(error) => {
                tracing::warn!(%error, "Kafka has not taken its renewed certificate yet");
            }
        }
    }
}
