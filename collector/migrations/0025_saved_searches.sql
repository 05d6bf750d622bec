-- Searches under a name. Each change is a row; the highest version of an id says what it is now.
CREATE TABLE IF NOT EXISTS saved_searches
(
    id String,
    version UInt64,
    name String,
    owner String,
    agency LowCardinality(String),
    line String,
    created DateTime64(6, 'UTC'),
    changed DateTime64(6, 'UTC'),
    deleted Bool
)
ENGINE = ReplacingMergeTree(version)
ORDER BY id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
