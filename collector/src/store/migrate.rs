//! Numbered steps from an empty database to the present schema, one way.

use std::fmt::Write;

use super::{
    Store, StoreError,
    cluster::{Layout, ddl},
};

mod sorting;

pub use sorting::SortingError;

/// Which steps were taken.
pub const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, done DateTime DEFAULT now()) \
     ENGINE = ReplacingMergeTree ORDER BY version";

/// The steps, in order.
pub const MIGRATIONS: &[(u32, &str, &str)] = &[
    (1, "events", include_str!("../../migrations/0001_events.sql")),
    (2, "progress", include_str!("../../migrations/0002_progress.sql")),
    (3, "transitions", include_str!("../../migrations/0003_transitions.sql")),
    (4, "dead_letters", include_str!("../../migrations/0004_dead_letters.sql")),
    (5, "gaps", include_str!("../../migrations/0005_gaps.sql")),
    (6, "untold_flags", include_str!("../../migrations/0006_untold_flags.sql")),
    (7, "gap_extent", include_str!("../../migrations/0007_gap_extent.sql")),
    (8, "ahead", include_str!("../../migrations/0008_ahead.sql")),
    (9, "dead_settled", include_str!("../../migrations/0009_dead_settled.sql")),
    (10, "canaries", include_str!("../../migrations/0010_canaries.sql")),
    (11, "rollups", include_str!("../../migrations/0011_rollups.sql")),
    (12, "rollup_minute", include_str!("../../migrations/0012_rollup_minute.sql")),
    (13, "rollup_hour", include_str!("../../migrations/0013_rollup_hour.sql")),
    (14, "rollup_day", include_str!("../../migrations/0014_rollup_day.sql")),
    (15, "words", include_str!("../../migrations/0015_words.sql")),
    (16, "words_of_before", include_str!("../../migrations/0016_words_of_before.sql")),
    (17, "hold_events", include_str!("../../migrations/0017_hold_events.sql")),
    (18, "deletions", include_str!("../../migrations/0018_deletions.sql")),
    (19, "cold_files", include_str!("../../migrations/0019_cold_files.sql")),
    (20, "retention_policies", include_str!("../../migrations/0020_retention_policies.sql")),
    (21, "leases", include_str!("../../migrations/0021_leases.sql")),
    (22, "tenures", include_str!("../../migrations/0022_tenures.sql")),
    (23, "events_sorted", include_str!("../../migrations/0023_events_sorted.sql")),
    (24, "sorted", include_str!("../../migrations/0024_sorted.sql")),
    (25, "saved_searches", include_str!("../../migrations/0025_saved_searches.sql")),
    (26, "transitions_time", include_str!("../../migrations/0026_transitions_time.sql")),
    (27, "batches", include_str!("../../migrations/0027_batches.sql")),
    (28, "certificates", include_str!("../../migrations/0028_certificates.sql")),
    (29, "receipts", include_str!("../../migrations/0029_receipts.sql")),
    (30, "audit", include_str!("../../migrations/0030_audit.sql")),
    (31, "audit_heads", include_str!("../../migrations/0031_audit_heads.sql")),
    (32, "break_glass", include_str!("../../migrations/0032_break_glass.sql")),
    (33, "audit_agency", include_str!("../../migrations/0033_audit_agency.sql")),
    (34, "notifications", include_str!("../../migrations/0034_notifications.sql")),
    (35, "threat_entries", include_str!("../../migrations/0035_threat_entries.sql")),
    (36, "quiet_periods", include_str!("../../migrations/0036_quiet_periods.sql")),
];

/// The version of the present schema.
#[must_use]
pub fn known() -> u32 {
    MIGRATIONS.last().map_or(0, |(version, ..)| *version)
}

/// Brings the store to the present schema; gives the steps that were taken.
///
/// # Errors
/// If the engine refuses, or the store is newer than this program.
pub async fn run(store: &Store) -> Result<Vec<&'static str>, StoreError> {
    store.check_layout().await?;
    let (layout, database) = (store.layout(), store.database.as_str());
    store.client.query_raw(&ddl::database(layout, database)).execute().await?;
    let client = store.client();
    for statement in ddl::statements(layout, database, 0, VERSIONS)? {
        client.query_raw(&statement).execute().await?;
    }
    store.settle("schema_migrations").await?;
    let found: u32 = client.query("SELECT max(version) FROM schema_migrations").fetch_one().await?;
    let known = known();
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let mut taken = Vec::new();
    for (version, name, text) in MIGRATIONS.iter().filter(|(version, ..)| *version > found) {
        if *version == sorting::VERSION {
            sorting::bring(store, text).await?;
        } else {
            for statement in ddl::statements(layout, database, *version, text)? {
                client.query_raw(&statement).execute().await?;
            }
        }
        client
            .query("INSERT INTO schema_migrations (version, name) VALUES (?, ?)")
            .bind(*version)
            .bind(*name)
            .execute()
            .await?;
        tracing::info!(version, name, "migrated");
        taken.push(*name);
    }
    if !layout.is_cluster() {
        sorting::tidy(store).await?;
    }
    Ok(taken)
}

/// Refuses a store that a newer program wrote: what its tables mean is not known here. One that does not answer is told by what is asked next.
///
/// # Errors
/// If it is newer.
pub async fn refuse_newer(store: &Store) -> Result<(), StoreError> {
    match version(store).await {
        Ok(found) if found > known() => Err(StoreError::Newer { found, known: known() }),
        _ => Ok(()),
    }
}

/// All that [`run`] carries out on an empty engine, as a text.
///
/// # Errors
/// If a step is of a form that is not known for a cluster.
pub fn script(layout: &Layout, database: &str) -> Result<String, StoreError> {
    let mut text = format!("{};\n", ddl::database(layout, database));
    let files =
        std::iter::once((0, "schema_migrations", VERSIONS)).chain(MIGRATIONS.iter().copied());
    for (version, name, file) in files {
        let _written = write!(text, "\n-- {version:04} {name}\n");
        for statement in ddl::statements(layout, database, version, file)? {
            let _written = writeln!(text, "{statement};");
        }
    }
    Ok(text)
}

/// The schema's version; 0: there is none.
///
/// # Errors
/// If the engine does not answer.
pub async fn version(store: &Store) -> Result<u32, StoreError> {
    let there: u64 = store
        .client
        .query(
            "SELECT count() FROM system.tables WHERE database = ? AND name = 'schema_migrations'",
        )
        .bind(&store.database)
        .fetch_one()
        .await?;
    if there == 0 {
        return Ok(0);
    }
    Ok(store.client().query("SELECT max(version) FROM schema_migrations").fetch_one().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_a_hole() {
        let numbers: Vec<u32> = MIGRATIONS.iter().map(|(version, ..)| *version).collect();
        assert_eq!(numbers, (1..=u32::try_from(MIGRATIONS.len()).unwrap()).collect::<Vec<_>>());
    }
}
