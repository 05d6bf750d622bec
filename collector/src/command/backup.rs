//! `backup` and `restore`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::sheet::human;
use crate::{
    config::Config,
    rewind,
    store::{Store, backup::Manifest},
};

/// What is copied, or looked at.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// An empty folder, or one that is not there yet.
    #[arg(long, conflicts_with = "check", required_unless_present = "check")]
    to: Option<PathBuf>,
    /// Only read the copy in this folder, every file of it, and tell whether it is whole.
    #[arg(long)]
    check: Option<PathBuf>,
    /// By whom.
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
}

/// What is restored.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The copy's folder.
    #[arg(long)]
    from: PathBuf,
    /// Needed: the store becomes what the copy says.
    #[arg(long, required = true)]
    yes: bool,
    /// Delete what the store has first. Refused while a hold is in force.
    #[arg(long)]
    replace: bool,
    /// Leave Kafka's group as it is: what came since the copy may not be taken.
    #[arg(long)]
    without_kafka: bool,
    /// By whom.
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
}

pub(super) async fn backup(
    config: &Config,
    asked: &Backup,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<String> {
    if let Some(folder) = &asked.check {
        let manifest = Manifest::read(folder).context("failed to")?;
        return Ok(format!("whole: {}", summed(&manifest)));
    }
    let folder = asked.to.clone().unwrap_or_default();
    let manifest = Store::new(config)
        .patiently()
        .backup(&folder, &asked.by, tell)
        .await
        .context("failed to")?;
    Ok(format!("{}: {}", folder.display(), summed(&manifest)))
}

pub(super) async fn restore(
    config: &Config,
    asked: &Restore,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<String> {
    let manifest = Manifest::read(&asked.from).context("failed to")?;
    tell(&format!("the copy is whole: {}", summed(&manifest)));
    let mut missing = Vec::new();
    if !asked.without_kafka {
        // Before the rows: it is harmless alone, and fails while a collector runs.
        let (config, progress) = (config.clone(), manifest.progress.clone());
        missing = tokio::task::spawn_blocking(move || rewind::rewind(&config, &progress))
            .await?
            .context("failed to")?;
    }
    Store::new(config)
        .patiently()
        .restore(&asked.from, &manifest, asked.replace, &asked.by, tell)
        .await
        .context("failed to")?;
    let mut text = format!("restored: {}; start the collector", summed(&manifest));
    for hole in missing {
        text.push_str(&format!(
            "\nmissing: {} partition {}: offsets {} to {} came after the copy, and Kafka has them no more",
            hole.topic,
            hole.partition,
            hole.from,
            hole.to - 1
        ));
    }
    Ok(text)
}

fn summed(manifest: &Manifest) -> String {
    let of_tables = manifest.tables.iter().flat_map(|table| &table.files);
    let bytes: u64 = of_tables.chain(&manifest.cold).map(|file| file.bytes).sum();
    let rows = |name: &str| {
        manifest.tables.iter().find(|table| table.table == name).map_or(0, |table| table.rows)
    };
    #[expect(clippy::cast_precision_loss, reason = "for eyes")]
    let size = human(bytes as f64);
    format!(
        "{} events, {} steps of incidents, {} cold files, {size}, of {}",
        rows("events"),
        rows("transitions"),
        manifest.cold.len(),
        manifest.begun
    )
}
