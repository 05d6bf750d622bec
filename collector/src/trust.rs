//! Who may speak and who may see.
//!
//! * [`authority`]: the certificate authority of the centre, its ledger and its revocation lists;
//! * [`token`]: who may enrol, and [`enrol`]: how.

use std::path::PathBuf;

use vonggac_daemon::settings::Table;

pub mod authority;
pub mod enrol;
pub mod token;

use authority::Lifetimes;

/// The settings of `[trust]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The authority, on the machine that has it.
    pub pki: Pki,
    /// Enrolment, on the machine that has the authority.
    pub enrol: enrol::Settings,
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
        root.table("trust", |trust| {
            let settings = Self {
                pki: trust.table("pki", |pki| Pki {
                    dir: pki.path("dir"),
                    lifetimes: Lifetimes::take(pki),
                }),
                enrol: trust.table("enrol", enrol::Settings::take),
            };
            if settings.enrol.listen.is_some() && settings.pki.dir.is_none() {
                trust.wrong(
                    "pki.dir",
                    "is missing; wanted is the folder of the authority, which enrolment needs",
                );
            }
            settings
        })
    }
}
