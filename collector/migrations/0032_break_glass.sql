-- What one person was let do by a second one, and what the agency was told of it: each step is a row, never changed; a record is their fold.
CREATE TABLE IF NOT EXISTS break_glass
(
    id String,
    time DateTime64(6, 'UTC'),
    who String,
    step LowCardinality(String),
    agency String,
    what LowCardinality(String),
    reason String,
    valid_seconds UInt64,
    answer_seconds UInt64
)
ENGINE = MergeTree
ORDER BY (id, time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
