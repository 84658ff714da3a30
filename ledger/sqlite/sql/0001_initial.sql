-- The log and the directory of its runs.

CREATE TABLE ledger (            -- one row
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,         -- random id of this log, made once
    created TEXT NOT NULL,       -- time of creation
    position INTEGER NOT NULL,   -- high-water mark: positions are never given twice, whatever is deleted
    number INTEGER NOT NULL      -- runs created so far
) STRICT;

CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,        -- run_entry.number
    previous INTEGER NOT NULL,   -- position of the run's event before this one, 0 for the first
    body TEXT                    -- stored form: what is hashed; NULL once pruned
) STRICT;

-- There is no index on (run, version): it would be the dearest thing in the file. A run is read backwards
-- along `previous` from its head, or from the mark after the wanted page.
CREATE TABLE mark (
    run INTEGER NOT NULL,
    version INTEGER NOT NULL,    -- every 256th
    position INTEGER NOT NULL,
    PRIMARY KEY (run, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE event_id (          -- only of events that carry one
    run INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (run, event_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_entry (
    number INTEGER PRIMARY KEY,  -- grows in order of creation
    run_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    scope TEXT,
    title TEXT,
    parent TEXT,
    owner TEXT,
    slot TEXT,
    lease_seconds REAL,
    attempt INTEGER NOT NULL,
    labels TEXT NOT NULL,        -- JSON object
    status TEXT NOT NULL,
    first INTEGER NOT NULL,      -- position of its first event
    pruned TEXT                  -- NULL, or where the archive is ('' when nowhere)
) STRICT;

CREATE UNIQUE INDEX run_slot ON run_entry (slot)
    WHERE slot IS NOT NULL AND status IN ('queued', 'running', 'paused');
CREATE INDEX run_active ON run_entry (number) WHERE status IN ('queued', 'running', 'paused');
CREATE INDEX run_kind ON run_entry (kind, number);
CREATE INDEX run_scope ON run_entry (scope, number) WHERE scope IS NOT NULL;
CREATE INDEX run_parent ON run_entry (parent, number) WHERE parent IS NOT NULL;

-- What moves with every event of a run is apart from what hardly ever does: a hundred heads fit into a page,
-- and a commit writes every page it touches.
CREATE TABLE head (
    run INTEGER PRIMARY KEY,     -- run_entry.number
    version INTEGER NOT NULL,    -- of its newest event
    last INTEGER NOT NULL,       -- position of its newest event
    time TEXT NOT NULL           -- of its newest event
) STRICT;

CREATE VIEW run AS
SELECT number, run_id, kind, scope, title, parent, owner, slot, lease_seconds, attempt, labels, status, version,
       first, last, time, pruned
FROM run_entry JOIN head ON run = number;

CREATE TABLE run_label (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    run INTEGER NOT NULL,
    PRIMARY KEY (key, value, run)
) STRICT, WITHOUT ROWID;

-- What projections derive from the log. May be deleted at any time: it is built again.
CREATE TABLE document (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
    space TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
