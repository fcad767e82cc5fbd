"""The renewal desk: the next certificate for the machine that holds the key of its present one, valid or long expired.

Each renewal spends one generation of the machine. The same request again is a crash or a lost answer and gets the same
certificate; another request for a generation that is spent can only come from a second machine with the same keys.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
import structlog
from cryptography import x509

from hub.attention.alarms import Alarms
from hub.attention.approvals import Approvals
from hub.enrolment.adoption import Adoption
from hub.enrolment.callers import REJOIN
from hub.enrolment.generations import History, Issued, history, issued
from hub.enrolment.issuing import Issuer
from hub.enrolment.nonces import Nonces
from hub.enrolment.old_identity import by_invitation
from hub.enrolment.tables import edges
from security.certificates import BadCertificate
from security.clock import Clock
from security.renewal import renewal_holds, renewal_statement
from security.suites import sha256

GRACE = dt.timedelta(days=180)

log = structlog.get_logger()


@dataclass(frozen=True)
class RenewalRequest:
    """What a machine sends; `certificate_der` is its present one, `peer` where it asks from."""

    edge: UUID
    csr_der: bytes
    generation: int
    nonce: bytes
    signature: bytes
    certificate_der: bytes
    peer: str


class RenewalRefused(Exception):
    """The text is for the technician at the machine."""


class MachineRevoked(RenewalRefused):
    """Nothing is renewed for it."""


class MachineCloned(RenewalRefused):
    """Two machines hold its keys."""


class ApprovalWaits(Exception):
    """A person at the hub has to decide; the same request may be made again."""

    def __init__(self, approval: int) -> None:
        super().__init__(f"waiting for approval {approval} at the hub: suozhan-hub approvals")
        self.approval = approval


class RenewalDesk:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, issuer: Issuer, adoption: Adoption, nonces: Nonces, alarms: Alarms,
                 approvals: Approvals, clock: Clock) -> None:
        self._engine = engine
        self._issuer = issuer
        self._adoption = adoption
        self._nonces = nonces
        self._alarms = alarms
        self._approvals = approvals
        self._clock = clock

    def nonce(self, edge: UUID) -> bytes:
        """Raises RenewalRefused."""
        with self._engine.connect() as connection:
            if history(connection, edge) is None:
                raise RenewalRefused(f"machine {edge} is not known here, as after a restore from an older backup; "
                                     f"{by_invitation(edge)}")
        return self._nonces.new(edge)

    def renew(self, request: RenewalRequest) -> bytes:
        """The certificate (DER). Raises RenewalRefused, ApprovalWaits; then nothing is issued."""
        if not self._nonces.holds(request.edge, request.nonce):
            raise RenewalRefused("this nonce is too old or another machine's; the machine asks for a new one by itself")
        known, present = self._present(request)
        statement = renewal_statement(self._issuer.hub, request.edge, request.nonce, request.csr_der)
        if not renewal_holds(x509.load_der_x509_certificate(present.certificate), request.signature, statement):
            raise RenewalRefused(f"the request is not signed by the machine's present key; {REJOIN}")
        if known.revoked_ms is not None:
            raise MachineRevoked(f"machine {request.edge} was revoked at the hub: ask the city's IT desk why; {REJOIN}")
        if request.generation <= known.newest:
            return self._again(request)
        self._require_grace(request, present)
        return self._issue(request)

    def _present(self, request: RenewalRequest) -> tuple[History, Issued]:
        """What we know of the machine, and the certificate that it says is its present one."""
        for _ in range(2):
            with self._engine.connect() as connection:
                known = history(connection, request.edge)
                present = issued(connection, request.edge, request.generation - 1)
            if known is not None and present is not None:
                return known, present
            if known is None or not self._adopted(request):
                break
        raise RenewalRefused(f"the hub knows no certificate of generation {request.generation - 1} of machine {request.edge}; "
                             "call the city's IT desk")

    def _adopted(self, request: RenewalRequest) -> bool:
        try:
            certificate = x509.load_der_x509_certificate(request.certificate_der)
        except ValueError:
            return False
        return self._adoption.adopt(request.edge, certificate)

    def _again(self, request: RenewalRequest) -> bytes:
        """What this very request got before. Raises MachineCloned for another one."""
        with self._engine.connect() as connection:
            earlier = issued(connection, request.edge, request.generation)
        asked = sha256(request.csr_der)
        if earlier is not None and earlier.csr_hash == asked:
            return earlier.certificate
        first = "" if earlier is None else (f" to request {earlier.csr_hash.hex()[:16]} from {earlier.asked_from or '?'} at "
                                            f"{_time(earlier.issued_ms)}")
        self._alarms.raise_alarm("clone", str(request.edge), (
            f"two machines hold the keys of {request.edge}: certificate {request.generation} went{first}; request "
            f"{asked.hex()[:16]} from {request.peer} at {_time(self._clock.unix_ms())} asked for it again. Find both: the "
            "right one goes on, the other one rejoins"))
        raise MachineCloned("another machine with the keys of this one has renewed the certificate: one of the two is a copy of "
                            f"a disk, or an old backup. Tell the city's IT desk; {REJOIN}")

    def _require_grace(self, request: RenewalRequest, present: Issued) -> None:
        """Raises ApprovalWaits, RenewalRefused: a machine that was away for so long may have been anywhere."""
        now_ms = self._clock.unix_ms()
        if now_ms <= present.not_after_ms + GRACE // dt.timedelta(milliseconds=1):
            return
        body = {"edge": str(request.edge), "generation": request.generation, "csr": sha256(request.csr_der).hex(),
                "expired": _time(present.not_after_ms), "from": request.peer}
        approval = self._approvals.ask("renewal", str(request.edge), sha256(request.csr_der), body)
        if approval.state == "waiting":
            raise ApprovalWaits(approval.id)
        if approval.state == "refused":
            raise RenewalRefused(f"{approval.decided_by} refused request {approval.id}: {approval.reason}; {REJOIN}")

    def _issue(self, request: RenewalRequest) -> bytes:
        try:
            with self._engine.begin() as connection:
                # Takes the write lock first: of two requests for one generation the second finds it spent.
                connection.execute(sa.update(edges).where(edges.c.edge == str(request.edge)).values(edge=edges.c.edge))
                known = history(connection, request.edge)
                fresh = known is not None and known.newest == request.generation - 1 and known.revoked_ms is None
                if fresh:
                    certificate = self._issuer.issue(connection, request.edge, request.generation, request.csr_der, request.peer)
        except BadCertificate as error:
            raise RenewalRefused(str(error)) from error
        except sa.exc.IntegrityError as error:
            raise RenewalRefused(f"this request belongs to another certificate already; {REJOIN}") from error
        if not fresh:
            return self._again(request)
        log.info("certificate renewed", edge=str(request.edge), generation=request.generation)
        return certificate


def _time(unix_ms: int) -> str:
    return dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC).isoformat(sep=" ", timespec="seconds")
