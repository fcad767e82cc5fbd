"""The agent, put together. Read this first: every part is made here, by constructor, and runs in one TaskGroup.

    reader ─▶ door ─▶ journal ─▶ uplink ══ Replicate ══▶ hub
                ▲ catalogue ◀─ downlink ◀══ Watch ══════ hub
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import SystemRandom
from uuid import UUID

import structlog

from devices.cards import CardReaders
from devices.simulated.wire import SimulatedReaders
from edge.alarms import Alarms
from edge.catalogue import CATALOGUE
from edge.channel import HubChannel, replicate_over, watch_over
from edge.config import BadConfig, EdgeConfig, load_config
from edge.door.server import Door
from edge.downlink import Downlink
from edge.examination import Examination
from edge.hub_view import view_hub
from edge.identity import load_identity
from edge.idle_check import IdleCheck
from edge.journal import Journal, JournalLimits
from edge.line import Line
from edge.receipt_book import ReceiptBook
from edge.receipt_store import ReceiptStore
from edge.renewal import Renewal
from edge.renewal_wire import RenewalOffice
from edge.resources import ResourceStore
from edge.start import AlreadyRunning
from edge.state import StateFolder
from edge.tls_pair import TlsFiles
from edge.uplink import Uplink
from security.clock import Clock
from security.signer import Ed25519Signer

log = structlog.get_logger()


async def run_edge(state: StateFolder, clock: Clock, ready: Callable[[], None]) -> None:
    """Work until cancelled; `ready` is called once the counter's door is open."""
    config = load_config(state.config)
    identity = load_identity(state.identity)
    signer = Ed25519Signer.load(state.record_key)
    limits = JournalLimits(config.journal_quota_bytes, config.disk_reserve_bytes)
    random = SystemRandom()
    alarms = Alarms(state.alarms, clock)

    async with AsyncExitStack() as stack:
        stack.enter_context(_only_agent(state.lock))
        journal = await stack.enter_async_context(
            Journal(state.journal, signer, bytes.fromhex(identity.hub_sealing_key), clock, limits))
        readers = await stack.enter_async_context(_readers(config))
        tls = TlsFiles(state, identity)
        log.info("certificate", generation=tls.generation, ends_ms=tls.pair.validity.last_ms)
        address = config.hub_address or identity.work_address
        channel = await stack.enter_async_context(HubChannel(address, identity.root.encode(), lambda: tls.pair))

        # Records flow up.
        up_line = Line("replicate", clock, random)
        receipts = ReceiptBook(journal, ReceiptStore(state.journal), UUID(identity.hub),
                               identity.log_verifier().public_key, alarms)
        uplink = Uplink(journal, receipts, replicate_over(channel), up_line, identity.time_verifier(), clock)

        # Resources flow down.
        resources = ResourceStore(state.resources, identity.edge_id, identity.resource_verifier(), clock, [CATALOGUE])
        resources.load()
        down_line = Line("watch", clock, random)
        downlink = Downlink(resources, watch_over(channel), down_line)

        # Certificates renew, and trouble with the line is explained.
        async def renewed() -> None:
            await channel.rebuild()
            examination.retry_now()

        enrol_address = config.hub_enrol_address or identity.enrol_address
        renewal = Renewal(identity, tls, lambda: RenewalOffice(identity, enrol_address), renewed, clock, random)
        view = partial(view_hub, identity, address, config.hub_api_address or identity.api_address)
        examination = Examination([up_line, down_line], tls, renewal, view, state.diagnosis, clock)

        # The counter comes in here.
        door = Door(state.door, config.door_port, journal, readers, lambda: resources.current(CATALOGUE), up_line, clock,
                    alarms, examination)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(uplink.run())
            tasks.create_task(downlink.run())
            tasks.create_task(renewal.run())
            tasks.create_task(examination.run())
            tasks.create_task(door.run())
            tasks.create_task(alarms.run(journal))
            tasks.create_task(IdleCheck(journal, state.journal, state.checked, alarms, clock).run())
            await door.listening()
            log.info("edge ready", edge=identity.edge, site=identity.site, door=door.port, queued=journal.queued)
            ready()


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


@contextmanager
def _only_agent(path: Path) -> Iterator[None]:
    """Two writers of one journal would fork it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another suozhan-edge works in {path.parent}; stop it first") from error
        yield
