-- Every step of every incident, with the incident after it (protobuf as JSON). Nothing here is ever changed.
CREATE TABLE IF NOT EXISTS transitions
(
    incident UInt64,
    version UInt64,
    time DateTime64(6, 'UTC'),
    actor String,
    action LowCardinality(String),
    from_state LowCardinality(String),
    to_state LowCardinality(String),
    text String,
    rule LowCardinality(String),
    origin_key String,
    origin_offset Int64,
    command String,
    after String CODEC(ZSTD(3))
)
ENGINE = MergeTree
ORDER BY (incident, version)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
