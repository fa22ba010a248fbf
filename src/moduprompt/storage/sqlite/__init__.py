"""The local profile: SQLite through apsw, which brings a SQLite of a version we choose."""
