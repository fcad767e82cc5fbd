"""A small spine for tests: the real journal, uplink, ingest and ledger; stand-ins only for wire and clock."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry

from edge.alarms import Alarms as EdgeAlarms
from edge.doubt import Doubt
from edge.drafts import Draft
from edge.identity import Identity
from edge.journal import Journal, JournalLimits
from edge.journal_store import create_journal
from edge.line import Line, LineLost
from edge.receipt_book import ReceiptBook
from edge.receipt_check import ReceiptCheck
from edge.receipt_store import Receipt, ReceiptStore
from edge.uplink import Uplink
from hub.attention.alarms import Alarm, Alarms
from hub.attention.approvals import Approvals
from hub.database import open_engine
from hub.ledger.checkpointer import Checkpointer
from hub.ledger.high_water import HighWater
from hub.ledger.holes import HoleDesk
from hub.ledger.ingest import Ingest
from hub.ledger.metrics import IngestMetrics
from hub.ledger.own_journal import OwnJournal
from hub.ledger.receipt_giver import ReceiptGiver
from hub.ledger.receipts import Receipts
from hub.ledger.runs import Entry
from hub.ledger.signed_roots import LogKey
from hub.ledger.store import Ledger
from hub.ledger.stored_tree import StoredTree
from hub.ledger.transparency import TransparencyLog
from hub.ledger.tree_check import tree_check
from hub.ledger.verify import LedgerCheck
from hub.ledger.writer import LedgerWriter
from hub.migrate import create
from proto import sync_pb2
from security.chain import Genesis
from security.clock import SystemClock
from security.private_files import write_private
from security.sealing import Unsealer
from security.signer import Ed25519Signer
from security.suites import Suite, Verifier

CEILING_S = 30.0


@dataclass
class HandClock:
    """A clock that goes when it is told to."""

    now_ms: int = 1_790_000_000_000
    up_ms: int = 60_000
    boot_id: bytes = field(default_factory=lambda: uuid4().bytes)

    def unix_ms(self) -> int:
        return self.now_ms

    def boottime_ms(self) -> int:
        return self.up_ms


class Wire(Protocol):
    """A hub at the end of a line."""

    def replicate(self, requests: AsyncIterator[sync_pb2.ReplicateUp]) -> AsyncGenerator[sync_pb2.ReplicateDown, None]: ...


class CutWire:
    """The Replicate call of an in-memory line that breaks where the test says.

    `plan` maps (direction, number of the message on this wire) to "cut-before" (lost before it arrived), "cut-after"
    (arrived, then the line broke) or "double" (arrived twice). Numbers count over all streams.
    """

    def __init__(self, ingest: Ingest, edge: UUID, plan: dict[tuple[str, int], str] | None = None) -> None:
        self.ingest = ingest
        self.edge = edge
        self.plan = plan or {}
        self.sent: list[sync_pb2.ReplicateUp] = []
        self._counts = {"up": 0, "down": 0}

    @property
    def heard(self) -> int:
        """Messages of the hub, over all streams."""
        return self._counts["down"]

    def _fate(self, direction: str) -> str:
        number = self._counts[direction]
        self._counts[direction] += 1
        return self.plan.get((direction, number), "deliver")

    async def replicate(
        self, requests: AsyncIterator[sync_pb2.ReplicateUp]
    ) -> AsyncGenerator[sync_pb2.ReplicateDown, None]:
        up: asyncio.Queue[sync_pb2.ReplicateUp | None] = asyncio.Queue(2)
        down: asyncio.Queue[sync_pb2.ReplicateDown | Exception | None] = asyncio.Queue(2)
        broken = LineLost("the test cut the line")

        async def incoming() -> AsyncIterator[sync_pb2.ReplicateUp]:
            while (message := await up.get()) is not None:
                yield message

        async def send_up() -> None:
            async for message in requests:
                self.sent.append(message)
                fate = self._fate("up")
                if fate != "cut-before":
                    for _ in range(2 if fate == "double" else 1):
                        await up.put(message)
                if fate.startswith("cut"):
                    await asyncio.sleep(0.02 if fate == "cut-after" else 0)
                    await down.put(broken)
                    return
            await up.put(None)

        async def send_down(message: sync_pb2.ReplicateDown) -> None:
            fate = self._fate("down")
            if fate != "cut-before":
                await down.put(message)
            if fate.startswith("cut"):
                await down.put(broken)

        async def serve() -> None:
            await self.ingest.serve(self.edge, incoming(), send_down)
            await down.put(None)

        tasks = [asyncio.create_task(send_up()), asyncio.create_task(serve())]
        try:
            while (message := await down.get()) is not None:
                if isinstance(message, Exception):
                    raise message
                yield message
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


class Spine:
    """Folders, keys and databases of one hub and one machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.hub_id, self.edge_id, self.journal_id = uuid4(), uuid4(), uuid4()
        self.signer = Ed25519Signer.create(folder / "edge-record.key")
        self.time_signer = Ed25519Signer.create(folder / "time.key")
        self.log_signer = Ed25519Signer.create(folder / "log.key")
        self.checkpoint_s = 0.05
        self.sealing = X25519PrivateKey.generate()
        write_private(folder / "sealing-1.key", self.sealing.private_bytes_raw())
        self.hub_db = folder / "hub.db"
        self.journal_db = folder / "business.db"
        create(self.hub_db)
        self.own = OwnJournal(self.hub_db, self.hub_id, Ed25519Signer.create(folder / "hub-record.key"), SystemClock())
        self.own.create()
        self.genesis = Genesis(self.edge_id, self.journal_id, Suite.ED25519_SHA256, self.signer.public_key)
        create_journal(self.journal_db, "business", self.genesis)
        self.own.register_machine([("business", self.genesis)], "A01")

    def journal(self, limits: JournalLimits | None = None, path: Path | None = None) -> Journal:
        """Not yet open."""
        return Journal(path or self.journal_db, self.signer, self.sealing.public_key().public_bytes_raw(), self.clock,
                       limits or JournalLimits(reserve_bytes=0))

    @asynccontextmanager
    async def ingest(self) -> AsyncIterator[Ingest]:
        """The hub's side, running."""
        self.registry = CollectorRegistry()
        metrics = IngestMetrics(self.registry)
        writer = LedgerWriter(self.hub_db, metrics)
        engine = open_engine(self.hub_db)
        alarms, approvals = Alarms(engine, self.own, self.clock), Approvals(engine, self.own, self.clock)
        checkpointer = Checkpointer(self.transparency(), writer, alarms, interval_s=self.checkpoint_s)
        receipts = Receipts(self.hub_db, self.hub_id, self.log_signer.public_key)
        tasks = [asyncio.create_task(writer.run()), asyncio.create_task(checkpointer.run())]
        try:
            yield Ingest(self.hub_db, writer, self.clock, self.time_signer, metrics,
                         ReceiptGiver(receipts, checkpointer, alarms), self.hole_desk(approvals), alarms)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            engine.dispose()
            for task in tasks:
                if not task.cancelled():
                    task.result()

    def hole_desk(self, approvals: Approvals) -> HoleDesk:
        return HoleDesk(approvals, self.own, self.hub_db, LogKey(self.hub_id, self.log_signer.public_key))

    def transparency(self) -> TransparencyLog:
        """The hub's log; not begun."""
        return TransparencyLog(self.hub_db, HighWater(self.folder / "high-water.note"), self.hub_id, self.log_signer, self.clock)

    @property
    def alarms(self) -> EdgeAlarms:
        """Of the machine."""
        return EdgeAlarms(self.folder / "alarms", self.clock)

    def hub_alarms(self) -> tuple[Alarm, ...]:
        """What people at the hub are told."""
        engine = open_engine(self.hub_db)
        try:
            return tuple(Alarms(engine, self.own, self.clock).open_alarms())
        finally:
            engine.dispose()

    def receipts(self, journal: Journal) -> ReceiptBook:
        """Of an open journal."""
        return ReceiptBook(journal, ReceiptStore(self.journal_db), self.hub_id, self.log_signer.public_key, self.alarms)

    def first_held(self) -> int:
        """The lowest position that the machine has not pruned."""
        with closing(sqlite3.connect(self.journal_db)) as db:
            return int(db.execute("SELECT min(position) FROM envelopes").fetchone()[0])

    def receipt_check(self, journal: Path | None = None) -> ReceiptCheck:
        """Of the machine, as it lies on disk."""
        key = self.log_signer.public_key.hex()
        fields = dict.fromkeys(Identity.__dataclass_fields__, key) | {
            "edge": str(self.edge_id), "hub": str(self.hub_id), "journal": str(self.journal_id)}
        verifier = Verifier(self.signer.suite, self.signer.public_key)
        return ReceiptCheck(journal or self.journal_db, self.journal_id, Identity(**fields), verifier)

    def uplink(self, journal: Journal, wire: Wire, random: Random | None = None) -> Uplink:
        verifier = Verifier(Suite.ED25519_SHA256, self.time_signer.public_key)
        return Uplink(journal, self.receipts(journal), wire.replicate,
                      Line("replicate", self.clock, random or Random(1)), verifier, self.clock, Doubt(0.0))

    async def drain(self, journal: Journal, wire: CutWire) -> None:
        """Streams, one after the other, until the hub holds all; a broken line is tried again."""
        uplink = self.uplink(journal, wire)
        async with asyncio.timeout(CEILING_S):
            while journal.queued:
                session = asyncio.create_task(uplink.session())
                while journal.queued and not session.done():
                    await asyncio.wait([session], timeout=0.002)
                session.cancel()
                with suppress(LineLost, asyncio.CancelledError):
                    await session

    def entries(self) -> list[Entry]:
        """What the ledger holds of this machine's journal, in the ledger's order."""
        with Ledger(self.hub_db) as ledger:
            return [entry for entry in ledger.feed(0, 10**6, 10**9) if entry.journal == self.journal_id]

    def check_ledger(self, expected: tuple[str, ...] = ()) -> None:
        """The whole chain, not the last row: no gap, no double, every digest, leaf and signature; the tree and its roots."""
        log, mark = LogKey(self.hub_id, self.log_signer.public_key), HighWater(self.folder / "high-water.note")
        with StoredTree(self.hub_db) as tree, Ledger(self.hub_db) as ledger:
            check = LedgerCheck(ledger, tree_check(tree, log, mark))
            assert tuple(one.where for one in check.findings()) == expected
            assert check.checked == ledger.size()

    def unsealer(self) -> Unsealer:
        return Unsealer.load(self.folder)


