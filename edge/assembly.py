"""The agent, put together. Read this first: every part is made here, by constructor, and runs in one TaskGroup.

    reader ─▶ door ─▶ journal ─▶ uplink ══ Replicate ══▶ hub
                ▲ catalogue ◀─ downlink ◀══ Watch ══════ hub
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from random import SystemRandom
from typing import NoReturn
from uuid import UUID

import structlog

from devices.cards import CardReaders
from devices.simulated.wire import SimulatedReaders
from edge.advice import LineHealth
from edge.agent_lock import agent_lock
from edge.alarms import Alarms
from edge.carry import Carrier
from edge.catalogue import CATALOGUE
from edge.channel import HubChannel, held_over, replicate_over, watch_over
from edge.config import BadConfig, EdgeConfig, load_config
from edge.door.counter_journal import CounterJournal
from edge.door.server import Door
from edge.downlink import Downlink
from edge.drafts import CorruptJournal
from edge.examination import Examination
from edge.forerunners import Forerunners
from edge.hub_view import view_hub
from edge.identity import Identity, load_identity
from edge.idle_check import IdleCheck
from edge.journal import Journal, JournalLimits
from edge.line import Line
from edge.no_journal import NoJournal
from edge.no_line import NoLine
from edge.predecessors import Predecessors
from edge.receipt_book import ReceiptBook
from edge.receipt_check import ReceiptCheck
from edge.receipt_store import ReceiptStore
from edge.rejoin import Rejoin
from edge.renewal import Renewal
from edge.renewal_wire import RenewalOffice
from edge.reopening import may_pass, until_openable
from edge.resources import ResourceStore
from edge.state import IdentityFolder, StateFolder
from edge.succession import read_succession
from edge.successors import Successors
from edge.tls_pair import TlsFiles
from edge.uplink import Uplink
from security.clock import Clock
from security.signer import BadKey, Ed25519Signer
from security.suites import Verifier

Work = Callable[[], Coroutine[None, None, None]]

log = structlog.get_logger()


class NextIdentity(Exception):
    """The agent goes on with the newest identity: another journal, one that opens now, or a certificate that it can use now."""


async def run_edge(state: StateFolder, clock: Clock, ready: Callable[[], None]) -> None:
    """Work until cancelled; `ready` is called once the counter's door is open."""
    load_identity(state.identity)  # a mistyped folder is an error, and stays as it was
    config = load_config(state.config)
    load_identity(state.current.identity)  # before a lock is left in a folder that holds no machine
    agent = Agent(state, config, clock, Alarms(state.alarms, clock))
    told = cache(ready)  # once, however many identities follow each other
    with agent_lock(state.lock):
        while True:
            try:
                await asyncio.create_task(_work(agent, told))  # a task group that ends miscounts the cancellings of its own task
            except* NextIdentity:
                pass
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError  # a group that ends by itself at that moment swallows it


@dataclass(frozen=True)
class Agent:
    """What lasts while identities follow each other."""

    state: StateFolder
    config: EdgeConfig
    clock: Clock
    alarms: Alarms


async def _work(agent: Agent, ready: Callable[[], None]) -> None:
    """With one identity, until it is followed by another."""
    state, config, clock = agent.state, agent.config, agent.clock
    folder = state.current
    identity = load_identity(folder.identity)
    alarms = agent.alarms
    successors = Successors(state, alarms)
    async with AsyncExitStack() as stack:
        forerunners = await stack.enter_async_context(Forerunners(_before(agent.state), folder))
        readers = await stack.enter_async_context(_readers(config))
        resources = ResourceStore(state.resources, identity.edge_id, identity.resource_verifier(), clock, [CATALOGUE])
        resources.load()
        up_line = Line("replicate", clock, SystemRandom())

        # The counter comes in here.
        def open_to(journal: CounterJournal, health: LineHealth) -> Door:
            return Door(state.door, config.door_port, journal, readers, lambda: resources.current(CATALOGUE), up_line, clock,
                        alarms, health)

        try:
            journal = await stack.enter_async_context(_journal(agent, folder, identity, forerunners))
        except CorruptJournal as error:
            await _begin_behind_the_door(successors, str(error), open_to, ready)
        except (sqlite3.Error, OSError) as error:
            if not may_pass(error):
                raise
            log.warning("the journal cannot be opened", error=str(error), next="make room on this machine's disk")
            trying = partial(until_openable, partial(_journal, agent, folder, identity, forerunners))
            await _behind_the_door(NoJournal.unopened(str(error)), trying, open_to, ready)
        if identity.certified:
            health, work_of_line = await _line(stack, agent, folder, identity, journal, resources, up_line)
        else:
            health, work_of_line = _waiting_line(agent, identity)
        door = open_to(journal, health)

        async with asyncio.TaskGroup() as tasks:
            for task in work_of_line:
                tasks.create_task(task())
            tasks.create_task(_until_stopped(successors, journal))
            tasks.create_task(forerunners.run())
            tasks.create_task(door.run())
            tasks.create_task(alarms.run(journal))
            tasks.create_task(_idle_check(agent, folder, identity, journal).run())
            await door.listening()
            log.info("edge ready", edge=identity.edge, site=identity.site, door=door.port, queued=journal.queued,
                     certified=identity.certified)
            ready()


