//! `vonggac-agent sources`: what this host has, and a configuration that watches it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueEnum;
use tokio::{sync::Semaphore, task::JoinSet};
use vonggac_daemon::{exit::Exit, log::Harmless};
use vonggac_wire::{Time, event::CheckOutcome};

use super::{complain, say};
use crate::{
    config::Config,
    discover::{
        access::Reader,
        host::Host,
        render::{self, Given},
        survey::{Found, Log, Probe, Survey},
        table::Services,
    },
    probe,
};

/// The user that the packages run the agent as.
pub(super) const AGENT_USER: &str = "vonggac-agent";

/// Probes that are tried at once.
const TRIES_AT_ONCE: usize = 16;

/// What is wanted.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The agency's code, like H49; needed for a configuration.
    #[arg(long)]
    agency: Option<String>,
    /// Kafka's addresses, with commas between; needed for a configuration.
    #[arg(long, value_delimiter = ',')]
    brokers: Vec<String>,
    /// The system of the registry that this host serves.
    #[arg(long, default_value = "")]
    system: String,
    /// Write the configuration to this file instead of standard output.
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// Replace the file if it is there; the old one is kept as FILE.old.
    #[arg(long)]
    yes: bool,
    /// A configuration, or what was found, for people or for programs.
    #[arg(long, value_enum, default_value = "toml")]
    format: Form,
    /// Send in plain text: whoever is on the way can read and forge it.
    #[arg(long)]
    plain_text: bool,
    /// Read logs from their beginning, not from now.
    #[arg(long)]
    backfill: bool,
    /// The user that the agent will run as; by default the package's, where there is one.
    #[arg(long)]
    user: Option<String>,
    /// Where the configuration puts the spool.
    #[arg(long, default_value = "/var/lib/vonggac-agent/spool")]
    spool: String,
    /// Do not ask the services that were found whether they answer.
    #[arg(long)]
    no_try: bool,
    /// Look at the host whose files are below this folder.
    #[arg(long, default_value = "/")]
    root: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Toml,
    Table,
    Json,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    if arguments.format == Form::Toml {
        let missing = match (&arguments.agency, arguments.brokers.is_empty()) {
            (None, _) => Some("--agency CODE"),
            (_, true) => Some("--brokers HOST:PORT"),
            _ => None,
        };
        if let Some(missing) = missing {
            return complain(
                &format!(
                    "failed to write a configuration: {missing} is missing; --format table shows what was found without it"
                ),
                Exit::Usage,
            );
        }
        if let Some(file) = arguments.output.as_ref().filter(|f| f.exists() && !arguments.yes) {
            return complain(
                &format!(
                    "failed to write {}: it is there already; --yes replaces it and keeps the old one beside it",
                    file.display()
                ),
                Exit::Failure,
            );
        }
    }
    let table = match Services::builtin() {
        Ok(table) => table,
        Err(error) => return complain(&format!("failed to {error}"), Exit::Failure),
    };
    let host = Host::look(&arguments.root);
    let reader = match reader(&host, arguments.user.as_deref()) {
        Ok(reader) => reader,
        Err(error) => return complain(&error, Exit::Usage),
    };
    let mut survey = Survey::of(&host, &table, &reader);
    if host.is_own() && !arguments.no_try {
        try_probes(&mut survey);
    }
    if !rustix::process::geteuid().is_root() && host.is_own() {
        complain(
            "not all can be seen: run this as root to know whose ports and logs these are",
            Exit::Success,
        );
    }
    match arguments.format {
        Form::Table => show(&survey),
        Form::Json => match serde_json::to_string_pretty(&survey) {
            Ok(text) => say(&text),
            Err(error) => {
                return complain(&format!("failed to write JSON: {error}"), Exit::Failure);
            }
        },
        Form::Toml => return write(arguments, &survey),
    }
    Exit::Success
}

/// The user whose eyes the logs are looked at with.
fn reader(host: &Host, name: Option<&str>) -> Result<Reader, String> {
    let unknown = |name: &str| {
        format!("failed to find the user {name} on this host; name another with --user")
    };
    match name {
        Some(name) => Reader::of(host, name).ok_or_else(|| unknown(name)),
        // Without the package's user the agent is likely to be tried out by root.
        None => Reader::of(host, AGENT_USER)
            .or_else(|| Reader::of(host, "root"))
            .or_else(|| (!host.is_own()).then(Reader::default))
            .ok_or_else(|| unknown("root")),
    }
}

