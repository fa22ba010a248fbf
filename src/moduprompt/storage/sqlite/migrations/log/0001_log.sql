-- The truth: one row a workspace with its head, one row an event, one row an accepted key.

CREATE TABLE workspaces (
    ws        INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    seq       INTEGER NOT NULL CHECK (seq >= 0),
    head_hash TEXT NOT NULL,
    epoch     INTEGER NOT NULL CHECK (epoch >= 0)
) STRICT;

CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    ws       INTEGER NOT NULL REFERENCES workspaces (ws),
    seq      INTEGER NOT NULL CHECK (seq >= 1),
    subject  TEXT NOT NULL,
    data     BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_in_order ON events (ws, seq);
CREATE INDEX events_of_subject ON events (subject, seq);

CREATE TABLE keys (
    ws         INTEGER NOT NULL REFERENCES workspaces (ws),
    actor      TEXT NOT NULL,
    key        TEXT NOT NULL,
    digest     BLOB NOT NULL,
    command_id TEXT NOT NULL,
    trace_id   TEXT NOT NULL,
    answer_in  TEXT NOT NULL,
    first_seq  INTEGER NOT NULL,
    last_seq   INTEGER NOT NULL,
    PRIMARY KEY (ws, actor, key)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;

CREATE TRIGGER keys_are_never_changed BEFORE UPDATE ON keys
BEGIN SELECT RAISE(ABORT, 'idempotency keys live as long as the log'); END;

CREATE TRIGGER keys_are_never_deleted BEFORE DELETE ON keys
BEGIN SELECT RAISE(ABORT, 'idempotency keys live as long as the log'); END;

-- A conflict resolved by REPLACE deletes without the triggers above; it never gets that far.
CREATE TRIGGER events_are_never_replaced BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE ws = NEW.ws AND seq = NEW.seq)
  OR EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END;

CREATE TRIGGER keys_are_never_replaced BEFORE INSERT ON keys
WHEN EXISTS (SELECT 1 FROM keys WHERE ws = NEW.ws AND actor = NEW.actor AND key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'idempotency keys live as long as the log'); END;
