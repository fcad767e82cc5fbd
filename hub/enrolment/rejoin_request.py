"""What a machine asks when it begins anew, and what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.enrolment.desk import Admission, Application
from security.chain import Genesis
from security.invitations import enrolment_proof
from security.renewal import rejoin_proof_name
from security.suites import UnsoundKey, Verifier, sha256


@dataclass(frozen=True)
class Forerunner:
    """An earlier journal, as the machine states it, and its record key's signature over what the new one's signs (or b"")."""

    genesis: Genesis
    proof: bytes


@dataclass(frozen=True)
class RejoinRequest:
    """The new identity (`edge`, and what an application holds), the old one, and the old TLS key's word for it (or b"").

    `forerunners` are the old journal and those before it, newest first; `known` are the machine's own digests of the old journal
    at some positions.
    """

    edge: UUID
    application: Application
    old_edge: UUID
    old_journal: UUID
    old_position: int
    old_held: int
    reason: str
    nonce: bytes
    signature: bytes
    certificate_der: bytes
    forerunners: Sequence[Forerunner] = ()
    known: Sequence[tuple[int, bytes]] = ()

    @property
    def journal(self) -> tuple[UUID, str]:
        return self.application.journals[0]

    def genesis(self, verifier: Verifier) -> Genesis:
        """Of the new journal."""
        return Genesis(self.edge, self.journal[0], verifier.suite, verifier.public_key, self.old_journal)

    def proved(self, one: Forerunner) -> bool:
        """Whether the machine holds that journal's record key, too."""
        proof = enrolment_proof(rejoin_proof_name(self.old_edge), self.application.csr_der)
        try:
            return Verifier(one.genesis.suite, one.genesis.public_key).valid(one.proof, proof)
        except (UnsoundKey, ValueError):
            return False

    def asked(self, unknown: Sequence[Genesis]) -> bytes:
        """32 bytes for all that a person approves: another identity, journal, key or name is another request."""
        application = self.application
        return sha256(b"".join([
            self.old_edge.bytes, self.old_journal.bytes, self.edge.bytes, self.journal[0].bytes, sha256(application.csr_der),
            sha256(application.record_public_key), sha256(application.machine.encode()), *[one.digest() for one in unknown]]))


@dataclass(frozen=True)
class Rejoined:
    """The new identity, where the old journal ended, the last position that both have, and the hub's digests behind it."""

    admission: Admission
    held_position: int
    common: int
    digests: list[bytes]
