"""The full check after every round: the machine's chains, the hub's ledger, and that they tell the same story.

Nothing that was acknowledged is lost, nothing stands twice, nothing changed its place (invariants 1, 2, 4, 5).
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from edge.drafts import record_id
from edge.state import StateFolder
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Entry
from hub.ledger.verify import LedgerCheck
from hub.projection.projector import NAME as VIEWS
from security.durable_sqlite import open_readonly
from security.record import parse_record, signature_holds
from security.suites import Suite, Verifier
from tests.soak.counter import Said
from tests.soak.evidence import Signed, alarms, flaws, proved_to
from tests.soak.world import World

DRAIN_MAX_S = 60.0
POLL_S = 0.02
PROBLEMS_SHOWN_MAX = 5
EVERYTHING = (0, 10**9, 10**12)


class Broken(AssertionError):
    """What the check found. `lost` was acknowledged to counters, `unkept` of `acknowledged` records to the machine."""

    def __init__(self, problems: Sequence[str], lost: Sequence[Said] = (), unkept: int = 0, acknowledged: int = 0) -> None:
        more = f" and {len(problems) - PROBLEMS_SHOWN_MAX} more" if len(problems) > PROBLEMS_SHOWN_MAX else ""
        super().__init__("; ".join(problems[:PROBLEMS_SHOWN_MAX]) + more)
        self.lost, self.unkept, self.acknowledged = lost, unkept, acknowledged


@dataclass(frozen=True)
class Books:
    """A journal as it lies on the machine's disk, read in one moment."""

    public_key: bytes
    genesis: bytes
    head: tuple[int, bytes]
    acknowledged: int
    ids: dict[UUID, int]
    digests: list[tuple[int, bytes]]
    envelopes: list[tuple[int, bytes, bytes]]


def read_books(path: Path, genesis: bytes) -> Books:
    """Works beside a running agent and on what a killed one has left; changes nothing. Raises sqlite3.Error."""
    with closing(open_readonly(path)) as db:
        db.execute("BEGIN")
        (key,) = db.execute("SELECT public_key FROM journal").fetchone()
        head = db.execute("SELECT position, digest FROM head").fetchone()
        (acknowledged,) = db.execute("SELECT position FROM standing").fetchone()
        rows = db.execute("SELECT position, id, digest FROM digests ORDER BY position").fetchall()
        envelopes = db.execute("SELECT position, payload, signature FROM envelopes ORDER BY position").fetchall()
    return Books(key, genesis, head, acknowledged, {UUID(bytes=row[1]): row[0] for row in rows},
                 [(row[0], row[2]) for row in rows], envelopes)


