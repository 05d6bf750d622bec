-- How far each chain of the audit log is, written behind its rows: rows that are taken off its end are missed by it.
CREATE TABLE IF NOT EXISTS audit_heads
(
    chain LowCardinality(String),
    number UInt64,
    hash String,
    time DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(number)
ORDER BY chain
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
