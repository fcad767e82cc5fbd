"""The agent, put together. Read this first: every part is made here, by constructor, and runs in one TaskGroup.

    reader ─▶ door ─▶ business ─▶ uplink ══ Replicate ══▶ hub
      │         ▲ catalogue ◀─ downlink ◀══ Watch ═══════ hub
      └─▶ recorder ─▶ events ─▶ uplink, behind the other ═▶ hub
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import cache, partial
from itertools import pairwise
from random import SystemRandom
from typing import NoReturn
from uuid import UUID

import structlog

from devices.discovery import Discovery
from edge.advice import LineHealth
from edge.agent import Agent, NextIdentity, Work, until_mended
from edge.agent_lock import agent_lock
from edge.alarms import Alarms, NoteJournal
from edge.attachments.attachments import Attachments
from edge.attachments.blob_folder import BlobFolder
from edge.attachments.room import AttachmentLimits
from edge.catalogue import CATALOGUE
from edge.config import EdgeConfig, load_config
from edge.door.counter_journal import CounterJournal
from edge.door.server import Door
from edge.drafts import CorruptJournal
from edge.equipment.card_wires import card_readers, card_source
from edge.equipment.departures import Departures
from edge.equipment.device_list import DEVICES, CurrentList, devices_of
from edge.equipment.equipment import DeviceSource, Equipment
from edge.equipment.listed_source import ListedSource
from edge.equipment.recorder import DeviceRecorder
from edge.equipment.unlisted import Unattended
from edge.events_journal import EventsJournal
from edge.forerunners import Forerunners
from edge.identity import Identity, load_identity
from edge.idle_check import IdleCheck
from edge.journal import Journal
from edge.line import Line
from edge.log_loss import ended_hint
from edge.no_journal import NoJournal
from edge.opening import check_own, journal_of, open_events
from edge.over_line import over_line, waiting_line
from edge.receipt_check import ReceiptCheck
from edge.reopening import may_pass, until_openable
from edge.resources import ResourceStore
from edge.state import BUSINESS, EVENTS, IdentityFolder, JournalFiles, StateFolder
from edge.succession import read_succession
from edge.successors import Successors
from security.clock import Clock
from security.suites import Verifier

log = structlog.get_logger()


async def run_edge(state: StateFolder, clock: Clock, ready: Callable[[], None]) -> None:
    """Work until cancelled; `ready` is called once the counter's door is open."""
    load_identity(state.identity)  # a mistyped folder is an error, and stays as it was
    config = load_config(state.config)
    load_identity(state.current.identity)  # before a lock is left in a folder that holds no machine
    with agent_lock(state.lock):
        async with (card_readers(config) as readers, Discovery() as discovery,
                    _attachments(state, config, clock) as attachments):
            listed = CurrentList(devices_of(config))
            recorder = DeviceRecorder(state.devices, clock, listed.lister_of)
            sources: list[DeviceSource] = [card_source(readers, config, listed),
                                           ListedSource(listed, discovery, simulated=config.simulated)]
            equipment = Equipment(sources, clock, recorder.notice)
            unattended = Unattended(listed, lambda: discovery.plugged)
            agent = Agent(state, config, clock, Alarms(state.alarms, clock), readers, equipment, unattended, listed, recorder,
                          attachments)
            async with asyncio.TaskGroup() as tasks:
                departures = Departures(lambda: equipment.views, listed.known_whole, recorder)
                tasks.create_task(_looked_after(equipment, listed, departures))
                tasks.create_task(attachments.run())
                tasks.create_task(_identities(agent, cache(ready)))  # told once, however many identities follow each other


async def _looked_after(equipment: Equipment, listed: CurrentList, departures: Departures) -> None:
    await listed.known()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(equipment.run())
        tasks.create_task(departures.run())


async def _identities(agent: Agent, ready: Callable[[], None]) -> None:
    while True:
        try:
            await asyncio.create_task(_work(agent, ready))  # a task group that ends miscounts the cancellings of its own task
        except* NextIdentity:
            pass
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError  # a group that ends by itself at that moment swallows it


