-- What is stored of an agent beyond the highest number without a hole before it: ranges, first and last, sent ahead of a backlog. They stand in
-- the same row as that number, so that the two never disagree. A value of 0 with ranges: the lane's own order was not seen yet.
ALTER TABLE progress
    ADD COLUMN IF NOT EXISTS ahead Array(Tuple(UInt64, UInt64)) AFTER value