class Check:
    """Of one world, again and again; signatures that held once are not checked a second time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.alarms_expected = False
        self.alarms_allowed = frozenset[str]()  # kinds, of the hub
        self._held: set[bytes] = set()
        self.records = 0

    def now(self, said: Sequence[Said], *, drained: bool = False) -> None:
        """Raises Broken. `drained`: the hub has to hold all that the machine holds."""
        edge = UUID(self._world.identity.edge)
        # Both sides may work meanwhile: what was acknowledged or proved is read before what holds it.
        signed = Signed.of(self._world)
        before = {journal: read_books(path, b"") for journal, path in self._world.journals.items()}
        draining = drained and self._world.edge.running  # it may have written of itself since: an alarm, a key
        if draining:
            _wait(lambda: all(read_books(path, b"").acknowledged >= before[journal].head[0]
                              for journal, path in self._world.journals.items()), DRAIN_MAX_S, "not drained")
        ledger, problems = self._ledger()
        acknowledged = held = 0
        for journal, path in self._world.journals.items():
            entries = [one for one in ledger if one.journal == journal]
            books = replace(read_books(path, self._genesis(journal)), acknowledged=before[journal].acknowledged)
            due = before[journal].head[0] if draining else books.acknowledged
            problems += [f"{path.stem}: {text}" for text in [*self._chain(books), *_same_story(books, entries, due)]]
            self.records += len(books.digests)
            acknowledged, held = acknowledged + books.acknowledged, held + min(len(entries), books.acknowledged)
        ids = read_books(self._world.journal_db, b"").ids
        lost = [one for one in said if ids.get(record_id(edge, one.caller)) != one.position]
        problems += [f"{one.caller} was acknowledged at position {one.position} and is at "
                     f"{ids.get(record_id(edge, one.caller))}" for one in lost]
        problems += _repeated([one.position for one in said], "position given to two callers:")
        problems += flaws(self._world, signed, ledger)
        problems += [] if self.alarms_expected else alarms(self._world, self.alarms_allowed)
        if len(StateFolder(self._world.edge_state).identities()) > 1:
            problems.append("the machine has begun anew, and nothing was wrong with its journal")
        self.records += len(ledger)
        if problems:
            raise Broken(problems, lost, acknowledged - held, acknowledged)

    def _genesis(self, journal: UUID) -> bytes:
        with LedgerReader(self._world.hub_db, readonly=True) as ledger:
            return ledger.journal(journal).genesis

    def _ledger(self) -> tuple[list[Entry], list[str]]:
        """All of its entries, and what its own check finds."""
        with LedgerReader(self._world.hub_db, readonly=True) as ledger:
            problems = [f"ledger, {finding.where}: {finding.reason}" for finding in LedgerCheck(ledger).findings()]
            return ledger.feed(*EVERYTHING), problems

    def _chain(self, books: Books) -> Iterator[str]:
        """The chain computed anew, from docs/record-format.md: no gap, every digest, every signature."""
        if [position for position, _ in books.digests] != list(range(1, len(books.digests) + 1)):
            yield "the journal's positions have a gap"
        if books.head != (books.digests or [(0, books.genesis)])[-1]:
            yield f"the journal's head {books.head[0]} is not its last record {len(books.digests)}"
        verifier = Verifier(Suite.ED25519_SHA256, books.public_key)
        digests = {0: books.genesis, **dict(books.digests)}
        for position, payload, signature in books.envelopes:
            before = digests.get(position - 1, b"")
            if hashlib.sha256(b"suozhan/digest/v1\0" + before + payload).digest() != digests.get(position):
                yield f"journal, position {position}: the payload is not what the digest covers"
            elif not self._signed(verifier, signature, digests[position]):
                yield f"journal, position {position}: the signature does not hold"
        if len(books.envelopes) != books.head[0] - (books.envelopes[0][0] if books.envelopes else books.head[0] + 1) + 1:
            yield "envelopes are missing in the middle of the journal"

    def _signed(self, verifier: Verifier, signature: bytes, digest: bytes) -> bool:
        if digest + signature not in self._held and signature_holds(verifier, signature, digest):
            self._held.add(digest + signature)
        return digest + signature in self._held


def _same_story(books: Books, entries: Sequence[Entry], due: int) -> Iterator[str]:
    """The ledger holds a beginning of the journal, in its order, all that it has acknowledged, and all up to position `due`."""
    if [one.position for one in entries] != list(range(1, len(entries) + 1)):
        yield "the ledger's positions of this journal have a gap, a double or another order"
    if [one.digest for one in entries] != [digest for _, digest in books.digests[:len(entries)]]:
        yield f"the ledger holds another history than the journal (of {len(entries)} and {len(books.digests)} records)"
    if len(entries) < books.acknowledged:
        yield f"the hub has acknowledged {books.acknowledged} records and holds {len(entries)}"
    yield from _repeated([parse_record(one.payload).id for one in entries], "record twice in the ledger:")
    if len(entries) < due:
        yield f"after draining the ledger holds {len(entries)} of {due} records"


def _repeated(values: Sequence[object], text: str) -> list[str]:
    return [f"{text} {value} ({count} times)" for value, count in Tally(values).items() if count > 1]


def wait_for_line(world: World) -> None:
    """Until the hub has acknowledged something. Raises Broken."""
    _wait(lambda: _holds(world.journal_db, "SELECT position > 0 FROM standing"), DRAIN_MAX_S, "nothing was acknowledged")


def wait_until_delivered(world: World) -> None:
    """Until the machine knows that the hub holds all. Raises Broken."""
    _wait(lambda: _acknowledged(world), DRAIN_MAX_S, "not delivered")


def wait_until_drained(world: World, patience_s: float = DRAIN_MAX_S) -> None:
    """While both run. Raises Broken."""
    _wait(lambda: drained(world), patience_s, "not drained")


def wait_until_proved(world: World) -> None:
    """Drained, and the machine has receipts that cover all of it. Raises Broken."""
    wait_until_drained(world)
    _wait(lambda: all(proved_to(path) == read_books(path, b"").head[0] for path in world.journals.values()), DRAIN_MAX_S,
          "no receipt for the newest record")


def _wait(condition: Callable[[], bool], patience_s: float, text: str) -> None:
    until = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > until:
            raise Broken([f"{text} within {patience_s:.0f} s"])
        time.sleep(POLL_S)


def drained(world: World) -> bool:
    """Whether the machine knows that the hub holds all, and the hub has projected it."""
    return _acknowledged(world) and _projected(world)


def _acknowledged(world: World) -> bool:
    return all(_holds(path, "SELECT h.position = s.position FROM head h, standing s") for path in world.journals.values())


def _projected(world: World) -> bool:
    return _holds(world.hub_db, f"SELECT c.cursor = l.size FROM projection_cursors c, ledger_head l WHERE c.name = '{VIEWS}'")


def _holds(database: Path, query: str) -> bool:
    try:
        with closing(open_readonly(database)) as db:
            return bool(db.execute(query).fetchone() == (1,))
    except sqlite3.OperationalError:
        return False  # locked, or its process is in the middle of opening it
