"""Issuing: a certificate counts from the commit that holds it, and only such a one is taken on the work port."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import sqlalchemy as sa

from hub.enrolment.authority import HubAuthority
from hub.enrolment.tables import machine_certificates
from security.certificates import EDGE_LIFE, der, edge_certificate, validity_ms
from security.clock import Clock
from security.suites import sha256


class Issuer:
    """The hub's CA for machines. `life` is that of a machine's certificate."""

    def __init__(self, authority: HubAuthority, hub: UUID, clock: Clock, life: dt.timedelta = EDGE_LIFE) -> None:
        self.hub = hub
        self.authority = authority
        self._clock = clock
        self._life = life

    def issue(self, connection: sa.Connection, edge: UUID, generation: int, csr_der: bytes, peer: str) -> bytes:
        """The certificate (DER), stored within the caller's transaction. Raises BadCertificate, IntegrityError."""
        now_ms = self._clock.unix_ms()
        now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
        certificate = edge_certificate(self.authority.intermediate, csr_der, self.hub, edge, now, self._life, generation)
        connection.execute(machine_certificates.insert().values(
            edge=str(edge), generation=generation, csr_hash=sha256(csr_der), fingerprint=sha256(der(certificate)),
            certificate=der(certificate), not_after_ms=validity_ms(certificate)[1], issued_ms=now_ms, asked_from=peer,
        ))
        return der(certificate)
