"""The Enrolment service on the wire: server-only TLS, small messages, refusals that a technician can act on."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from typing import Any, Never
from uuid import UUID

import grpc.aio
import sqlalchemy as sa
import structlog

from hub.enrolment.authority import HubAuthority
from hub.enrolment.desk import Admission, Application, EnrolmentDesk, EnrolmentRefused
from hub.enrolment.rejoin import RejoinDesk
from hub.enrolment.rejoin_request import Following, Forerunner, RejoinRequest
from hub.enrolment.renewals import (
    ApprovalWaits,
    MachineCloned,
    MachineRevoked,
    RenewalDesk,
    RenewalRefused,
    RenewalRequest,
)
from hub.keys import HubKeys
from hub.ledger.journal_head import POSITION_MAX
from proto import enrolment_pb2, enrolment_pb2_grpc
from security.certificates import der
from security.chain import Genesis
from security.clock import Clock
from security.renewal import NONCE_BYTES
from security.suites import Suite, UnsoundKey, check_public_key

log = structlog.get_logger()
GENERATION_MAX = 2**31
_TROUBLE = (sqlite3.OperationalError, sa.exc.OperationalError)
_OUTCOMES = {MachineRevoked: enrolment_pb2.RenewReply.REVOKED, MachineCloned: enrolment_pb2.RenewReply.CLONED}

_NonceContext = grpc.aio.ServicerContext[enrolment_pb2.NonceRequest, enrolment_pb2.NonceReply]
_RenewContext = grpc.aio.ServicerContext[enrolment_pb2.RenewRequest, enrolment_pb2.RenewReply]
_RejoinContext = grpc.aio.ServicerContext[enrolment_pb2.RejoinRequest, enrolment_pb2.RejoinReply]
_MayContext = grpc.aio.ServicerContext[enrolment_pb2.MayReplaceRequest, enrolment_pb2.MayReplaceReply]
_Context = grpc.aio.ServicerContext[enrolment_pb2.EnrolRequest, enrolment_pb2.EnrolReply]


@dataclass(frozen=True)
class Addresses:
    """host:port of the hub's three servers, as machines reach them."""

    work: str
    enrol: str
    api: str


class EnrolmentService(enrolment_pb2_grpc.EnrolmentServicer):
    """Machines that come, and machines that renew."""

    def __init__(self, desk: EnrolmentDesk, renewals: RenewalDesk, rejoins: RejoinDesk, authority: HubAuthority,
                 keys: HubKeys, hub: UUID, addresses: Addresses, clock: Clock) -> None:
        self._desk = desk
        self._renewals = renewals
        self._rejoins = rejoins
        self._clock = clock
        self._authority = authority
        self._keys = keys
        self._hub = hub
        self._addresses = addresses

    async def GetRoot(self, request: enrolment_pb2.GetRootRequest, context: _Context) -> enrolment_pb2.GetRootReply:  # noqa: N802
        return enrolment_pb2.GetRootReply(root_der=der(self._authority.root))

    async def Enrol(self, request: enrolment_pb2.EnrolRequest, context: _Context) -> enrolment_pb2.EnrolReply:  # noqa: N802
        try:
            admission = await asyncio.to_thread(self._desk.admit, _application(request, context.peer()))
        except EnrolmentRefused as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except _TROUBLE as error:
            await _unavailable(context, error)
        return self._admitted(admission)

    async def Rejoin(self, request: enrolment_pb2.RejoinRequest, context: _RejoinContext) -> enrolment_pb2.RejoinReply:  # noqa: N802
        try:
            rejoined = await asyncio.to_thread(self._rejoins.admit, _rejoin(request, context.peer()))
        except ApprovalWaits as waiting:
            return enrolment_pb2.RejoinReply(waiting_for=waiting.approval)
        except EnrolmentRefused as error:
            log.warning("rejoin refused", peer=context.peer(), reason=str(error))
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except _TROUBLE as error:
            await _unavailable(context, error)
        held = [enrolment_pb2.HeldJournal(journal=one.journal.bytes, position=one.position, common=one.common,
                                          digests=b"".join(one.digests)) for one in rejoined.held]
        return enrolment_pb2.RejoinReply(admitted=self._admitted(rejoined.admission), held=held)

    async def MayReplace(self, request: enrolment_pb2.MayReplaceRequest,  # noqa: N802
                         context: _MayContext) -> enrolment_pb2.MayReplaceReply:
        try:
            came_of_it = await asyncio.to_thread(self._rejoins.came_of, request.invitation, request.secret, _old_edge(request))
        except EnrolmentRefused as error:
            log.warning("rejoin refused", peer=context.peer(), reason=str(error))
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except _TROUBLE as error:
            await _unavailable(context, error)
        return enrolment_pb2.MayReplaceReply(came_of_it=came_of_it)

    def _admitted(self, admission: Admission) -> enrolment_pb2.EnrolReply:
        return enrolment_pb2.EnrolReply(
            edge=admission.edge.bytes,
            chain_der=[admission.certificate_der, der(self._authority.intermediate.certificate)],
            work_address=self._addresses.work, enrol_address=self._addresses.enrol, api_address=self._addresses.api,
            hub=self._hub.bytes, site=admission.site, site_name=admission.site_name,
            site_kind=admission.site_kind,
            keys=enrolment_pb2.HubKeys(
                resource=self._keys.resource.public_key, time=self._keys.time.public_key,
                sealing=self._keys.sealing_public, record=self._keys.record.public_key,
                log=self._keys.log.public_key,
            ),
        )

    async def Nonce(self, request: enrolment_pb2.NonceRequest, context: _NonceContext) -> enrolment_pb2.NonceReply:  # noqa: N802
        try:
            nonce = await asyncio.to_thread(self._renewals.nonce, _edge(request.edge))
        except RenewalRefused as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except _TROUBLE as error:
            await _unavailable(context, error)
        return enrolment_pb2.NonceReply(nonce=nonce, unix_ms=self._clock.unix_ms())

    async def Renew(self, request: enrolment_pb2.RenewRequest, context: _RenewContext) -> enrolment_pb2.RenewReply:  # noqa: N802
        try:
            certificate_der = await asyncio.to_thread(self._renewals.renew, _renewal(request, context.peer()))
        except ApprovalWaits as waiting:
            return enrolment_pb2.RenewReply(outcome=enrolment_pb2.RenewReply.WAITING, approval=waiting.approval,
                                            text=str(waiting))
        except RenewalRefused as error:
            log.warning("renewal refused", peer=context.peer(), reason=str(error))
            return enrolment_pb2.RenewReply(outcome=_OUTCOMES.get(type(error), enrolment_pb2.RenewReply.REFUSED), text=str(error))
        except _TROUBLE as error:
            await _unavailable(context, error)
        chain = [certificate_der, der(self._authority.intermediate.certificate)]
        return enrolment_pb2.RenewReply(outcome=enrolment_pb2.RenewReply.ISSUED, chain_der=chain)


