//! A command for each screen, with the same rows.

use std::path::PathBuf;

use clap::{FromArgMatches, Parser, Subcommand};
use vonggac_answer::rows::{self, Format};
use vonggac_daemon::{exit::Exit, tls::Files};

use crate::{
    client::{self, ClientError, Way},
    words::{Lang, Words},
};

mod act;
mod audit;
mod bundle;
mod duties;
mod enrol;
mod evidence;
mod filter;
mod follow;
mod form;
mod glass;
mod handover;
mod help;
mod notifications;
mod progress;
mod quiet;
mod report;
mod row;
mod saved;
mod schema;
mod show;
mod shown;
mod usage;
mod why;

pub(crate) use act::refusal;
use filter::Filter;
use form::Form;
pub(crate) use shown::{exported, options_of};

/// The watch over the e-government: a console, or one answer.
#[derive(Debug, Parser)]
#[command(name = "vonggac", version)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// The data folder of a one-machine system.
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    /// The collector's address.
    #[arg(long, global = true)]
    collector: Option<String>,
    /// The own certificate, for TLS.
    #[arg(long, global = true, env = "VONGGAC_CERTIFICATE", requires_all = ["key", "authorities"])]
    certificate: Option<PathBuf>,
    /// Its private key.
    #[arg(long, global = true, env = "VONGGAC_KEY", requires = "certificate")]
    key: Option<PathBuf>,
    /// Whom to trust; lists of revoked certificates lie beside as revoked.pem.
    #[arg(long, global = true, env = "VONGGAC_AUTHORITIES", requires = "certificate")]
    authorities: Option<PathBuf>,
    /// table, json, jsonl, csv or md; of reports also odt and pdf.
    #[arg(long, global = true, default_value = "table", hide_possible_values = true)]
    format: Form,
    /// vi or en.
    #[arg(
        long,
        global = true,
        env = "VONGGAC_LANG",
        value_parser = ["vi", "en"],
        hide_possible_values = true
    )]
    lang: Option<String>,
    /// Who acts, in the history of incidents.
    #[arg(long, global = true, env = "VONGGAC_OPERATOR")]
    operator: Option<String>,
    /// Symbols in ASCII.
    #[arg(long, global = true)]
    ascii: bool,
    /// Ages every five seconds, for a slow link.
    #[arg(long, global = true)]
    slow: bool,
    /// A wall: no cursor, no keys.
    #[arg(long, global = true)]
    wall: bool,
    /// Look only: no key acts on an incident.
    #[arg(long, global = true)]
    observer: bool,
    #[command(flatten)]
    filter: Filter,
}

