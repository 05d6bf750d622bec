-- Certificates whose keys sealed batches, with those that issued them: what was signed is proved with them long after they ended. Kept for ever.
CREATE TABLE IF NOT EXISTS certificates
(
    key_id String,
    agency LowCardinality(String),
    agent LowCardinality(String),
    serial String,
    not_before DateTime64(6, 'UTC'),
    not_after DateTime64(6, 'UTC'),
    chain String
)
ENGINE = ReplacingMergeTree
ORDER BY key_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
