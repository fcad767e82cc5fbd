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
    arrived_ms  INTEGER NOT NULL CHECK (arrived_ms >= 0),
    backed_up   INTEGER NOT NULL DEFAULT 0 CHECK (backed_up <= position),
    edge_head   INTEGER NOT NULL DEFAULT 0,
    skew_ms     INTEGER,
    refusal     TEXT NOT NULL DEFAULT ''
) STRICT;

-- The next index: dense, and taken under BEGIN IMMEDIATE.
CREATE TABLE ledger_head (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    size INTEGER NOT NULL
) STRICT;

INSERT INTO ledger_head VALUES (1, 0);

-- Entries, as many in a row as came in one batch (docs/decisions/0007). Their columns are concatenations:
-- `sizes` has two u32 (big-endian) an entry, of payload and signature; digests and leaves have 32 bytes an entry.
CREATE TABLE runs (
    idx        INTEGER PRIMARY KEY,
    journal    INTEGER NOT NULL REFERENCES journals (ref),
    first      INTEGER NOT NULL,
    count      INTEGER NOT NULL CHECK (count > 0),
    arrived_ms INTEGER NOT NULL CHECK (arrived_ms >= 0),
    sizes      BLOB NOT NULL CHECK (length(sizes) = 8 * count),
    digests    BLOB NOT NULL CHECK (length(digests) = 32 * count),
    leaves     BLOB NOT NULL CHECK (length(leaves) = 32 * count),
    signatures BLOB NOT NULL,
    payloads   BLOB NOT NULL,
    UNIQUE (journal, first)
) STRICT;

-- Once, in order and dense, held by the database itself (invariant 2): the heads move with each run, and the triggers
-- behind this one refuse any other move of them.
CREATE TRIGGER runs_follow AFTER INSERT ON runs BEGIN
    UPDATE journals SET position = NEW.first + NEW.count - 1, digest = substr(NEW.digests, -32), arrived_ms = NEW.arrived_ms
        WHERE ref = NEW.journal AND position = NEW.first - 1;
    SELECT RAISE(ABORT, 'the run does not follow its journal''s head') WHERE changes() = 0;
    UPDATE ledger_head SET size = size + NEW.count WHERE size = NEW.idx;
    SELECT RAISE(ABORT, 'the run does not follow the ledger''s head') WHERE changes() = 0;
END;

CREATE TRIGGER runs_never_change BEFORE UPDATE ON runs BEGIN
    SELECT RAISE(ABORT, 'ledger entries never change');
END;

CREATE TRIGGER runs_never_go BEFORE DELETE ON runs BEGIN
    SELECT RAISE(ABORT, 'ledger entries are never deleted');
END;

CREATE TRIGGER journals_move_with_runs BEFORE UPDATE OF position, digest ON journals
WHEN NOT EXISTS (SELECT 1 FROM runs WHERE journal = OLD.ref AND first = OLD.position + 1
                 AND first + count - 1 = NEW.position) BEGIN
    SELECT RAISE(ABORT, 'a journal''s head moves with its runs only');
END;

CREATE TRIGGER ledger_moves_with_runs BEFORE UPDATE ON ledger_head
WHEN NOT EXISTS (SELECT 1 FROM runs WHERE idx = OLD.size AND idx + count = NEW.size) BEGIN
    SELECT RAISE(ABORT, 'the ledger''s head moves with its runs only');
END;

CREATE TRIGGER ledger_has_one_head BEFORE INSERT ON ledger_head BEGIN
    SELECT RAISE(ABORT, 'the ledger has one head');
END;

CREATE TRIGGER ledger_head_never_goes BEFORE DELETE ON ledger_head BEGIN
    SELECT RAISE(ABORT, 'the ledger''s head is never deleted');
END;

-- What was registered stays: whose a record is depends on it. Inserts are looked at, too: OR REPLACE asks no trigger
-- about the row that it removes.
CREATE TRIGGER journals_begin_once BEFORE INSERT ON journals
WHEN NEW.position <> 0 OR NEW.digest <> NEW.genesis
     OR EXISTS (SELECT 1 FROM journals WHERE journal = NEW.journal OR ref = NEW.ref) BEGIN
    SELECT RAISE(ABORT, 'a journal is registered once, and begins at its genesis');
END;

CREATE TRIGGER journals_never_change BEFORE UPDATE OF ref, journal, edge, name, suite, public_key, key_id, predecessor, genesis
ON journals BEGIN
    SELECT RAISE(ABORT, 'what a journal was registered with never changes');
END;

CREATE TRIGGER journals_never_go BEFORE DELETE ON journals BEGIN
    SELECT RAISE(ABORT, 'journals are never deleted');
END;