impl Common {
    /// The certificates that were named.
    fn files(&self) -> Option<Files> {
        let (certificate, key, authorities) =
            (self.certificate.clone()?, self.key.clone()?, self.authorities.clone()?);
        let revoked = Some(authorities.with_file_name("revoked.pem")).filter(|file| file.exists());
        Some(Files { certificate, key, authorities, revoked })
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The screen.
    Console,
    /// The nation in one row, and each agency's state.
    Health,
    /// Agencies.
    Agencies,
    /// Systems.
    Systems,
    /// Agents.
    Agents,
    /// Checks.
    Checks,
    /// Events.
    Events {
        /// Follow live: print events as they are stored.
        #[arg(long)]
        follow: bool,
    },
    /// Saved searches; with an action, what is done on one.
    Saved {
        #[command(subcommand)]
        action: Option<saved::Action>,
    },
    /// Incidents; with an action, what is done on one.
    Incidents {
        #[command(subcommand)]
        action: Option<act::Action>,
    },
    /// What laws want: all of it, or of one incident.
    Duties {
        /// Its number.
        #[arg(long)]
        incident: Option<String>,
    },
    /// Reports that laws ask for.
    Report {
        #[command(subcommand)]
        action: report::Action,
    },
    /// The shift book: what is open, and what changed since a time (8h unless --since says another).
    Handover,
    /// Usage figures with numerator, denominator, age and doubt.
    Usage {
        /// A row for each agency.
        #[arg(long)]
        by_agency: bool,
    },
    /// The data's own way.
    Flow,
    /// Events that are missing, and why.
    Gaps,
    /// What was set aside, and why.
    Dead,
    /// What was told of incidents, to whom, and whether it came.
    Notifications {
        #[command(flatten)]
        options: notifications::Options,
    },
    /// What is held of each lane of an agency's agents, and what is missing and why.
    Receipts,
    /// Stored rows against what was written down of them when they were taken; or a bundle of evidence, without a centre.
    Verify {
        /// A bundle; none: the centre's own rows.
        file: Option<PathBuf>,
        /// The root's fingerprint that the bundle has to be of.
        #[arg(long, requires = "file")]
        root: Option<String>,
        /// The name of the key that has to have signed it.
        #[arg(long, requires = "file")]
        signer: Option<String>,
    },
    /// What was done at the centre, by whom, and how it ended.
    Audit {
        #[command(flatten)]
        options: audit::Options,
    },
    /// Turn a token into the own certificate.
    Enrol {
        #[command(flatten)]
        options: enrol::Options,
    },
    /// An agency's rows, to be taken away.
    Export,
    /// What wants two persons: another agency's rows, and pseudonyms.
    BreakGlass {
        #[command(subcommand)]
        action: glass::Action,
    },
    /// What rules tell and is kept from the incidents for a time.
    Suppress {
        #[command(subcommand)]
        action: quiet::Action,
    },
    /// Which rules saw something at an agency and opened nothing, and why.
    Why,
    /// Times in which something is meant to be down.
    Maintenance {
        #[command(subcommand)]
        action: quiet::Action,
    },
    /// One address, user, URL or host against agencies: src_ip=203.0.113.7
    Spread {
        /// FIELD=VALUE.
        what: String,
    },
    /// A query that only reads.
    Sql {
        /// One SELECT.
        query: String,
    },
    /// Names, types and meanings of a screen's JSON.
    Schema {
        /// agencies, systems, agents, checks, events, incidents, handover, usage, flow, gaps, dead, notifications, saved, spread, duties, receipts, verify, audit, break-glass, quiet or why.
        screen: String,
    },
}

/// Reads a call and does what is asked.
#[must_use]
pub fn called(call: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    let call: Vec<std::ffi::OsString> = call.into_iter().collect();
    let words = crate::words::of(Lang::asked(asked_language(&call).as_deref()));
    let parsed = help::command(&words)
        .try_get_matches_from(&call)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    match parsed {
        Ok(arguments) => run(arguments),
        Err(error) if error.use_stderr() => complain(&usage::refused(&error, &words), Exit::Usage),
        // Help or version.
        Err(error) => {
            print(&error.to_string());
            Exit::Success
        }
    }
}

/// The language of a call that clap refuses: as it or the environment says.
fn asked_language(call: &[std::ffi::OsString]) -> Option<String> {
    let texts: Vec<String> = call.iter().map(|text| text.to_string_lossy().into_owned()).collect();
    let after = texts.iter().position(|text| text == "--lang").and_then(|at| texts.get(at + 1));
    let with = texts.iter().find_map(|text| text.strip_prefix("--lang="));
    after
        .map(String::as_str)
        .or(with)
        .map(str::to_owned)
        .or_else(|| std::env::var("VONGGAC_LANG").ok())
}

/// Does what is asked.
#[must_use]
pub fn run(arguments: Arguments) -> Exit {
    let lang = Lang::asked(arguments.common.lang.as_deref());
    let words = crate::words::of(lang);
    let mistakes = usage::mistakes(&arguments, &words, vonggac_wire::Time::now());
    if !mistakes.is_empty() {
        for mistake in mistakes {
            complain(&mistake, Exit::Usage);
        }
        return Exit::Usage;
    }
    if let Some(Command::Schema { screen }) = &arguments.command {
        return match schema::of(screen) {
            Some(rows) => {
                print(&rows::write(&arguments.common.format.rows(), &rows));
                Exit::Success
            }
            None => Exit::Usage,
        };
    }
    if let Some(Command::Verify { file: Some(file), root, signer }) = &arguments.command {
        let known = bundle::known(root.as_deref(), signer.as_deref());
        return bundle::verify(&words, file, &known, &arguments.common.format.rows());
    }
    if let Some(Command::Enrol { options }) = &arguments.command {
        return enrol::run(&words, &arguments.common.format.rows(), options);
    }
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return complain(&error.to_string(), Exit::Failure),
        };
    runtime.block_on(answer(arguments, words))
}

