//! What can be asked of `vonggac-collector`.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;
use vonggac_daemon::{exit::Exit, log, settings::SettingsError};

use crate::{
    app,
    config::Config,
    store::{Store, cluster, migrate, retention::RetentionError},
};

mod audit;
mod backup;
mod dead;
mod deed;
mod doctor;
mod enrol;
mod evidence;
mod export;
mod hold;
mod notify;
mod pki;
mod rehearse;
mod retention;
mod roles;
mod rules;
mod sheet;
mod sizing;
mod token;

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
    Migrate(Migrate),
    /// Tell every mistake of a configuration.
    CheckConfig,
    /// Rules: which there are, and whether files of them are right.
    #[command(subcommand)]
    Rules(rules::Command),
    /// Tell what a number of hosts needs: events, disks, partitions, machines.
    Sizing(sizing::Arguments),
    /// Tell in sentences what is wrong with this centre, and what to do.
    Doctor(doctor::Arguments),
    /// Dead letters: what could not be taken, and what is done about it.
    #[command(subcommand)]
    Dead(dead::Command),
    /// Notifications: what was told to whom, and a test of a channel.
    #[command(subcommand)]
    Notify(notify::Command),
    /// Tell how often rules would have fired on events in a file.
    Rehearse(rehearse::Arguments),
    /// How long things are kept: what goes, what went, what will be.
    #[command(subcommand)]
    Retention(retention::Command),
    /// Legal holds: what must not be deleted.
    #[command(subcommand)]
    Hold(hold::Command),
    /// The certificate authority of the centre.
    Pki {
        #[command(subcommand)]
        command: pki::Command,
        #[command(flatten)]
        place: pki::Place,
    },
    /// Tokens for enrolment, and who may come back.
    Token {
        #[command(subcommand)]
        command: token::Command,
        #[command(flatten)]
        place: pki::Place,
    },
    /// Turn a token into this collector's certificate.
    Enrol(enrol::Arguments),
    /// Copy the store to a folder, or look whether a copy is whole.
    Backup(backup::Backup),
    /// Write events or incidents for others.
    Export(export::Arguments),
    /// What proves an agency's events, for whoever wants to check it elsewhere.
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// The audit log: whether it is as it was written.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Who may see and do what.
    #[command(subcommand)]
    Roles(roles::Command),
    /// Make the store what a copy of it says; the collector has to be stopped.
    Restore(backup::Restore),
}

/// Where the tables are made.
#[derive(Debug, clap::Args)]
struct Migrate {
    /// On the machines of this cluster, as the engine's remote_servers names it: replicated tables, and distributed ones in front of what is
    /// sharded. `serve` has to be told the same by `[engine] cluster`.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Print the statements that an empty engine would be given, and touch nothing.
    #[arg(long)]
    print: bool,
}

impl Migrate {
    /// The configuration with the cluster that was named.
    fn meant(&self, mut config: Config) -> Result<Config, String> {
        let Some(name) = &self.cluster else { return Ok(config) };
        if !cluster::is_name(name) {
            return Err(format!("failed to migrate: {name:?} is no cluster's name"));
        }
        match &config.cluster {
            Some(configured) if configured != name => Err(format!(
                "failed to migrate: --cluster is {name:?}, the configuration has {configured:?}; one of them is wrong"
            )),
            _ if config.keeping.cold.is_some() => Err(
                "failed to migrate: the cold tier cannot be had on a cluster yet; leave out [cold]"
                    .into(),
            ),
            _ => {
                config.cluster = Some(name.clone());
                Ok(config)
            }
        }
    }
}

async fn migrated(config: &Config, print: bool) -> anyhow::Result<String> {
    let store = Store::new(config).patiently();
    if print {
        return Ok(migrate::script(store.layout(), &config.database)?);
    }
    Ok(format!("{} steps taken", migrate::run(&store).await?.len()))
}

/// What needs no store.
fn without_configuration(command: &Command, config: &Path) -> Option<Exit> {
    match command {
        Command::Rules(command) => {
            let (text, exit) = rules::run(command, config);
            if exit == Exit::Failure {
                return Some(complain(&text, exit));
            }
            say(&text);
            Some(exit)
        }
        Command::Sizing(arguments) => {
            say(&sizing::run(arguments));
            Some(Exit::Success)
        }
        Command::Rehearse(arguments) => {
            let (text, exit) = rehearse::run(arguments);
            if exit != Exit::Success {
                return Some(complain(&text, exit));
            }
            say(&text);
            Some(exit)
        }
        _ => None,
    }
}

