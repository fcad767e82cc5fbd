"""The Enrolment service on the wire: server-only TLS, small messages, refusals that a technician can act on."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from uuid import UUID

import grpc.aio
import sqlalchemy as sa
import structlog

from hub.enrolment.authority import HubAuthority
from hub.enrolment.desk import Application, EnrolmentDesk, EnrolmentRefused
from hub.keys import HubKeys
from proto import enrolment_pb2, enrolment_pb2_grpc
from security.certificates import der

log = structlog.get_logger()

_Context = grpc.aio.ServicerContext[enrolment_pb2.EnrolRequest, enrolment_pb2.EnrolReply]


@dataclass(frozen=True)
class Addresses:
    """host:port of the hub's three servers, as machines reach them."""

    work: str
    enrol: str
    api: str


class EnrolmentService(enrolment_pb2_grpc.EnrolmentServicer):
    """Answers GetRoot and Enrol."""

    def __init__(self, desk: EnrolmentDesk, authority: HubAuthority, keys: HubKeys, hub: UUID,
                 addresses: Addresses) -> None:
        self._desk = desk
        self._authority = authority
        self._keys = keys
        self._hub = hub
        self._addresses = addresses

    async def GetRoot(self, request: enrolment_pb2.GetRootRequest, context: _Context) -> enrolment_pb2.GetRootReply:  # noqa: N802
        return enrolment_pb2.GetRootReply(root_der=der(self._authority.root))

    async def Enrol(self, request: enrolment_pb2.EnrolRequest, context: _Context) -> enrolment_pb2.EnrolReply:  # noqa: N802
        try:
            admission = await asyncio.to_thread(self._desk.admit, _application(request))
        except EnrolmentRefused as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except (sqlite3.OperationalError, sa.exc.OperationalError) as error:
            log.warning("enrolment not stored; see to the disk and to who else writes", reason=str(error).splitlines()[0])
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the hub cannot write now; try again later")
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


def _application(request: enrolment_pb2.EnrolRequest) -> Application:
    if any(len(item.journal) != 16 for item in request.journals):
        raise EnrolmentRefused("a journal's id is a UUID of 16 bytes; update the machine's program")
    return Application(
        request.invitation, request.secret, request.csr_der, request.suite, request.record_public_key,
        request.record_proof, [(UUID(bytes=item.journal), item.name) for item in request.journals], request.machine,
    )
