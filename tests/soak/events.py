"""Events as devices make them, in the journal of a machine whose agent does not run."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from edge.drafts import Draft
from edge.journal import Journal, JournalLimits
from edge.state import StateFolder
from security.clock import SystemClock
from security.signer import Ed25519Signer
from tests.soak.world import World

BODY = b'{"device":"R1","kind":"social-security-card","state":"offline","reasons":[],"noticed_ms":1}'


def note(world: World, records: int) -> None:
    asyncio.run(_note(world, records))


async def _note(world: World, records: int) -> None:
    state = StateFolder(world.edge_state)
    sealing, signer = bytes.fromhex(world.identity.hub_sealing_key), Ed25519Signer.load(state.record_key)
    async with Journal(state.events.db, signer, sealing, SystemClock(), JournalLimits(reserve_bytes=0)) as journal:
        for _ in range(records):
            await journal.submit(Draft(f"event:{uuid4()}", "device.detached", BODY))