/// What needs neither Kafka nor store.
fn of_trust(command: &Command, config: &Path) -> Option<Exit> {
    let begun = deed::Begun::of(command);
    let (answer, place) = match command {
        Command::Pki { command, place } => (pki::run(command, place, config), place),
        Command::Token { command, place } => (token::run(command, place, config), place),
        Command::Enrol(asked) => {
            let answer = enrol::run(asked, config);
            return Some(told(answer.map_err(|error| (error.exit(), error.to_string()))));
        }
        _ => return None,
    };
    let exit = told(answer.map_err(|error| (error.exit(), error.to_string())));
    if let Some(text) = begun.and_then(|begun| deed::of_authority(begun, exit, place, config)) {
        complain(&text, exit);
    }
    Some(exit)
}

fn told(answer: Result<String, (Exit, String)>) -> Exit {
    match answer {
        Ok(text) => {
            say(text.trim_end());
            Exit::Success
        }
        Err((exit, error)) => complain(&format!("failed to {error}"), exit),
    }
}

/// Does what is asked.
#[must_use]
pub fn run(arguments: &Arguments) -> Exit {
    let early = without_configuration(&arguments.command, &arguments.config)
        .or_else(|| of_trust(&arguments.command, &arguments.config));
    if let Some(exit) = early {
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
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("failed to start: {error}"), Exit::Failure),
    };
    // The others say it themselves, or do not touch the store.
    if matches!(
        arguments.command,
        Command::Dead(_)
            | Command::Retention(_)
            | Command::Backup(_)
            | Command::Export(_)
            | Command::Evidence(_)
            | Command::Hold(_)
            | Command::Notify(_)
            | Command::Audit(_)
    ) {
        if let Err(error) = runtime.block_on(migrate::refuse_newer(&Store::new(&config))) {
            return complain(&format!("failed to {error}"), Exit::Failure);
        }
    }
    if let Some(exit) = runtime.block_on(of_roles(&arguments.command, &config)) {
        return exit;
    }
    if matches!(arguments.command, Command::Serve) {
        return served(config, runtime);
    }
    let begun = runtime.block_on(deed::begun(&config, &arguments.command));
    let exit = carried_out(&arguments.command, config.clone(), &runtime);
    runtime.block_on(deed::ended(&config, begun, exit));
    exit
}

fn served(config: Config, runtime: Runtime) -> Exit {
    let served = runtime.block_on(app::run(config));
    // A consumer that waits for its broker would hold a stop up: what it had in hand is finished, or given up.
    runtime.shutdown_background();
    match served {
        Ok(()) => Exit::Success,
        Err(error) => complain(&format!("{error:#}"), Exit::Failure),
    }
}

/// What works on the store.
fn carried_out(command: &Command, config: Config, runtime: &Runtime) -> Exit {
    if let Some(exit) = runtime.block_on(of_shelves(command, &config)) {
        return exit;
    }
    let outcome = match command {
        Command::Serve => return Exit::Success,
        Command::CheckConfig
        | Command::Rules(_)
        | Command::Rehearse(_)
        | Command::Sizing(_)
        | Command::Pki { .. }
        | Command::Token { .. }
        | Command::Enrol(_)
        | Command::Audit(_)
        | Command::Dead(_)
        | Command::Notify(_)
        | Command::Roles(_) => kept(
            runtime
                .block_on(retention::checked(&Store::new(&config), &config.keeping))
                .map(|()| "the configuration is right".into()),
        ),
        Command::Doctor(arguments) => {
            let (text, exit) = runtime.block_on(doctor::run(arguments, &config));
            say(text.trim_end());
            return exit;
        }
        Command::Migrate(asked) => match asked.meant(config) {
            Ok(config) => runtime
                .block_on(migrated(&config, asked.print))
                .map_err(|error| error.context("failed to")),
            Err(text) => return complain(&text, Exit::Configuration),
        },
        Command::Retention(command) => {
            let (store, keeping) = (Store::new(&config).patiently(), config.keeping);
            kept(runtime.block_on(retention::run(&store, &keeping, command, &say)))
        }
        Command::Backup(asked) => runtime.block_on(backup::backup(&config, asked, &say)),
        Command::Export(asked) => runtime
            .block_on(export::run(&Store::new(&config).patiently(), asked, &say))
            .map_err(|error| anyhow::Error::from(error).context("failed to")),
        Command::Evidence(command) => runtime.block_on(evidence::run(&config, command, &say)),
        Command::Restore(asked) => runtime.block_on(backup::restore(&config, asked, &say)),
        Command::Hold(command) => kept(runtime.block_on(hold::run(&Store::new(&config), command))),
    };
    answered(outcome)
}

