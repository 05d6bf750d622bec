-- What is to be told to whom, and how far that came: a note for each step of an incident and channel. Each change is a row, the highest version
-- of an id says what it is now. `time` is the step's own and part of what makes an id, so it is the same in all versions.
CREATE TABLE IF NOT EXISTS notifications
(
    id String,
    time DateTime64(6, 'UTC'),
    since DateTime64(6, 'UTC'),
    channel LowCardinality(String),
    route String,
    event LowCardinality(String),
    incident UInt64,
    severity UInt8,
    agency LowCardinality(String),
    tlp LowCardinality(String),
    recipients Array(String),
    note String CODEC(ZSTD(3)),
    state LowCardinality(String),
    version UInt64,
    message String,
    attempts UInt32,
    next_try DateTime64(6, 'UTC'),
    sent DateTime64(6, 'UTC'),
    refused Bool,
    error String,
    actor String,
    why String
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(time)
ORDER BY (time, id)
TTL toDateTime(time) + INTERVAL 400 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
