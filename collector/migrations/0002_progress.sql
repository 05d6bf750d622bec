-- How far each partition was taken (agent = ''), and the highest sequence number stored of each agent on it. One block writes both, so
-- that they never disagree. The version grows with the offset.
CREATE TABLE IF NOT EXISTS progress
(
    topic LowCardinality(String),
    partition Int32,
    agent String,
    value UInt64,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (topic, partition, agent)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