async def _line(stack: AsyncExitStack, agent: Agent, folder: IdentityFolder, identity: Identity, journal: Journal,
                resources: ResourceStore, up_line: Line) -> tuple[LineHealth, list[Work]]:
    """What works over the line of an identity that the hub has admitted."""
    config, clock, random = agent.config, agent.clock, SystemRandom()
    tls = TlsFiles(folder, identity)
    try:
        await asyncio.to_thread(lambda: tls.pair)
    except (BadKey, OSError) as error:
        return _no_line(NoLine(folder, identity, error, agent.state.diagnosis, clock))
    log.info("certificate", generation=tls.generation, ends_ms=tls.pair.validity.last_ms)
    address = config.hub_address or identity.work_address
    channel = await stack.enter_async_context(HubChannel(address, identity.root.encode(), lambda: tls.pair))

    # Records flow up.
    receipts = ReceiptBook(journal, ReceiptStore(folder.journal), identity.hub_id, identity.log_verifier().public_key,
                           agent.alarms)
    uplink = Uplink(journal, receipts, replicate_over(channel), up_line, identity.time_verifier(), clock)

    # Resources flow down.
    down_line = Line("watch", clock, random)
    downlink = Downlink(resources, watch_over(channel), down_line)

    # Certificates renew, and trouble with the line is explained.
    async def renewed() -> None:
        await channel.rebuild()
        examination.retry_now()

    enrol_address = config.hub_enrol_address or identity.enrol_address
    renewal = Renewal(identity, tls, lambda: RenewalOffice(identity, enrol_address), renewed, clock, random)
    view = partial(view_hub, identity, address, config.hub_api_address or identity.api_address)
    examination = Examination([up_line, down_line], tls, renewal, view, agent.state.diagnosis, clock)
    work: list[Work] = [uplink.run, downlink.run, renewal.run, examination.run]

    # What the journals before this one could not deliver, the oldest first.
    carriers = [Carrier(old, new, read_succession(old, new), journal) for old, new in pairwise(agent.state.identities())]
    return examination, [*work, Predecessors(carriers, held_over(channel), up_line).run]


def _no_line(missing: NoLine) -> tuple[LineHealth, list[Work]]:
    """Until the TLS key or certificate is mended."""
    log.error("no line", text=missing.diagnosis.english)

    async def mended() -> None:
        await missing.run()
        raise NextIdentity

    return missing, [mended]


def _idle_check(agent: Agent, folder: IdentityFolder, identity: Identity, journal: Journal) -> IdleCheck:
    genesis = journal.identity.genesis
    receipts = ReceiptCheck(folder.journal, identity, Verifier(genesis.suite, genesis.public_key))
    return IdleCheck(journal, receipts, folder.journal, folder.checked, agent.alarms, agent.clock)


def _waiting_line(agent: Agent, identity: Identity) -> tuple[LineHealth, list[Work]]:
    """Until the hub admits a successor, its records wait in its journal."""
    rejoin = Rejoin(agent.state, agent.config.hub_enrol_address or identity.enrol_address, agent.clock)

    async def admitted() -> None:
        await rejoin.run()
        raise NextIdentity

    return rejoin, [admitted]


def _before(state: StateFolder) -> list[tuple[UUID, IdentityFolder]]:
    """The machine's earlier identities. Raises NotEnrolled when it cannot be told of one which it was."""
    return [(read_succession(old, new).old_edge_id, old) for old, new in pairwise(state.identities())]


def _journal(agent: Agent, folder: IdentityFolder, identity: Identity, forerunners: Forerunners) -> Journal:
    """Not yet open. Raises BadKey, OSError."""
    signer = Ed25519Signer.load(folder.record_key)
    limits = JournalLimits(agent.config.journal_quota_bytes, agent.config.disk_reserve_bytes)
    return Journal(folder.journal, signer, bytes.fromhex(identity.hub_sealing_key), agent.clock, limits, forerunners)


async def _begin_behind_the_door(successors: Successors, reason: str, open_to: Callable[[CounterJournal, LineHealth], Door],
                                 ready: Callable[[], None]) -> NoReturn:
    """Raises NextIdentity once there is a successor; a counter that has to wait for it is told why."""
    if await successors.begun(reason):
        raise NextIdentity
    await _behind_the_door(NoJournal.ended(reason), partial(successors.until_begun, reason), open_to, ready)


async def _behind_the_door(none: NoJournal, mending: Work, open_to: Callable[[CounterJournal, LineHealth], Door],
                           ready: Callable[[], None]) -> NoReturn:
    """What is said at the counter while there is no journal. Raises NextIdentity once it is mended."""
    door = open_to(none, none)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(door.run())
        await door.listening()
        ready()
        await mending()
        raise NextIdentity


async def _until_stopped(successors: Successors, journal: Journal) -> None:
    """Raises NextIdentity when the journal has ended."""
    await journal.ended()
    await successors.until_begun(journal.stopped)
    raise NextIdentity


def _readers(config: EdgeConfig) -> CardReaders:
    if config.readers.wire == "simulated":
        folder = Path(config.readers.simulated_folder)
        if not folder.is_dir():
            raise BadConfig(f"readers.simulated_folder: there is no folder {folder}; make it, or correct edge.toml")
        return SimulatedReaders(folder)
    try:
        from devices.pcsc import PcscReaders  # noqa: PLC0415 - pyscard is absent where only simulated wires are used
    except ImportError as error:
        raise BadConfig(f"card readers need pyscard ({error}); install it with the edge extra, or set readers.wire = "
                        '"simulated" in edge.toml') from error
    return PcscReaders()
