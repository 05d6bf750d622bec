-- Who took over which partition, in order (`step` claimed), behind each taking where the partition ended then, with the tokens that
-- whoever took it makes sure of (ended), and whether a tenure came to anything (valid or void, of no partition; its insert token lets only the first
-- of them in). Nothing here is ever changed: what is in doubt at a taking is read from those before it.
CREATE TABLE IF NOT EXISTS tenures
(
    topic LowCardinality(String),
    partition Int32,
    epoch UInt64,
    name String,
    step Enum8('claimed' = 1, 'ended' = 2, 'valid' = 3, 'void' = 4),
    high Int64,
    blocks Array(Tuple(UInt64, String)),
    sums Array(Tuple(UInt64, String)),
    collector LowCardinality(String),
    time DateTime64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY (topic, partition, epoch)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
