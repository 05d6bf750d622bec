-- Times in which what matches opens no incident: suppressions and maintenance. Each step is a row, never changed; a period is their fold.
CREATE TABLE IF NOT EXISTS quiet_periods
(
    id String,
    time DateTime64(6, 'UTC'),
    who String,
    step LowCardinality(String),
    kind LowCardinality(String),
    owner String,
    reason String,
    rule LowCardinality(String),
    agency LowCardinality(String),
    host String,
    user String,
    address String,
    entity String,
    system LowCardinality(String),
    gravest UInt8,
    begins DateTime64(6, 'UTC'),
    ends DateTime64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY (id, time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
