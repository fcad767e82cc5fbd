"""A machine that had to begin anew: somebody at the hub approves it, and what it said stands in the site ledger, once."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Sequence
from contextlib import closing
from uuid import UUID

from deploy.demo.processes import command
from edge.drafts import record_id
from edge.identity import load_identity
from edge.state import StateFolder
from hub.ledger.reader import LedgerReader
from hub.ledger.verify import LedgerCheck
from security.durable_sqlite import open_readonly
from tests.soak.check import DRAIN_MAX_S, Broken, drained
from tests.soak.counter import Said
from tests.soak.world import World

POLL_S = 0.2
LOST_SHOWN_MAX = 5
SETTLED_S = 5.0  # nothing more came for so long


def begun(world: World) -> bool:
    """Whether there is a successor."""
    return len(StateFolder(world.edge_state).identities()) > 1


def approve(world: World) -> None:
    """As soon as it is asked for, and whoever else asks. Raises Broken."""
    until = time.monotonic() + DRAIN_MAX_S
    while not (waiting := _rows(world, "SELECT id FROM approvals WHERE state = 'waiting'")):
        if time.monotonic() > until:
            raise Broken(["nobody asked the hub to admit the successor"])
        time.sleep(POLL_S)
    for (request,) in waiting:
        command("hub", world.hub_state, "approvals", "approve", str(request), "--by", "soak", "--reason", "a campaign's round")


def wait_until_carried(world: World, said: Sequence[Said], lost_max: int = 0) -> int:
    """Both work: until the site ledger shows what was said, but for so many at most. Returns how many are lost. Raises Broken."""
    until, before, since = time.monotonic() + DRAIN_MAX_S, len(said) + 1, time.monotonic()
    while (missing := _missing(world, said)) or not drained(world):
        if len(missing) != before:
            before, since = len(missing), time.monotonic()
        if len(missing) <= lost_max and drained(world) and time.monotonic() > since + SETTLED_S:
            break
        if time.monotonic() > until:
            raise Broken([f"{len(missing)} of {len(said)} transactions are not in the site ledger: {missing[:LOST_SHOWN_MAX]}"])
        time.sleep(POLL_S)
    with LedgerReader(world.hub_db, readonly=True) as ledger:
        if damage := [one for one in LedgerCheck(ledger).findings() if one.damage]:
            raise Broken([f"ledger, {damage[0].where}: {damage[0].reason}"])
    return len(missing)


def _missing(world: World, said: Sequence[Said]) -> list[str]:
    """Raises Broken for what stands there twice."""
    edges = [UUID(load_identity(one.identity).edge) for one in StateFolder(world.edge_state).identities()]
    shown = Tally(UUID(str(record)) for (record,) in _rows(world, "SELECT record FROM transactions"))
    missing = []
    for caller in {one.caller for one in said}:
        times = sum(shown[record_id(edge, caller)] for edge in edges)
        if times > 1:
            raise Broken([f"{caller} stands in the site ledger {times} times"])
        if not times:
            missing.append(caller)
    return missing


def _rows(world: World, query: str) -> list[tuple[object, ...]]:
    with closing(open_readonly(world.hub_db)) as db:
        return db.execute(query).fetchall()