/// As asked, else as the environment says, else Vietnamese.
async fn answer(arguments: Arguments, words: Words) -> Exit {
    let Arguments { common, command } = arguments;
    let way = Way::new(common.collector.as_deref(), common.files(), common.data.as_deref());
    let way = match way {
        Ok(way) => way,
        Err(error) => return complain(&told(&words, &error), Exit::Failure),
    };
    enrol::keep(&words, &way).await;
    let command = match command {
        None | Some(Command::Console) => return screen(&common, &words, way).await,
        Some(command) => command,
    };
    let caller = client::Caller::new(&operator(&common), common.observer);
    let mut client = match client::connect(&way, caller).await {
        Ok(client) => client,
        Err(error) => return complain(&told(&words, &error), Exit::Failure),
    };
    let (filter, form) = (&common.filter, common.format.rows());
    let rows = match command {
        Command::Incidents { action: Some(action) } => {
            let operator = operator(&common);
            return act::run(&mut client, &words, &form, action, &operator).await;
        }
        Command::Saved { action: Some(action) } => {
            return saved::run(&mut client, &words, filter, &form, action).await;
        }
        Command::Saved { action: None } => saved::list(&mut client, &words, filter).await,
        Command::Events { follow: true } => {
            return ended(
                follow::run(&mut client, &words, filter, &form).await.map(|()| Exit::Success),
            );
        }
        Command::Events { follow: false } => {
            return ended(
                show::events(&mut client, &words, filter, &form).await.map(|()| Exit::Success),
            );
        }
        Command::Receipts => {
            return ended(
                evidence::receipts(&mut client, &words, filter, &form)
                    .await
                    .map(|()| Exit::Success),
            );
        }
        Command::Verify { .. } => {
            return ended(evidence::verify(&mut client, &words, filter, &form).await);
        }
        Command::Audit { options } => {
            return ended(audit::run(&mut client, &words, filter, &form, &options).await);
        }
        Command::Export => {
            return ended(
                show::export(&mut client, &words, filter, &form).await.map(|()| Exit::Success),
            );
        }
        command @ (Command::BreakGlass { .. }
        | Command::Why
        | Command::Suppress { .. }
        | Command::Maintenance { .. }) => {
            return ended(agreed(&mut client, &words, filter, &form, command).await);
        }
        Command::Handover => {
            return ended(
                handover::run(&mut client, &words, filter, &form).await.map(|()| Exit::Success),
            );
        }
        Command::Report { action } => {
            let author = operator(&common);
            let made =
                report::run(&mut client, &words, filter, common.format, &action, &author).await;
            return ended(made);
        }
        Command::Duties { incident } => {
            duties::rows(&mut client, &words, incident.as_deref()).await
        }
        Command::Sql { query } => show::sql(&mut client, &words, &query, filter).await,
        Command::Usage { by_agency } => show::usage(&mut client, &words, filter, by_agency).await,
        Command::Dead => show::dead(&mut client, &words, filter).await,
        Command::Notifications { options } => {
            notifications::rows(&mut client, &words, filter, &options).await
        }
        Command::Spread { what } => show::spread(&mut client, &words, filter, &what).await,
        other => match pictured(&other) {
            Some(name) => show::picture(&mut client, &words, filter, name).await,
            None => Ok(Vec::new()),
        },
    };
    match rows {
        Ok(rows) => {
            if rows.is_empty() && form == Format::Table {
                complain(&words.get("empty"), Exit::Success);
            }
            print(&rows::write(&form, &rows));
            Exit::Success
        }
        Err(error) => complain(&error, Exit::Failure),
    }
}

