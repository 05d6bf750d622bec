-- How far stored events were searched for each entry of the threat lists. An entry is 'listed' (with the span of events that no list in force saw, which is to be
-- searched), 'searched', or 'gone' from the lists, with the time as its version. The highest version of an entry says what it is now.
CREATE TABLE IF NOT EXISTS threat_entries
(
    entry UInt64,
    since DateTime64(6, 'UTC'),
    until DateTime64(6, 'UTC'),
    state LowCardinality(String),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY entry
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
