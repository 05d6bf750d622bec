//! What can be asked of `vonggac-single`.

use std::{
    fs::{File, OpenOptions},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use prometheus::Registry;
use vonggac_daemon::{
    exit::Exit,
    log, metrics,
    secret::Secret,
    shutdown,
    tls::{Files, listen::Doors},
};

use crate::{
    child,
    engine::{
        http::{self, User},
        pool::Pool,
    },
    kafka,
    layout::{self, Layout, Options, Security},
    parts,
    state::{Condition, State, usage},
    supervise,
    trust::renewal,
};

mod detach;

/// A second of tries: far longer than a question takes.
const HOLD_TRIES_MAX: usize = 20;

/// How long all parts may take to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(90);

/// Vọng Gác on one machine.
#[derive(Debug, Parser)]
#[command(name = "vonggac-single", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Data {
    /// The data folder.
    #[arg(long)]
    data: Option<PathBuf>,
}

impl Data {
    fn root(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(layout::default_data)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything and stay, or go on in the background with --detach.
    Run {
        #[command(flatten)]
        data: Data,
        /// One more log for the local agent; a format may follow after a colon.
        #[arg(long)]
        watch: Vec<String>,
        /// A URL to probe.
        #[arg(long)]
        probe: Vec<String>,
        /// The first of eight ports.
        #[arg(long)]
        port_base: Option<u16>,
        /// Play a simulated nation.
        #[arg(long)]
        nation: bool,
        /// Speak by certificates: an authority is made at the first start, and a certificate for each part and for you.
        #[arg(long, conflicts_with = "plain_text")]
        tls: bool,
        /// Speak in plain text, on loopback alone.
        #[arg(long)]
        plain_text: bool,
        /// Run only these parts, separated by commas; the others run elsewhere.
        #[arg(long, value_delimiter = ',', value_parser = ["kafka", "engine", "collector", "agent"])]
        only: Vec<String>,
        /// Go on in the background and come back when all parts are ready.
        #[arg(long)]
        detach: bool,
    },
    /// Tell how each part is; 0 only if all are ready.
    Status {
        #[command(flatten)]
        data: Data,
        /// "table" or "json".
        #[arg(long, default_value = "table", value_parser = ["table", "json"])]
        format: String,
    },
    /// Stop everything.
    Down {
        #[command(flatten)]
        data: Data,
    },
    /// The engine's process.
    #[command(hide = true)]
    Engine {
        #[arg(long)]
        store: PathBuf,
        #[arg(long)]
        listen: SocketAddr,
        /// A settings file in the engine's own form.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// A file with the password that everybody has to say.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Become a command that dies with its parent.
    #[command(hide = true)]
    Child {
        #[arg(last = true)]
        command: Vec<String>,
    },
}

/// Does what is asked.
#[must_use]
pub fn run(arguments: Arguments) -> Exit {
    match arguments.command {
        Command::Run { data, watch, probe, port_base, nation, tls, plain_text, only, detach } => {
            let security = Security::asked(tls, plain_text);
            let options = Options { watch, probe, port_base, nation, security, only };
            let root = data.root();
            if detach { detach::detached(&root, &options) } else { attached(&root, &options) }
        }
        Command::Status { data, format } => status(&data.root(), &format),
        Command::Down { data } => down(&data.root()),
        Command::Engine { store, listen, settings, password_file } => {
            engine(&store, listen, settings.as_deref(), password_file.as_deref())
        }
        Command::Child { command } => complain(&child::become_command(&command), Exit::Failure),
    }
}

/// Whether a supervisor holds this folder.
fn is_held(root: &std::path::Path) -> bool {
    File::open(root.join("run/lock")).is_ok_and(|lock| lock.try_lock().is_err())
}

/// The supervisor that runs on this folder, if one does and has told its state.
fn running(root: &std::path::Path) -> Option<State> {
    if is_held(root) { State::read(root) } else { None }
}

fn attached(root: &std::path::Path, options: &Options) -> Exit {
    if running(root).is_some() {
        say("it is running already on this folder");
        return Exit::Success;
    }
    match supervise(root, options) {
        Ok(()) => Exit::Success,
        Err(error) => complain(&format!("failed to {error}"), Exit::Failure),
    }
}

fn supervise(root: &std::path::Path, options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let (layout, options) = Layout::open(root, options)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(layout.path("run/lock"))?;
    hold(&lock)?;
    layout.check(options.nation)?;
    if !kafka::has_java() {
        return Err("run java; install openjdk-17-jre-headless, or run deploy/up".into());
    }
    log::start();
    let sets = parts::sets(&layout, &options)?;
    kafka::prepare(&layout, sets.as_ref()).map_err(|error| format!("prepare Kafka: {error}"))?;
    let plan = parts::plan(&layout, &options, sets.as_ref())
        .map_err(|error| format!("plan the parts: {error}"))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let stop = shutdown::on_signal()?;
        let registry = Registry::new();
        let files = sets.as_ref().map(|sets| Files::of_set(&sets.collector));
        let doors = Doors::open(files, &registry, "vonggac_single", &stop)?;
        let at = metrics::At::plain(layout.address(6));
        metrics::serve(at, &doors, registry.clone(), stop.clone()).await?;
        if sets.is_some() && plan.iter().any(|part| part.name == "kafka") {
            kafka::rights::give(&layout, &stop);
        }
        if sets.is_some() {
            let kafka = plan.iter().any(|part| part.name == "kafka");
            renewal::keep(&layout, kafka, &stop);
        }
        let ran =
            tokio::task::spawn_blocking(move || supervise::run(&layout, plan, &stop, &registry))
                .await;
        Ok::<(), Box<dyn std::error::Error>>(ran.map_err(io::Error::other)??)
    })?;
    Ok(())
}

