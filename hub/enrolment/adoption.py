"""A certificate of our own CA that our table does not know, and that is newer than all it knows: this hub was restored from
a backup that is older. Without this, every machine that has renewed since would be locked out."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from hub.attention.alarms import Alarms
from hub.enrolment.generations import history
from hub.enrolment.issuing import Issuer
from hub.enrolment.tables import machine_certificates
from security.certificates import BadCertificate, der, edge_of, validity_ms
from security.clock import Clock
from security.suites import sha256


class Adoption:
    """Synchronous; call it in a thread, outside of a transaction."""

    def __init__(self, engine: sa.Engine, issuer: Issuer, alarms: Alarms, clock: Clock) -> None:
        self._engine = engine
        self._issuer = issuer
        self._alarms = alarms
        self._clock = clock

    def adopt(self, edge: UUID, certificate: x509.Certificate) -> bool:
        """True when it is ours, names this machine, and is newer than all that we know of it; then it counts from now on."""
        generation = self._generation(edge, certificate)
        with self._engine.connect() as connection:
            known = history(connection, edge)
        if known is None or generation <= known.newest:
            return False
        # First: a crash behind it tells it twice rather than never.
        self._alarms.raise_alarm("certificate-adopted", str(edge), (
            f"machine {edge} has a certificate of generation {generation} that this hub signed and does not remember (it knows "
            f"{known.newest}): this hub was restored from an older backup, and took it again. If it was not restored, its CA "
            "key is in other hands: stop the hub and call its makers"))
        row = machine_certificates.insert().values(
            edge=str(edge), generation=generation, fingerprint=sha256(der(certificate)), certificate=der(certificate),
            csr_hash=sha256(der(certificate)),  # the request is lost with the rows that the backup lacks
            not_after_ms=validity_ms(certificate)[1], issued_ms=self._clock.unix_ms(), asked_from="adopted")
        try:
            with self._engine.begin() as connection:
                connection.execute(row)
        except sa.exc.IntegrityError:
            return False  # another stream of the machine was quicker, with this one or another: the caller looks again
        return True

    def _generation(self, edge: UUID, certificate: x509.Certificate) -> int:
        """-1 when it is not ours or another's."""
        try:
            certificate.verify_directly_issued_by(self._issuer.authority.intermediate.certificate)
            named, generation = edge_of(self._issuer.hub, certificate)
        except (BadCertificate, InvalidSignature, ValueError, TypeError):
            return -1
        return generation if named == edge else -1
