//! Who may speak, who may see, and what proves that nothing is missing.
//!
//! * [`authority`]: the certificate authority of the centre, its ledger and its revocation lists;
//! * [`seal`]: whether a batch was sealed by whom it names; [`merkle`] (pure): one hash over many; [`evidence`] (pure): stored rows against what
//!   was written down of them; [`verify`]: the same of a store; [`holding`]: what is held and what is missing; [`receipt`]: the
//!   centre's signed word on each hour.

use std::path::PathBuf;

use vonggac_daemon::settings::Table;

pub mod authority;
pub mod evidence;
pub mod holding;
pub mod merkle;
pub mod receipt;
pub mod seal;
pub mod verify;

use authority::Lifetimes;

/// The settings of `[trust]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The authority, on the machine that has it.
    pub pki: Pki,
    /// What is asked of batches; `None`: seals are checked where there is `[tls]`.
    pub signed: Option<seal::Demand>,
    /// The key that signs receipts; `None`: none are made.
    pub receipt_key: Option<PathBuf>,
}

/// The settings of `[trust.pki]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pki {
    /// The authority's folder; `None`: it is on another machine.
    pub dir: Option<PathBuf>,
    /// How long what it makes is valid.
    pub lifetimes: Lifetimes,
}

impl Settings {
    /// Takes the table out of a file's root.
    pub fn take(root: &mut Table<'_>) -> Self {
        root.table("trust", |trust| Self {
            signed: seal::Demand::take(trust),
            receipt_key: trust.path("receipt_key"),
            pki: trust
                .table("pki", |pki| Pki { dir: pki.path("dir"), lifetimes: Lifetimes::take(pki) }),
        })
    }
}