async def _unavailable(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> Never:
    log.warning("enrolment not stored; see to the disk and to who else writes", reason=str(error).splitlines()[0])
    await context.abort(grpc.StatusCode.UNAVAILABLE, "the hub cannot write now; try again later")


def _edge(data: bytes) -> UUID:
    if len(data) != 16:
        raise RenewalRefused("a machine's id is a UUID of 16 bytes; update the machine's program")
    return UUID(bytes=data)


def _old_edge(request: enrolment_pb2.MayReplaceRequest) -> UUID:
    if len(request.edge) != 16:
        raise EnrolmentRefused("a machine's id is a UUID of 16 bytes; update the machine's program")
    return UUID(bytes=request.edge)


def _renewal(request: enrolment_pb2.RenewRequest, peer: str) -> RenewalRequest:
    if not 0 < request.generation <= GENERATION_MAX:
        raise RenewalRefused("a renewal asks for the generation after the machine's own; update its program")
    return RenewalRequest(_edge(request.edge), request.csr_der, request.generation, request.nonce, request.signature,
                          request.certificate_der, peer)


def _rejoin(request: enrolment_pb2.RejoinRequest, peer: str) -> RejoinRequest:
    named = [request.edge, request.old_edge, *(one.journal.journal for one in request.journals),
             *(one.old_journal for one in request.journals if one.old_journal)]
    if not all(len(one) == 16 for one in named):
        raise EnrolmentRefused("machines and journals are named by UUIDs of 16 bytes; update the machine's program")
    if len(request.nonce) != NONCE_BYTES and not request.invitation:
        raise EnrolmentRefused("a machine rejoins with the hub's nonce or an invitation; update its program")
    journals = [_following(one) for one in request.journals]
    application = Application(request.invitation, request.secret, request.csr_der, request.suite, request.record_public_key,
                              request.record_proof, [(one.journal, one.name) for one in journals], request.machine, peer)
    return RejoinRequest(UUID(bytes=request.edge), application, UUID(bytes=request.old_edge), journals, request.reason,
                         request.nonce, request.signature, request.certificate_der,
                         [_forerunner(one) for one in request.forerunners])


def _following(one: enrolment_pb2.FollowingJournal) -> Following:
    journal, name = UUID(bytes=one.journal.journal), one.journal.name
    if not one.old_journal:
        return Following(journal, name)
    return Following(journal, name, UUID(bytes=one.old_journal), min(one.old_position, POSITION_MAX),
                     min(one.old_held, POSITION_MAX), [(min(at.position, POSITION_MAX), at.digest) for at in one.known])


def _forerunner(one: enrolment_pb2.Forerunner) -> Forerunner:
    try:
        predecessor = UUID(bytes=one.predecessor) if one.predecessor else None
        genesis = Genesis(UUID(bytes=one.edge), UUID(bytes=one.journal), Suite(one.suite), one.public_key, predecessor)
        check_public_key(genesis.suite, genesis.public_key)
    except (UnsoundKey, ValueError) as error:
        raise EnrolmentRefused(f"an earlier journal is not named as it should be ({error}); update its program") from error
    return Forerunner(genesis, one.proof)


def _application(request: enrolment_pb2.EnrolRequest, peer: str) -> Application:
    if any(len(item.journal) != 16 for item in request.journals):
        raise EnrolmentRefused("a journal's id is a UUID of 16 bytes; update the machine's program")
    return Application(
        request.invitation, request.secret, request.csr_der, request.suite, request.record_public_key,
        request.record_proof, [(UUID(bytes=item.journal), item.name) for item in request.journals], request.machine, peer,
    )