/// Who may do what, and what was done.
async fn of_roles(command: &Command, config: &Config) -> Option<Exit> {
    match command {
        Command::Roles(command) => {
            say(&roles::run(config, command));
            Some(Exit::Success)
        }
        Command::Audit(command) => {
            let (text, exit) = audit::run(&Store::new(config), command).await;
            if exit != Exit::Success {
                return Some(complain(&text, exit));
            }
            say(&text);
            Some(exit)
        }
        _ => None,
    }
}

/// What lies aside or waits, and what is done about it.
async fn of_shelves(command: &Command, config: &Config) -> Option<Exit> {
    let answer = match command {
        Command::Dead(command) => {
            dead::run(command, config).await.map_err(|error| (error.to_string(), error.exit()))
        }
        Command::Notify(command) => {
            notify::run(command, config).await.map_err(|error| (error.to_string(), error.exit()))
        }
        _ => return None,
    };
    Some(match answer {
        Ok(text) => {
            say(text.trim_end());
            Exit::Success
        }
        Err((error, exit)) => complain(&format!("failed to {error}"), exit),
    })
}

fn answered(outcome: anyhow::Result<String>) -> Exit {
    match outcome {
        Ok(text) => {
            if !text.is_empty() {
                say(&text);
            }
            Exit::Success
        }
        Err(error) => {
            let exit = match error.downcast_ref::<RetentionError>() {
                Some(error) if error.is_configuration() => Exit::Configuration,
                _ => Exit::Failure,
            };
            complain(&format!("{error:#}"), exit)
        }
    }
}

fn kept(outcome: Result<String, RetentionError>) -> anyhow::Result<String> {
    outcome.map_err(|error| anyhow::Error::from(error).context("failed to"))
}

/// Who asks: the person behind sudo where there is one.
fn person() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
        .unwrap_or_else(|| "unknown".into())
}

/// The one place where commands answer. Whoever reads may have enough and go.
fn say(text: &str) {
    use std::io::Write as _;
    let _gone = writeln!(std::io::stdout(), "{text}");
}

#[expect(clippy::print_stderr, reason = "the one place where commands complain")]
fn complain(text: &str, exit: Exit) -> Exit {
    eprintln!("{text}");
    exit
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn what_deletes_has_to_be_meant_and_what_is_copied_has_to_be_named() {
        Arguments::command().debug_assert();
        let parsed = |words: &str| Arguments::try_parse_from(words.split(' ')).is_ok();
        assert!(
            parsed("c backup --to /b")
                && parsed("c backup --check /b")
                && parsed("c restore --from /b --yes")
        );
        assert!(
            !parsed("c backup")
                && !parsed("c backup --to /b --check /b")
                && !parsed("c restore --from /b")
        );
        assert!(
            parsed("c hold add a --why w --by l --agency H49")
                && !parsed("c hold add a --by l --agency H49")
        );
        assert!(parsed("c hold lift a --why w --by l") && !parsed("c hold lift a --by l"));
        assert!(
            parsed("c sizing --hosts 9 --events-per-second 1")
                && !parsed("c sizing")
                && !parsed("c sizing --hosts 0")
        );
        assert!(
            parsed("c pki init --dir /p")
                && parsed("c pki issue --agency H49 --agent a --out /o")
                && parsed("c pki revoke --identity spiffe://vonggac/collector/c --yes")
                && parsed("c pki status --all --format md")
        );
        assert!(
            parsed("c token create --agency H49 --agent a --uses 1 --valid 24h --dir /p")
                && !parsed("c token create --agent a")
                && !parsed("c token create --agency H49 --person p")
                && !parsed("c token create --person p --uses 0")
        );
        assert!(
            !parsed("c pki issue --agent a --out /o")
                && !parsed("c pki issue --out /o")
                && !parsed("c pki issue --person a --broker b --out /o")
                && !parsed("c pki revoke")
        );
        assert!(
            parsed("c enrol --token t --centre https://c:1 --out /o")
                && parsed("c token create --collector c --name c.example")
                && parsed("c notify test duty")
                && parsed("c notify list --state given-up --channel duty --since 24h --format csv")
                && parsed("c notify retry 0a1b --yes")
                && parsed("c notify drop --channel duty --why gone --yes")
                && !parsed("c notify test")
                && !parsed("c notify drop 0a1b")
                && !parsed("c notify list --since soon")
        );
        assert!(
            parsed("c rules add /p --pack-version 2026-11 --licence /l")
                && parsed("c rules packs")
                && !parsed("c rules add /p")
                && parsed("c rules remove others --yes")
                && !parsed("c rules remove others")
        );
        assert!(parsed("c migrate") && parsed("c migrate --cluster vn --print"));
        assert!(parsed("c retention apply --by l") && parsed("c retention plan --format md"));
        assert!(
            parsed("c export --format stix --to /e --since 2026-11-26")
                && !parsed("c export --format stix")
        );
    }
}
