-- The RFC 6962 tree over the leaves of `runs`, in tiles of 256 hashes (C2SP tlog-tiles). All of it follows from `runs`; it is
-- kept because a proof must not read ten million rows.
CREATE TABLE tiles (
    level  INTEGER NOT NULL CHECK (level BETWEEN 0 AND 7),
    n      INTEGER NOT NULL CHECK (n >= 0),
    hashes BLOB NOT NULL CHECK (length(hashes) % 32 = 0 AND length(hashes) BETWEEN 32 AND 8192),
    PRIMARY KEY (level, n)
) STRICT;

-- A tile only grows: what a checkpoint was signed over never changes below it.
CREATE TRIGGER tiles_only_grow BEFORE UPDATE ON tiles
WHEN NEW.level <> OLD.level OR NEW.n <> OLD.n OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes BEGIN
    SELECT RAISE(ABORT, 'a tile of the tree only grows');
END;

CREATE TRIGGER tiles_never_go BEFORE DELETE ON tiles BEGIN
    SELECT RAISE(ABORT, 'tiles of the tree are never deleted');
END;

CREATE TABLE tree_head (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    size INTEGER NOT NULL  -- leaves that the tiles cover; the ledger may be ahead
) STRICT;

INSERT INTO tree_head VALUES (1, 0);

-- A log origin each. The first begins with the hub; another one whenever the hub comes back from a backup.
CREATE TABLE epochs (
    epoch     INTEGER PRIMARY KEY CHECK (epoch > 0),
    statement TEXT NOT NULL  -- signed note
) STRICT;

CREATE TRIGGER epochs_never_change BEFORE UPDATE ON epochs BEGIN
    SELECT RAISE(ABORT, 'epochs never change');
END;

CREATE TRIGGER epochs_never_go BEFORE DELETE ON epochs BEGIN
    SELECT RAISE(ABORT, 'epochs are never deleted');
END;

-- Signed, and written into the high-water mark before they stand here. Old ones are thinned out; the newest stays.
CREATE TABLE checkpoints (
    epoch     INTEGER NOT NULL REFERENCES epochs (epoch),
    size      INTEGER NOT NULL,
    note      TEXT NOT NULL,
    signed_ms INTEGER NOT NULL,
    PRIMARY KEY (epoch, size)
) STRICT;

-- What neither the hub nor its edge has any more: approved, and listed one by one.
CREATE TABLE holes (
    journal  INTEGER NOT NULL REFERENCES journals (ref),
    first    INTEGER NOT NULL,
    count    INTEGER NOT NULL CHECK (count > 0),
    previous BLOB NOT NULL CHECK (length(previous) = 32),
    digests  BLOB NOT NULL CHECK (length(digests) = 32 * count),
    ids      BLOB NOT NULL CHECK (length(ids) = 16 * count),
    approval INTEGER NOT NULL,
    PRIMARY KEY (journal, first)
) STRICT;

CREATE TRIGGER holes_follow AFTER INSERT ON holes BEGIN
    UPDATE journals SET position = NEW.first + NEW.count - 1, digest = substr(NEW.digests, -32)
        WHERE ref = NEW.journal AND position = NEW.first - 1 AND digest = NEW.previous;
    SELECT RAISE(ABORT, 'the hole does not follow its journal''s head') WHERE changes() = 0;
END;

CREATE TRIGGER holes_never_change BEFORE UPDATE ON holes BEGIN
    SELECT RAISE(ABORT, 'holes never change');
END;

CREATE TRIGGER holes_never_go BEFORE DELETE ON holes BEGIN
    SELECT RAISE(ABORT, 'holes are never deleted');
END;

DROP TRIGGER journals_move_with_runs;
CREATE TRIGGER journals_move_with_runs BEFORE UPDATE OF position, digest ON journals
WHEN NOT EXISTS (SELECT 1 FROM runs WHERE journal = OLD.ref AND first = OLD.position + 1
                 AND first + count - 1 = NEW.position)
     AND NOT EXISTS (SELECT 1 FROM holes WHERE journal = OLD.ref AND first = OLD.position + 1
                 AND first + count - 1 = NEW.position) BEGIN
    SELECT RAISE(ABORT, 'a journal''s head moves with its runs and approved holes only');
END;

-- Why a journal has ended; '' while it goes on. Its machine continues in a successor.
ALTER TABLE journals ADD COLUMN closed TEXT NOT NULL DEFAULT '';

CREATE TRIGGER journals_stay_closed BEFORE UPDATE OF closed ON journals WHEN OLD.closed <> '' AND NEW.closed <> OLD.closed BEGIN
    SELECT RAISE(ABORT, 'a closed journal stays closed');
END;

CREATE TRIGGER closed_journals_take_nothing BEFORE INSERT ON runs
WHEN (SELECT closed FROM journals WHERE ref = NEW.journal) <> '' BEGIN
    SELECT RAISE(ABORT, 'this journal is closed');
END;
