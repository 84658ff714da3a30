-- name: tree
SELECT size, edge FROM tree;

-- name: move_tree
UPDATE tree SET size = ?, edge = ? WHERE size = ?;

-- name: add_tile
INSERT INTO tile (id, hashes) VALUES (?, ?);

-- name: tile
SELECT hashes FROM tile WHERE id = ?;

-- name: clear_tree
UPDATE tree SET size = 0, edge = x'';

-- name: clear_tiles
DELETE FROM tile;

-- name: add_tree_checkpoint
INSERT INTO tree_checkpoint (size, root, time, note) VALUES (?, ?, ?, ?);

-- name: tree_checkpoints
SELECT number, size, root, time, note FROM tree_checkpoint ORDER BY number;

-- name: newest_tree_checkpoint
SELECT number, size, root, time, note FROM tree_checkpoint ORDER BY size DESC, number DESC LIMIT 1;

-- name: newest_signed_checkpoint
SELECT number, size, root, time, note FROM tree_checkpoint
WHERE instr(note, char(10) || char(10)) ORDER BY size DESC, number DESC LIMIT 1;

-- name: tree_checkpoints_of_size
SELECT number, size, root, time, note FROM tree_checkpoint WHERE size = ? ORDER BY number;

-- name: add_cosignature
INSERT INTO cosignature (checkpoint, line) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: cosignatures
SELECT line FROM cosignature WHERE checkpoint = ? ORDER BY number;
