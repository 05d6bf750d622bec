-- Legal holds: placed and lifted, by whom and why. Rows are added, never changed, and outlive all that they speak of.
CREATE TABLE IF NOT EXISTS hold_events
(
    time DateTime64(6, 'UTC'),
    hold String,
    action LowCardinality(String),
    who String,
    why String,
    agency String,
    host String,
    incident UInt64,
    since DateTime64(6, 'UTC'),
    until DateTime64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY (hold, time)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
