//! What can be asked of `vonggac-collector`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use vonggac_daemon::{exit::Exit, log, settings::SettingsError};

use crate::{
    app,
    config::Config,
    store::{Store, migrate},
};

mod dead;
mod doctor;
mod rehearse;
mod rules;

/// Takes what agents send, and tells consoles.
#[derive(Debug, Parser)]
#[command(name = "vonggac-collector", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The configuration.
    #[arg(long, global = true, default_value = "/etc/vonggac/collector.toml")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until told to stop.
    Serve,
    /// Bring the store to the present schema.
    Migrate,
    /// Tell every mistake of a configuration.
    CheckConfig,
    /// Rules: which there are, and whether files of them are right.
    #[command(subcommand)]
    Rules(rules::Command),
    /// Tell in sentences what is wrong with this centre, and what to do.
    Doctor(doctor::Arguments),
    /// Dead letters: what could not be taken, and what is done about it.
    #[command(subcommand)]
    Dead(dead::Command),
    /// Tell how often rules would have fired on events in a file.
    Rehearse(rehearse::Arguments),
}

/// Does what is asked.
#[must_use]
pub fn run(arguments: &Arguments) -> Exit {
    if let Command::Rules(command) = &arguments.command {
        let (text, exit) = rules::run(command);
        say(&text);
        return exit;
    }
    if let Command::Rehearse(arguments) = &arguments.command {
        let (text, exit) = rehearse::run(arguments);
        if exit != Exit::Success {
            return complain(&text, exit);
        }
        say(&text);
        return exit;
    }
    let config = match Config::read(&arguments.config) {
        Ok(config) => config,
        Err(error @ SettingsError::Unreadable { .. }) => {
            return complain(&format!("failed to {error}"), Exit::Configuration);
        }
        Err(SettingsError::Wrong(mistakes)) => {
            return complain(&mistakes.to_string(), Exit::Configuration);
        }
    };
    log::start();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("failed to start: {error}"), Exit::Failure),
    };
    let outcome = match &arguments.command {
        Command::CheckConfig | Command::Rules(_) | Command::Rehearse(_) => {
            say("the configuration is right");
            return Exit::Success;
        }
        Command::Doctor(arguments) => {
            let (text, exit) = runtime.block_on(doctor::run(arguments, &config));
            say(text.trim_end());
            return exit;
        }
        Command::Dead(command) => {
            let answer = runtime.block_on(dead::run(command, &config));
            return match answer {
                Ok(text) => {
                    say(text.trim_end());
                    Exit::Success
                }
                Err(error) => complain(&format!("failed to {error}"), error.exit()),
            };
        }
        Command::Serve => runtime.block_on(app::run(config)).map(|()| String::new()),
        Command::Migrate => runtime
            .block_on(migrate::run(&Store::new(&config)))
            .map(|taken| format!("{} steps taken", taken.len()))
            .map_err(anyhow::Error::from),
    };
    match outcome {
        Ok(text) => {
            if !text.is_empty() {
                say(&text);
            }
            Exit::Success
        }
        Err(error) => complain(&format!("{error:#}"), Exit::Failure),
    }
}

#[expect(clippy::print_stdout, reason = "the one place where commands answer")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the one place where commands complain")]
fn complain(text: &str, exit: Exit) -> Exit {
    eprintln!("{text}");
    exit
}
