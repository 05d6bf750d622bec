//! The cold tier: Parquet by day and agency beside the engine, with a manifest in the store, still asked by the same search.
//!
//! A file is put whole on its [`shelf`], read back and compared with its rows before any row leaves the engine. While rows leave, the file
//! is 'moving' and a search takes each row once; afterwards it is 'settled'.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clickhouse::{Client, Row};
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{Store, StoreError, query::FOLDED_OF_ROW};
use crate::retention::quoted;

mod bucket;
pub mod shelf;
mod view;

pub use shelf::Shelf;

/// Files that one search opens: each costs a look at its footer.
const FILES_SEARCHED_MAX: usize = 4_000;

/// Why the cold tier did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
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
    /// What was read is not what was written.
    #[error("trust the cold file {path}: {found}; its rows were not taken out of the engine")]
    Differs {
        /// Which.
        path: String,
        /// What was found.
        found: String,
    },
    /// The object store.
    #[error("{doing} {path}: {why}; look at [cold.s3], and whether its server answers")]
    Bucket {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// Work beside the task ended early.
    #[error("finish the work on a cold file: {0}")]
    Broken(#[from] tokio::task::JoinError),
    /// A name that is no folder's.
    #[error("name a cold file by {0:?}: it is no name of a folder")]
    Name(String),
}

/// A file of the manifest; a row of `cold_files`. Times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns are those of migration 10, in their words")]
pub struct ColdFile {
    pub path: String,
    pub state: String,
    pub version: u64,
    pub written: i64,
    pub agency: String,
    pub day: u16,
    pub set: String,
    pub rule: String,
    pub rows: u64,
    pub bytes: u64,
    pub blake3: String,
    pub checksum: u64,
    pub first: i64,
    pub last: i64,
    pub covers: String,
}

pub(super) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ColdError {
    let path = path.to_owned();
    move |source| ColdError::Disk { doing, path, source }
}

/// Writes a file whole or not at all, durable when it comes back.
///
/// # Errors
/// If the disk refuses.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ColdError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(disk("make the folder", folder))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = || -> io::Result<()> {
        let mut file = fs::File::create(&part)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        fs::File::open(folder)?.sync_all()
    };
    written().map_err(disk("write", path))
}

/// Columns that rows are written with.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Names, each in its quotes, joined by commas.
    pub names: String,
    /// Names and types, as a table function wants them.
    pub structure: String,
    /// A hash of a row over all of them.
    pub hash: String,
}

/// A column in a row's hash. The hash of a row with a NULL would be NULL, and no sum counts it.
fn hashed(name: &str, kind: &str) -> String {
    if kind.contains("Nullable(") {
        format!("isNull(`{name}`), ifNull(toString(`{name}`), '')")
    } else {
        format!("`{name}`")
    }
}

/// What rows come to, in whatever order they lie. In SQL the names differ from those of any column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
pub(super) struct Sum {
    /// How many.
    #[serde(rename = "sum_rows")]
    pub rows: u64,
    /// The sum of their hashes over all columns.
    #[serde(rename = "sum_checksum")]
    pub checksum: u64,
    /// The earliest time, microseconds.
    #[serde(rename = "sum_first")]
    pub first: i64,
    /// The latest.
    #[serde(rename = "sum_last")]
    pub last: i64,
}

impl Store {
    /// The columns of a table that are not computed.
    pub(super) async fn columns(&self, table: &str) -> Result<Columns, StoreError> {
        let rows: Vec<(String, String)> = self
            .client()
            .query("SELECT name, type FROM system.columns WHERE database = ? AND table = ? AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') ORDER BY position")
            .bind(self.database.as_str())
            .bind(table)
            .fetch_all()
            .await?;
        let joined = |each: fn(&(String, String)) -> String| {
            rows.iter().map(each).collect::<Vec<_>>().join(", ")
        };
        Ok(Columns {
            names: joined(|(name, _)| format!("`{name}`")),
            structure: joined(|(name, kind)| format!("`{name}` {kind}")),
            hash: format!("cityHash64({})", joined(|(name, kind)| hashed(name, kind))),
        })
    }

    /// What a source of events has: the same for the same rows in any order.
    pub(super) async fn sum_of(
        &self,
        source: &str,
        condition: &str,
        columns: &Columns,
    ) -> Result<Sum, StoreError> {
        let times = "toUnixTimestamp64Micro(min(time)) AS sum_first, toUnixTimestamp64Micro(max(time)) AS sum_last";
        self.sum_with(source, condition, columns, times).await
    }

