CREATE TABLE IF NOT EXISTS gaps
(
    time DateTime64(6, 'UTC'),
    agency LowCardinality(String),
    host LowCardinality(String),
    agent LowCardinality(String),
    lane LowCardinality(String),
    first_seq UInt64,
    last_seq UInt64,
    reason LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY (agency, agent, lane, first_seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
