//! Who may speak, who may see and do what, and proof of both.
//!
//! * [`authority`]: the certificate authority of the centre, its ledger and its revocation lists;
//! * [`token`]: who may enrol, and [`enrol`]: how;
//! * [`role`]: who is what, as data; [`scope`] (pure): what a role sees and does, call by call; [`door`]: where every call of the console's
//!   service comes in;
//! * [`audit`]: what was done, by whom, in a chain; [`pace`] (pure): how often and how much one person may ask; [`denial`]: why not.
//! * [`break_glass`]: what one person may because a second one confirmed it.
//! * [`seal`]: whether a batch was sealed by whom it names; [`merkle`] (pure): one hash over many; [`vonggac_evidence`] (pure): stored rows against what
//!   was written down of them; [`verify`]: the same of a store; [`holding`]: what is held and what is missing; [`receipt`]: the
//!   centre's signed word on each hour.

use std::path::PathBuf;

use vonggac_daemon::settings::Table;

pub mod audit;
pub mod authority;
pub mod break_glass;
pub mod bundle;
pub mod denial;
pub mod door;
pub mod enrol;
pub mod holding;
pub mod pace;
pub mod receipt;
pub mod role;
pub mod scope;
pub mod seal;
pub mod token;
pub mod verify;

pub use vonggac_evidence::{compare, merkle};

use authority::Lifetimes;

/// The settings of `[trust]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The authority, on the machine that has it.
    pub pki: Pki,
    /// What is asked of batches; `None`: seals, where there is `[tls]`.
    pub signed: Option<seal::Demand>,
    /// A simulated nation plays here, and its players have no certificates of their own: see [`seal::missing`].
    pub simulated_unsealed: bool,
    /// The key that signs receipts; `None`: none are made.
    pub receipt_key: Option<PathBuf>,
    /// Enrolment, on the machine that has the authority.
    pub enrol: enrol::Settings,
    /// What wants two persons.
    pub break_glass: break_glass::Settings,
    /// Who has which role; `None`: nobody whose certificate is asked for.
    pub roles: Option<PathBuf>,
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
                signed: seal::Demand::take(trust),
                simulated_unsealed: trust.bool("simulated_unsealed").unwrap_or(false),
                receipt_key: trust.path("receipt_key"),
                pki: trust.table("pki", |pki| Pki {
                    dir: pki.path("dir"),
                    lifetimes: Lifetimes::take(pki),
                }),
                enrol: trust.table("enrol", enrol::Settings::take),
                break_glass: trust.table("break_glass", break_glass::Settings::take),
                roles: role::watch::take(trust),
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
