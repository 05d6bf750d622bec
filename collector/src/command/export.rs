//! `export`: what is stored, for others.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use vonggac_wire::Time;

use super::{hold, sheet::human};
use crate::store::{
    Store,
    export::{ExportError, Form, Wanted},
};

/// How far back it goes if it is not said: a day.
const LOOKED_BACK: Duration = Duration::from_secs(86_400);

/// What is exported.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How it is written.
    #[arg(long, value_enum)]
    format: Form,
    /// A folder; files of the same agency and day in it are written over.
    #[arg(long)]
    to: PathBuf,
    /// From this time or day; if it is not said, a day ago.
    #[arg(long, value_parser = hold::since)]
    since: Option<Time>,
    /// To this time or day; if it is not said, now.
    #[arg(long, value_parser = hold::until)]
    until: Option<Time>,
    /// Of this agency alone.
    #[arg(long)]
    pub(super) agency: Option<String>,
    /// Of this lane alone: security, uptime or usage.
    #[arg(long, value_parser = ["security", "uptime", "usage"])]
    lane: Option<String>,
    /// Who tells, in STIX.
    #[arg(long, default_value = "Vọng Gác")]
    centre: String,
}

/// The answer; `tell` hears of each file.
pub(super) async fn run(
    store: &Store,
    asked: &Arguments,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<String, ExportError> {
    let now = Time::now();
    let wanted = Wanted {
        form: asked.format,
        folder: asked.to.clone(),
        since: asked.since.unwrap_or_else(|| now.minus(LOOKED_BACK)),
        until: asked.until.unwrap_or(now),
        agency: asked.agency.clone(),
        lane: asked.lane.clone(),
        centre: asked.centre.clone(),
    };
    let done = store.export(&wanted, tell).await?;
    #[expect(clippy::cast_precision_loss, reason = "for eyes")]
    let size = human(done.bytes as f64);
    let what = if asked.format == Form::Stix { "incidents" } else { "events" };
    Ok(format!("{} {what} in {} files below {}, {size}", done.rows, done.files, asked.to.display()))
}
