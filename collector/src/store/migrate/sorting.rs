//! Rows of before into a table of another sorting key, which no ALTER can give: all of them are copied, and only then the tables change names.
//!
//! 1. `events_sorted` is made (the migration before this one).
//! 2. Each month of `events` is copied, agency by agency, into a table of this run's own, counted and summed on both sides, and put into
//!    `events_sorted` as a whole, in place of whatever it has of that month. A month that is equal there is not copied again.
//! 3. `events_sorted` becomes `events_closed`: nothing is put there from then on. When what was under way has ended, both are compared.
//! 4. In one statement `events` becomes `events_before`, and `events_closed` becomes `events`.
//! 5. `events_before` is emptied, and stays.
//!
//! **Cut anywhere**, the next run looks how far it came and goes on: until 4 the old table is whole and untouched, and 2 puts the same rows in
//! the same place again. The disk has to have room for both.
//!
//! **Two at once** do no harm: each copies into a table of its own, and who sees another copy waits. Two that put the same month in place at
//! once may leave it there twice, the engine's `REPLACE PARTITION` being made of two steps; so what is compared is a table that nobody can
//! name any more, when no such statement is under way. The names change once, because `events_before` stays. Who comes late and makes
//! `events_sorted` again makes one that is never looked at, and it is dropped.
//!
//! **Insert tokens** stay with the old table. A token knows an insert again that is tried again, or that a dead collector's engine carries
//! out late. The collectors of before are stopped, so nobody tries theirs again. What a dead one left in the engine comes to the old table
//! before the copy, and is copied; or during it, and is either copied, or found by the last count, and the month is copied again; or behind
//! the change of names to the new table, as late as it always could. Whoever takes the partition over reads which rows are stored above its
//! progress and leaves exactly those out, and takes the token away in the new table. What the copy does not have was never answered, lies above the
//! progress, and is read from Kafka again.
//!
//! On a cluster the table in front is pointed to the new one in one statement; rows of before come over by `backup` and `restore`.

use std::time::Instant;

use crate::{
    retention::quoted,
    store::{
        Store, StoreError,
        cluster::{OF_BEFORE, ddl},
        cold::Columns,
        migrate::MIGRATIONS,
    },
};

/// The step.
pub(super) const VERSION: u32 = 24;

/// The table of the new order, until it has the name.
const SORTED: &str = "events_sorted";

/// The same when nobody puts anything into it any more.
const CLOSED: &str = "events_closed";

/// The emptied table of the old order.
const BEFORE: &str = "events_before";

/// Begins the names of tables that a run copies into.
const COPYING: &str = "events_copying_";

/// What a statement of the copy takes at once, so that it holds a few hundred megabytes and not a month.
const COPY: [(&str, &str); 4] = [
    ("max_threads", "1"),
    ("max_insert_threads", "1"),
    ("min_insert_block_size_rows", "250000"),
    ("min_insert_block_size_bytes", "67108864"),
];

/// Why rows did not come to their new order.
#[derive(Debug, thiserror::Error)]
pub enum SortingError {
    /// Something writes meanwhile.
    #[error(
        "copy the month {month} to its new order: {before} rows are there and {copied} were copied; stop all collectors of the earlier version"
    )]
    Moving {
        /// The partition.
        month: String,
        /// Rows of it in the old table.
        before: u64,
        /// Rows of it in the copy.
        copied: u64,
    },
    /// Another collector does it.
    #[error(
        "copy events to their new order while another collector copies them; this one waits for it"
    )]
    Busy,
    /// A cluster with rows of before.
    #[error(
        "bring {0} rows of this cluster to the new order: make a `backup` of them with this program, and `restore` it to another [engine] database"
    )]
    OnCluster(u64),
}

/// The name of a table that nobody else has.
fn copying() -> String {
    format!("{COPYING}{}", uuid::Uuid::new_v4().simple())
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The old table has its name.
    Copying,
    /// The same, and all months were put in place.
    Closed,
    /// The names were changed in half.
    Nameless,
    /// The new table has the name.
    Changed,
}

/// What the tables that there are say of it.
fn stage(tables: &[String]) -> Stage {
    let has = |name: &str| tables.iter().any(|table| table == name);
    match (has(BEFORE), has("events")) {
        (false, _) if has(CLOSED) => Stage::Closed,
        (false, _) => Stage::Copying,
        (true, false) => Stage::Nameless,
        (true, true) => Stage::Changed,
    }
}

