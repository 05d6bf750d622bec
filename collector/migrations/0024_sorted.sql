-- The table of the new order takes the old one's name; `events_before` stays empty behind it, so that whoever comes late to this step cannot
-- take it a second time. The rows were copied before: see `store/migrate/sorting.rs`.
RENAME TABLE events TO events_before, events_sorted TO events
