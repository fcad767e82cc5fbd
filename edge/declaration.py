"""A machine that enrolled before it had a journal of events: it declares one by itself, over the line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import structlog

from edge.enrol import EnrolmentRefused, journal_id
from edge.identity import NotEnrolled, load_identity, named
from edge.journal_store import create_journal
from edge.line import HubRefused, Line, LineLost
from edge.state import JournalFiles
from security.chain import Genesis
from security.invitations import declaration_proof
from security.signer import BadKey, Ed25519Signer

RETRY_S = 60.0

Declare = Callable[[UUID, str, bytes], Awaitable[None]]  # see declare_over (edge/channel.py)

log = structlog.get_logger()


class Declaration:
    """Of a journal that an identity has not, under `files`. Safe to repeat after a crash anywhere: its id is chosen once."""

    def __init__(self, files: JournalFiles, declare: Declare, line: Line) -> None:
        self._files = files
        self._declare = declare
        self._line = line

    async def run(self) -> None:
        """Returns when the hub has registered it, and the identity names it."""
        while True:
            greeted, pause_s = self._line.greeted(), RETRY_S
            try:
                await self._once()
            except (LineLost, NotEnrolled, BadKey, EnrolmentRefused, OSError) as error:
                log.warning("no journal of events yet", error=str(error), next="look after the line, and this disk")
            except HubRefused as error:
                log.warning("no journal of events yet", error=str(error), next="is the hub of the same version?")
                pause_s = error.retry_s
            else:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await greeted.wait()

    async def _once(self) -> None:
        files, folder = self._files, self._files.folder
        identity = await asyncio.to_thread(load_identity, folder.identity)
        signer = await asyncio.to_thread(Ed25519Signer.load, folder.record_key)
        journal = await asyncio.to_thread(journal_id, files.id)
        await self._declare(journal, files.name, signer.sign(declaration_proof(identity.edge_id, journal, files.name)))
        if not files.db.exists():
            genesis = Genesis(identity.edge_id, journal, signer.suite, signer.public_key)
            await asyncio.to_thread(create_journal, files.db, files.name, genesis)
        fields = named({**identity.journals, files.name: journal})
        await asyncio.to_thread(replace(identity, **fields).save, folder.identity)  # last: with it the machine has the journal
        log.info("journal declared", name=files.name, journal=str(journal))
