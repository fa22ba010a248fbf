-- name: notes
SELECT note, digest FROM notes ORDER BY workspace_id;

-- name: note
SELECT note, digest FROM notes WHERE workspace_id = ?;

-- name: read
SELECT number, kind, version, data FROM pieces
WHERE workspace_id = ? AND number > ? AND number <= ? ORDER BY number LIMIT ?;

-- name: add
INSERT INTO pieces (workspace_id, number, kind, version, data) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (workspace_id, number) DO UPDATE
SET kind = excluded.kind, version = excluded.version, data = excluded.data;

-- name: numbers
SELECT number FROM pieces WHERE workspace_id = ? ORDER BY number;

-- name: forget_piece
DELETE FROM pieces WHERE workspace_id = ? AND number = ?;

-- name: publish
INSERT INTO notes (workspace_id, note, digest) VALUES (?, ?, ?)
ON CONFLICT (workspace_id) DO UPDATE SET note = excluded.note, digest = excluded.digest;

-- name: drop_note
DELETE FROM notes WHERE workspace_id = ?;

-- name: drop_pieces
DELETE FROM pieces WHERE workspace_id = ?;
