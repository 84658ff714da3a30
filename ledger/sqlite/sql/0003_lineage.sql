-- Where a copy came from. A copy is a log of its own, with its own epoch: a client's cursor into the old log
-- must not be taken for one into this.
CREATE TABLE lineage (
    number INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL,         -- of the log this one was copied from
    position INTEGER NOT NULL,   -- its newest event then
    root BLOB NOT NULL,          -- its root then
    time TEXT NOT NULL           -- when the copy was made
) STRICT;
