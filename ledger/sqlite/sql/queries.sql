-- name: head
SELECT position, number FROM ledger;

-- name: epoch
SELECT epoch FROM ledger;

-- name: create_ledger
INSERT INTO ledger (one, epoch, created, position, number) VALUES (1, ?, ?, 0, 0);

-- name: move_head
UPDATE ledger SET position = ?, number = ? WHERE position = ?;

-- name: add_event
INSERT INTO event (position, run, previous, body) VALUES (?, ?, ?, ?);

-- name: add_mark
INSERT INTO mark (run, version, position) VALUES (?, ?, ?);

-- name: add_event_id
INSERT INTO event_id (run, event_id, position) VALUES (?, ?, ?);

-- name: add_run
INSERT INTO run_entry (
    number, run_id, kind, scope, title, parent, owner, slot, lease_seconds, attempt, labels, status, first
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_label
INSERT INTO run_label (key, value, run) VALUES (?, ?, ?);

-- name: move_run
REPLACE INTO head (run, version, last, time) VALUES (?, ?, ?, ?);

-- name: set_status
UPDATE run_entry SET status = ? WHERE number = ?;

-- name: event_at
SELECT body FROM event WHERE position = ?;

-- name: event_by_id
SELECT e.position, e.body FROM event_id AS i JOIN event AS e USING (position)
WHERE i.run = ? AND i.event_id = ?;

-- name: read
SELECT position, CAST(body AS BLOB) FROM event WHERE position > ? ORDER BY position LIMIT ?;

-- name: scan
SELECT position, CAST(body AS BLOB) FROM event WHERE position > ? AND position <= ? ORDER BY position LIMIT ?;

-- name: mark_from
SELECT version, position FROM mark WHERE run = ? AND version >= ? ORDER BY version LIMIT 1;

-- name: read_chain
WITH RECURSIVE chain (position, previous, version) AS (
    SELECT position, previous, :version FROM event WHERE position = :position
    UNION ALL
    SELECT e.position, e.previous, c.version - 1
    FROM chain AS c JOIN event AS e ON e.position = c.previous
    WHERE c.version > :after + 1
)
SELECT c.position, CAST(e.body AS BLOB) FROM chain AS c JOIN event AS e ON e.position = c.position
WHERE c.version <= :through ORDER BY c.version;

-- name: slot_holder
SELECT run_id FROM run_entry
WHERE slot = ? AND slot IS NOT NULL AND status IN ('queued', 'running', 'paused');

-- name: add_document
INSERT INTO document (space, key, position, value) VALUES (?, ?, ?, ?)
ON CONFLICT (space, key) DO UPDATE SET position = excluded.position, value = excluded.value
WHERE excluded.position >= document.position;

-- name: move_checkpoint
INSERT INTO checkpoint (space, position) VALUES (?, ?)
ON CONFLICT (space) DO UPDATE SET position = excluded.position
WHERE excluded.position > checkpoint.position;

-- name: checkpoint
SELECT position FROM checkpoint WHERE space = ?;

-- name: documents
SELECT key, position, value FROM document WHERE space = ?;

-- name: document
SELECT key, position, value FROM document WHERE space = ? AND key = ?;

-- name: clear_documents
DELETE FROM document WHERE space = ?;

-- name: clear_checkpoint
DELETE FROM checkpoint WHERE space = ?;
