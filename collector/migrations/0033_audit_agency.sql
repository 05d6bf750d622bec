-- Whose rows, incident or case a call or command was about: codes with a space between them; empty where it is about no single one, and in
-- rows of before. What is empty is not in a row's hash, so that those rows are still as they were written.
ALTER TABLE audit ADD COLUMN IF NOT EXISTS agency String AFTER words
