//! Certificates that were seen, bounded. Pure.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use vonggac_daemon::tls::Loaded;
use vonggac_wire::{Identity, Time};

use super::{Certificate, Refusal};

/// Certificates in memory, of a kilobyte each: one more than a nation's agents have is asked of the store again.
const CERTIFICATES_MAX: usize = 50_000;

/// Names that the store does not know either, so that a stranger's batches do not ask it each time.
const UNKNOWN_MAX: usize = 10_000;

/// How long a name is taken for unknown without being asked for again.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);

struct Held {
    certificate: Arc<Certificate>,
    /// What the authorities said, and which.
    judged: Option<(Arc<Loaded>, Result<(), Refusal>)>,
}

/// Certificates by their names.
#[derive(Default)]
pub struct Certificates {
    held: HashMap<String, Held>,
    order: VecDeque<String>,
    unknown: HashMap<String, Time>,
}

impl Certificates {
    /// Whether it is there, or was just asked for in vain.
    #[must_use]
    pub fn is_settled(&self, key_id: &str, now: Time) -> bool {
        let lately = |asked: &Time| now.since(*asked) < UNKNOWN_FOR;
        self.held.contains_key(key_id) || self.unknown.get(key_id).is_some_and(lately)
    }

    /// Whether it is there.
    #[must_use]
    pub fn holds(&self, key_id: &str) -> bool {
        self.held.contains_key(key_id)
    }

    /// The agent that a certificate names.
    #[must_use]
    pub fn agent(&self, key_id: &str) -> Option<&str> {
        match &self.held.get(key_id)?.certificate.named.identity {
            Identity::Agent { agent, .. } => Some(agent.as_str()),
            _ => None,
        }
    }

    /// The store does not know it either.
    pub fn is_unknown(&mut self, key_id: &str, now: Time) {
        if self.unknown.len() >= UNKNOWN_MAX {
            self.unknown.clear();
        }
        self.unknown.insert(key_id.to_owned(), now);
    }

    /// Keeps one.
    pub fn keep(&mut self, certificate: Certificate) {
        let key_id = certificate.key_id.clone();
        self.unknown.remove(&key_id);
        if self.held.contains_key(&key_id) {
            return;
        }
        if self.order.len() >= CERTIFICATES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.held.remove(&oldest);
        }
        self.order.push_back(key_id.clone());
        self.held.insert(key_id, Held { certificate: Arc::new(certificate), judged: None });
    }

    /// The certificate of this name, if the authorities vouch for it; they are asked once, and again when they changed.
    ///
    /// # Errors
    /// If it is unknown or not believed.
    pub fn believed(
        &mut self,
        key_id: &str,
        loaded: &Arc<Loaded>,
        at: Time,
    ) -> Result<Arc<Certificate>, Refusal> {
        let Some(held) = self.held.get_mut(key_id) else {
            return Err(Refusal::Unknown { key_id: key_id.chars().take(64).collect() });
        };
        let judged = match &held.judged {
            Some((by, judged)) if Arc::ptr_eq(by, loaded) => judged.clone(),
            _ => held
                .judged
                .insert((
                    Arc::clone(loaded),
                    held.certificate.is_believed(loaded.verifier(), at).map_err(Refusal::from),
                ))
                .1
                .clone(),
        };
        judged.map(|()| Arc::clone(&held.certificate))
    }
}
