//! What commands of this program put into the audit log: that they began, and how they ended; of the authority, which works without a store, how
//! they ended, and what its ledger has.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use vonggac_daemon::exit::Exit;

use super::{Command, dead, evidence, hold, notify, pki, retention, token};
use crate::{
    config::Config,
    store::Store,
    trust::{
        audit::{Deed, account, ledger, log},
        authority::Authority,
    },
};

/// How long a command of the authority waits for the store, which it does not need.
const STORE_WITHIN: Duration = Duration::from_secs(5);

/// A command that is under way.
pub(super) struct Begun {
    deed: Deed,
    at: Instant,
}

/// What of a command changes or takes out something, and whose it is.
fn name_of(command: &Command) -> Option<(&'static str, Option<String>)> {
    let (name, agency) = match command {
        Command::Dead(dead::Command::Replay { chosen }) => {
            ("dead replay", chosen.which.agency.clone())
        }
        Command::Dead(dead::Command::Drop { chosen, .. }) => {
            ("dead drop", chosen.which.agency.clone())
        }
        Command::Hold(hold::Command::Add(add)) => ("hold add", add.agency.clone()),
        Command::Hold(hold::Command::Lift { .. }) => ("hold lift", None),
        Command::Notify(command) => match command {
            notify::Command::Test { .. } => ("notify test", None),
            notify::Command::Retry { .. } => ("notify retry", None),
            notify::Command::Drop { .. } => ("notify drop", None),
            notify::Command::List { .. } | notify::Command::Show { .. } => return None,
        },
        Command::Retention(retention::Command::Apply { .. }) => ("retention apply", None),
        Command::Backup(_) => ("backup", None),
        Command::Restore(_) => ("restore", None),
        Command::Export(asked) => ("export", asked.agency.clone()),
        Command::Evidence(evidence::Command::Bundle(asked)) => {
            ("evidence bundle", Some(asked.agency.clone()))
        }
        Command::Migrate(asked) if !asked.print => ("migrate", None),
        Command::Pki { command, .. } => match command {
            pki::Command::Init { .. } => ("pki init", None),
            pki::Command::Issue(asked) => {
                ("pki issue", asked.agency.as_ref().map(ToString::to_string))
            }
            pki::Command::Revoke(_) => ("pki revoke", None),
            pki::Command::Rotate { .. } => ("pki rotate", None),
            pki::Command::ExportCrl { .. } => ("pki export-crl", None),
            pki::Command::Status { .. } => return None,
        },
        Command::Token { command, .. } => match command {
            token::Command::Create(asked) => {
                ("token create", asked.agency.as_ref().map(ToString::to_string))
            }
            token::Command::Revoke { .. } => ("token revoke", None),
            token::Command::Admit { .. } => ("token admit", None),
            token::Command::List { .. } => return None,
        },
        _ => return None,
    };
    Some((name, agency))
}

impl Begun {
    /// A command of those that are written down.
    pub(super) fn of(command: &Command) -> Option<Self> {
        let (name, agency) = name_of(command)?;
        let mut deed = log::by_command(&account::present(), name, format!("{command:?}"));
        deed.agency = agency.unwrap_or_default();
        Some(Self { deed, at: Instant::now() })
    }

    fn ended(mut self, exit: Exit) -> Deed {
        let outcome = match exit {
            Exit::Success => "ok",
            Exit::Failure => "failed",
            Exit::Configuration => "configuration",
            Exit::Usage => "usage",
        };
        outcome.clone_into(&mut self.deed.outcome);
        self.deed.microseconds = u64::try_from(self.at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.deed
    }
}

/// Writes down that a command begins. Where the store does not take it the command goes on: it works on the same store, and says itself
/// what is wrong there.
pub(super) async fn begun(config: &Config, command: &Command) -> Option<Begun> {
    let begun = Begun::of(command)?;
    // Before a migration there may be no log.
    if !matches!(command, Command::Migrate(_)) {
        let outcome = "begun".to_owned();
        tell(config, Deed { outcome, ..begun.deed.clone() }).await;
    }
    Some(begun)
}

/// Writes down how it ended.
pub(super) async fn ended(config: &Config, begun: Option<Begun>, exit: Exit) {
    if let Some(begun) = begun {
        tell(config, begun.ended(exit)).await;
    }
}

async fn tell(config: &Config, deed: Deed) {
    let (name, outcome) = (deed.call.clone(), deed.outcome.clone());
    if let Err(error) = log::tell(&Store::new(config), deed).await {
        let error = vonggac_daemon::log::Harmless(&error.to_string()).to_string();
        tracing::warn!(error, name, outcome, "the command is not in the audit log");
    }
}

/// Writes down how a command of the authority ended, and what its ledger has; a sentence where the log cannot be reached, and the ledger alone has it.
pub(super) fn of_authority(
    begun: Begun,
    exit: Exit,
    place: &pki::Place,
    file: &Path,
) -> Option<String> {
    let deed = begun.ended(exit);
    let why = match Config::read(file) {
        Ok(config) => {
            let authority = place.authority(file).ok();
            written(&config, deed, authority.as_ref()).err()?
        }
        Err(_) => format!("{} cannot be read", file.display()),
    };
    let what = match exit {
        Exit::Success => {
            "the authority's ledger has it; the audit log has it when the collector runs"
        }
        _ => "that it failed is not in the audit log",
    };
    Some(format!("{what}: {why}"))
}

/// In the audit log; why not.
fn written(config: &Config, deed: Deed, authority: Option<&Authority>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let store = Store::new(config);
    runtime.block_on(async {
        let telling = async {
            log::tell(&store, deed).await.map_err(|error| format!("failed to {error}"))?;
            if let Some(authority) = authority {
                let taken = ledger::take_over(&store, authority).await;
                taken.map_err(|error| format!("failed to {error}"))?;
            }
            Ok(())
        };
        let told = tokio::time::timeout(STORE_WITHIN, telling).await;
        told.unwrap_or_else(|_| Err("the store does not answer".into()))
    })
}
