"""The hub, put together. Read this first: every part is made here, by constructor, and runs in one TaskGroup.

    edges ══ Replicate ══▶ ingest ─▶ writer ─▶ ledger ─▶ feed ─▶ projections, reading API
    edges ◀══ Watch ══════ resources ◀── catalogue
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog
from prometheus_client import CollectorRegistry

from hub.alone import alone
from hub.api.app import build_app
from hub.api.attachments import add_attachments
from hub.api.metrics import HubMetrics
from hub.api.server import ApiServer
from hub.api.tiles import add_tiles
from hub.api.time import add_time
from hub.attachments.files import BlobFiles
from hub.attachments.inbox import Inbox
from hub.attachments.reading import AttachmentReader
from hub.attachments.wire import AttachDesk
from hub.attention.alarms import Alarms
from hub.attention.approvals import Approvals
from hub.audit.auditor import Auditor
from hub.audit.metrics import AuditMetrics
from hub.database import open_engine
from hub.enrolment.adoption import Adoption
from hub.enrolment.authority import load_authority
from hub.enrolment.authority_end import AuthorityEnd
from hub.enrolment.callers import Callers
from hub.enrolment.declaring import DeclarationDesk
from hub.enrolment.desk import EnrolmentDesk
from hub.enrolment.issuing import Issuer
from hub.enrolment.nonces import Nonces
from hub.enrolment.old_identity import OldIdentities
from hub.enrolment.open_streams import OpenStreams
from hub.enrolment.rejoin import RejoinDesk
from hub.enrolment.renewals import RenewalDesk
from hub.enrolment.server_certificate import ServerCertificate
from hub.enrolment.service import Addresses, EnrolmentService
from hub.fleet.view import DeviceEventView
from hub.grpc_servers import (
    enrolment_credentials,
    new_enrolment_server,
    new_work_server,
    serving,
    work_credentials,
)
from hub.keys import load_keys
from hub.known_keys import require_own_keys
from hub.ledger.checkpointer import Checkpointer
from hub.ledger.high_water import HighWater
from hub.ledger.holes import HoleDesk
from hub.ledger.ingest import Ingest
from hub.ledger.log_files import LogFiles
from hub.ledger.metrics import IngestMetrics
from hub.ledger.own_journal import OwnJournal
from hub.ledger.predecessors import Predecessors
from hub.ledger.receipt_giver import ReceiptGiver
from hub.ledger.receipts import Receipts
from hub.ledger.signed_roots import LogKey
from hub.ledger.transparency import TransparencyLog
from hub.ledger.writer import LedgerWriter
from hub.migrate import upgrade
from hub.ports import require_free
from hub.projection.projector import Projector
from hub.projection.view import View
from hub.recall import Recall
from hub.resources.publications import Publications
from hub.resources.watch import Watch
from hub.state import HubConfig, HubState
from hub.sync_service import SyncService
from hub.transactions.view import TransactionView
from proto import enrolment_pb2_grpc, sync_pb2_grpc
from security.certificates import pem
from security.clock import Clock

log = structlog.get_logger()


async def run_hub(state: HubState, clock: Clock, ready: Callable[[], None]) -> None:
    """Serve until cancelled; `ready` is called once every listener is up."""
    config = state.config()
    require_free(config.listen, config.work_port, config.enrol_port, config.api_port)
    with alone(state.root):  # two hubs on one database would sign two histories; and `restore` may be putting another one there
        await _run_alone(state, config, clock, ready)


async def _run_alone(state: HubState, config: HubConfig, clock: Clock, ready: Callable[[], None]) -> None:
    keys = load_keys(state.keys)
    authority = load_authority(state.ca)
    server_certificate = ServerCertificate(state.tls, authority, config.hosts, clock)
    tls = server_certificate.load()

    engine = open_engine(state.database)
    await asyncio.to_thread(upgrade, engine)
    await asyncio.to_thread(require_own_keys, state)
    registry = CollectorRegistry()

    own_journal = OwnJournal(state.database, config.hub, keys.record, clock)
    alarms, approvals = Alarms(engine, own_journal, clock), Approvals(engine, own_journal, clock)
    await Recall(engine, state.database, own_journal, config.hub, keys.log.public_key).before_serving(alarms)

    # Records flow up, receipts come back.
    ingest_metrics = IngestMetrics(registry)
    writer = LedgerWriter(state.database, ingest_metrics)
    transparency = TransparencyLog(state.database, HighWater(state.high_water), config.hub, keys.log, clock)
    checkpointer = Checkpointer(transparency, writer, alarms)
    receipts = Receipts(state.database, config.hub, keys.log.public_key)
    ingest = Ingest(state.database, writer, clock, keys.time, ingest_metrics,
                    ReceiptGiver(receipts, checkpointer, alarms),
                    HoleDesk(approvals, own_journal, state.database, LogKey(config.hub, keys.log.public_key)), alarms)
    views: list[View] = [TransactionView(engine), DeviceEventView()]
    projector = Projector(engine, state.database, keys.unsealer, views, writer.quiet)
    auditor = Auditor(engine, state.database, keys.unsealer, alarms, own_journal, clock, AuditMetrics(registry), writer.quiet)

    # Attachments follow the records that name them.
    blobs = BlobFiles.beside(state.database)
    attachments = AttachDesk(Inbox(engine, blobs, state.database, clock, config.attachment_reserve_bytes))

    # Resources flow down.
    publications = Publications(engine)
    watch = Watch(engine, publications, clock)

    # Machines become known.
    issuer = Issuer(authority, config.hub, clock, dt.timedelta(hours=config.edge_certificate_hours))
    desk = EnrolmentDesk(engine, issuer, own_journal, clock)
    adoption = Adoption(engine, issuer, alarms, clock)
    nonces = Nonces(clock)
    renewals = RenewalDesk(engine, issuer, adoption, nonces, alarms, approvals, clock)
    rejoins = RejoinDesk(engine, state.database, issuer, OldIdentities(engine, state.database, issuer, nonces), approvals, desk,
                         own_journal, clock)
    callers, streams = Callers(engine, config.hub, adoption, alarms, clock), OpenStreams(engine, clock)

    addresses = Addresses(*map(config.address, (config.work_port, config.enrol_port, config.api_port)))
    enrolment_service = EnrolmentService(desk, renewals, rejoins, authority, keys, config.hub, addresses, clock)
    stopping = asyncio.Event()
    app = build_app(engine, state.database, clock, registry, HubMetrics(registry), stopping, alarms, approvals, streams.presence)
    add_attachments(app, engine, clock, AttachmentReader(engine, state.database, blobs, keys.unsealer), own_journal)
    add_time(app, keys.time, clock)
    add_tiles(app, LogFiles(state.database, keys.log.public_key, checkpointer.published))
    api = ApiServer(app, config.listen, config.api_port, tls.certificate, tls.key, stopping)
    server_certificate.followers.append(api.reload)

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        stack.callback(engine.dispose)
        tasks.create_task(writer.run())
        tasks.create_task(checkpointer.run())
        tasks.create_task(projector.run())
        tasks.create_task(auditor.run())
        tasks.create_task(publications.run())
        tasks.create_task(streams.run())
        tasks.create_task(server_certificate.run())
        tasks.create_task(AuthorityEnd(authority, alarms, clock).run())
        tasks.create_task(api.run())
        root = pem(authority.root)
        work = new_work_server()
        sync_service = SyncService(callers, streams, ingest, watch, Predecessors(state.database),
                                   DeclarationDesk(engine, state.database, own_journal), attachments)
        sync_pb2_grpc.add_SyncServicer_to_server(sync_service, work)
        await stack.enter_async_context(
            serving(work, config.listen_address(config.work_port), work_credentials(server_certificate, root)))
        enrolment = new_enrolment_server()
        enrolment_pb2_grpc.add_EnrolmentServicer_to_server(enrolment_service, enrolment)
        await stack.enter_async_context(
            serving(enrolment, config.listen_address(config.enrol_port), enrolment_credentials(server_certificate)))
        await api.listening()
        log.info("hub ready", work=config.work_port, enrolment=config.enrol_port, api=config.api_port)
        ready()
