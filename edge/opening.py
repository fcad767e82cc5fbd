"""An identity's journals, opened: business, without which there is no counter, and events, without which it goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack
from functools import partial

import structlog

from edge.agent import Agent, Work
from edge.drafts import CorruptJournal, ForeignJournal
from edge.forerunners import Forerunners
from edge.identity import Identity
from edge.journal import Journal, JournalLimits
from edge.log_loss import ended_hint
from edge.no_journal import NoJournal
from edge.reopening import may_pass, until_openable
from edge.state import EVENTS, IdentityFolder, JournalFiles
from edge.successors import Successors
from security.durable_sqlite import DatabaseMissing
from security.signer import Ed25519Signer

EVENTS_RESERVES = 4  # times what transactions leave free on the disk

log = structlog.get_logger()


def journal_of(agent: Agent, files: JournalFiles, identity: Identity, forerunners: Forerunners | None = None) -> Journal:
    """Not yet open. Raises BadKey, OSError."""
    signer = Ed25519Signer.load(files.folder.record_key)
    limits = JournalLimits(agent.config.journal_quota_bytes, agent.config.disk_reserve_bytes)
    if files.name == EVENTS:
        limits = JournalLimits(agent.config.events_quota_bytes, EVENTS_RESERVES * agent.config.disk_reserve_bytes)
    return Journal(files.db, signer, bytes.fromhex(identity.hub_sealing_key), agent.clock, limits, forerunners)


async def open_events(stack: AsyncExitStack, agent: Agent, folder: IdentityFolder, identity: Identity,
                  successors: Successors) -> tuple[Journal | NoJournal | None, Work | None]:
    """The journal, or what stands in its place and what mends that; None of a machine that has no such journal."""
    if EVENTS not in identity.journals:
        return None, None
    opening = partial(journal_of, agent, folder.events, identity)
    try:
        journal = await stack.enter_async_context(opening())
    except (CorruptJournal, DatabaseMissing) as error:
        hint = await asyncio.to_thread(ended_hint, error, folder.events)
        return NoJournal.ended(str(error)), partial(successors.until_begun, str(error), hint)
    except (sqlite3.Error, OSError) as error:
        if not may_pass(error):
            raise
        log.warning("the journal of events cannot be opened", error=str(error), next="make room on this machine's disk")
        return NoJournal.unopened(str(error)), partial(until_openable, opening)
    check_own(journal, EVENTS, identity)
    return journal, None


def check_own(journal: Journal, name: str, identity: Identity) -> None:
    """Raises ForeignJournal: the two have one key."""
    if journal.identity.genesis.journal != identity.journals[name]:
        raise ForeignJournal(f"{name}.db is not the journal that identity.json names; restore both from one copy")
