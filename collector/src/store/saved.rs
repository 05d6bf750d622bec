//! Searches under a name: each change is a row.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{Time, proto::SavedSearch};

use super::{Store, StoreError};
use crate::saved::{ALL_MAX, Written};

/// Times are microseconds.
#[derive(Debug, Row, Serialize, Deserialize)]
struct SavedRow {
    id: String,
    version: u64,
    name: String,
    owner: String,
    agency: String,
    line: String,
    created: i64,
    changed: i64,
    deleted: bool,
}

impl Store {
    /// All searches that are saved, by name.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn saved_searches(&self) -> Result<Vec<SavedSearch>, StoreError> {
        let text = format!(
            "SELECT ?fields FROM saved_searches FINAL WHERE NOT deleted ORDER BY name, owner, agency LIMIT {}",
            2 * ALL_MAX
        );
        let rows: Vec<SavedRow> = self.client().query(&text).fetch_all().await?;
        Ok(rows
            .into_iter()
            .map(|row| SavedSearch {
                id: row.id,
                name: row.name,
                owner: row.owner,
                agency: row.agency,
                line: row.line,
                created_unix_nano: row.created.saturating_mul(1000),
                changed_unix_nano: row.changed.saturating_mul(1000),
            })
            .collect())
    }

    /// Writes a search as it is after a change.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn write_saved_search(&self, written: &Written) -> Result<(), StoreError> {
        let search = &written.search;
        let row = SavedRow {
            id: search.id.clone(),
            // Of two changes the later one holds.
            version: u64::try_from(Time(search.changed_unix_nano).micros()).unwrap_or(0),
            name: search.name.clone(),
            owner: search.owner.clone(),
            agency: search.agency.clone(),
            line: search.line.clone(),
            created: Time(search.created_unix_nano).micros(),
            changed: Time(search.changed_unix_nano).micros(),
            deleted: written.deleted,
        };
        let mut insert = self.client().insert::<SavedRow>("saved_searches").await?;
        insert.write(&row).await?;
        Ok(insert.end().await?)
    }
}
