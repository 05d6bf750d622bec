-- The roll-ups by hour for whoever asks in SQL: sums are summed again, `users` is read by uniqCombinedIfMerge.
CREATE VIEW IF NOT EXISTS rollup_hour AS SELECT * EXCEPT (span, month, last_offset) FROM rollups WHERE span = 'hour'
