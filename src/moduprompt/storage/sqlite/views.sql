-- name: editions
SELECT edition, view, version, serves FROM editions;

-- name: add_edition
INSERT INTO editions (view, version, serves) VALUES (?, ?, ?) RETURNING edition;

-- name: serve
UPDATE editions SET serves = 1 WHERE edition = ?;

-- name: drop_edition
DELETE FROM editions WHERE edition = ?;

-- name: shelves
SELECT collection, shelf FROM shelves WHERE edition = ?;

-- name: add_shelf
INSERT INTO shelves (edition, collection) VALUES (?, ?) RETURNING shelf;

-- name: drop_shelves
DELETE FROM shelves WHERE edition = ?;

-- name: drop_rows
DELETE FROM rows WHERE shelf IN (SELECT shelf FROM shelves WHERE edition = ?);

-- name: drop_words
DELETE FROM words WHERE rowid IN
  (SELECT number FROM documents WHERE shelf IN (SELECT shelf FROM shelves WHERE edition = ?));

-- name: drop_documents
DELETE FROM documents WHERE shelf IN (SELECT shelf FROM shelves WHERE edition = ?);

-- name: drop_positions
DELETE FROM positions WHERE edition = ?;

-- name: home
SELECT home FROM homes WHERE workspace_id = ?;

-- name: add_home
INSERT INTO homes (workspace_id) VALUES (?) RETURNING home;

-- name: forget_rows
DELETE FROM rows WHERE home = (SELECT home FROM homes WHERE workspace_id = ?);

-- name: forget_words
DELETE FROM words WHERE rowid IN
  (SELECT number FROM documents WHERE home = (SELECT home FROM homes WHERE workspace_id = ?));

-- name: forget_documents
DELETE FROM documents WHERE home = (SELECT home FROM homes WHERE workspace_id = ?);

-- name: forget_positions
DELETE FROM positions WHERE home = (SELECT home FROM homes WHERE workspace_id = ?);

-- name: any_position
SELECT edition FROM positions WHERE seq > 0 LIMIT 1;

-- name: position
SELECT positions.seq FROM positions JOIN homes USING (home) WHERE edition = ? AND workspace_id = ?;

-- name: standings
SELECT workspace_id, seq, event_id FROM positions JOIN homes USING (home) WHERE edition = ?;

-- name: move_position
INSERT INTO positions (edition, home, seq, event_id) VALUES (?, ?, ?, ?)
ON CONFLICT (edition, home) DO UPDATE SET seq = excluded.seq, event_id = excluded.event_id;

-- name: count
SELECT count(*) FROM rows WHERE shelf IN (SELECT shelf FROM shelves WHERE edition = ?);

-- name: get
SELECT data FROM rows WHERE shelf = ? AND id = ? AND home = ?;

-- name: put
INSERT INTO rows (shelf, id, home, data) VALUES (?, ?, ?, ?)
ON CONFLICT (shelf, id, home) DO UPDATE SET data = excluded.data;

-- name: drop
DELETE FROM rows WHERE shelf = ? AND id = ? AND home = ?;

-- name: last_number
SELECT coalesce(max(number), 0) FROM documents;

-- name: number
SELECT number FROM documents WHERE shelf = ? AND id = ? AND home = ?;

-- name: add_document
INSERT INTO documents (number, shelf, id, home) VALUES (?, ?, ?, ?);

-- name: drop_document
DELETE FROM documents WHERE number = ?;

-- name: add_words
INSERT INTO words (rowid, titles, others, ids, tails) VALUES (?, ?, ?, ?, ?);

-- name: put_words
INSERT OR REPLACE INTO words (rowid, titles, others, ids, tails) VALUES (?, ?, ?, ?, ?);

-- name: drop_word
DELETE FROM words WHERE rowid = ?;

-- name: answering
WITH place AS (
  SELECT shelf, home FROM shelves JOIN editions USING (edition) JOIN homes
  WHERE serves = 1 AND collection = ?1 AND workspace_id = ?2
)
SELECT rows.id, rows.data FROM words
  CROSS JOIN documents ON documents.number = words.rowid
  CROSS JOIN rows ON rows.shelf = documents.shelf AND rows.id = documents.id AND rows.home = documents.home
WHERE words MATCH replace(?3, '|', (SELECT coalesce(max(shelf || '-' || home), '') || '-' FROM place))
  AND words.rowid < coalesce((SELECT number FROM documents JOIN place USING (shelf, home) WHERE id = ?4), 1 << 62)
ORDER BY words.rowid DESC LIMIT ?5;

-- name: list_all
SELECT id, data FROM rows
WHERE shelf = (SELECT shelf FROM shelves JOIN editions USING (edition) WHERE serves = 1 AND collection = ?)
  AND id > ? ORDER BY id, home LIMIT ?;

-- name: list_of_home
SELECT id, data FROM rows
WHERE shelf = (SELECT shelf FROM shelves JOIN editions USING (edition) WHERE serves = 1 AND collection = ?)
  AND home = (SELECT home FROM homes WHERE workspace_id = ?)
  AND id > ? ORDER BY id LIMIT ?;

-- name: one
SELECT workspace_id, data FROM rows JOIN homes USING (home)
WHERE shelf = (SELECT shelf FROM shelves JOIN editions USING (edition) WHERE serves = 1 AND collection = ?)
  AND id = ? ORDER BY home LIMIT 1;
