"""Follows the feed behind everybody else and checks every signature, digest, leaf and seal (invariants 4, 5, 7).

What it finds is told before its cursor moves: a crash between the two tells it twice rather than never.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import sqlalchemy as sa

from hub.attention.alarms import Alarms
from hub.audit.entry_check import BrokenEntry, EntryCheck
from hub.audit.key_register import KeyRegister, KeyReused
from hub.audit.metrics import AuditMetrics
from hub.audit.seal_check import judge_record
from hub.audit.tables import audited, data_keys, findings
from hub.ledger.carried import CarriedRefused
from hub.ledger.data_keys import DataKeys
from hub.ledger.own_journal import OwnJournal
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Damaged, DamagedRow, Entry
from hub.outage import Outage
from security.clock import Clock
from security.record import MalformedRecord, parse_record
from security.sealing import SealBroken, Unsealer

PAGE_ENTRIES = 500
CHUNK_ENTRIES = 20  # checking a signature holds the interpreter: some milliseconds, then a rest
SHARE = 0.25  # of one core
POLL_S = 1.0
PATIENCE_S = 5.0  # between two pages, while ingest is busy
FINDING = "audit.finding"
LISTED_MAX = 50  # of one journal's findings, in one record

Quiet = Callable[[float], Awaitable[None]]
Rest = Callable[[float], object]


async def _at_once(_patience_s: float) -> None:
    """No ingest beside us."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with an entry; `journal` is "" and `position` 0 where nobody can say whose it was."""

    cursor: int
    journal: str
    position: int
    reason: str
    echo: bool = False  # the entry tells of findings itself: it is not told by another of its kind, without end


