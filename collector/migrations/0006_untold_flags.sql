-- What a portal did not say is neither yes nor no: a rate counts only those that said it. Rows of before keep the `false` that they had.
ALTER TABLE events
    MODIFY COLUMN online Nullable(Bool),
    MODIFY COLUMN full_process Nullable(Bool),
    MODIFY COLUMN digitised Nullable(Bool),
    MODIFY COLUMN on_time Nullable(Bool),
    MODIFY COLUMN electronic Nullable(Bool)
