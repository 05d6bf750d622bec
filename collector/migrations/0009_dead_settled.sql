-- What was done about dead letters: a row for each step, never changed. A letter without one is open.
CREATE TABLE IF NOT EXISTS dead_settled
(
    time DateTime64(6, 'UTC'),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    state LowCardinality(String),
    actor String,
    why String
)
ENGINE = MergeTree
ORDER BY (kafka_topic, kafka_partition, kafka_offset, time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
