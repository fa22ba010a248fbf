-- Folds of the log. This file may be deleted at any time; it is filled again.

CREATE TABLE positions (
    view         TEXT NOT NULL,
    version      INTEGER NOT NULL,
    workspace_id TEXT NOT NULL,
    seq          INTEGER NOT NULL CHECK (seq >= 0),
    PRIMARY KEY (view, version, workspace_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE rows (
    collection   TEXT NOT NULL,
    version      INTEGER NOT NULL,
    id           TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    data         BLOB NOT NULL,
    PRIMARY KEY (collection, version, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX rows_of_workspace ON rows (collection, version, workspace_id, id);
