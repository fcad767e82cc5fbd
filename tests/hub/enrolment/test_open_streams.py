"""What ends a stream that is open: the decision, and how soon it is looked for."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from hub.enrolment.callers import Caller, CallerRefused, Refusal
from hub.enrolment.open_streams import OpenStreams, Standing, why_ended
from hub.enrolment.revocation import revoke
from tests.renewing import Holder, RenewingHub
from tests.spine import CEILING_S

CALLER = Caller(UUID(int=1), 3, 1_000)


@pytest.mark.parametrize(("standing", "now_ms", "refusal"), [
    (Standing(None, 3), 999, None),
    (Standing(None, 2), 999, None),  # its first use is being noted
    (None, 999, None),
    (Standing(None, 3), 1_000, Refusal.EXPIRED),
    (None, 1_000, Refusal.EXPIRED),
    (Standing(None, 4), 999, Refusal.SUPERSEDED),
    (Standing(1, 3), 999, Refusal.REVOKED),
    (Standing(1, 4), 1_000, Refusal.REVOKED),
])
def test_a_stream_ends_for_a_reason(standing: Standing | None, now_ms: int, refusal: Refusal | None) -> None:
    reason = why_ended(CALLER, standing, now_ms)
    assert (reason.refusal if reason else None) == refusal


def _ends(hub: RenewingHub, caller: Caller, cause: Callable[[], object]) -> CallerRefused:
    async def scenario() -> CallerRefused:
        streams = OpenStreams(hub.engine, hub.clock, look_s=0.01)
        looking = asyncio.create_task(streams.run())
        try:
            async with asyncio.timeout(CEILING_S):
                with streams.open(caller) as ended:
                    await asyncio.sleep(0.05)
                    assert not ended.done()
                    await asyncio.to_thread(cause)
                    return await ended
        finally:
            looking.cancel()
            await asyncio.wait([looking])

    return asyncio.run(scenario())


@pytest.fixture
def hub(tmp_path: Path) -> RenewingHub:
    return RenewingHub(tmp_path)


@pytest.fixture
def machine(hub: RenewingHub) -> Holder:
    return Holder(hub)


def test_a_revocation_ends_it(hub: RenewingHub, machine: Holder) -> None:
    caller = hub.admit(machine.certificate, machine.edge)
    ended = _ends(hub, caller, lambda: revoke(hub.engine, hub.own, str(machine.edge), "李芳", "stolen", 1))
    assert ended.refusal is Refusal.REVOKED
    assert "IT desk" in str(ended)
    assert "stolen" not in str(ended)  # the thief need not know


def test_the_first_use_of_a_newer_certificate_ends_it(hub: RenewingHub, machine: Holder) -> None:
    caller = hub.admit(machine.certificate, machine.edge)
    machine.renew()
    assert _ends(hub, caller, lambda: hub.admit(machine.certificate, machine.edge)).refusal is Refusal.SUPERSEDED


def test_the_end_of_the_certificate_ends_it_also_while_the_database_cannot_be_read(hub: RenewingHub, machine: Holder) -> None:
    caller = hub.admit(machine.certificate, machine.edge)

    def cause() -> None:
        with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
            db.execute("ALTER TABLE edges RENAME TO elsewhere")
        hub.clock.now_ms = caller.not_after_ms

    assert _ends(hub, caller, cause).refusal is Refusal.EXPIRED
