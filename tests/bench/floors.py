"""What this machine's disk and SQLite can do at all, by the standard library alone."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path


def _database(path: Path) -> sqlite3.Connection:
    for file in path.parent.glob(path.name + "*"):
        file.unlink()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE floor (id INTEGER PRIMARY KEY, row BLOB)")
    return database


def rows_per_second(path: Path, rows: int, row_bytes: int, rows_a_commit: int) -> float:
    """Rows of the stored size, in order, so many a commit."""
    database = _database(path)
    data = [(number, os.urandom(row_bytes)) for number in range(rows)]
    began = time.perf_counter()
    for start in range(0, rows, rows_a_commit):
        database.execute("BEGIN")
        database.executemany("INSERT INTO floor VALUES (?, ?)", data[start:start + rows_a_commit])
        database.execute("COMMIT")
    seconds = time.perf_counter() - began
    database.close()
    return rows / seconds


def commit_seconds(path: Path, commits: int, row_bytes: int) -> list[float]:
    """One row a commit; sorted seconds."""
    database = _database(path)
    took = []
    for number in range(commits):
        data = os.urandom(row_bytes)
        began = time.perf_counter()
        database.execute("INSERT INTO floor VALUES (?, ?)", (number, data))
        took.append(time.perf_counter() - began)
    database.close()
    return sorted(took)
