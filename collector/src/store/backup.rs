//! A copy of the store in a folder, and the store from such a copy.
//!
//! **Progress first, then the rows below it.** The copy begins with one picture of `progress`, and takes exactly the rows of `events` below
//! it: that set is closed, so it is whole however long the copy takes and whatever is inserted meanwhile. After a restore the collector
//! goes to that progress and takes from Kafka what came since: rows that the copy has are below and are not taken again, all others are at
//! or above and are. The other way round, rows before progress, the copy's progress could be ahead of its rows, and what lies between would
//! be missing for ever. So store and Kafka's retention together are the store of before, as long as Kafka still has what came since the copy.
//!
//! Incidents are known again by their origins and commands by their ids, gaps and dead letters by their place: what of them is newer than
//! the progress changes nothing when it comes again. A lease keeps retention from taking rows out while they are copied.
//!
//! Roll-ups are copied before that picture, and their marks before them ([`sums`]).
//!
//! The engine's own BACKUP wants a server's configuration, which an embedded engine does not have; this one asks nothing of the engine but
//! SELECT and INSERT, so it works with every engine, and from one kind to the other.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{Time, topic};

use super::{
    ProgressRow, Store, StoreError,
    cold::{ColdError, Columns, write_whole},
    migrate,
    retention::{Below, RetentionError, lease::Lease},
};
use crate::retention::quoted;

pub mod restore;
mod sums;

/// The form of the folder.
const FORMAT: u32 = 1;

/// The manifest's name; it is written last, so that a folder with one is a whole copy.
const MANIFEST: &str = "manifest.json";

/// The picture of progress.
const PROGRESS: &str = "progress.json.zst";

/// Rows of a file.
const FILE_ROWS_MAX: u64 = 300_000;

/// Bytes of a file's texts: the engine answers up to 512 MiB and takes requests up to 256 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// zstd's level: Native has each column together, and 1 is enough.
const ZSTD_LEVEL: i32 = 1;

/// How often a small table is read again because it changed while it was read.
const TRIES_MAX: usize = 20;

/// Tables beside `events` and `progress`, each with what makes its rows one.
const TABLES: [(&str, bool); 14] = [
    ("transitions", false),
    ("dead_letters", true),
    ("dead_settled", false),
    ("gaps", true),
    ("hold_events", false),
    ("deletions", false),
    ("cold_files", true),
    ("retention_policies", false),
    ("saved_searches", true),
    ("batches", true),
    ("certificates", true),
    ("receipts", true),
    ("break_glass", false),
    ("quiet_periods", false),
];

/// Topics whose progress is copied.
const COPIED: [&str; 5] =
    [topic::SECURITY, topic::UPTIME, topic::USAGE, topic::SIGNALS, topic::COMMANDS];

/// Why there is no copy, or no store from it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The engine.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lease, or the cold tier.
    #[error(transparent)]
    Retention(#[from] RetentionError),
    /// The disk.
    #[error("{doing} {path}: {source}", path = .path.display())]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The folder has something in it.
    #[error("write a backup to {0}: the folder is not empty; name another")]
    NotEmpty(PathBuf),
    /// A table changed each time it was read.
    #[error(
        "copy the table {0}: it changes faster than it is read; try again when less is going on"
    )]
    Busy(&'static str),
    /// The folder is no whole backup.
    #[error("use the backup in {folder}: {found}", folder = .folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// The store has rows.
    #[error("restore: the store has {0} rows already; say --replace to have them deleted first")]
    Full(u64),
    /// Holds are in force.
    #[error("restore over this store: the holds {} are in force and keep what would be deleted; lift them first", .0.join(", "))]
    Held(Vec<String>),
    /// The restored rows are not the copied ones.
    #[error(
        "restore the table {table}: it has {found} rows, the backup {wanted}, or their checksums differ"
    )]
    Differs {
        /// The table.
        table: String,
        /// Rows found.
        found: u64,
        /// Rows of the backup.
        wanted: u64,
    },
    /// The backup has a cold tier.
    #[error(
        "restore {0} files of the cold tier: the configuration names no place for them; set [cold] dir or [cold.s3]"
    )]
    NoShelf(usize),
}

impl From<clickhouse::error::Error> for BackupError {
    fn from(error: clickhouse::error::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<ColdError> for BackupError {
    fn from(error: ColdError) -> Self {
        Self::Retention(error.into())
    }
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Within the folder.
    pub path: String,
    /// Rows; of a cold file 0.
    pub rows: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// BLAKE3 of these bytes.
    pub blake3: String,
}

/// A table of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Its name.
    pub table: String,
    /// Its columns, as an INSERT names them.
    pub columns: String,
    /// Its rows.
    pub rows: u64,
    /// The sum of their hashes.
    pub checksum: u64,
    /// The hash that was summed: a later schema has more columns.
    pub hash: String,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the folder.
    pub format: u32,
    /// The program's version.
    pub program: String,
    /// The version of the schema.
    pub schema: u32,
    /// When it was begun, RFC 3339.
    pub begun: String,
    /// When it was whole.
    pub ended: String,
    /// Where each partition stood: topic, partition, next offset.
    pub progress: Vec<(String, i32, u64)>,
    /// The progress itself, with the marks of agents.
    pub progress_file: FileEntry,
    /// Tables.
    pub tables: Vec<TableEntry>,
    /// Files of the cold tier.
    pub cold: Vec<FileEntry>,
}

#[derive(Debug, Clone, Row, Serialize, Deserialize)]
struct Unit {
    month: u32,
    agency: String,
    rows: u64,
    weight: u64,
}

/// One copy under way.
struct Copy<'a> {
    store: &'a Store,
    folder: &'a Path,
    lease: Lease,
    tell: &'a (dyn Fn(&str) + Sync),
}

