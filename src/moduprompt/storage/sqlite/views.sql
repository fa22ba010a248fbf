-- name: position
SELECT seq FROM positions WHERE view = ? AND version = ? AND workspace_id = ?;

-- name: move_position
INSERT INTO positions (view, version, workspace_id, seq) VALUES (?, ?, ?, ?)
ON CONFLICT (view, version, workspace_id) DO UPDATE SET seq = excluded.seq;

-- name: get
SELECT data FROM rows WHERE collection = ? AND version = ? AND id = ?;

-- name: put
INSERT INTO rows (collection, version, id, workspace_id, data) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (collection, version, id) DO UPDATE SET workspace_id = excluded.workspace_id, data = excluded.data;

-- name: drop
DELETE FROM rows WHERE collection = ? AND version = ? AND id = ?;

-- name: drop_old_rows
DELETE FROM rows WHERE collection = ? AND version <> ?;

-- name: drop_old_positions
DELETE FROM positions WHERE view = ? AND version <> ?;

-- name: list_all
SELECT id, data FROM rows WHERE collection = ? AND version = ? AND id > ? ORDER BY id LIMIT ?;

-- name: list_of_workspace
SELECT id, data FROM rows WHERE collection = ? AND version = ? AND workspace_id = ? AND id > ? ORDER BY id LIMIT ?;

-- name: one
SELECT workspace_id, data FROM rows WHERE collection = ? AND version = ? AND id = ?;
