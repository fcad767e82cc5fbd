"""Rejoining over the wire: the only file of it that sees protobuf messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import grpc

from edge.admission import admitted
from edge.enrol import EnrolmentRefused, EnrolmentUnavailable
from edge.identity import Identity
from edge.old_journals import OldJournal
from edge.state import BUSINESS_JOURNAL
from proto import enrolment_pb2, enrolment_pb2_grpc
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
    """`identity` is the new one, not certified yet; `old_held` what the hub had acknowledged of the old journal, `known` some of
    that journal's digests, `old_journals` that journal and those before it.
    """

    identity: Identity
    old_edge: UUID
    old_journal: UUID
    old_position: int
    old_held: int
    reason: str
    csr_der: bytes
    record_key: Signer
    machine: str
    old_journals: Sequence[OldJournal] = ()
    known: Sequence[tuple[int, bytes]] = ()


@dataclass(frozen=True)
class RejoinAnswer:
    """`waiting_for` is an approval's number; else `identity` is certified, and the rest tells where the old journal ended at the
    hub, the last position that both are known to have, and the hub's digests behind that.
    """

    waiting_for: int
    identity: Identity
    held_position: int = 0
    common: int = 0
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
        machine=call.machine, forerunners=[_forerunner(one) for one in call.old_journals],
        known=[enrolment_pb2.KnownDigest(position=at, digest=digest) for at, digest in call.known])


def _forerunner(one: OldJournal) -> enrolment_pb2.Forerunner:
    genesis = one.genesis
    return enrolment_pb2.Forerunner(
        edge=genesis.edge.bytes, journal=genesis.journal.bytes, suite=int(genesis.suite), public_key=genesis.public_key,
        predecessor=genesis.predecessor.bytes if genesis.predecessor else b"", proof=one.proof)


def _answer(call: RejoinCall, reply: enrolment_pb2.RejoinReply) -> RejoinAnswer:
    if reply.waiting_for:
        return RejoinAnswer(reply.waiting_for, call.identity)
    said = reply.admitted
    if said.edge != call.identity.edge_id.bytes or said.hub != call.identity.hub_id.bytes:
        raise EnrolmentRefused("the hub answered for another machine; call the city's IT desk")
    identity = replace(
        call.identity, site=said.site, site_name=said.site_name, site_kind=said.site_kind,
        hub_sealing_key=said.keys.sealing.hex(), hub_resource_key=said.keys.resource.hex(), hub_time_key=said.keys.time.hex(),
        hub_record_key=said.keys.record.hex(), hub_log_key=said.keys.log.hex(), work_address=said.work_address,
        enrol_address=said.enrol_address, api_address=said.api_address)
    try:
        return RejoinAnswer(0, admitted(identity, said.chain_der, call.csr_der), reply.held_position, reply.common,
                            tuple(split_hashes(reply.digests)))
    except ValueError as error:
        raise EnrolmentRefused(f"the hub's answer was not taken, nothing was changed: {error}") from error
