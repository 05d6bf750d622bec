-- Who took over which partition, in order (`high` below 0), and behind each taking the end of what those before it can have gathered
-- (`high` at or above 0). Nothing here is ever changed: what is in doubt at a taking is read from those before it.
CREATE TABLE IF NOT EXISTS tenures
(
    topic LowCardinality(String),
    partition Int32,
    epoch UInt64,
    name String,
    high Int64,
    collector LowCardinality(String),
    time DateTime64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY (topic, partition, epoch)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
