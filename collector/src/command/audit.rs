//! `audit`: whether the log is as it was written; and what commands of this program put into it.

use clap::Subcommand;
use vonggac_daemon::exit::Exit;

use super::{dead, hold, notify, retention};
use crate::{config::Config, store::Store, trust::audit::log};

/// What can be asked.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Go along every chain and name each row that was changed, removed or added behind the store's back.
    Verify,
}

/// The answer.
pub(super) async fn run(store: &Store, command: &Command) -> (String, Exit) {
    let Command::Verify = command;
    let all = match store.verify_audit().await {
        Ok(all) => all,
        Err(error) => return (format!("failed to {error}"), Exit::Failure),
    };
    let mut lines = Vec::new();
    let mut exit = Exit::Success;
    for chain in all {
        if chain.findings.is_empty() {
            lines.push(format!("{}: {} rows, as they were written", chain.chain, chain.rows));
            continue;
        }
        exit = Exit::Failure;
        lines.extend(chain.findings.iter().map(|found| format!("{}: {found}", chain.chain)));
        if chain.more > 0 {
            lines.push(format!("{}: and {} more", chain.chain, chain.more));
        }
    }
    if lines.is_empty() {
        lines.push("the audit log has no row".into());
    }
    (lines.join("\n"), exit)
}

/// What of a command changes or takes out something.
fn name_of(command: &super::Command) -> Option<&'static str> {
    match command {
        super::Command::Dead(dead::Command::Replay { .. }) => Some("dead replay"),
        super::Command::Dead(dead::Command::Drop { .. }) => Some("dead drop"),
        super::Command::Hold(hold::Command::Add(_)) => Some("hold add"),
        super::Command::Hold(hold::Command::Lift { .. }) => Some("hold lift"),
        super::Command::Notify(notify::Command::Test { .. }) => Some("notify test"),
        super::Command::Notify(notify::Command::Retry { .. }) => Some("notify retry"),
        super::Command::Notify(notify::Command::Drop { .. }) => Some("notify drop"),
        super::Command::Retention(retention::Command::Apply { .. }) => Some("retention apply"),
        super::Command::Backup(_) => Some("backup"),
        super::Command::Export(_) => Some("export"),
        super::Command::Evidence(_) => Some("evidence bundle"),
        _ => None,
    }
}

/// Writes down that a command begins. Where the store does not take it the command goes on: it works on the same store, and says itself
/// what is wrong there.
pub(super) async fn begun(config: &Config, command: &super::Command) {
    let Some(name) = name_of(command) else { return };
    let who = ["SUDO_USER", "USER"].iter().find_map(|name| std::env::var(name).ok());
    let who = who.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let mut deed = log::by_command(&who, name, format!("{command:?}"));
    deed.outcome = "begun".into();
    if let Err(error) = log::tell(&Store::new(config), deed).await {
        tracing::warn!(%error, name, "the command is not in the audit log");
    }
}
