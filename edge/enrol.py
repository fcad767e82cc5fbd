"""`suozhan-edge enrol TOKEN`: trust nothing before the pin, then prove both keys and get a certificate.

Safe to repeat after a crash anywhere: keys, request and the ids of the journals are kept, and the hub answers the same request
with the same certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID, uuid4

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from edge.admission import admitted
from edge.identity import Identity, named
from edge.journal_check import JournalCheck
from edge.journal_store import create_journal
from edge.state import StateFolder
from proto import enrolment_pb2, enrolment_pb2_grpc
from security.certificates import BadCertificate, key_pem, load_key, new_csr, new_key, pem, pin_of
from security.chain import Genesis
from security.invitations import Invitation, enrolment_proof
from security.private_files import read_private, write_private
from security.signer import Ed25519Signer

CALL_TIMEOUT_S = 15.0
BEGIN_ANEW = "keep this folder, and enrol into another one (--state) with a new invitation"


class EnrolmentRefused(Exception):
    """The hub is not the one that invited us, or it refused us; the text says what to do."""


class EnrolmentUnavailable(Exception):
    """The hub could not be reached; the same command may be given again."""


def fetch_root(invitation: Invitation) -> x509.Certificate:
    """The hub's root, believed only if its key has the pin. Nothing of the machine is sent before."""
    host, _, port = invitation.address.rpartition(":")
    try:
        # Unverified on purpose: this only tells which certificate answers; the pin decides.
        leaf = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=CALL_TIMEOUT_S)
        credentials = grpc.ssl_channel_credentials(leaf.encode())
        with grpc.secure_channel(invitation.address, credentials, options=_OPTIONS) as channel:
            stub = enrolment_pb2_grpc.EnrolmentStub(channel)
            reply = stub.GetRoot(enrolment_pb2.GetRootRequest(), timeout=CALL_TIMEOUT_S)
    except (OSError, ValueError, grpc.RpcError) as error:
        raise EnrolmentUnavailable(
            f"no hub answers at {invitation.address} ({error}); check cable, line and address, then try again"
        ) from error
    try:
        root = x509.load_der_x509_certificate(reply.root_der)
        matches = pin_of(root) == invitation.pin
    except ValueError:
        matches = False
    if not matches:
        raise EnrolmentRefused(
            f"the hub at {invitation.address} is not the one that made this invitation: its root key does not match "
            "the pin. Nothing was sent. Ask the city's IT desk for a new invitation, and tell them about this"
        )
    return root


def enrol(state: StateFolder, token: str, machine: str) -> Identity:
    """Keys, certificate, journals and identity of this machine. Raises BadToken, EnrolmentRefused/-Unavailable."""
    if state.identity.exists():
        raise EnrolmentRefused(f"{state.root} holds an enrolled machine already; use another --state folder")
    invitation = Invitation.from_token(token)
    root = fetch_root(invitation)
    state.make()
    signer = _record_key(state.record_key)
    csr = _csr(state, machine)
    journals = {files.name: journal_id(files.id) for files in state.journals}
    _check_begun(state, csr, signer.public_key, journals)
    request = enrolment_pb2.EnrolRequest(
        invitation=invitation.id, secret=invitation.secret, csr_der=csr, suite=int(signer.suite),
        record_public_key=signer.public_key, record_proof=signer.sign(enrolment_proof(invitation.id, csr)),
        machine=machine,
        journals=[enrolment_pb2.JournalDeclaration(journal=journal.bytes, name=name) for name, journal in journals.items()],
    )
    reply = _call(invitation, root, request)
    try:
        identity = admitted(_identity(reply, root, journals), reply.chain_der, csr)
    except ValueError as error:
        raise EnrolmentRefused(f"the hub's answer was not taken, nothing was changed: {error}") from error
    for files in state.journals:
        if not files.db.exists():
            create_journal(files.db, files.name, Genesis(identity.edge_id, journals[files.name], signer.suite, signer.public_key))
    identity.save(state.identity)  # last: with it the machine counts as enrolled
    return identity


_OPTIONS = (("grpc.enable_http_proxy", 0),)


def _call(invitation: Invitation, root: x509.Certificate, request: enrolment_pb2.EnrolRequest) -> enrolment_pb2.EnrolReply:
    credentials = grpc.ssl_channel_credentials(pem(root))
    with grpc.secure_channel(invitation.address, credentials, options=_OPTIONS) as channel:
        try:
            reply: enrolment_pb2.EnrolReply = enrolment_pb2_grpc.EnrolmentStub(channel).Enrol(
                request, timeout=CALL_TIMEOUT_S
            )
        except grpc.RpcError as error:
            text = f"{error.details()}"
            if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                raise EnrolmentUnavailable(f"not enrolled yet: {text}; give the same command again") from error
            raise EnrolmentRefused(text) from error
    return reply


def _identity(reply: enrolment_pb2.EnrolReply, root: x509.Certificate, journals: Mapping[str, UUID]) -> Identity:
    return Identity(
        edge=str(UUID(bytes=reply.edge)), hub=str(UUID(bytes=reply.hub)), site=reply.site, site_name=reply.site_name,
        site_kind=reply.site_kind, work_address=reply.work_address, enrol_address=reply.enrol_address,
        api_address=reply.api_address, root=pem(root).decode(), chain="",
        **named(journals), hub_resource_key=reply.keys.resource.hex(),
        hub_time_key=reply.keys.time.hex(), hub_sealing_key=reply.keys.sealing.hex(),
        hub_record_key=reply.keys.record.hex(), hub_log_key=reply.keys.log.hex(),
    )


def _record_key(path: Path) -> Ed25519Signer:
    return Ed25519Signer.load(path) if path.exists() else Ed25519Signer.create(path)


def _csr(state: StateFolder, machine: str) -> bytes:
    if not state.tls_key.exists():
        write_private(state.tls_key, key_pem(new_key()))
        state.csr.unlink(missing_ok=True)
    if not state.csr.exists():
        write_private(state.csr, new_csr(_tls_key(state), machine))
    return read_private(state.csr)


def _tls_key(state: StateFolder) -> ec.EllipticCurvePrivateKey:
    try:
        return load_key(read_private(state.tls_key))
    except BadCertificate as error:
        raise EnrolmentRefused(f"{state.tls_key} is damaged; {BEGIN_ANEW}") from error


def _check_begun(state: StateFolder, csr: bytes, record_key: bytes, journals: Mapping[str, UUID]) -> None:
    """What an earlier try left fits together: nothing is asked of the hub for files that a disk has damaged."""
    try:
        same = x509.load_der_x509_csr(csr).public_key() == _tls_key(state).public_key()
    except ValueError:
        same = False
    if not same:
        raise EnrolmentRefused(f"{state.csr} is damaged; {BEGIN_ANEW}")
    for files in state.journals:
        if files.db.exists():
            with JournalCheck(files.db) as check:
                genesis = check.identity.genesis
            if (genesis.public_key, genesis.journal) != (record_key, journals[files.name]):
                raise EnrolmentRefused(f"{files.db} is of another enrolment, and may hold records: keep this folder, and use "
                                       "another --state folder")


def journal_id(path: Path) -> UUID:
    if not path.exists():
        write_private(path, str(uuid4()).encode())
    try:
        return UUID(read_private(path).decode())
    except ValueError as error:
        raise EnrolmentRefused(f"{path} is damaged; {BEGIN_ANEW}") from error
