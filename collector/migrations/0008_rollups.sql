-- Sums of events by minute, hour and day, from which figures are answered. A row belongs to one partition of Kafka, so that only its
-- holder writes it, and tells the highest offset in it, so that what is missing after a crash can be asked. `month` follows the events'
-- clamped day: clocks wrong by years make no partitions of their own. Spans lie apart, so that each can be kept as long as it is wanted.
CREATE TABLE IF NOT EXISTS rollups
(
    span Enum8('minute' = 1, 'hour' = 2, 'day' = 3),
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    month UInt32,
    agency LowCardinality(String),
    class LowCardinality(String),
    status LowCardinality(String),
    lane LowCardinality(String),
    system LowCardinality(String),
    usage_service LowCardinality(String),
    step LowCardinality(String),
    simulated Bool,
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    events SimpleAggregateFunction(sum, UInt64),
    count SimpleAggregateFunction(sum, UInt64),
    online SimpleAggregateFunction(sum, UInt64),
    told_online SimpleAggregateFunction(sum, UInt64),
    full_process SimpleAggregateFunction(sum, UInt64),
    told_full_process SimpleAggregateFunction(sum, UInt64),
    digitised SimpleAggregateFunction(sum, UInt64),
    told_digitised SimpleAggregateFunction(sum, UInt64),
    on_time SimpleAggregateFunction(sum, UInt64),
    told_on_time SimpleAggregateFunction(sum, UInt64),
    electronic SimpleAggregateFunction(sum, UInt64),
    told_electronic SimpleAggregateFunction(sum, UInt64),
    scored SimpleAggregateFunction(sum, UInt64),
    satisfied SimpleAggregateFunction(sum, UInt64),
    score SimpleAggregateFunction(sum, UInt64),
    response_bytes SimpleAggregateFunction(sum, UInt64),
    timed SimpleAggregateFunction(sum, UInt64),
    seconds SimpleAggregateFunction(sum, Float64),
    seconds_max SimpleAggregateFunction(max, Float64),
    users AggregateFunction(uniqCombinedIf, String, UInt8),
    newest SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    last_offset SimpleAggregateFunction(max, Int64),
    INDEX by_offset last_offset TYPE minmax GRANULARITY 1
)
ENGINE = AggregatingMergeTree
PARTITION BY (span, month)
ORDER BY (span, bucket, agency, class, status, lane, system, usage_service, step, simulated, kafka_topic, kafka_partition)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
