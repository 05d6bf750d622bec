//! `evidence`: what proves an agency's events, for whoever wants to check it elsewhere.

use std::{
    fs::{self, OpenOptions},
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use vonggac_wire::Time;

use super::hold;
use crate::{
    config::Config,
    store::Store,
    trust::{
        bundle::{self, By, Wanted},
        receipt::key,
    },
};

/// What is asked of evidence.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write rows, batches, receipts and certificates into one signed file, which `vonggac verify FILE` checks anywhere.
    Bundle(Bundle),
}

/// What goes into the file.
#[derive(Debug, Args)]
pub(super) struct Bundle {
    /// Of this agency.
    #[arg(long)]
    pub(super) agency: String,
    /// From this time or day, like 2026-01-01; a begun hour is whole.
    #[arg(long, value_parser = hold::since)]
    since: Time,
    /// To this time or day; if it is not said, now.
    #[arg(long, value_parser = hold::until)]
    until: Option<Time>,
    /// The file; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// The answer; `tell` hears how far it is.
pub(super) async fn run(
    config: &Config,
    Command::Bundle(asked): &Command,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<String> {
    let path = config.trust.receipt_key.as_ref();
    let path = path.context("failed to sign a bundle: set [trust] receipt_key")?;
    let signer = key::open(path).context("failed to")?;
    let wanted = Wanted {
        agency: asked.agency.clone(),
        since: asked.since,
        until: asked.until.unwrap_or_else(Time::now),
    };
    let store = Store::new(config).patiently();
    let file = asked.to.display();
    anyhow::ensure!(!asked.to.exists(), "failed to write {file}: it is there already");
    let part = asked.to.with_extension("part");
    let mut options = OpenOptions::new();
    // Rows of citizens: its owner alone reads them.
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&part);
    let opened = opened.with_context(|| format!("failed to write {}", part.display()))?;
    let by = By { signer: &signer, files: config.tls.as_ref() };
    let made = bundle::write(&store, &wanted, &by, BufWriter::new(opened), tell).await;
    let (manifest, written) = match made {
        Ok(made) => made,
        Err(error) => {
            let _half = fs::remove_file(&part);
            return Err(error).context("failed to");
        }
    };
    let whole = |mut written: BufWriter<fs::File>| {
        written.flush()?;
        written.get_ref().sync_all()?;
        fs::rename(&part, &asked.to)
    };
    whole(written).with_context(|| format!("failed to write {file}"))?;
    Ok(format!(
        "{} rows of {} batches and {} receipts in {file}, signed by {}",
        manifest.rows,
        manifest.batches,
        manifest.receipts,
        signer.key_id()
    ))
}
