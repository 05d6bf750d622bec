//! Who may speak and who may see.
//!
//! * [`authority`]: the certificate authority of the centre, its ledger and its revocation lists.

use std::path::PathBuf;

use vonggac_daemon::settings::Table;

pub mod authority;

use authority::Lifetimes;

/// The settings of `[trust]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The authority, on the machine that has it.
    pub pki: Pki,
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
            pki: trust
                .table("pki", |pki| Pki { dir: pki.path("dir"), lifetimes: Lifetimes::take(pki) }),
        })
    }
}
