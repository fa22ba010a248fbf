-- The words by which rows are found. The index keeps no text: a row that answers is read from `rows`. Its words
-- are already those that a search compares, each behind the place of its edition and workspace, so the tokenizer
-- has only to split at spaces, and a search never walks over what others have. Numbers grow as rows come to be.
-- Views are folded again, because those that are searched have no words yet.

CREATE TABLE documents (
    number INTEGER PRIMARY KEY,
    shelf  INTEGER NOT NULL,
    id     TEXT NOT NULL,
    home   INTEGER NOT NULL,
    UNIQUE (shelf, id, home)
) STRICT;

CREATE VIRTUAL TABLE words USING fts5 (
    titles, others, ids, tails,
    content = '', contentless_delete = 1, detail = column, tokenize = "ascii tokenchars '-'"
);

DELETE FROM rows;
DELETE FROM positions;
DELETE FROM shelves;
DELETE FROM editions;
