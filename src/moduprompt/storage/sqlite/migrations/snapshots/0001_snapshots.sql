-- State at a sequence, to save folding. This file may be deleted at any time; it is filled again.

-- `note` says what the snapshot is made of; `digest` that nobody has touched it since.
CREATE TABLE notes (
    workspace_id TEXT PRIMARY KEY,
    note         BLOB NOT NULL,
    digest       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Pieces that no note names are of a snapshot that was not finished.
CREATE TABLE pieces (
    workspace_id TEXT NOT NULL,
    number       INTEGER NOT NULL CHECK (number >= 1),
    kind         TEXT NOT NULL,
    version      TEXT NOT NULL,
    data         BLOB NOT NULL,
    PRIMARY KEY (workspace_id, number)
) STRICT;
