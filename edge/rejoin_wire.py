"""Rejoining over the wire: the only file of it that sees protobuf messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

import grpc
from cryptography import x509

from edge.enrol import EnrolmentRefused, EnrolmentUnavailable
from edge.identity import Identity
from edge.state import BUSINESS_JOURNAL
from proto import enrolment_pb2, enrolment_pb2_grpc
from security.certificates import pem
from security.invitations import Invitation, enrolment_proof
from security.renewal import rejoin_proof_name, rejoin_statement
from security.signer import Signer
from security.tree import split_hashes

CALL_TIMEOUT_S = 30.0
MESSAGE_MAX_BYTES = 8 * 1024 * 1024
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES))


@dataclass(frozen=True)
class OldKey:
    """How the old identity speaks for the new one: its certificate (DER), and its TLS key's signature over a statement."""

    certificate_der: bytes
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True)
class RejoinCall:
    """`identity` is the new one, not certified yet; `old_held` what the hub had acknowledged of the old journal."""

    identity: Identity
    old_edge: UUID
    old_journal: UUID
    old_position: int
    old_held: int
    reason: str
    csr_der: bytes
    record_key: Signer
    machine: str


@dataclass(frozen=True)
class RejoinAnswer:
    """`waiting_for` is an approval's number; else `identity` is certified, and the rest tells where the old journal ended."""

    waiting_for: int
    identity: Identity
    held_position: int = 0
    digests: tuple[bytes, ...] = ()


def rejoin_call(call: RejoinCall, address: str, word: OldKey | Invitation) -> RejoinAnswer:
    """Ask once; blocking. Raises EnrolmentRefused, EnrolmentUnavailable."""
    request = _request(call)
    credentials = grpc.ssl_channel_credentials(call.identity.root.encode())
    with grpc.secure_channel(address, credentials, options=_OPTIONS) as channel:
        stub = enrolment_pb2_grpc.EnrolmentStub(channel)
        try:
            if isinstance(word, Invitation):
                request.invitation, request.secret = word.id, word.secret
            else:
                nonce = stub.Nonce(enrolment_pb2.NonceRequest(edge=call.old_edge.bytes), timeout=CALL_TIMEOUT_S).nonce
                statement = rejoin_statement(call.identity.hub_id, call.old_edge, nonce, call.csr_der, call.identity.edge_id,
                                             UUID(call.identity.journal))
                request.nonce, request.signature, request.certificate_der = nonce, word.sign(statement), word.certificate_der
            reply = stub.Rejoin(request, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                raise EnrolmentUnavailable(f"the hub was not asked yet: {error.details()}; it is tried again") from error
            raise EnrolmentRefused(f"{error.details()}") from error
    return _answer(call, reply)


def _request(call: RejoinCall) -> enrolment_pb2.RejoinRequest:
    proof = enrolment_proof(rejoin_proof_name(call.old_edge), call.csr_der)
    journal = enrolment_pb2.JournalDeclaration(journal=UUID(call.identity.journal).bytes, name=BUSINESS_JOURNAL)
    return enrolment_pb2.RejoinRequest(
        old_edge=call.old_edge.bytes, old_journal=call.old_journal.bytes, old_position=call.old_position, old_held=call.old_held,
        reason=call.reason, edge=call.identity.edge_id.bytes, csr_der=call.csr_der, suite=int(call.record_key.suite),
        record_public_key=call.record_key.public_key, record_proof=call.record_key.sign(proof), journal=journal,
        machine=call.machine)


def _answer(call: RejoinCall, reply: enrolment_pb2.RejoinReply) -> RejoinAnswer:
    if reply.waiting_for:
        return RejoinAnswer(reply.waiting_for, call.identity)
    admitted = reply.admitted
    if admitted.edge != call.identity.edge_id.bytes or admitted.hub != call.identity.hub_id.bytes:
        raise EnrolmentRefused("the hub answered for another machine; call the city's IT desk")
    chain = [x509.load_der_x509_certificate(der) for der in admitted.chain_der]
    identity = replace(
        call.identity, chain=pem(*chain).decode(), site=admitted.site, site_name=admitted.site_name, site_kind=admitted.site_kind,
        hub_sealing_key=admitted.keys.sealing.hex(), hub_resource_key=admitted.keys.resource.hex(),
        hub_time_key=admitted.keys.time.hex(), hub_record_key=admitted.keys.record.hex(), hub_log_key=admitted.keys.log.hex(),
        work_address=admitted.work_address, enrol_address=admitted.enrol_address, api_address=admitted.api_address)
    return RejoinAnswer(0, identity, reply.held_position, tuple(split_hashes(reply.digests)))
