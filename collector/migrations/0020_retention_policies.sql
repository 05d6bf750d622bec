-- The policies that were applied, as JSON: a later one that would reach what a hold keeps is refused.
CREATE TABLE IF NOT EXISTS retention_policies
(
    time DateTime64(6, 'UTC'),
    who String,
    policy String
)
ENGINE = MergeTree
ORDER BY time
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
