//! `vonggac-agent spool`: look into a spool while no agent runs on it.

use std::path::PathBuf;

use vonggac_daemon::exit::Exit;
use vonggac_wire::{Lane, Time};

use super::{complain, say};
use crate::{
    config::{Fsync, hostname},
    spool::Spool,
};

/// What to do with which spool.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// "check" tells and repairs what a power cut left, "stats" tells what is held.
    #[arg(value_parser = ["check", "repair", "stats"])]
    action: String,
    /// The spool folder.
    #[arg(long, default_value = "/var/lib/vonggac-agent/spool")]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    if !arguments.dir.join("identity").exists() {
        return complain(
            &format!("failed to find a spool in {}; name it with --dir", arguments.dir.display()),
            Exit::Failure,
        );
    }
    // Opening scans every record and repairs: there is no other way to know.
    let spool =
        match Spool::open(&arguments.dir, &hostname(), u64::MAX, Fsync::EachChunk, Time::now()) {
            Ok(spool) => spool,
            Err(error) => return complain(&format!("failed to {error}"), Exit::Failure),
        };
    let recovery = spool.recovery();
    say(&format!(
        "{} records, {} bytes damaged, {} bytes of torn tails cut off",
        recovery.records, recovery.damaged_bytes, recovery.torn_bytes
    ));
    if arguments.action == "stats" {
        for lane in Lane::ALL {
            let figures = spool.figures(lane, Time::now());
            say(&format!(
                "{:<9} next {} acknowledged {} bytes {} dropped {}",
                lane.name(),
                figures.next_seq,
                figures.acknowledged,
                figures.bytes,
                figures.dropped
            ));
        }
    }
    let damaged = recovery.damaged_bytes > 0;
    if damaged && arguments.action == "check" { Exit::Failure } else { Exit::Success }
}