    /// The same of any table, without times.
    pub(super) async fn sum_of_any(
        &self,
        source: &str,
        condition: &str,
        columns: &Columns,
    ) -> Result<Sum, StoreError> {
        self.sum_with(source, condition, columns, "toInt64(0) AS sum_first, toInt64(0) AS sum_last")
            .await
    }

    async fn sum_with(
        &self,
        source: &str,
        condition: &str,
        columns: &Columns,
        times: &str,
    ) -> Result<Sum, StoreError> {
        let text = format!(
            "SELECT count() AS sum_rows, sum({}) AS sum_checksum, {times} FROM {source} WHERE {condition}",
            columns.hash
        );
        Ok(self.reader().query_raw(&text).fetch_one().await?)
    }

    /// The client for questions whose rows may lie in the cold tier.
    pub(super) fn reader(&self) -> Client {
        match &self.shelf {
            Some(shelf) => shelf.may_read(self.client()),
            None => self.client(),
        }
    }

    /// Whether the cold tier answers; nothing to ask where there is none.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn cold_answers(&self) -> Result<(), ColdError> {
        match &self.shelf {
            Some(shelf) => shelf.answers().await,
            None => Ok(()),
        }
    }

    /// Files of the manifest for which a condition holds.
    pub(super) async fn cold_files(
        &self,
        condition: &str,
        limit: usize,
    ) -> Result<Vec<ColdFile>, StoreError> {
        let text = format!(
            "SELECT path, state, version, written, agency, day, set, rule, rows, bytes, blake3, checksum, first, last, covers \
             FROM cold_files FINAL WHERE {condition} ORDER BY day, path LIMIT {limit}"
        );
        Ok(self.client().query_raw(&text).fetch_all().await?)
    }

    /// Writes rows of the manifest, each a version later.
    pub(super) async fn save_cold(
        &self,
        files: &[ColdFile],
        state: &str,
    ) -> Result<(), StoreError> {
        if files.is_empty() {
            return Ok(());
        }
        let mut insert = self.client().insert::<ColdFile>("cold_files").await?;
        for file in files {
            let file = ColdFile { state: state.into(), version: file.version + 1, ..file.clone() };
            insert.write(&file).await?;
        }
        Ok(insert.end().await?)
    }

    /// What a search of a time has to read: the table of events, and the cold files that may have rows of it.
    ///
    /// # Errors
    /// If the engine does not answer, or too many files lie in that time.
    pub(super) async fn events_of(
        &self,
        since: Time,
        until: Time,
        agencies: &[&str],
    ) -> Result<String, StoreError> {
        let Some(shelf) = &self.shelf else { return Ok("events".into()) };
        let mut condition = format!(
            "state IN ('moving', 'settled') AND last >= fromUnixTimestamp64Micro({}, 'UTC') AND first <= fromUnixTimestamp64Micro({}, 'UTC')",
            since.micros(),
            until.micros()
        );
        if !agencies.is_empty() {
            let agencies: Vec<String> = agencies.iter().map(|agency| quoted(agency)).collect();
            condition = format!("{condition} AND agency IN ({})", agencies.join(", "));
        }
        let files = self.cold_files(&condition, FILES_SEARCHED_MAX + 1).await?;
        if files.len() > FILES_SEARCHED_MAX {
            return Err(StoreError::Forbidden(format!(
                "more than {FILES_SEARCHED_MAX} files of the cold tier lie in that time; name an agency, or a shorter time"
            )));
        }
        if files.is_empty() {
            return Ok("events".into());
        }
        let columns = self.columns("events").await?;
        let moving = files.iter().any(|file| file.state == "moving");
        let names: Vec<String> = files.into_iter().map(|file| file.path).collect();
        let cold = shelf.source(&names, &columns.structure);
        let both = format!(
            "SELECT {0}, folded FROM events UNION ALL SELECT {0}, {FOLDED_OF_ROW} AS folded FROM {cold}",
            columns.names
        );
        let source = if moving {
            format!(
                "(SELECT * FROM ({both}) LIMIT 1 BY kafka_topic, kafka_partition, kafka_offset, kafka_index)"
            )
        } else {
            format!("({both})")
        };
        // A question mark of a path is no place for a value.
        Ok(source.replace('?', "??"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_is_part_of_a_rows_hash() {
        assert_eq!(hashed("a", "Map(LowCardinality(String), String)"), "`a`");
        assert_eq!(hashed("b", "Nullable(Bool)"), "isNull(`b`), ifNull(toString(`b`), '')");
    }
}