/// Brings the rows to the new order and the new table to its name.
pub(super) async fn bring(store: &Store, file: &str) -> Result<(), StoreError> {
    let statements = ddl::statements(store.layout(), &store.database, VERSION, file)?;
    if store.layout().is_cluster() {
        let rows: u64 =
            store.client().query(&format!("SELECT count() FROM {OF_BEFORE}")).fetch_one().await?;
        if rows > 0 {
            return Err(SortingError::OnCluster(rows).into());
        }
        for statement in statements {
            store.client().query_raw(&statement).execute().await?;
        }
        return Ok(());
    }
    let sorting = Sorting { store: store.clone().patiently() };
    loop {
        let tables = sorting.tables().await?;
        match stage(&tables) {
            Stage::Copying => {
                sorting.make_sorted().await?;
                sorting.copy().await?;
                sorting.carry_out(&format!("RENAME TABLE {SORTED} TO {CLOSED}")).await?;
            }
            Stage::Closed => {
                sorting.compare().await?;
                for statement in &statements {
                    sorting.carry_out(&statement.replace(SORTED, CLOSED)).await?;
                }
            }
            Stage::Nameless => sorting.name(&tables).await?,
            Stage::Changed => return sorting.clear().await,
        }
    }
}

/// Drops what somebody who came late to this step, and then found it done, has left beside the tables.
pub(super) async fn tidy(store: &Store) -> Result<(), StoreError> {
    let sorting = Sorting { store: store.clone().patiently() };
    let tables = sorting.tables().await?;
    let stray = |table: &String| table == SORTED || table == CLOSED || table.starts_with(COPYING);
    if stage(&tables) == Stage::Changed && tables.iter().any(stray) {
        sorting.clear().await?;
    }
    Ok(())
}

struct Sorting {
    store: Store,
}

impl Sorting {
    async fn carry_out(&self, statement: &str) -> Result<(), StoreError> {
        Ok(self.store.client().query_raw(statement).execute().await?)
    }

    async fn tables(&self) -> Result<Vec<String>, StoreError> {
        let text = "SELECT name FROM system.tables WHERE database = ? AND startsWith(name, 'events') ORDER BY name";
        let query = self.store.client.query(text).bind(&self.store.database);
        Ok(query.fetch_all().await?)
    }

    /// Makes the new table, if another has given up the one that was there.
    async fn make_sorted(&self) -> Result<(), StoreError> {
        let (layout, database) = (self.store.layout(), self.store.database.as_str());
        for (version, _, text) in MIGRATIONS.iter().filter(|(version, ..)| *version == VERSION - 1)
        {
            for statement in ddl::statements(layout, database, *version, text)? {
                self.carry_out(&statement).await?;
            }
        }
        Ok(())
    }

    /// Names the new table where the old one has lost its name already; or the old one again, where the new one is not whole.
    async fn name(&self, tables: &[String]) -> Result<(), StoreError> {
        let has = |name: &str| tables.iter().any(|table| table == name);
        if has(CLOSED) {
            return self.carry_out(&format!("RENAME TABLE {CLOSED} TO events")).await;
        }
        // A program of before changed the names without closing.
        let columns = self.store.columns(BEFORE).await?;
        let whole = has(SORTED)
            && self.store.sum_of_any(BEFORE, "1", &columns).await?
                == self.store.sum_of_any(SORTED, "1", &columns).await?;
        let named = if whole { SORTED } else { BEFORE };
        self.carry_out(&format!("RENAME TABLE {named} TO events")).await
    }

    /// Copies all months that are not in place yet.
    async fn copy(&self) -> Result<(), StoreError> {
        self.sweep().await?;
        let columns = self.store.columns("events").await?;
        for month in self.months().await? {
            if self.differs("events", SORTED, &month, &columns).await?.is_some() {
                self.copy_month(&month, &columns).await?;
            }
        }
        Ok(())
    }

    /// Whether the closed table is equal to the old one; if not, it is given up.
    async fn compare(&self) -> Result<(), StoreError> {
        if self.under_way(&format!("ALTER TABLE {SORTED} REPLACE")).await? {
            return Err(SortingError::Busy.into());
        }
        let columns = self.store.columns("events").await?;
        // Rows that came to the old table meanwhile are of a collector that should be stopped, or of a dead one's last insert.
        for month in self.months().await? {
            if let Some((before, copied)) = self.differs("events", CLOSED, &month, &columns).await?
            {
                // Out of the way in one statement, which one alone of several can do; it is copied again.
                self.carry_out(&format!("RENAME TABLE {CLOSED} TO {}", copying())).await?;
                return Err(SortingError::Moving { month, before, copied }.into());
            }
        }
        Ok(())
    }

    /// Whether the engine carries out a statement that begins so.
    async fn under_way(&self, beginning: &str) -> Result<bool, StoreError> {
        let text = "SELECT count() FROM system.processes WHERE current_database = ? AND startsWith(query, ?)";
        let query = self.store.client().query(text).bind(&self.store.database).bind(beginning);
        Ok(query.fetch_one::<u64>().await? > 0)
    }

