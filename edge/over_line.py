"""What works over the line to the hub: records, attachments and resources, certificates, and what explains that nothing does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from random import SystemRandom

import structlog

from edge.advice import LineHealth
from edge.agent import Agent, NextIdentity, Work, until_mended
from edge.attachments.records import JournalRecords
from edge.attachments.uploader import Uploader
from edge.carry import Carrier
from edge.channel import HubChannel, attach_over, declare_over, held_over, replicate_over, watch_over
from edge.declaration import Declaration
from edge.downlink import Downlink
from edge.examination import Examination
from edge.hub_view import view_hub
from edge.identity import Identity
from edge.journal import Journal
from edge.line import Line
from edge.no_line import NoLine
from edge.predecessors import Predecessors, tell_lost_records
from edge.receipt_book import ReceiptBook
from edge.receipt_store import ReceiptStore
from edge.rejoin import Rejoin
from edge.renewal import Renewal
from edge.renewal_wire import RenewalOffice
from edge.resources import ResourceStore
from edge.right_of_way import RightOfWay
from edge.state import BUSINESS, EVENTS, IdentityFolder, JournalFiles
from edge.succession import read_succession
from edge.tls_pair import TlsFiles
from edge.uplink import Uplink
from security.signer import BadKey

log = structlog.get_logger()


async def over_line(stack: AsyncExitStack, agent: Agent, folder: IdentityFolder, identity: Identity,
                    journals: Mapping[str, Journal], resources: ResourceStore, up_line: Line) -> tuple[LineHealth, list[Work]]:
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

    # Records flow up: business first.
    business, lines = journals[BUSINESS], [up_line]
    uplinks = [_uplink(agent, folder.business, identity, business, channel, up_line)]
    if EVENTS in journals:
        lines.append(Line("replicate-events", clock, random))
        way = RightOfWay(business, up_line)
        uplinks.append(_uplink(agent, folder.events, identity, journals[EVENTS], channel, lines[-1], way))

    # Attachments go behind all records.
    records = JournalRecords(business, [one for name, one in journals.items() if name != BUSINESS])
    uploader = Uploader(agent.attachments, attach_over(channel), Line("attach", clock, random), records,
                        agent.alarms, clock, config.attachment_rate_bytes_s)

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
    examination = Examination([up_line, down_line, *lines[1:]], tls, renewal, view, agent.state.diagnosis, clock)
    work: list[Work] = [*(one.run for one in uplinks), uploader.run, downlink.run, renewal.run, examination.run]

    if EVENTS not in identity.journals:
        work.append(partial(until_mended, Declaration(folder.events, declare_over(channel), up_line).run))

    # What the journals before these could not deliver.
    for name, journal in journals.items():
        work.append(Predecessors(_carriers(agent, name, journal), held_over(channel), up_line, agent.alarms).run)
    return examination, work


def _uplink(agent: Agent, files: JournalFiles, identity: Identity, journal: Journal, channel: HubChannel, line: Line,
            way: RightOfWay | None = None) -> Uplink:
    receipts = ReceiptBook(journal, ReceiptStore(files.db), identity.hub_id, identity.log_verifier().public_key, agent.alarms)
    return Uplink(journal, receipts, replicate_over(channel), line, identity.time_verifier(), agent.clock, way=way)


def _carriers(agent: Agent, name: str, journal: Journal) -> list[Carrier]:
    """Into that journal, the oldest first."""
    followed = [(old, new, read_succession(old, new)) for old, new in pairwise(agent.state.identities())]
    tell_lost = partial(tell_lost_records, agent.alarms)
    return [Carrier(JournalFiles(old, name), JournalFiles(new, name), succession, journal, tell_lost)
            for old, new, succession in followed if name in succession.journals]


def _no_line(missing: NoLine) -> tuple[LineHealth, list[Work]]:
    """Until the TLS key or certificate is mended."""
    log.error("no line", text=missing.diagnosis.english)

    async def mended() -> None:
        await missing.run()
        raise NextIdentity

    return missing, [mended]


def waiting_line(agent: Agent, identity: Identity) -> tuple[LineHealth, list[Work]]:
    """Until the hub admits a successor, its records wait in its journal."""
    rejoin = Rejoin(agent.state, agent.config.hub_enrol_address or identity.enrol_address, agent.clock)

    async def admitted() -> None:
        await rejoin.run()
        raise NextIdentity

    return rejoin, [admitted]
