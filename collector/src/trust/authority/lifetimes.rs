//! How long what the authority makes is valid.

use std::time::Duration;

use vonggac_daemon::settings::Table;
use vonggac_wire::Identity;

const DAY: Duration = Duration::from_secs(86_400);

/// The shortest life: long enough that a renewal at two thirds of it is not always under way.
const LEAST: Duration = Duration::from_secs(60);

/// The longest life: that of a root that is made once for the life of a system.
const MOST: Duration = Duration::from_secs(40 * 366 * 86_400);

/// Lifetimes, each a setting of `[trust.pki]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// The root: replaced by visiting every machine, so seldom.
    pub root: Duration,
    /// An issuer: its key is online.
    pub issuer: Duration,
    /// An agent's certificate: renewed by itself, so short.
    pub agent: Duration,
    /// A collector's.
    pub collector: Duration,
    /// A broker's: replaced by hand.
    pub broker: Duration,
    /// A person's: replaced by hand.
    pub person: Duration,
    /// An issuer's revocation list: made anew by the collector at half of it.
    pub crl: Duration,
    /// The root's revocation list: made anew only with the root's key.
    pub root_crl: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            root: 20 * 365 * DAY,
            issuer: 3 * 365 * DAY,
            agent: 90 * DAY,
            collector: 90 * DAY,
            broker: 365 * DAY,
            person: 365 * DAY,
            crl: 7 * DAY,
            root_crl: 400 * DAY,
        }
    }
}

impl Lifetimes {
    /// Takes its keys out of `[trust.pki]`.
    pub fn take(pki: &mut Table<'_>) -> Self {
        let usual = Self::default();
        let mut of = |key, usual| pki.duration(key, LEAST, MOST).unwrap_or(usual);
        Self {
            root: of("root_valid", usual.root),
            issuer: of("issuer_valid", usual.issuer),
            agent: of("agent_valid", usual.agent),
            collector: of("collector_valid", usual.collector),
            broker: of("broker_valid", usual.broker),
            person: of("person_valid", usual.person),
            crl: of("crl_valid", usual.crl),
            root_crl: of("root_crl_valid", usual.root_crl),
        }
    }

    /// That of a certificate for `identity`.
    #[must_use]
    pub const fn of(&self, identity: &Identity) -> Duration {
        match identity {
            Identity::Agent { .. } => self.agent,
            Identity::Collector(_) => self.collector,
            Identity::Broker(_) => self.broker,
            Identity::Person(_) => self.person,
        }
    }
}
