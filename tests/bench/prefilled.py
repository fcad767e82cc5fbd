"""A hub and an enrolled machine whose journal is full: made once, copied back before every run."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from random import Random

from deploy.demo.city import Hub, Machine
from edge.drafts import Draft
from edge.identity import load_identity
from edge.journal import Journal, JournalLimits
from edge.state import StateFolder
from security.clock import SystemClock
from security.signer import Ed25519Signer
from tests.bench.bodies import body

SEED = 7
GROUP = 1_000


def prepare(folder: Path, environment: Mapping[str, str] | None = None) -> tuple[Hub, Machine]:
    """A hub and an enrolled machine, both stopped."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    hub = Hub(folder)
    hub.init()
    hub.command("site", "add", "A01", "--name", "古魏镇服务所", "--kind", "office")
    hub.command("catalogue", "publish")
    hub.service.start()
    machine = Machine(folder, hub, "A01", "窗口1")
    (folder / "readers").mkdir()
    machine.enrol("simulated", folder / "readers", environment or {})
    hub.service.stop()
    return hub, machine


def open_journal(machine: Machine) -> Journal:
    """The machine's journal with its own keys; no agent may run."""
    state = StateFolder(machine.state)
    identity = load_identity(state.identity)
    return Journal(state.business.db, Ed25519Signer.load(state.record_key), bytes.fromhex(identity.hub_sealing_key),
                   SystemClock(), JournalLimits(reserve_bytes=0))


async def _fill(machine: Machine, count: int) -> None:
    random = Random(SEED)
    async with open_journal(machine) as journal:
        for start in range(0, count, GROUP):
            await asyncio.gather(*[journal.submit(Draft(f"b{number}", "transaction", body(random)))
                                   for number in range(start, min(start + GROUP, count))])


def fill(machine: Machine, count: int) -> None:
    """`count` transactions through the journal itself, as the door would."""
    asyncio.run(_fill(machine, count))


class Saved:
    """Copies of both state folders as they are now."""

    def __init__(self, folder: Path, hub: Hub, machine: Machine) -> None:
        self._pairs = ((folder / "saved-hub", hub.state), (folder / "saved-edge", machine.state))
        for saved, state in self._pairs:
            _copy(state, saved)

    def restore(self) -> None:
        for saved, state in self._pairs:
            _copy(saved, state)
        os.sync()  # what the copies left to write would be written during the run


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
