-- The ledger's hot path for SQLite. Append-only: the triggers refuse what the code never asks for.
CREATE TABLE journals (
    ref         INTEGER PRIMARY KEY,
    journal     BLOB NOT NULL UNIQUE CHECK (length(journal) = 16),
    edge        BLOB NOT NULL CHECK (length(edge) = 16),
    name        TEXT NOT NULL,
    suite       INTEGER NOT NULL,
    public_key  BLOB NOT NULL,
    key_id      BLOB NOT NULL CHECK (length(key_id) = 32),
    predecessor BLOB CHECK (length(predecessor) = 16),
    genesis     BLOB NOT NULL CHECK (length(genesis) = 32),
    position    INTEGER NOT NULL,
    digest      BLOB NOT NULL CHECK (length(digest) = 32),
    arrived_ms  INTEGER NOT NULL,
    backed_up   INTEGER NOT NULL DEFAULT 0 CHECK (backed_up <= position),
    edge_head   INTEGER NOT NULL DEFAULT 0,
    refusal     TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE entries (
    idx        INTEGER PRIMARY KEY,
    journal    INTEGER NOT NULL REFERENCES journals (ref),
    position   INTEGER NOT NULL,
    payload    BLOB NOT NULL,
    signature  BLOB NOT NULL,
    digest     BLOB NOT NULL,
    leaf       BLOB NOT NULL,
    arrived_ms INTEGER NOT NULL
) STRICT;

-- "Once", held by the database itself. An index on the record's UUID would cost half of the rate.
CREATE UNIQUE INDEX entries_place ON entries (journal, position);

-- The next index: dense, and taken under BEGIN IMMEDIATE.
CREATE TABLE ledger_head (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    size INTEGER NOT NULL
) STRICT;

INSERT INTO ledger_head VALUES (1, 0);

CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries BEGIN
    SELECT RAISE(ABORT, 'ledger entries never change');
END;

CREATE TRIGGER entries_never_go BEFORE DELETE ON entries BEGIN
    SELECT RAISE(ABORT, 'ledger entries are never deleted');
END;
