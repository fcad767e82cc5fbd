"""The decision log against the hub's own journal: it is needed when the ledger is gone, and damage is better found before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from hub.ledger.decision_log import NAME, DecisionLog, DecisionsLost
from hub.ledger.findings import Finding
from hub.ledger.runs import Damaged
from hub.ledger.store import Ledger

PAGE_RECORDS = 500
ANEW = ("the ledger has it, so that nothing is lost yet: stop the hub, keep the file elsewhere, and start the hub, which makes "
        "it anew and raises an alarm (decisions-lost)")


def decision_findings(database: Path) -> Iterator[Finding]:
    """At most one: what comes behind it follows from it. None without a log, or where the ledger itself is damaged."""
    path = database.with_name(NAME)
    with Ledger(database) as ledger, suppress(Damaged):
        at, end = 0, ledger.journal(ledger.own_journal()).position if path.exists() else 0
        while at < end:
            try:
                reached = _same_to(ledger, path, at)
            except DecisionsLost as error:
                yield Finding("decision log", f"{error}; {ANEW}", damage=False)
                return
            except sqlite3.OperationalError as error:
                yield Finding("decision log", f"it cannot be read now ({error}); look at its disk, and give the command again",
                              damage=False)
                return
            if reached < min(at + PAGE_RECORDS, end):
                yield Finding(f"decision log, position {reached + 1}", f"not what the hub's own journal has there; {ANEW}",
                              damage=False, position=reached + 1)
                return
            at = reached


def _same_to(ledger: Ledger, path: Path, after: int) -> int:
    """Of one page, beside a hub that goes on writing both. Raises DecisionsLost, Damaged."""
    with ledger.transaction(), DecisionLog(path) as log:
        logged = log.after(after, b"", PAGE_RECORDS)
        entries = list(islice(ledger.entries(ledger.journal(ledger.own_journal()), after), PAGE_RECORDS))
    pairs = zip(logged.payloads, logged.signatures, entries, strict=False)
    return after + next((number for number, (payload, signature, entry) in enumerate(pairs)
                         if (payload, signature) != (entry.payload, entry.signature)), min(len(logged), len(entries)))
