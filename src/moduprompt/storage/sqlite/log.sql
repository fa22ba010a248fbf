-- name: add_workspace
INSERT INTO workspaces (id, seq, head_hash, epoch) VALUES (?, 0, ?, 0) ON CONFLICT (id) DO NOTHING;

-- name: make_workspace
INSERT INTO workspaces (id, seq, head_hash, epoch) VALUES (?, 0, ?, 1) ON CONFLICT (id) DO NOTHING RETURNING ws;

-- name: next_epoch
UPDATE workspaces SET epoch = epoch + 1 WHERE id = ? RETURNING ws, id, seq, head_hash, epoch, imported_to;

-- name: epoch_before
UPDATE workspaces SET epoch = epoch - 1 WHERE id = ? AND epoch = ? RETURNING ws;

-- name: heads
SELECT id, seq, head_hash, epoch, imported_to FROM workspaces ORDER BY ws;

-- name: ends
SELECT id, seq, head_hash, epoch FROM workspaces ORDER BY ws;

-- name: move_head
UPDATE workspaces SET seq = ?, head_hash = ?, imported_to = coalesce(?, imported_to)
WHERE ws = ? AND seq = ? AND epoch = ? RETURNING ws;

-- name: add_event
INSERT INTO events (ws, seq, subject, data) VALUES (?, ?, ?, ?);

-- name: add_key
INSERT INTO keys (ws, actor, key, digest, command_id, trace_id, answer_in, first_seq, last_seq)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: read
SELECT seq, subject, data FROM events
WHERE ws = (SELECT ws FROM workspaces WHERE id = ?) AND seq > ? ORDER BY seq LIMIT ?;

-- name: read_unindexed
SELECT seq, subject, data FROM events NOT INDEXED
WHERE ws = (SELECT ws FROM workspaces WHERE id = ?) AND seq > ? LIMIT ?;

-- name: headless
WITH RECURSIVE found (ws) AS (
    SELECT min(ws) FROM events
    UNION ALL
    SELECT (SELECT min(ws) FROM events WHERE ws > found.ws) FROM found WHERE found.ws IS NOT NULL
)
SELECT ws FROM found WHERE ws IS NOT NULL AND ws NOT IN (SELECT ws FROM workspaces);

-- name: own_tables
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('events', 'keys', 'workspaces');

-- name: leap_epochs
UPDATE workspaces SET epoch = epoch + ?;

-- name: read_stream
SELECT seq, subject, data FROM events
WHERE subject = ? AND ws = (SELECT ws FROM workspaces WHERE id = ?) AND seq > ? ORDER BY seq LIMIT ?;

-- name: find_key
SELECT actor, key, digest, command_id, trace_id, answer_in, first_seq, last_seq FROM keys
WHERE ws = (SELECT ws FROM workspaces WHERE id = ?) AND actor = ? AND key = ?;

-- name: next_uses
SELECT actor, key FROM keys WHERE ws = ? AND (actor, key) > (?, ?) ORDER BY actor, key LIMIT ?;
