-- What was asked and done, by whom, as what, from where, and how it ended: a row for each call, never changed. Each row's hash is made of
-- all that stands in it and of the hash before it, so that a row that is changed, taken out or put in is found.
CREATE TABLE IF NOT EXISTS audit
(
    chain LowCardinality(String),
    number UInt64,
    time DateTime64(6, 'UTC'),
    who String,
    role LowCardinality(String),
    address String,
    serial String,
    call LowCardinality(String),
    words String CODEC(ZSTD(3)),
    outcome LowCardinality(String),
    rows UInt64,
    microseconds UInt64,
    previous String,
    hash String
)
ENGINE = MergeTree
ORDER BY (chain, number)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