class Auditor:
    """`await auditor.run()`; safe to stop anywhere. `quiet` waits until ingest is idle, at most so many seconds."""

    def __init__(self, engine: sa.Engine, database: Path, unsealer: Unsealer, alarms: Alarms, own_journal: OwnJournal,
                 clock: Clock, metrics: AuditMetrics, quiet: Quiet = _at_once) -> None:
        self._engine = engine
        self._database = database
        self._keys = DataKeys(unsealer)
        self._alarms = alarms
        self._own_journal = own_journal
        self._clock = clock
        self._metrics = metrics
        self._quiet = quiet
        self._stopping = threading.Event()

    async def run(self) -> None:
        """Until cancelled; the page that it is at ends with what was checked."""
        outage = Outage("audit")
        try:
            while True:
                await self._quiet(PATIENCE_S)  # records go before audits
                taken = 0
                with outage:
                    taken = await asyncio.to_thread(self.step, self._rest)
                if not taken:
                    await asyncio.sleep(POLL_S)
        finally:
            self._stopping.set()

    def step(self, rest: Rest = lambda _took_s: None) -> int:
        """One page of the feed, in one commit. Returns the entries passed; 0 at the end of the feed. `rest` is told how long
        each few entries took.
        """
        after, register = self.cursor(), KeyRegister(self._engine)
        with LedgerReader(self._database) as ledger:
            size = ledger.size()
            if after > size:
                self._begin_again(after, size)
                return after
            cursor, found = self._page(ledger, register, after, rest)
        self._tell(found)
        if cursor > after:
            self._commit(cursor, found, register)
        self._metrics.findings.inc(len(found))
        self._metrics.cursor.set(cursor)
        self._metrics.lag.set(max(size - cursor, 0))
        return cursor - after

    def cursor(self) -> int:
        """How far the feed is audited."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(audited.c.cursor)).scalar_one_or_none() or 0

    def _rest(self, took_s: float) -> None:
        self._stopping.wait(took_s * (1 - SHARE) / SHARE)

    def _page(self, ledger: LedgerReader, register: KeyRegister, after: int, rest: Rest) -> tuple[int, list[Found]]:
        """The cursor behind it, and what is wrong in it."""
        try:
            page = ledger.feed(after, PAGE_ENTRIES)
        except DamagedRow as error:
            return max(ledger.behind(error), after + 1), [Found(after + 1, "", 0, str(error))]
        checks, found, cursor = EntryCheck(ledger), list[Found](), after
        for start in range(0, len(page), CHUNK_ENTRIES):
            began = time.perf_counter()
            for entry in page[start:start + CHUNK_ENTRIES]:
                if entry.cursor != cursor + 1:
                    found.append(Found(cursor + 1, "", 0, f"entries are missing from here to cursor {entry.cursor - 1}"))
                cursor = entry.cursor
                reasons = self._flaws(entry, ledger, checks, register)
                echo = bool(reasons) and self._tells_findings(entry)
                found += [Found(cursor, str(entry.journal), entry.position, reason, echo) for reason in reasons]
            rest(time.perf_counter() - began)
            if self._stopping.is_set():
                break
        return cursor, found

    def _flaws(self, entry: Entry, ledger: LedgerReader, checks: EntryCheck, register: KeyRegister) -> list[str]:
        return [reason for check in (lambda: checks.check(entry), lambda: judge_record(entry, ledger, self._keys, register))
                if (reason := _reason(check))]

    def _tells_findings(self, entry: Entry) -> bool:
        with suppress(MalformedRecord):
            return entry.journal == self._own_journal.journal and parse_record(entry.payload).kind == FINDING
        return False

    def _tell(self, found: Sequence[Found]) -> None:
        ordered = sorted(found, key=lambda one: (one.journal, one.cursor))
        for journal, group in groupby(ordered, key=lambda one: one.journal):
            self._tell_of(journal, list(group))

    def _tell_of(self, journal: str, found: list[Found]) -> None:
        text = f"cursor {found[0].cursor}, position {found[0].position}: {found[0].reason}"
        others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        noted = [one for one in found if not one.echo]
        try:
            if noted:
                self._own_journal.note(FINDING, {"journal": journal, "count": len(noted), "findings": [
                    {"cursor": one.cursor, "position": one.position, "reason": one.reason} for one in noted[:LISTED_MAX]]})
            self._alarms.raise_alarm("audit", f"journal {journal}" if journal else "ledger",
                                     f"{text}{others}; all of them: suozhan-hub findings")
        except sqlite3.IntegrityError as error:  # of the ledger's triggers: it takes nothing any more
            raise Damaged(f"the audit found {text}{others}, and cannot note it: {error}") from error

    def _commit(self, cursor: int, found: Sequence[Found], register: KeyRegister) -> None:
        now_ms = self._clock.unix_ms()
        with self._engine.begin() as connection:
            _move(connection, cursor)
            register.write(connection)
            if found:
                connection.execute(findings.insert(), [
                    {"cursor": one.cursor, "journal": one.journal, "position": one.position, "reason": one.reason,
                     "found_ms": now_ms} for one in found])

    def _begin_again(self, cursor: int, size: int) -> None:
        """The ledger is not the one that was audited: neither are the keys that were seen."""
        self._tell([Found(cursor, "", 0, f"the ledger ends at {size}, less than was audited; it is audited anew")])
        with self._engine.begin() as connection:
            connection.execute(data_keys.delete())
            _move(connection, 0)


def _move(connection: sa.Connection, cursor: int) -> None:
    if not connection.execute(audited.update().values(cursor=cursor)).rowcount:
        connection.execute(audited.insert().values(only=1, cursor=cursor))


def _reason(check: Callable[[], None]) -> str:
    """"" when all is well."""
    try:
        check()
    except (BrokenEntry, MalformedRecord, SealBroken, KeyReused, CarriedRefused, Damaged) as error:
        return str(error)
    except (ValueError, ArithmeticError, LookupError) as error:
        # A bug of ours; still no record may stop the audit of all others. Its text might quote the body.
        return f"it cannot be checked ({type(error).__name__}); update this program"
    return ""
