-- Version 2: receipts. What the hub has proved of this journal, and the newest checkpoint of its log that was accepted.
CREATE TABLE receipts (
    position   INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    idx        INTEGER NOT NULL,
    arrived_ms INTEGER NOT NULL,
    signature  BLOB NOT NULL,
    proof      BLOB NOT NULL CHECK (length(proof) % 32 = 0),
    checkpoint TEXT NOT NULL,
    PRIMARY KEY (position, epoch)
) STRICT;

CREATE TRIGGER keep_receipts BEFORE DELETE ON receipts BEGIN
    SELECT RAISE(ABORT, 'receipts are never dropped');
END;

CREATE TABLE log_view (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    checkpoint TEXT NOT NULL
) STRICT;

-- Invariant 3, held by the database itself: only what stands in a backup of the hub, and is proved to be in its tree, may go.
-- The record at the mark stays: a hub that comes back from that backup proves its newest record, and this is it.
DROP TRIGGER keep_until_backed_up;
CREATE TRIGGER keep_until_backed_up BEFORE DELETE ON envelopes
    WHEN OLD.position >= (SELECT backed_up FROM standing)
      OR OLD.position > (SELECT coalesce(max(position), 0) FROM receipts)
BEGIN
    SELECT RAISE(ABORT, 'the hub has no backup or no proof of this record');
END;

UPDATE journal SET version = 2;
