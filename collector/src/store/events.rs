//! Events into the table `events`.

use std::sync::atomic::Ordering;

use super::{
    Store, StoreError,
    row::{Columns, EventRow, NewRow},
};

impl Store {
    /// Inserts a block of events. The same token a second time is harmless.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn insert_events(&self, rows: &[NewRow], token: &str) -> Result<(), StoreError> {
        let inserted = self.writes("events", self.write_events(rows, token)).await;
        if inserted.is_err() {
            // Somebody may have changed the table.
            self.columns_known.store(false, Ordering::Relaxed);
        }
        inserted
    }

    async fn write_events(&self, rows: &[NewRow], token: &str) -> Result<(), StoreError> {
        // The first block of a process is held against the table's own columns; asked for each value of each row that is a good part of
        // what a row costs, and a question to the engine for each block.
        let known = self.columns_known.load(Ordering::Relaxed);
        let mut insert = self
            .client()
            .with_validation(!known)
            .insert::<Columns<'_>>("events")
            .await?
            .with_setting("insert_deduplication_token", token);
        for columns in rows.iter().filter_map(NewRow::columns) {
            insert.write(&columns).await?;
        }
        insert.end().await?;
        self.columns_known.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Inserts rows that were read, as they are.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub async fn insert_rows(&self, rows: &[EventRow], token: &str) -> Result<(), StoreError> {
        let mut insert = self
            .client()
            .insert::<EventRow>("events")
            .await?
            .with_setting("insert_deduplication_token", token);
        for row in rows {
            insert.write(row).await?;
        }
        Ok(insert.end().await?)
    }
}