async def _work(agent: Agent, ready: Callable[[], None]) -> None:
    """With one identity, until it is followed by another."""
    state, config, clock = agent.state, agent.config, agent.clock
    folder = state.current
    identity = load_identity(folder.identity)
    alarms = agent.alarms
    successors = Successors(state, alarms)
    async with AsyncExitStack() as stack:
        before = _before(agent.state)
        forerunners = await stack.enter_async_context(Forerunners(before, folder))
        machines = [identity.edge_id, *(edge for edge, _ in before)]
        resources = ResourceStore(state.resources, machines, identity.resource_verifier(), clock, [CATALOGUE, DEVICES])
        resources.load()
        agent.listed.follow(lambda: resources.current(DEVICES))
        up_line = Line("replicate", clock, SystemRandom())
        journals: dict[str, Journal] = {}
        events: Journal | NoJournal | None = None

        # The counter comes in here.
        def open_to(journal: CounterJournal, health: LineHealth) -> Door:
            return Door(state.door, config.door_port, journal, agent.readers, agent.equipment, agent.unattended,
                        lambda: resources.current(CATALOGUE), up_line, clock, alarms, health,
                        lambda: events, agent.attachments)

        opening = partial(journal_of, agent, folder.business, identity, forerunners)
        try:
            business = await stack.enter_async_context(opening())
            check_own(business, BUSINESS, identity)
        except CorruptJournal as error:
            hint = await asyncio.to_thread(ended_hint, error, folder.business)
            await _begin_behind_the_door(successors, str(error), hint, open_to, ready)
        except (sqlite3.Error, OSError) as error:
            if not may_pass(error):
                raise
            log.warning("the journal cannot be opened", error=str(error), next="make room on this machine's disk")
            await _behind_the_door(NoJournal.unopened(str(error)), partial(until_openable, opening), open_to, ready)

        # What devices do, and what the agent notes, goes here; the counter does not wait for it.
        events, mending = await open_events(stack, agent, folder, identity, successors)
        journals[BUSINESS] = business
        notes: NoteJournal = events or business
        if isinstance(events, Journal):
            journals[EVENTS], notes = events, EventsJournal(events, alarms)

        if identity.certified:
            health, work_of_line = await over_line(stack, agent, folder, identity, journals, resources, up_line)
        else:
            health, work_of_line = waiting_line(agent, identity)
        door = open_to(business, health)

        async with asyncio.TaskGroup() as tasks:
            for task in work_of_line:
                tasks.create_task(task())
            tasks.create_task(_until_stopped(successors, [*journals.values()]))
            if mending is not None:
                tasks.create_task(until_mended(mending))
            tasks.create_task(forerunners.run())
            tasks.create_task(door.run())
            tasks.create_task(alarms.run(notes))
            tasks.create_task(agent.recorder.run(notes))
            for name, journal in journals.items():
                tasks.create_task(_idle_check(agent, JournalFiles(folder, name), identity, journal).run())
            await door.listening()
            log.info("edge ready", edge=identity.edge, site=identity.site, door=door.port, queued=business.queued,
                     certified=identity.certified)
            ready()


def _idle_check(agent: Agent, files: JournalFiles, identity: Identity, journal: Journal) -> IdleCheck:
    genesis = journal.identity.genesis
    receipts = ReceiptCheck(files.db, genesis.journal, identity, Verifier(genesis.suite, genesis.public_key))
    return IdleCheck(journal, receipts, files.db, files.checked, agent.alarms, agent.clock)


def _before(state: StateFolder) -> list[tuple[UUID, IdentityFolder]]:
    """The machine's earlier identities. Raises NotEnrolled when it cannot be told of one which it was."""
    return [(read_succession(old, new).old_edge, old) for old, new in pairwise(state.identities())]


def _attachments(state: StateFolder, config: EdgeConfig, clock: Clock) -> Attachments:
    limits = AttachmentLimits(config.attachment_quota_bytes, config.disk_reserve_bytes)
    return Attachments(BlobFolder(state.attachments), clock, limits)


async def _begin_behind_the_door(successors: Successors, reason: str, hint: str,
                                 open_to: Callable[[CounterJournal, LineHealth], Door], ready: Callable[[], None]) -> NoReturn:
    """Raises NextIdentity once there is a successor; a counter that has to wait for it is told why."""
    if await successors.begun(reason, hint):
        raise NextIdentity
    await _behind_the_door(NoJournal.ended(reason), partial(successors.until_begun, reason, hint), open_to, ready)


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


async def _until_stopped(successors: Successors, journals: Sequence[Journal]) -> None:
    """Raises NextIdentity when one of them has ended: the identity goes on with a successor of each."""
    ending = {asyncio.ensure_future(one.ended()): one for one in journals}
    try:
        ended, _ = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiting in ending:
            waiting.cancel()
    for one in ended:
        one.result()
    await successors.until_begun(next(ending[one].stopped for one in ended))
    raise NextIdentity


