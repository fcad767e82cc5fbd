"""Invitation tokens, and the proofs that a machine gives when it enrols with one."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from uuid import UUID

from google.protobuf.message import DecodeError

from proto import enrolment_pb2
from security.suites import sha256

TOKEN_PREFIX = "suozhan1."  # noqa: S105 - a format name, no secret
ENROL_CONTEXT = b"suozhan/enrol/v1\0"
DECLARE_CONTEXT = b"suozhan/declare/v1\0"
SECRET_BYTES = 32


class BadToken(ValueError):
    """Text that is no invitation."""


@dataclass(frozen=True)
class Invitation:
    """What `suozhan-hub invite` prints: where to enrol, with which secret, and the pin of the root's key."""

    address: str
    id: str
    secret: bytes
    pin: bytes

    def __repr__(self) -> str:
        return f"Invitation({self.address}, {self.id})"

    def token(self) -> str:
        """One line without spaces, to be typed or pasted."""
        message = enrolment_pb2.Invitation(address=self.address, id=self.id, secret=self.secret, pin=self.pin)
        return TOKEN_PREFIX + base64.urlsafe_b64encode(message.SerializeToString()).rstrip(b"=").decode()

    @classmethod
    def from_token(cls, token: str) -> Invitation:
        """Raises BadToken, with what to do."""
        text = token.strip()
        advice = "copy the whole line that `suozhan-hub invite` printed"
        if not text.startswith(TOKEN_PREFIX):
            raise BadToken(f"an invitation begins with {TOKEN_PREFIX!r}; {advice}")
        body = text.removeprefix(TOKEN_PREFIX)
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            message = enrolment_pb2.Invitation.FromString(raw)
        except (binascii.Error, DecodeError, ValueError) as error:
            raise BadToken(f"the invitation is damaged; {advice}") from error
        if len(message.pin) != 32 or len(message.secret) != SECRET_BYTES or not message.address or not message.id:
            raise BadToken(f"the invitation is incomplete; {advice}")
        return cls(message.address, message.id, message.secret, message.pin)


def declaration_proof(edge: UUID, journal: UUID, name: str) -> bytes:
    """What the record key signs to have another journal of its machine registered."""
    return DECLARE_CONTEXT + edge.bytes + journal.bytes + sha256(name.encode())


def enrolment_proof(invitation_id: str, csr_der: bytes) -> bytes:
    """What the record key signs to show that the machine holds it, bound to this invitation and this CSR."""
    return ENROL_CONTEXT + sha256(invitation_id.encode()) + sha256(csr_der)