def draft(caller_id: str, body: bytes = b'{"item":"003-01"}') -> Draft:
    return Draft(caller_id, "transaction", body)


def prove(journal: Path, position: int) -> None:
    """As if the hub had given a receipt: what is in a backup may now be pruned up to there."""
    ReceiptStore(journal).keep("a checkpoint", Receipt(position, 1, position, 0, bytes(64), (), "a checkpoint"))


def clear_page(database: Path, table: str) -> None:
    """The first page of a table or index reads as noise."""
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
        [(size,)] = db.execute("PRAGMA page_size")
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


def flip_schema(database: Path, table: str) -> None:
    """A bit of a table's schema, so that SQLite quotes what is no text."""
    content, words = database.read_bytes(), f"CREATE TABLE {table} (".encode()
    assert content.count(words) == 1
    database.write_bytes(content.replace(words, words.replace(b"A", bytes([ord("A") ^ 0x80]), 1)))


def damage(database: Path, statement: str, *values: object) -> None:
    """As a bad disk does it: no trigger and no constraint is asked."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN IMMEDIATE")  # what has only read would not get the lock from a hub that has written since
        triggers = db.execute("SELECT name, sql, tbl_name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.execute(statement, values)
        left = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
        for _, sql, table in triggers:
            if table in left:
                db.execute(sql)
        db.execute("COMMIT")
