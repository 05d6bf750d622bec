-- The words of rows of before, made in the background; until then such rows are read.
ALTER TABLE events MATERIALIZE INDEX by_words, MATERIALIZE INDEX by_users SETTINGS mutations_sync = 0
