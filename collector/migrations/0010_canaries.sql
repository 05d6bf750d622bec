-- Test events that a collector sends to itself through each partition: when they were sent and when they were stored. Their absence is an
-- incident; their history is the centre's own delay.
CREATE TABLE IF NOT EXISTS canaries
(
    sender String,
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    sent DateTime64(6, 'UTC'),
    stored DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (kafka_topic, kafka_partition, sent, sender)
TTL toDateTime(sent) + INTERVAL 30 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
