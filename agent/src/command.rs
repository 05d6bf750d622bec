//! What can be asked of `vonggac-agent`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use vonggac_daemon::{exit::Exit, log, settings::SettingsError};

use crate::{app, config::Config};

pub mod check_config;
pub mod enrol;
pub mod formats;
pub mod parse;
pub mod receipts;
pub mod redact;
pub mod sources;
pub mod spool;
pub mod status;

/// Watches this host and sends what it sees to the centre.
#[derive(Debug, Parser)]
#[command(name = "vonggac-agent", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until told to stop.
    Run {
        /// The configuration.
        #[arg(long, default_value = "/etc/vonggac/agent.toml")]
        config: PathBuf,
    },
    /// Tell every mistake of a configuration.
    CheckConfig(check_config::Arguments),
    /// Turn a token into this agent's certificate.
    Enrol(enrol::Arguments),
    /// Tell this agent's name, which is made with its spool and kept there.
    Name {
        /// The configuration.
        #[arg(long, default_value = "/etc/vonggac/agent.toml")]
        config: PathBuf,
    },
    /// Find the logs, services and ports of this host, and write a configuration that watches them.
    Sources(sources::Arguments),
    /// Show what the centre signed for of this agent.
    Receipts(receipts::Arguments),
    /// Tell how a running agent is.
    Status(status::Arguments),
    /// Look into a spool, or repair it.
    Spool(spool::Arguments),
    /// Show what the agent makes of each line of a file.
    Parse(parse::Arguments),
    /// List the formats.
    Formats,
    /// Show what is taken out of lines before they are kept.
    Redact(redact::Arguments),
}

/// Does what is asked.
#[must_use]
pub fn run(arguments: Arguments) -> Exit {
    match arguments.command {
        Command::Run { config } => run_agent(config),
        Command::CheckConfig(arguments) => check_config::run(&arguments),
        Command::Enrol(arguments) => enrol::run(&arguments),
        Command::Name { config } => enrol::tell_name(&config),
        Command::Sources(arguments) => sources::run(&arguments),
        Command::Receipts(arguments) => receipts::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Spool(arguments) => spool::run(&arguments),
        Command::Parse(arguments) => parse::run(&arguments),
        Command::Formats => formats::run(),
        Command::Redact(arguments) => redact::run(&arguments),
    }
}

fn read(path: &std::path::Path) -> Result<Config, Exit> {
    Config::read(path).map_err(|error| match error {
        SettingsError::Unreadable { .. } => {
            complain(&format!("failed to {error}"), Exit::Configuration)
        }
        SettingsError::Wrong(mistakes) => complain(&mistakes.to_string(), Exit::Configuration),
    })
}

fn run_agent(file: PathBuf) -> Exit {
    log::start();
    // Two threads: one for files and figures, one for the network. More would only take memory from the host.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(64)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("failed to start: {error}"), Exit::Failure),
    };
    runtime.block_on(async {
        let failed = |error| complain(&format!("{error:#}"), Exit::Failure);
        let signals = match app::Signals::caught() {
            Ok(signals) => signals,
            Err(error) => return failed(error),
        };
        let settings = match read(&file) {
            Ok(settings) => settings,
            Err(exit) => return exit,
        };
        app::run(settings, file, signals).await.map_or_else(failed, |()| Exit::Success)
    })
}

#[expect(clippy::print_stdout, reason = "the one place where commands answer")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the one place where commands complain")]
pub(crate) fn complain(text: &str, exit: Exit) -> Exit {
    eprintln!("{text}");
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_means_nothing_is_a_wrong_call_and_not_passed_over() {
        let exit = |words: &str| {
            let call = std::iter::once("vonggac-agent").chain(words.split_whitespace());
            Arguments::try_parse_from(call).map_or_else(|error| error.exit_code(), |_| 0)
        };
        assert_eq!(exit("parse --year 2026 /l"), 0);
        for wrong in [
            "parse --year 20000 /l",
            "parse --year 0 /l",
            "parse --year soon /l",
            "status --format xml",
            "spool stats --format xml",
            "sources --format xml",
            "parse /l --deadline nonsense",
        ] {
            assert_eq!(exit(wrong), 2, "{wrong}");
        }
    }
}
