-- The manifest of the cold tier. 'moving': the file is whole and verified, its rows are being taken out of `events`; 'settled': they are
-- out; 'deleted': the file is, or is about to be. `covers` says as SQL which rows of `events` it has.
CREATE TABLE IF NOT EXISTS cold_files
(
    path String,
    state LowCardinality(String),
    version UInt64,
    written DateTime64(6, 'UTC'),
    agency LowCardinality(String),
    day Date,
    set LowCardinality(String),
    rule LowCardinality(String),
    rows UInt64,
    bytes UInt64,
    blake3 String,
    checksum UInt64,
    first DateTime64(6, 'UTC'),
    last DateTime64(6, 'UTC'),
    covers String
)
ENGINE = ReplacingMergeTree(version)
ORDER BY path
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
