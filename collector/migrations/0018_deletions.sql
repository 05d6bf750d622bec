-- What was deleted or moved to the cold tier: a row before it is done ('begun') and one behind it ('done'). Kept for ever.
CREATE TABLE IF NOT EXISTS deletions
(
    time DateTime64(6, 'UTC'),
    run String,
    state LowCardinality(String),
    kind LowCardinality(String),
    what LowCardinality(String),
    agency LowCardinality(String),
    month UInt32,
    rule LowCardinality(String),
    rows UInt64,
    bytes UInt64,
    who String,
    why String
)
ENGINE = MergeTree
ORDER BY (time, run)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
