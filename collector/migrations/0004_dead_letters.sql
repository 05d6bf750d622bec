-- What could not be taken, beside the topic that keeps its bytes; and the numbers that never came.
CREATE TABLE IF NOT EXISTS dead_letters
(
    time DateTime64(6, 'UTC'),
    reason LowCardinality(String),
    detail String,
    agency String,
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    bytes UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY (kafka_topic, kafka_partition, kafka_offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
