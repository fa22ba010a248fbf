-- Each view has the edition that serves, and perhaps one that is being folded beside it. What an older layout
-- holds is not carried over: it is folded again.

DROP TABLE rows;
DROP TABLE positions;

CREATE TABLE editions (
    edition INTEGER PRIMARY KEY,
    view    TEXT NOT NULL,
    version INTEGER NOT NULL,
    serves  INTEGER NOT NULL CHECK (serves IN (0, 1))
) STRICT;

CREATE UNIQUE INDEX one_serves ON editions (view) WHERE serves = 1;

CREATE TABLE shelves (
    shelf      INTEGER PRIMARY KEY,
    edition    INTEGER NOT NULL REFERENCES editions (edition),
    collection TEXT NOT NULL,
    UNIQUE (edition, collection)
) STRICT;

CREATE TABLE homes (
    home         INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE positions (
    edition  INTEGER NOT NULL REFERENCES editions (edition),
    home     INTEGER NOT NULL REFERENCES homes (home),
    seq      INTEGER NOT NULL CHECK (seq >= 0),
    event_id TEXT NOT NULL,
    PRIMARY KEY (edition, home)
) STRICT, WITHOUT ROWID;

CREATE TABLE rows (
    shelf INTEGER NOT NULL,
    id    TEXT NOT NULL,
    home  INTEGER NOT NULL,
    data  BLOB NOT NULL,
    PRIMARY KEY (shelf, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX rows_of_home ON rows (shelf, home, id);
