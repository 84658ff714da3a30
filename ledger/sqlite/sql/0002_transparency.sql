-- The Merkle tree over the log, folded behind it, and the checkpoints that were made of it.

CREATE TABLE tree (              -- one row
    one INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,       -- leaves folded so far; leaf i is the event at position i + 1
    edge BLOB NOT NULL           -- hashes of the unfinished tile of each level, joined
) STRICT;

INSERT INTO tree (one, size, edge) VALUES (1, 0, x'');

CREATE TABLE tile (              -- full tiles: 256 hashes each, never written again
    id INTEGER PRIMARY KEY,      -- level * 2^48 + number within the level
    hashes BLOB NOT NULL
) STRICT;

CREATE TABLE tree_checkpoint (
    number INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    time TEXT NOT NULL,
    note TEXT NOT NULL           -- the text, and the log's own signature under it when there is a key
) STRICT;

CREATE TABLE cosignature (       -- lines that others put under a checkpoint
    number INTEGER PRIMARY KEY,
    checkpoint INTEGER NOT NULL, -- tree_checkpoint.number
    line TEXT NOT NULL,
    UNIQUE (checkpoint, line)
) STRICT;

-- No promise against who owns the file, but a guard against a slip of ours.
CREATE TRIGGER tree_checkpoint_stays BEFORE UPDATE ON tree_checkpoint
BEGIN SELECT raise(ABORT, 'a checkpoint is never changed'); END;
CREATE TRIGGER tree_checkpoint_is_kept BEFORE DELETE ON tree_checkpoint
BEGIN SELECT raise(ABORT, 'a checkpoint is never removed'); END;
CREATE TRIGGER tile_stays BEFORE UPDATE ON tile
BEGIN SELECT raise(ABORT, 'a full tile is never changed'); END;
