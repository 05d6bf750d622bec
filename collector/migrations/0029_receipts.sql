-- The centre's word on each hour of each agent: what it had of it, what is missing and why, and the Merkle root over the hour's batches, signed
-- (`text` is what was signed, as JSON). Made once an hour is over in all partitions; the same again is one. Kept for ever.
CREATE TABLE IF NOT EXISTS receipts
(
    agency LowCardinality(String),
    agent LowCardinality(String),
    hour DateTime64(6, 'UTC'),
    hash FixedString(32),
    key_id String,
    signature String,
    text String
)
ENGINE = ReplacingMergeTree
ORDER BY (agency, agent, hour)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