fn write(arguments: &Arguments, survey: &Survey) -> Exit {
    let given = Given {
        agency: arguments.agency.clone().unwrap_or_default(),
        brokers: arguments.brokers.clone(),
        system: arguments.system.clone(),
        spool_dir: arguments.spool.clone(),
        plain_text: arguments.plain_text,
        backfill: arguments.backfill,
        time: Time::now().to_string(),
    };
    let text = render::configuration(survey, &given);
    // A wrong agency or address is told before anything is written.
    let file = arguments.output.clone().unwrap_or_else(|| PathBuf::from("standard output"));
    if let Err(error) = Config::from_text(&file, &text) {
        return complain(&error.to_string(), Exit::Configuration);
    }
    let Some(file) = &arguments.output else {
        say(text.trim_end());
        return Exit::Success;
    };
    if let Err(error) = replace(file, &text) {
        let file = file.display();
        return complain(
            &format!("failed to write {file}: {error}; may this user write there?"),
            Exit::Failure,
        );
    }
    show(survey);
    let shown = file.display();
    let enrol = if arguments.plain_text {
        String::new()
    } else {
        format!("vonggac-agent enrol --token - --config {shown}, then ")
    };
    say(&format!("\nwrote {shown}; next: {enrol}vonggac-agent check-config --config {shown}"));
    Exit::Success
}

/// Puts the file in place as a whole; an older one is kept beside it.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let beside = |end: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let fresh = beside(".new");
    let mut writing = fs::File::create(&fresh)?;
    writing.write_all(text.as_bytes())?;
    writing.sync_all()?;
    if let Ok(old) = fs::metadata(file) {
        fs::set_permissions(&fresh, old.permissions())?;
        fs::rename(file, beside(".old"))?;
    }
    fs::rename(fresh, file)
}

/// Asks each candidate once: only what answers now is asked for ever.
fn try_probes(survey: &mut Survey) {
    let candidates = || survey.services.iter().flat_map(|found| found.probes.iter().flatten());
    let mut text = String::from(
        "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"-\"]\n[spool]\ndir = \"-\"\n",
    );
    candidates().for_each(|probe| text.push_str(&probe.toml()));
    let Ok(config) = Config::from_text(Path::new("probes"), &text) else { return };
    let Ok(runtime) =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    else {
        return;
    };
    let failures = runtime.block_on(async {
        let places = Arc::new(Semaphore::new(TRIES_AT_ONCE));
        let mut tries = JoinSet::new();
        for (index, config) in config.probes.into_iter().enumerate() {
            let places = Arc::clone(&places);
            tries.spawn(async move { (index, probe::run(&config, &places).await) });
        }
        let mut failures = Vec::new();
        while let Some(tried) = tries.join_next().await {
            if let Ok((index, check)) = tried {
                let is_well = matches!(check.outcome(), CheckOutcome::Up | CheckOutcome::Degraded);
                failures.extend((!is_well).then_some((index, check.detail)));
            }
        }
        failures
    });
    let mut all: Vec<&mut Probe> =
        survey.services.iter_mut().flat_map(|found| found.probes.iter_mut().flatten()).collect();
    for (index, detail) in failures {
        if let Some(probe) = all.get_mut(index) {
            probe.failed = Some(detail);
        }
    }
}

/// For a person.
fn show(survey: &Survey) {
    say(&format!("{}, read as the user {}", Harmless(&survey.host), survey.user));
    for found in &survey.services {
        show_service(found);
    }
    say("host's own logs");
    let logs = &survey.host_logs;
    logs.files.iter().for_each(show_log);
    let journal = if logs.journal { "the journal is read" } else { "the journal is not read" };
    say(&format!("  {journal}: {}", Harmless(&logs.journal_why)));
    for held in &logs.held_elsewhere {
        say(&format!(
            "  {} is not read: its lines stand in {}",
            Harmless(&held.path),
            Harmless(&held.by)
        ));
    }
    for port in &survey.other_ports {
        say(&format!("port of an unknown service: {} {}", port.address, Harmless(&port.process)));
    }
    let remedies = survey.remedies();
    if !remedies.is_empty() {
        say("to do, so that the agent can read them:");
        for (remedy, logs) in remedies {
            say(&format!("  {}    # for {}", Harmless(&remedy), Harmless(&logs.join(", "))));
        }
    }
}

fn show_service(found: &Found) {
    let state = if found.is_running { "runs" } else { "is here" };
    say(&format!("{} {state}: {}", found.title, Harmless(&found.evidence.join(", "))));
    found.logs.iter().for_each(show_log);
    if found.logs.is_empty() && found.syslog {
        say("  its lines come with the host's own logs");
    }
    for candidates in &found.probes {
        let chosen = candidates.iter().find(|probe| probe.failed.is_none());
        match (chosen, candidates.first()) {
            (Some(probe), _) => say(&format!("  probe {} {}", probe.kind, Harmless(&probe.target))),
            (None, Some(probe)) => {
                let why = probe.failed.as_deref().unwrap_or_default();
                say(&format!("  no probe of {}: {}", Harmless(&probe.target), Harmless(why)));
            }
            (None, None) => {}
        }
    }
}

fn show_log(log: &Log) {
    let rights = match &log.unreadable {
        Some(unreadable) => format!("NOT READABLE: {}", unreadable.why),
        None => "readable".into(),
    };
    let files = if log.files == 1 { "1 file".into() } else { format!("{} files", log.files) };
    say(&format!("  log {} ({files}, {})", Harmless(&log.path), Harmless(&rights)));
}