    /// The partitions that the old table has rows in.
    async fn months(&self) -> Result<Vec<String>, StoreError> {
        let text = "SELECT DISTINCT _partition_id FROM events ORDER BY 1";
        Ok(self.store.client().query_raw(text).fetch_all().await?)
    }

    /// Rows of a month on both sides, if the two are not the same.
    async fn differs(
        &self,
        before: &str,
        copy: &str,
        month: &str,
        columns: &Columns,
    ) -> Result<Option<(u64, u64)>, StoreError> {
        let of_month = format!("_partition_id = {}", quoted(month));
        let before = self.store.sum_of_any(before, &of_month, columns).await?;
        let copied = self.store.sum_of_any(copy, &of_month, columns).await?;
        Ok((before != copied).then_some((before.rows, copied.rows)))
    }

    /// Drops what a run that was cut has left. One whose table is dropped between two of its statements fails, and waits from then on.
    async fn sweep(&self) -> Result<(), StoreError> {
        if self.under_way(&format!("INSERT INTO {COPYING}")).await? {
            return Err(SortingError::Busy.into());
        }
        for table in self.tables().await?.iter().filter(|table| table.starts_with(COPYING)) {
            self.carry_out(&format!("DROP TABLE IF EXISTS {table} SYNC")).await?;
        }
        Ok(())
    }

    async fn copy_month(&self, month: &str, columns: &Columns) -> Result<(), StoreError> {
        let copying = copying();
        let copied = self.copy_month_by(&copying, month, columns).await;
        let dropped = self.carry_out(&format!("DROP TABLE IF EXISTS {copying} SYNC")).await;
        copied.and(dropped)
    }

    async fn copy_month_by(
        &self,
        copying: &str,
        month: &str,
        columns: &Columns,
    ) -> Result<(), StoreError> {
        let begun = Instant::now();
        self.carry_out(&format!("CREATE TABLE {copying} AS {SORTED}")).await?;
        // What merges make of the copy is on the disk before the old rows go.
        let synced =
            format!("ALTER TABLE {copying} MODIFY SETTING min_rows_to_fsync_after_merge = 1");
        self.carry_out(&synced).await?;
        let of_month = format!("_partition_id = {}", quoted(month));
        let text =
            format!("SELECT DISTINCT toString(agency) FROM events WHERE {of_month} ORDER BY 1");
        let agencies: Vec<String> = self.store.client().query_raw(&text).fetch_all().await?;
        for agency in &agencies {
            let text = format!(
                "INSERT INTO {copying} ({names}) SELECT {names} FROM events WHERE {of_month} AND agency = {}",
                quoted(agency),
                names = columns.names,
            );
            let client = COPY.iter().fold(self.store.client(), |client, (name, value)| {
                client.with_setting(*name, *value)
            });
            client.query_raw(&text).execute().await?;
            tracing::info!(month, agency, "copied to the new order");
        }
        if let Some((before, copied)) = self.differs("events", copying, month, columns).await? {
            return Err(SortingError::Moving { month: month.to_owned(), before, copied }.into());
        }
        let place =
            format!("ALTER TABLE {SORTED} REPLACE PARTITION ID {} FROM {copying}", quoted(month));
        self.carry_out(&place).await?;
        tracing::info!(month, seconds = begun.elapsed().as_secs(), "a month has its new order");
        Ok(())
    }

    /// What is left of the old order and of runs that were cut.
    async fn clear(&self) -> Result<(), StoreError> {
        self.carry_out(&format!("TRUNCATE TABLE {BEFORE} SYNC")).await?;
        for table in [SORTED, CLOSED] {
            self.carry_out(&format!("DROP TABLE IF EXISTS {table} SYNC")).await?;
        }
        self.sweep().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_came_is_told_by_the_tables_that_there_are() {
        for (tables, wanted) in [
            (&["events"][..], Stage::Copying),
            (&["events", "events_sorted", "events_copying_1"], Stage::Copying),
            (&["events", "events_closed"], Stage::Closed),
            (&["events", "events_closed", "events_sorted"], Stage::Closed),
            (&["events_before", "events_closed"], Stage::Nameless),
            (&["events_before", "events_sorted"], Stage::Nameless),
            (&["events", "events_before"], Stage::Changed),
            // Somebody who came late made it again.
            (&["events", "events_before", "events_sorted"], Stage::Changed),
            (&["events", "events_before", "events_closed"], Stage::Changed),
        ] {
            let tables: Vec<String> = tables.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(stage(&tables), wanted, "{tables:?}");
        }
    }
}
