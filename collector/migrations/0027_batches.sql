-- Each record of an agent that was taken: what it said of itself, who sealed it, and the Merkle root over the rows that it became. `marks` holds
-- the first four bytes of each row's hash, so that a row that is not as it was is named and not only its batch; `absent` are places of the
-- batch without a row of this record: known from another one, or refused. Written behind the rows and before progress; the same again is one.
CREATE TABLE IF NOT EXISTS batches
(
    agency LowCardinality(String) CODEC(ZSTD(1)),
    agent LowCardinality(String) CODEC(ZSTD(1)),
    host LowCardinality(String) CODEC(ZSTD(1)),
    lane LowCardinality(String) CODEC(ZSTD(1)),
    topic LowCardinality(String) CODEC(ZSTD(1)),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    boot FixedString(16) CODEC(ZSTD(1)),
    first_seq UInt64 CODEC(Delta, ZSTD(1)),
    last_seq UInt64 CODEC(Delta, ZSTD(1)),
    rows UInt32 CODEC(ZSTD(1)),
    absent Array(Tuple(UInt32, UInt32)) CODEC(ZSTD(1)),
    ahead Bool CODEC(ZSTD(1)),
    simulated Bool CODEC(ZSTD(1)),
    hash FixedString(32) CODEC(NONE),
    previous FixedString(32) CODEC(NONE),
    sealed DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    appended DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    key_id LowCardinality(String) CODEC(ZSTD(1)),
    signature String CODEC(NONE),
    root FixedString(32) CODEC(NONE),
    marks String CODEC(NONE),
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    INDEX by_appended appended TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(appended)
ORDER BY (agency, agent, topic, partition, offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
