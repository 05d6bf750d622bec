//! `audit`: whether the log is as it was written.

use clap::Subcommand;
use vonggac_daemon::exit::Exit;

use crate::store::Store;

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