impl Store {
    /// Copies the store to a folder that is empty or not there; `tell` hears of each step.
    ///
    /// # Errors
    /// If the folder has something in it, the engine or the disk refuse, or retention is at work.
    pub async fn backup(
        &self,
        folder: &Path,
        who: &str,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Manifest, BackupError> {
        fs::create_dir_all(folder).map_err(disk("make the folder", folder))?;
        let mut inside = fs::read_dir(folder).map_err(disk("read the folder", folder))?;
        if inside.next().is_some() {
            return Err(BackupError::NotEmpty(folder.to_owned()));
        }
        let lease = Lease::take(self, "backup", who).await?;
        let copy = Copy { store: self, folder, lease, tell };
        let outcome = copy.all().await;
        if let Err(error) = copy.lease.end().await {
            tracing::warn!(%error, "the lease was not given back; it ends by itself in ten minutes");
        }
        outcome
    }
}

fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Disk { doing, path, source }
}

impl Copy<'_> {
    async fn all(&self) -> Result<Manifest, BackupError> {
        let begun = Time::now();
        let (marks, sums) = self.sums().await?;
        self.store.settle("progress").await?;
        // One statement: rows of progress are inserted as whole blocks, and a statement sees each block or not.
        let progress: Vec<ProgressRow> = self
            .store
            .client()
            .query("SELECT topic, partition, agent, argMax(p.value, p.version) AS value, argMax(p.ahead, p.version) AS ahead, max(p.version) AS version FROM progress AS p GROUP BY topic, partition, agent ORDER BY topic, partition, agent")
            .fetch_all()
            .await?;
        // Marks of what is not copied would say of the restored store what is not true. Those of the roll-ups are the earlier ones.
        let progress: Vec<ProgressRow> = progress
            .into_iter()
            .filter(|row| COPIED.contains(&row.topic.as_str()))
            .chain(marks)
            .collect();
        let next: Vec<(String, i32, u64)> = progress
            .iter()
            .filter(|row| row.agent.is_empty() && COPIED.contains(&row.topic.as_str()))
            .map(|row| (row.topic.clone(), row.partition, row.value))
            .collect();
        let of_events: Vec<(String, i32, u64)> = next
            .iter()
            .filter(|(topic, ..)| topic::EVENTS.contains(&topic.as_str()))
            .cloned()
            .collect();
        let text = serde_json::to_vec(&progress).map_err(StoreError::from)?;
        let progress_file = self.write(PROGRESS, progress.len() as u64, text).await?;
        let mut tables = vec![self.events(&Below::new(&of_events)).await?, sums];
        for (table, replacing) in TABLES {
            tables.push(self.small(table, replacing).await?);
        }
        let cold = self.cold().await?;
        let manifest = Manifest {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").into(),
            schema: migrate::known(),
            begun: begun.to_string(),
            ended: Time::now().to_string(),
            progress: next,
            progress_file,
            tables,
            cold,
        };
        let text = serde_json::to_vec_pretty(&manifest).map_err(StoreError::from)?;
        write_whole(&self.folder.join(MANIFEST), &text)?;
        Ok(manifest)
    }

    /// Compresses and writes a file, and reads it back.
    async fn write(&self, name: &str, rows: u64, plain: Vec<u8>) -> Result<FileEntry, BackupError> {
        let path = self.folder.join(name);
        let name = name.to_owned();
        let work = move || -> Result<FileEntry, BackupError> {
            let packed =
                zstd::bulk::compress(&plain, ZSTD_LEVEL).map_err(disk("compress", &path))?;
            write_whole(&path, &packed)?;
            let entry = FileEntry {
                path: name,
                rows,
                bytes: packed.len() as u64,
                blake3: blake3::hash(&packed).to_hex().to_string(),
            };
            if hash_of(&path)? == entry.blake3 {
                Ok(entry)
            } else {
                let found = "what was written does not read back the same".into();
                Err(BackupError::Damaged { folder: path, found })
            }
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| BackupError::Disk {
            doing: "write",
            path: self.folder.to_owned(),
            source: io::Error::other(error),
        })?
    }

    async fn rows(
        &self,
        source: &str,
        condition: &str,
        columns: &Columns,
    ) -> Result<Vec<u8>, BackupError> {
        let text = format!("SELECT {} FROM {source} WHERE {condition}", columns.names);
        let bytes = self.store.client().query_raw(&text).fetch_bytes("Native")?.collect().await?;
        Ok(bytes.to_vec())
    }

    async fn events(&self, below: &Below) -> Result<TableEntry, BackupError> {
        let columns = self.store.columns("events").await?;
        let text = format!(
            "SELECT toYYYYMM(day) AS month, agency, count() AS rows, sum(length(raw) + length(message) + length(url) + length(user_agent) + 500) AS weight \
             FROM events WHERE {} GROUP BY month, agency ORDER BY month, agency",
            below.sql()
        );
        let units: Vec<Unit> = self.store.client().query_raw(&text).fetch_all().await?;
        let all: u64 = units.iter().map(|unit| unit.rows).sum();
        let (mut files, mut rows, mut checksum) = (Vec::new(), 0_u64, 0_u64);
        for (index, unit) in units.iter().enumerate() {
            let count = (unit.rows / FILE_ROWS_MAX).max(unit.weight / FILE_BYTES_MAX) + 1;
            for part in 0..count {
                self.lease.beat().await?;
                let condition = format!(
                    "_partition_id = '{}' AND agency = {} AND kafka_offset % {count} = {part} AND {}",
                    unit.month,
                    quoted(&unit.agency),
                    below.sql()
                );
                let sum = self.store.sum_of("events", &condition, &columns).await?;
                if sum.rows == 0 {
                    continue;
                }
                let plain = self.rows("events", &condition, &columns).await?;
                let name = format!("events/{}/{index}-{part}.native.zst", unit.month);
                files.push(self.write(&name, sum.rows, plain).await?);
                rows += sum.rows;
                checksum = checksum.wrapping_add(sum.checksum);
                (self.tell)(&format!("events: {rows} of {all} rows"));
            }
        }
        Ok(TableEntry {
            table: "events".into(),
            columns: columns.names,
            rows,
            checksum,
            hash: columns.hash,
            files,
        })
    }

    /// A table that is read in a moment, again until it did not change meanwhile.
    async fn small(&self, table: &'static str, replacing: bool) -> Result<TableEntry, BackupError> {
        let columns = self.store.columns(table).await?;
        let source = if replacing { format!("{table} FINAL") } else { table.to_owned() };
        for _ in 0..TRIES_MAX {
            self.lease.beat().await?;
            let before = self.store.sum_of_any(&source, "1", &columns).await?;
            let count = before.rows / FILE_ROWS_MAX.min(20_000) + 1;
            let mut parts = Vec::new();
            for part in 0..count {
                let condition = format!("{} % {count} = {part}", columns.hash);
                parts.push(
                    self.rows(&source, if count == 1 { "1" } else { &condition }, &columns).await?,
                );
            }
            let after = self.store.sum_of_any(&source, "1", &columns).await?;
            if before != after {
                continue;
            }
            let mut files = Vec::new();
            if before.rows > 0 {
                for (part, plain) in parts.into_iter().enumerate() {
                    files.push(self.write(&format!("{table}/{part}.native.zst"), 0, plain).await?);
                }
            }
            (self.tell)(&format!("{table}: {} rows", before.rows));
            return Ok(TableEntry {
                table: table.into(),
                columns: columns.names,
                rows: before.rows,
                checksum: before.checksum,
                hash: columns.hash,
                files,
            });
        }
        Err(BackupError::Busy(table))
    }

    async fn cold(&self) -> Result<Vec<FileEntry>, BackupError> {
        let files =
            self.store.cold_files("state IN ('moving', 'settled')", usize::MAX >> 1).await?;
        let Some(shelf) = &self.store.shelf else {
            return if files.is_empty() {
                Ok(Vec::new())
            } else {
                Err(BackupError::NoShelf(files.len()))
            };
        };
        let mut entries = Vec::new();
        for file in files {
            self.lease.beat().await?;
            let path = format!("cold/{}", file.path);
            let to = self.folder.join(&path);
            let folder = to.parent().unwrap_or(self.folder);
            fs::create_dir_all(folder).map_err(disk("make the folder", folder))?;
            shelf.copy(&file.path, to.clone()).await?;
            if hash_of(&to)? != file.blake3 {
                let found = format!(
                    "the cold file {} is not what the manifest of the cold tier says",
                    file.path
                );
                return Err(BackupError::Damaged { folder: self.folder.to_owned(), found });
            }
            entries.push(FileEntry { path, rows: 0, bytes: file.bytes, blake3: file.blake3 });
        }
        Ok(entries)
    }
}

/// BLAKE3 of a file.
fn hash_of(path: &Path) -> Result<String, BackupError> {
    let mut hash = blake3::Hasher::new();
    let mut read = || -> io::Result<()> {
        io::copy(&mut fs::File::open(path)?, &mut hash)?;
        Ok(())
    };
    read().map_err(disk("read back", path))?;
    Ok(hash.finalize().to_hex().to_string())
}