/// The table of the live picture that a command asks for.
const fn pictured(command: &Command) -> Option<&'static str> {
    match command {
        Command::Health => Some("health"),
        Command::Agencies => Some("agencies"),
        Command::Systems => Some("systems"),
        Command::Agents => Some("agents"),
        Command::Checks => Some("checks"),
        Command::Flow => Some("flow"),
        Command::Gaps => Some("gaps"),
        Command::Incidents { action: None } => Some("incidents"),
        _ => None,
    }
}

/// What people agree on at the centre: what is opened to whom, and what is kept quiet.
async fn agreed(
    client: &mut client::Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
    command: Command,
) -> Result<Exit, String> {
    match command {
        Command::BreakGlass { action } => glass::run(client, words, filter, form, action).await,
        Command::Suppress { action } => {
            quiet::run(client, words, filter, form, ("suppression", action)).await
        }
        Command::Maintenance { action } => {
            quiet::run(client, words, filter, form, ("maintenance", action)).await
        }
        _ => why::run(client, words, filter, form).await,
    }
}

/// How an answer ended; what went wrong is told.
fn ended(done: Result<Exit, String>) -> Exit {
    done.unwrap_or_else(|error| complain(&error, Exit::Failure))
}

/// Who acts: as said, else as the system knows who is logged in.
fn operator(common: &Common) -> String {
    common
        .operator
        .clone()
        .or_else(|| std::env::var("USER").ok())
        .unwrap_or_else(|| "operator".into())
}

async fn screen(common: &Common, words: &Words, way: Way) -> Exit {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return complain(&words.get("no-terminal"), Exit::Usage);
    }
    // A screen is open for weeks.
    let set = way.tls.as_ref().and_then(|files| files.certificate.parent());
    let renewed = set.map(|set| tokio::spawn(vonggac_enrol::renewal::run(set.to_owned())));
    let options = crate::app::Options {
        way,
        lang: words.lang(),
        operator: operator(common),
        ascii: common.ascii,
        slow: common.slow,
        wall: common.wall,
        observer: common.observer,
    };
    let ended = crate::app::run(options).await;
    if let Some(renewed) = renewed {
        renewed.abort();
    }
    match ended {
        Ok(()) => Exit::Success,
        Err(error) => complain(&format!("{error:#}"), Exit::Failure),
    }
}

fn told(words: &Words, error: &ClientError) -> String {
    match error {
        ClientError::NoAddress { path } => {
            words.with("no-address", &[("path", &path.display().to_string())])
        }
        ClientError::NoCertificate { address } => {
            words.with("trouble-no-certificate", &[("address", address)])
        }
        ClientError::Certificates(error) => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
            let text = format!("{error}{}", cause.unwrap_or_default());
            words.with("trouble-own-files", &[("error", &text)])
        }
        ClientError::Trouble { address, trouble } => {
            words.with(&format!("trouble-{}", trouble.name()), &[("address", address)])
        }
        ClientError::Unreachable { address, source } => {
            let mut cause: &dyn std::error::Error = source;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            words.with("unreachable", &[("address", address), ("error", &cause.to_string())])
        }
    }
}

/// Writes an answer; a reader that left early is no error, and `false` is told.
pub(crate) fn print(text: &str) -> bool {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

#[expect(clippy::print_stderr, reason = "the one place where commands complain")]
pub(crate) fn complain(text: &str, exit: Exit) -> Exit {
    eprintln!("{}", crate::sanitise::sanitise(text));
    exit
}
