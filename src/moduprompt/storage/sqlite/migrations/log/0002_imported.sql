-- How far the log of a workspace reaches that came from elsewhere. While it is shorter the import is not
-- finished and nobody sees it; while it is just as long the workspace is frozen; a longer one was adopted.

ALTER TABLE workspaces ADD COLUMN imported_to INTEGER CHECK (imported_to >= 1);
