PRAGMA application_id = 1347570759;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE checkpoint (
    space TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE document (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,        -- run_entry.number
    previous INTEGER NOT NULL,   -- position of the run's event before this one, 0 for the first
    body TEXT                    -- stored form: what is hashed; NULL once pruned
) STRICT;
INSERT INTO "event" VALUES(1,1,0,'{"run_id":"qa-7","version":1,"time":"2026-11-21T22:26:40.000000Z","type":"started","data":{"kind":"k","labels":{"a":"b"},"slot":"s"}}');
INSERT INTO "event" VALUES(2,1,1,'{"run_id":"qa-7","version":2,"time":"2026-11-21T22:26:40.000000Z","type":"ticked","data":{"done":1},"event_id":"e"}');
INSERT INTO "event" VALUES(3,1,2,'{"run_id":"qa-7","version":3,"time":"2026-11-21T22:26:40.000000Z","type":"completed","data":{}}');
CREATE TABLE event_id (          -- only of events that carry one
    run INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (run, event_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "event_id" VALUES(1,'e',2);
CREATE TABLE head (
    run INTEGER PRIMARY KEY,     -- run_entry.number
    version INTEGER NOT NULL,    -- of its newest event
    last INTEGER NOT NULL,       -- position of its newest event
    time TEXT NOT NULL           -- of its newest event
) STRICT;
INSERT INTO "head" VALUES(1,3,3,'2026-11-21T22:26:40.000000Z');
CREATE TABLE ledger (            -- one row
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,         -- random id of this log, made once
    created TEXT NOT NULL,       -- time of creation
    position INTEGER NOT NULL,   -- high-water mark: positions are never given twice, whatever is deleted
    number INTEGER NOT NULL      -- runs created so far
) STRICT;
INSERT INTO "ledger" VALUES(1,'9253ad1a38535d56','2026-11-21T22:26:40.000000Z',3,1);
CREATE TABLE mark (
    run INTEGER NOT NULL,
    version INTEGER NOT NULL,    -- every 256th
    position INTEGER NOT NULL,
    PRIMARY KEY (run, version)
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
INSERT INTO "run_entry" VALUES(1,'qa-7','k',NULL,NULL,NULL,NULL,'s',NULL,1,'{"a":"b"}','completed',1,NULL);
CREATE TABLE run_label (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    run INTEGER NOT NULL,
    PRIMARY KEY (key, value, run)
) STRICT, WITHOUT ROWID;
INSERT INTO "run_label" VALUES('a','b',1);
CREATE UNIQUE INDEX run_slot ON run_entry (slot)
    WHERE slot IS NOT NULL AND status IN ('queued', 'running', 'paused');
CREATE INDEX run_active ON run_entry (number) WHERE status IN ('queued', 'running', 'paused');
CREATE INDEX run_kind ON run_entry (kind, number);
CREATE INDEX run_scope ON run_entry (scope, number) WHERE scope IS NOT NULL;
CREATE INDEX run_parent ON run_entry (parent, number) WHERE parent IS NOT NULL;
CREATE VIEW run AS
SELECT number, run_id, kind, scope, title, parent, owner, slot, lease_seconds, attempt, labels, status, version,
       first, last, time, pruned
FROM run_entry JOIN head ON run = number;
COMMIT;