/// Takes the folder. Who only asks whether it is held has it for a moment: that is waited for.
fn hold(lock: &File) -> Result<(), &'static str> {
    for _ in 0..HOLD_TRIES_MAX {
        if lock.try_lock().is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("start: another supervisor has just begun on this folder")
}

fn status(root: &std::path::Path, format: &str) -> Exit {
    let live = running(root).is_some();
    let Some(state) = State::read(root) else {
        return complain(
            &format!(
                "failed to find anything running on {}; start it with deploy/up",
                root.display()
            ),
            Exit::Failure,
        );
    };
    let mut rows = Vec::new();
    for (name, part) in &state.parts {
        let figures = usage(part.pid).filter(|_| live && part.pid > 0);
        let condition = if live { part.state } else { Condition::Stopped };
        rows.push(serde_json::json!({
            "part": name,
            "state": condition.name(),
            "pid": figures.map(|_| part.pid),
            "since": part.since,
            "restarts": part.restarts,
            "rss_bytes": figures.map(|(rss, _)| rss),
            "cpu_seconds": figures.map(|(_, cpu)| cpu),
            "address": part.address,
            "last_error": part.last_error,
        }));
    }
    if format == "json" {
        say(&serde_json::Value::Array(rows).to_string());
    } else {
        say(&format!(
            "{:<10} {:<9} {:>8} {:<20} {:>9} {:>8} {:<21} {:>8}",
            "part", "state", "pid", "since", "RSS", "CPU", "address", "restarts"
        ));
        for row in rows {
            let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
            let megabytes = row["rss_bytes"]
                .as_f64()
                .map_or_else(|| "-".into(), |bytes| format!("{:.0} MB", bytes / 1e6));
            let seconds =
                row["cpu_seconds"].as_f64().map_or_else(|| "-".into(), |cpu| format!("{cpu:.1} s"));
            say(&format!(
                "{:<10} {:<9} {:>8} {:<20} {:>9} {:>8} {:<21} {:>8}",
                text("part"),
                text("state"),
                row["pid"].as_u64().map_or_else(|| "-".into(), |pid| pid.to_string()),
                text("since").chars().take(19).collect::<String>(),
                megabytes,
                seconds,
                text("address"),
                row["restarts"].as_u64().unwrap_or(0)
            ));
        }
    }
    if live && state.is_ready() { Exit::Success } else { Exit::Failure }
}

fn down(root: &std::path::Path) -> Exit {
    let Some(state) = running(root) else {
        say("nothing is running on this folder");
        return Exit::Success;
    };
    let Some(pid) = i32::try_from(state.supervisor).ok().and_then(rustix::process::Pid::from_raw)
    else {
        return complain("failed to find the supervisor's process", Exit::Failure);
    };
    if let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::TERM) {
        return complain(&format!("failed to ask the supervisor to stop: {error}"), Exit::Failure);
    }
    let begun = Instant::now();
    while begun.elapsed() < STOPPED_WITHIN {
        if running(root).is_none() {
            say(&format!("stopped after {:.1} s", begun.elapsed().as_secs_f64()));
            return Exit::Success;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    complain(&format!("failed to stop within {STOPPED_WITHIN:?}; see deploy/status"), Exit::Failure)
}

fn engine(
    store: &Path,
    listen: SocketAddr,
    settings: Option<&Path>,
    password: Option<&Path>,
) -> Exit {
    log::start();
    let serve = || -> Result<(), Box<dyn std::error::Error>> {
        std::fs::create_dir_all(store)?;
        let user = match password {
            Some(file) => {
                let text = std::fs::read_to_string(file)?;
                Some(User::new(parts::ENGINE_USER, Secret::new(text.trim().to_owned())))
            }
            None => None,
        };
        let pool = Pool::open(&layout::library(), store, settings)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let stop = shutdown::on_signal()?;
            http::serve(listen, pool, user, stop).await
        })?;
        Ok(())
    };
    match serve() {
        // The engine's own threads do not stop in order; what was acknowledged is on the disk.
        Ok(()) => std::process::exit(0),
        Err(error) => complain(&format!("failed to {error}"), Exit::Failure),
    }
}

#[expect(clippy::print_stdout, reason = "the one place where commands answer")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the one place where commands complain and tell progress")]
fn complain(text: &str, exit: Exit) -> Exit {
    eprintln!("{text}");
    exit
}
