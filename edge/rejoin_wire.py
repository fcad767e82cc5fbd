"""Rejoining over the wire: the only file of it that sees protobuf messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import grpc

from edge.admission import admitted
from edge.enrol import EnrolmentRefused, EnrolmentUnavailable
from edge.followed import Ended
from edge.identity import Identity
from edge.old_journals import OldJournal
from edge.settlement import Held
from proto import enrolment_pb2, enrolment_pb2_grpc
from security.invitations import Invitation, enrolment_proof
from security.renewal import rejoin_proof_name, rejoin_statement
from security.signer import Signer
from security.tree import split_hashes

CALL_TIMEOUT_S = 30.0
MESSAGE_MAX_BYTES = 8 * 1024 * 1024
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES))

NOTHING = Held(0, 0, ())


@dataclass(frozen=True)
class OldKey:
    """How the old identity speaks for the new one: its certificate (DER), and its TLS key's signature over a statement."""

    certificate_der: bytes
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Following:
    """A journal of the new identity, and the one that it follows (None: nothing went before it); `known` are some digests of that
    one, by position.
    """

    name: str
    journal: UUID
    old: Ended | None = None
    known: Sequence[tuple[int, bytes]] = ()


@dataclass(frozen=True)
class RejoinCall:
    """`identity` is the new one, not certified yet; `old_journals` are those that its `journals` follow, and before."""

    identity: Identity
    old_edge: UUID
    journals: Sequence[Following]
    reason: str
    csr_der: bytes
    record_key: Signer
    machine: str
    old_journals: Sequence[OldJournal] = ()


@dataclass(frozen=True)
class RejoinAnswer:
    """`waiting_for` is an approval's number; else `identity` is certified, and `held` tells of each old journal, by its id, where
    it ended at the hub, the last position that both are known to have, and the hub's digests behind that.
    """

    waiting_for: int
    identity: Identity
    held: Mapping[UUID, Held] = field(default_factory=dict)

    def of(self, one: Following) -> Held:
        """What the hub said of the journal that this one follows."""
        return self.held.get(one.old.journal, NOTHING) if one.old is not None else NOTHING


def rejoin_call(call: RejoinCall, address: str, word: OldKey | Invitation) -> RejoinAnswer:
    """Ask once; blocking. Raises EnrolmentRefused, EnrolmentUnavailable."""
    request = _request(call)
    with _office(call.identity, address, "it is tried again") as stub:
        if isinstance(word, Invitation):
            request.invitation, request.secret = word.id, word.secret
        else:
            nonce = stub.Nonce(enrolment_pb2.NonceRequest(edge=call.old_edge.bytes), timeout=CALL_TIMEOUT_S).nonce
            statement = rejoin_statement(call.identity.hub_id, call.old_edge, nonce, call.csr_der, call.identity.edge_id,
                                         [one.journal for one in call.journals])
            request.nonce, request.signature, request.certificate_der = nonce, word.sign(statement), word.certificate_der
        reply = stub.Rejoin(request, timeout=CALL_TIMEOUT_S)
    return _answer(call, reply)


def came_of(invitation: Invitation, identity: Identity, address: str) -> bool:
    """Whether this identity was made by that invitation; if not, the hub would replace it by that. Changes nothing; blocking.

    Raises EnrolmentRefused, EnrolmentUnavailable.
    """
    request = enrolment_pb2.MayReplaceRequest(edge=identity.edge_id.bytes, invitation=invitation.id, secret=invitation.secret)
    with _office(identity, address, "nothing was changed; give the same command again") as stub:
        return bool(stub.MayReplace(request, timeout=CALL_TIMEOUT_S).came_of_it)


@contextmanager
def _office(identity: Identity, address: str, then: str) -> Iterator[enrolment_pb2_grpc.EnrolmentStub]:
    """Raises EnrolmentRefused, EnrolmentUnavailable."""
    credentials = grpc.ssl_channel_credentials(identity.root.encode())
    with grpc.secure_channel(address, credentials, options=_OPTIONS) as channel:
        try:
            yield enrolment_pb2_grpc.EnrolmentStub(channel)
        except grpc.RpcError as error:
            if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                raise EnrolmentUnavailable(f"the hub was not asked yet: {error.details()}; {then}") from error
            raise EnrolmentRefused(f"{error.details()}") from error


def _request(call: RejoinCall) -> enrolment_pb2.RejoinRequest:
    proof = enrolment_proof(rejoin_proof_name(call.old_edge), call.csr_der)
    return enrolment_pb2.RejoinRequest(
        old_edge=call.old_edge.bytes, reason=call.reason, edge=call.identity.edge_id.bytes, csr_der=call.csr_der,
        suite=int(call.record_key.suite), record_public_key=call.record_key.public_key, record_proof=call.record_key.sign(proof),
        machine=call.machine, journals=[_following(one) for one in call.journals],
        forerunners=[_forerunner(one) for one in call.old_journals])


def _following(one: Following) -> enrolment_pb2.FollowingJournal:
    said = enrolment_pb2.FollowingJournal(journal=enrolment_pb2.JournalDeclaration(journal=one.journal.bytes, name=one.name))
    if one.old is not None:
        said.old_journal, said.old_position, said.old_held = one.old.journal.bytes, one.old.position, one.old.held
        said.known.extend(enrolment_pb2.KnownDigest(position=at, digest=digest) for at, digest in one.known)
    return said


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
        held = {UUID(bytes=one.journal): Held(one.position, one.common, split_hashes(one.digests)) for one in reply.held}
        return RejoinAnswer(0, admitted(identity, said.chain_der, call.csr_der), held)
    except ValueError as error:
        raise EnrolmentRefused(f"the hub's answer was not taken, nothing was changed: {error}") from error
