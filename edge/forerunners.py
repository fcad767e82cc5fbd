"""What counters said before this business journal began: the same caller's id must not become a second record (invariant 2).

An index beside the journal answers. It is made while the counter works: a large journal that is damaged takes minutes. Until
then the journals themselves are asked; where they cannot tell whether they know an id, its caller is told to say it again later.
Ids of records that are lost before the hub had them are not in the index, so that saying them again brings them back.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from uuid import UUID, uuid4

import structlog

from edge.drafts import IdsUnclear, Stored, record_id
from edge.forerunner import Forerunner, Unclear, callers_ids, ends
from edge.journal_store import DAMAGED
from edge.settlement import Settled, copy_id
from edge.state import BUSINESS, IdentityFolder
from edge.succession import read_succession
from security.durable_sqlite import create_database, open_durable, open_readonly
from security.private_files import sync_folder

RETRY_S = 60.0
_SCHEMA = """
CREATE TABLE known (id BLOB PRIMARY KEY CHECK (length(id) = 16), position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""

Before = tuple[UUID, IdentityFolder]

log = structlog.get_logger()


class Forerunners:
    """`async with Forerunners(before, now) as it`, with `run` beside it. `before`: the machine's earlier identities, by machine
    id and folder, the newest last; `now`: the folder of the one that it works with. One thread at a time.
    """

    def __init__(self, before: Sequence[Before], now: IdentityFolder) -> None:
        self._before = before
        self._now = now
        self._path = now.known
        self._db: sqlite3.Connection | None = None
        self._journals: list[Forerunner] = []
        self._wanted = asyncio.Event()

    async def __aenter__(self) -> Forerunners:
        self._asked = ExitStack()
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _open(self) -> None:
        if not self._before:
            return
        try:
            if self._path.exists():
                self._db = open_readonly(self._path)
                self._db.execute("SELECT 1 FROM known LIMIT 1").fetchone()
                return
        except sqlite3.Error as error:
            self._distrust(error)
        self._journals = [self._asked.enter_context(Forerunner(old.business)) for _, old in self._before]
        self._wanted.set()

    def _close(self) -> None:
        self._asked.close()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _distrust(self, error: sqlite3.Error) -> None:
        log.warning("the index of earlier journals is damaged and is made anew", file=str(self._path), error=str(error),
                    next="look after this machine's disk")
        self._close()
        self._path.unlink(missing_ok=True)

    def find(self, caller_id: str) -> Stored | None:
        """What a caller's id got in an earlier journal. Raises IdsUnclear."""
        try:
            for place, (edge, _) in enumerate(self._before):
                name = record_id(edge, caller_id)
                if (position := self._position(place, name)) is not None:
                    return Stored(name, position, repeat=True, earlier=edge)
        except sqlite3.Error as error:
            self._distrust(error)
            self._wanted.set()
            raise IdsUnclear("the ids of earlier journals are being indexed again") from error
        except Unclear as error:
            raise IdsUnclear("the ids of earlier journals are being indexed") from error
        return None

    def copy_of(self, stored: Stored) -> str | None:
        """The caller's id that a record of an earlier journal has once it is carried over; None when the hub has it from there.

        Of files only, in any thread. Raises NotEnrolled, OSError, ValueError.
        """
        place = next(at for at, (edge, _) in enumerate(self._before) if edge == stored.earlier)
        folders = [*(folder for _, folder in self._before), self._now]
        old, new = folders[place], folders[place + 1]
        if stored.position <= held(old, new):
            return None
        return copy_id(read_succession(old, new).journals[BUSINESS].journal, stored.position)

    def _position(self, place: int, name: UUID) -> int | None:
        if self._db is not None:
            row = self._db.execute("SELECT position FROM known WHERE id = ?", (name.bytes,)).fetchone()
            return row[0] if row else None
        if not self._journals:
            raise Unclear
        return self._journals[place].find(name)

    async def run(self) -> None:
        """Makes the index where it is missing or damaged."""
        while True:
            await self._wanted.wait()
            try:
                await asyncio.to_thread(make_index, self._before, self._path)
                self._db = open_readonly(self._path)
            except (OSError, sqlite3.Error, ValueError) as error:
                log.warning("the ids of earlier journals are not indexed yet", error=str(error),
                            next="make room, and look after this machine's disk")
                await asyncio.sleep(RETRY_S)
            else:
                self._wanted.clear()
                self._asked.close()


def held(old: IdentityFolder, new: IdentityFolder) -> int:
    """How far the hub has a journal: as it was settled with the hub, else as the journal itself was told last."""
    try:
        return Settled.load(new.business).common
    except (OSError, ValueError):
        return ends(old.business)[1]


def make_index(before: Sequence[Before], index: Path) -> None:
    """Whole or not at all, also beside a thread that an agent left at it when its identity was admitted: one of the two fails.

    Raises OSError, sqlite3.Error.
    """
    for left in index.parent.glob(f"*.{index.name}.*.making*"):
        left.unlink(missing_ok=True)
    unfinished = index.with_name(f".{index.name}.{uuid4().hex}.making")
    create_database(unfinished, _SCHEMA)
    with closing(open_durable(unfinished)) as db:
        db.execute("PRAGMA cache_spill = ON")  # a million ids do not wait in memory
        db.execute("BEGIN IMMEDIATE")
        for _, old in reversed(before):
            db.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", callers_ids(old.business))
            if _taken_over(db, old.known):
                break
        db.execute("COMMIT")
    for suffix in ("-wal", "-shm"):  # of a damaged one: SQLite would fold it into this one
        Path(f"{index}{suffix}").unlink(missing_ok=True)
    unfinished.replace(index)
    sync_folder(index.parent)


def _taken_over(db: sqlite3.Connection, index: Path) -> bool:
    """Whether an earlier index stands for the journals before it."""
    if not index.exists():
        return False
    try:
        with closing(open_readonly(index)) as earlier:
            if earlier.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return False
            db.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", earlier.execute("SELECT id, position FROM known"))
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in DAMAGED:
            raise
        return False
    return True
