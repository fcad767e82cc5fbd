"""The database as SQLite reads it, all of its tables and indexes: most of them hold no entries, and no chain speaks for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from hub.ledger.findings import Finding
from security.durable_sqlite import open_readonly

WHERE = "database file"
LISTED_MAX = 5  # one bad page is told once for every row that an index misses


def file_findings(database: Path) -> Iterator[Finding]:
    """Pages that are none, and rows and indexes that contradict each other; nothing that fits can be told from what was
    written. Beside a hub that goes on writing. Raises sqlite3.OperationalError.
    """
    with closing(open_readonly(database)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")  # of the ledger's rows the other checks say more
        try:
            said = [line for (text,) in db.execute(f"PRAGMA integrity_check({LISTED_MAX})") for line in text.splitlines()]
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            said = [str(error)]
    for line in said[:LISTED_MAX]:
        if line != "ok" and not line.startswith("***"):
            yield Finding(WHERE, line)
