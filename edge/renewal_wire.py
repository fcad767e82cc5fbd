"""Renewing over the wire: the only file of it that sees protobuf messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import grpc.aio

from edge.diagnosis import Renewing
from edge.identity import Identity
from proto import enrolment_pb2, enrolment_pb2_grpc
from security.renewal import NONCE_BYTES

CALL_TIMEOUT_S = 15.0
MESSAGE_MAX_BYTES = 64 * 1024
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES))
_Answered = enrolment_pb2.RenewReply
_STATES = {_Answered.WAITING: Renewing.WAITING, _Answered.REVOKED: Renewing.REVOKED, _Answered.CLONED: Renewing.CLONED}


class RenewalUnavailable(Exception):
    """The hub could not be asked: try again."""


@dataclass(frozen=True)
class Answer:
    """`chain_der` (certificate, intermediate) when it was issued; else `state` and what the hub said."""

    chain_der: tuple[bytes, ...] = ()
    state: Renewing = Renewing.IDLE
    approval: int = 0
    text: str = ""


class RenewalOffice:
    """The hub's enrolment server, as a machine that renews sees it: one connection for a nonce and the request after it."""

    def __init__(self, identity: Identity, address: str) -> None:
        self._identity = identity
        self._address = address
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> RenewalOffice:
        credentials = grpc.ssl_channel_credentials(self._identity.root.encode())
        self._channel = grpc.aio.secure_channel(self._address, credentials, options=_OPTIONS)
        self._stub = enrolment_pb2_grpc.EnrolmentStub(self._channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._channel is not None
        await self._channel.close(None)

    async def nonce(self) -> tuple[bytes, int]:
        """A nonce, and the hub's time (Unix ms). Raises RenewalUnavailable."""
        request = enrolment_pb2.NonceRequest(edge=self._identity.edge_id.bytes)
        try:
            reply = await self._stub.Nonce(request, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            _unavailable(error)
        if len(reply.nonce) != NONCE_BYTES:
            raise RenewalUnavailable("the hub's nonce is none; is the hub of the same version?")
        return reply.nonce, reply.unix_ms

    async def renew(self, csr_der: bytes, generation: int, nonce: bytes, signature: bytes, certificate_der: bytes) -> Answer:
        """Raises RenewalUnavailable."""
        request = enrolment_pb2.RenewRequest(edge=self._identity.edge_id.bytes, csr_der=csr_der, generation=generation,
                                             nonce=nonce, signature=signature, certificate_der=certificate_der)
        try:
            reply = await self._stub.Renew(request, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            _unavailable(error)
        if reply.outcome == _Answered.ISSUED:
            return Answer(tuple(reply.chain_der))
        return Answer(state=_STATES.get(reply.outcome, Renewing.REFUSED), approval=reply.approval, text=reply.text)


def _unavailable(error: grpc.aio.AioRpcError) -> NoReturn:
    raise RenewalUnavailable(f"{error.code().name}: {error.details()}") from error
