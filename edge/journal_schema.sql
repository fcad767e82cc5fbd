-- One journal of one machine. Rows of `digests` stay for ever; rows of `envelopes` go once the hub has a backup.
CREATE TABLE journal (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    version     INTEGER NOT NULL,
    name        TEXT NOT NULL,
    edge        BLOB NOT NULL CHECK (length(edge) = 16),
    journal     BLOB NOT NULL CHECK (length(journal) = 16),
    suite       INTEGER NOT NULL,
    public_key  BLOB NOT NULL,
    predecessor BLOB CHECK (length(predecessor) = 16)
) STRICT;

-- A row of its own: SQLite would give positions out again once delivered rows are pruned.
CREATE TABLE head (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    position INTEGER NOT NULL,
    digest   BLOB NOT NULL CHECK (length(digest) = 32)
) STRICT;

-- What the hub has said: held and committed; held by a backup, too; newest signed time.
CREATE TABLE standing (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    position  INTEGER NOT NULL,
    backed_up INTEGER NOT NULL CHECK (backed_up <= position),
    hub_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE digests (
    position INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    digest   BLOB NOT NULL CHECK (length(digest) = 32),
    tag      BLOB
) STRICT;

CREATE TABLE envelopes (
    position  INTEGER PRIMARY KEY,
    payload   BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;

-- Appending to this view is one statement, so one durable commit, for a whole group of records.
CREATE VIEW chain AS
    SELECT position, id, x'' AS previous, digest, tag, payload, signature
    FROM digests JOIN envelopes USING (position);

CREATE TRIGGER append INSTEAD OF INSERT ON chain BEGIN
    UPDATE head SET position = NEW.position, digest = NEW.digest
        WHERE position = NEW.position - 1 AND digest = NEW.previous;
    SELECT RAISE(ABORT, 'the record does not follow the head') WHERE changes() = 0;
    INSERT INTO digests VALUES (NEW.position, NEW.id, NEW.digest, NEW.tag);
    INSERT INTO envelopes VALUES (NEW.position, NEW.payload, NEW.signature);
END;

-- Invariant 3, held by the database itself.
CREATE TRIGGER keep_until_backed_up BEFORE DELETE ON envelopes
    WHEN OLD.position > (SELECT backed_up FROM standing)
BEGIN
    SELECT RAISE(ABORT, 'the hub has no backup of this record');
END;

CREATE TRIGGER keep_digests BEFORE DELETE ON digests BEGIN
    SELECT RAISE(ABORT, 'digests are never dropped');
END;
