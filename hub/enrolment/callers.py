"""Who may work: a machine that is enrolled and not revoked, with the certificate it uses or one that is newer.

Mutual TLS has checked that the certificate is of our CA and that the caller holds its key. That is not enough: an old
certificate of a machine that has a newer one in use is on a copy of its disk.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from cryptography import x509

from hub.attention.alarms import Alarms
from hub.enrolment.adoption import Adoption
from hub.enrolment.generations import History, Issued, history, issued_as
from hub.enrolment.old_identity import by_invitation
from hub.enrolment.tables import machine_certificates
from security.certificates import BadCertificate, der, edge_of_uri, validity_ms
from security.clock import Clock
from security.suites import sha256

REJOIN = "keep it as it is; if it is to go on working, run there: suozhan-edge rejoin --reason TEXT"


class Refusal(StrEnum):
    """Why a caller is sent away, as the machine reads it."""

    UNKNOWN = "unknown"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


class CallerRefused(Exception):
    """The text is for the technician at the machine."""

    def __init__(self, refusal: Refusal, text: str) -> None:
        super().__init__(text)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Caller:
    """A machine on the work port, and until when its certificate holds (Unix ms)."""

    edge: UUID
    generation: int
    not_after_ms: int


def revoked(edge: UUID, revoked_ms: int) -> CallerRefused:
    day = dt.datetime.fromtimestamp(revoked_ms / 1000, dt.UTC).date()
    return CallerRefused(Refusal.REVOKED, (
        f"machine {edge} was revoked at the hub on {day}: ask the city's IT desk why; {REJOIN}, and with an invitation if the "
        f"hub asks for one (suozhan-hub invite SITE --replaces {edge})"))


def superseded(caller: Caller) -> CallerRefused:
    return CallerRefused(Refusal.SUPERSEDED, (
        f"this certificate (generation {caller.generation}) was replaced and a newer one of this machine is in use. Is this a "
        f"copy of the machine's disk, or an old backup of it? {REJOIN}"))


def expired(caller: Caller) -> CallerRefused:
    end = dt.datetime.fromtimestamp(caller.not_after_ms / 1000, dt.UTC).isoformat(sep=" ", timespec="seconds")
    return CallerRefused(Refusal.EXPIRED, f"the machine's certificate ended at {end} UTC; it renews it by itself, look at "
                                          "suozhan-edge status there if it does not")


class Callers:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, hub: UUID, adoption: Adoption, alarms: Alarms, clock: Clock) -> None:
        self._engine = engine
        self._hub = hub
        self._adoption = adoption
        self._alarms = alarms
        self._clock = clock

    def admit(self, uri: str, certificate_pem: bytes) -> Caller:
        """Raises CallerRefused, sa.exc.DBAPIError."""
        try:
            edge = edge_of_uri(self._hub, uri)
            certificate = x509.load_pem_x509_certificate(certificate_pem)
        except (BadCertificate, ValueError) as error:
            raise CallerRefused(Refusal.UNKNOWN, str(error)) from error
        known, found = self._look(edge, certificate)
        if found is None and self._adoption.adopt(edge, certificate):
            known, found = self._look(edge, certificate)
        if found is None:
            raise CallerRefused(Refusal.UNKNOWN, f"the hub did not issue this certificate to machine {edge}; {REJOIN}")
        caller = Caller(edge, found.generation, validity_ms(certificate)[1])
        self._judge(caller, known)
        if found.first_used_ms is None:
            self._note_use(caller)
        return caller

    def _look(self, edge: UUID, certificate: x509.Certificate) -> tuple[History, Issued | None]:
        with self._engine.connect() as connection:
            known = history(connection, edge)
            found = issued_as(connection, edge, sha256(der(certificate)))
        if known is None:
            raise CallerRefused(Refusal.UNKNOWN, f"machine {edge} is not known here, as after a restore from an older backup; "
                                                         f"{by_invitation(edge)}")
        if known.revoked_ms is not None:
            raise revoked(edge, known.revoked_ms)
        return known, found

    def _judge(self, caller: Caller, known: History) -> None:
        if caller.generation < known.newest_used:
            refused = superseded(caller)
            self._alarms.raise_alarm("certificate-superseded", str(caller.edge), (
                f"somebody came with an old certificate (generation {caller.generation}) of machine {caller.edge}, which uses "
                f"generation {known.newest_used}: a copy of its disk, or a backup of it, is running. Find it; the right one of "
                "the two goes on, the other one rejoins"))
            raise refused
        if caller.not_after_ms <= self._clock.unix_ms():
            raise expired(caller)

    def _note_use(self, caller: Caller) -> None:
        """From this commit on, older certificates of the machine are refused."""
        first = machine_certificates.update().where(
            machine_certificates.c.edge == str(caller.edge), machine_certificates.c.generation == caller.generation,
            machine_certificates.c.first_used_ms.is_(None))
        with self._engine.begin() as connection:
            connection.execute(first.values(first_used_ms=self._clock.unix_ms()))
