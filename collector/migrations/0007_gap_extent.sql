-- What a gap lacks: from when to when it was read, how many events and bytes, and of which source. Where the agent has no numbers for it (a
-- log that was cut before it was read), the telling event's own number keeps one from replacing the other. Rows of before count their range.
ALTER TABLE gaps
    ADD COLUMN IF NOT EXISTS first_observed DateTime64(6, 'UTC'),
    ADD COLUMN IF NOT EXISTS last_observed DateTime64(6, 'UTC'),
    ADD COLUMN IF NOT EXISTS events UInt64 DEFAULT if(first_seq = 0, 0, last_seq - first_seq + 1),
    ADD COLUMN IF NOT EXISTS bytes UInt64,
    ADD COLUMN IF NOT EXISTS source String,
    ADD COLUMN IF NOT EXISTS told_seq UInt64,
    MODIFY ORDER BY (agency, agent, lane, first_seq, told_seq)
