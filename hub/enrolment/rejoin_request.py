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
class Following:
    """A journal of the new identity, and the old one that it follows (None: none went before it): where that ends at the machine,
    what of it the hub had acknowledged, and the machine's own digests of it at some positions.
    """

    journal: UUID
    name: str
    old: UUID | None = None
    old_position: int = 0
    old_held: int = 0
    known: Sequence[tuple[int, bytes]] = ()


@dataclass(frozen=True)
class RejoinRequest:
    """The new identity (`edge`, and what an application holds), the old one, and the old TLS key's word for it (or b"").

    `forerunners` are the old journals and those before them, the newer of a name first.
    """

    edge: UUID
    application: Application
    old_edge: UUID
    journals: Sequence[Following]
    reason: str
    nonce: bytes
    signature: bytes
    certificate_der: bytes
    forerunners: Sequence[Forerunner] = ()

    @property
    def old_journals(self) -> dict[UUID, Following]:
        """What ends, and what follows it."""
        return {one.old: one for one in self.journals if one.old is not None}

    def geneses(self, verifier: Verifier) -> list[tuple[str, Genesis]]:
        """Of the new journals, by name."""
        return [(one.name, Genesis(self.edge, one.journal, verifier.suite, verifier.public_key, one.old))
                for one in self.journals]

    def proved(self, one: Forerunner) -> bool:
        """Whether the machine holds that journal's record key, too."""
        proof = enrolment_proof(rejoin_proof_name(self.old_edge), self.application.csr_der)
        try:
            return Verifier(one.genesis.suite, one.genesis.public_key).valid(one.proof, proof)
        except (UnsoundKey, ValueError):
            return False

    def asked(self, unknown: Sequence[tuple[str, Genesis]]) -> bytes:
        """32 bytes for all that a person approves: another identity, journal, key or name is another request."""
        application = self.application
        journals = [sha256(one.name.encode() + b"\0" + one.journal.bytes + (one.old.bytes if one.old else b""))
                    for one in self.journals]
        return sha256(b"".join([
            self.old_edge.bytes, self.edge.bytes, sha256(application.csr_der), sha256(application.record_public_key),
            sha256(application.machine.encode()), sha256(b"".join(journals)), *[one.digest() for _, one in unknown]]))


@dataclass(frozen=True)
class Held:
    """Of an old journal: where it ended, the last position that both have, and the hub's digests behind it."""

    journal: UUID
    position: int = 0
    common: int = 0
    digests: Sequence[bytes] = ()


@dataclass(frozen=True)
class Rejoined:
    """The new identity, and what is held of the old one's journals."""

    admission: Admission
    held: Sequence[Held]
