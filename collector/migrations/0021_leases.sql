-- Who works on the store as a whole: a number is taken once, because a second insert of its token is dropped.
CREATE TABLE IF NOT EXISTS leases
(
    number UInt64,
    owner String,
    beat DateTime64(6, 'UTC'),
    ended Bool
)
ENGINE = MergeTree
ORDER BY (number, beat)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
