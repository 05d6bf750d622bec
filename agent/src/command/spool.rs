//! `vonggac-agent spool`: look into a spool, repair it, and carry it by hand where the link does not.

use std::path::{Path, PathBuf};

use vonggac_daemon::exit::Exit;
use vonggac_wire::{Lane, Time};

use super::{complain, say};
use crate::{
    config::{Fsync, hostname},
    spool::{
        Spool,
        inspect::{Inspection, inspect},
    },
};

mod carry;

/// The spool folder that a package makes.
const DIR: &str = "/var/lib/vonggac-agent/spool";

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Tell every damaged place, and change nothing. An agent may be running. Exit code 1: something is damaged.
    Check(Look),
    /// Cut torn tails off and note what is missing, so that the centre is told. The agent must be stopped.
    Repair {
        #[command(flatten)]
        look: Look,
        /// Yes, change the files.
        #[arg(long)]
        yes: bool,
    },
    /// Tell what the lanes hold. An agent may be running.
    Stats(Look),
    /// Write what is not delivered yet to one sealed file. It stays in the spool. The agent must be stopped.
    Export(carry::Export),
    /// Bring a sealed file to the centre from a host that has a link, as its agent would have. Doing it twice doubles nothing.
    Import(carry::Import),
    /// Tell what a sealed file holds, and whether it is whole.
    Verify(carry::Verify),
    /// Let go of what a receipt says was imported. The agent must be stopped.
    Settle(carry::Settle),
}

/// Which spool, in which form.
#[derive(Debug, clap::Args)]
struct Look {
    /// The spool folder.
    #[arg(long, default_value = DIR)]
    dir: PathBuf,
    /// "human" or "json".
    #[arg(long, default_value = "human", value_parser = ["human", "json"])]
    format: String,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let outcome = match &arguments.action {
        Action::Check(look) => look_at(look, true),
        Action::Stats(look) => look_at(look, false),
        Action::Repair { look, yes } => repair(look, *yes),
        Action::Export(export) => carry::export(export),
        Action::Import(import) => carry::import(import),
        Action::Verify(verify) => carry::verify(verify),
        Action::Settle(settle) => carry::settle(settle),
    };
    outcome.unwrap_or_else(|error| complain(&format!("failed to {error:#}"), Exit::Failure))
}

/// Refuses a folder that is none, so that a wrong name makes no empty spool.
fn require(dir: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        dir.join("identity").exists(),
        "find a spool in {}; name it with --dir",
        dir.display()
    );
    Ok(())
}

/// The spool of an agent that is stopped.
fn open(dir: &Path) -> anyhow::Result<Spool> {
    require(dir)?;
    Ok(Spool::open(dir, &hostname(), u64::MAX, Fsync::EachChunk, Time::now())?)
}

/// The answer in JSON.
fn say_json(answer: &impl serde::Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(answer)?);
    Ok(())
}

fn look_at(look: &Look, check: bool) -> anyhow::Result<Exit> {
    require(&look.dir)?;
    let found = inspect(&look.dir)?;
    if look.format == "json" {
        say_json(&found)?;
    } else {
        show(&found, check);
    }
    Ok(if check && !found.is_whole() { Exit::Failure } else { Exit::Success })
}

fn repair(look: &Look, yes: bool) -> anyhow::Result<Exit> {
    require(&look.dir)?;
    let before = inspect(&look.dir)?;
    if !yes && !before.is_whole() {
        show(&before, true);
        return Ok(complain(
            "nothing was changed; say --yes to cut torn tails and note what is missing",
            Exit::Failure,
        ));
    }
    drop(open(&look.dir)?);
    let after = inspect(&look.dir)?;
    if look.format == "json" {
        say_json(&after)?;
    } else {
        say(&format!(
            "{} bytes of torn tails were cut off, {} bytes are damaged and passed over",
            before.torn_bytes, after.damaged_bytes
        ));
        let missing: u64 = before
            .lanes
            .iter()
            .flat_map(|lane| &lane.missing)
            .map(|(first, last)| last - first + 1)
            .sum();
        say(&format!("{missing} missing numbers are told to the centre by the agent's next start"));
    }
    Ok(Exit::Success)
}

fn show(found: &Inspection, check: bool) {
    let records: u64 = found.lanes.iter().map(|lane| lane.records).sum();
    say(&format!("{}: {records} records", found.agent));
    for lane in &found.lanes {
        say(&format!(
            "{:<9} next {} acknowledged {} records {} bytes {} segments {} dropped {}",
            lane.lane,
            lane.next_seq,
            lane.acknowledged_seq,
            lane.records,
            lane.bytes,
            lane.segments,
            lane.dropped_events
        ));
        for (first, last) in &lane.ahead {
            say(&format!("{:<9} ahead of the rest {first} to {last}", lane.lane));
        }
        for (first, last) in &lane.missing {
            say(&format!("{:<9} missing {first} to {last}", lane.lane));
        }
    }
    if !found.ledger_whole {
        say("the ledger cannot be read; the records speak for it");
    }
    if check {
        for damage in &found.damages {
            say(&damage.to_string());
        }
        say(&format!(
            "{} bytes damaged, {} bytes of torn tails",
            found.damaged_bytes, found.torn_bytes
        ));
    }
}

/// A lane's name on the command line.
fn lane_of(name: &str) -> Option<Lane> {
    Lane::ALL.into_iter().find(|lane| lane.name() == name)
}
