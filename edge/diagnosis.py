"""Why there is no line to the hub: a decision over facts, without a clock or a network of its own.

No clock is trusted (invariant 10): this machine's own is believed only where nothing signed says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge import advice
from edge.advice import Diagnosis, minute


class Reach(StrEnum):
    """What a TCP connection to the work port met."""

    ANSWERS = "answers"
    CLOSED = "closed"
    SILENT = "silent"
    NO_NAME = "no-name"
    NO_ROUTE = "no-route"


class Renewing(StrEnum):
    """How far this machine's renewal is."""

    IDLE = "idle"
    TRYING = "trying"
    WAITING = "waiting"
    REVOKED = "revoked"
    CLONED = "cloned"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Validity:
    """First and last moment of a certificate, Unix ms."""

    first_ms: int
    last_ms: int

    def holds(self, at_ms: int) -> bool:
        return self.first_ms <= at_ms <= self.last_ms


@dataclass(frozen=True, slots=True)
class RenewalNews:
    """`approval` is its number at the hub while WAITING; `text` what the hub, or the network, said."""

    state: Renewing = Renewing.IDLE
    approval: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """`trusted`: what answers showed certificates of this hub's CA, whatever their dates, and signed with its time key (None:
    nothing was seen). `hub_ms`: signed by the hub for this very question (None: no answer). `word`, `error`: how the line
    itself ended (HubRefused)."""

    own_ms: int
    certificate: Validity
    reach: Reach
    trusted: bool | None = None
    server: Validity | None = None
    hub_ms: int | None = None
    renewal: RenewalNews = RenewalNews()
    word: str = ""
    error: str = ""


def diagnose(facts: Facts) -> Diagnosis:
    """The first cause that explains the facts."""
    if found := _for_good(facts):
        return found
    if facts.reach is not Reach.ANSWERS:
        return _unreachable(facts)
    if facts.trusted is False:
        return advice.UNTRUSTED_HUB
    found = _by_own_time(facts) if facts.hub_ms is None else _by_hub_time(facts, facts.hub_ms)
    if found is not None:
        return found
    return advice.refused(facts.error) if facts.word else advice.silent(facts.error)


def _for_good(facts: Facts) -> Diagnosis | None:
    """What a person at the hub has to settle."""
    if facts.word == "revoked" or facts.renewal.state is Renewing.REVOKED:
        return advice.REVOKED
    if facts.renewal.state is Renewing.CLONED:
        return advice.CLONED
    return advice.SUPERSEDED if facts.word == "superseded" else None


_MET = {
    Reach.CLOSED: ("nothing listens at the hub's port", "the hub may be down or starting: ask the city's IT desk; check the "
                   "address in edge.toml"),
    Reach.SILENT: ("nothing answers at the hub's address", "check cable, router, line and VPN, then ask the line's operator"),
    Reach.NO_NAME: ("the hub's name cannot be resolved", "check cable and DNS, or the name in edge.toml"),
    Reach.NO_ROUTE: ("there is no route to the hub", "check cable, router, line and VPN"),
}


def _unreachable(facts: Facts) -> Diagnosis:
    what, check = _MET[facts.reach]
    held = facts.certificate
    if not held.holds(facts.own_ms):
        check += (f". This machine's clock says {minute(facts.own_ms)}, its certificate holds from "
                  f"{minute(held.first_ms)} to "
                  f"{minute(held.last_ms)}: check the clock, too")
    return advice.unreachable(what, check)


def _by_hub_time(facts: Facts, hub_ms: int) -> Diagnosis | None:
    server = facts.server
    if server is not None and not server.holds(hub_ms):
        return advice.hub_certificate(server.first_ms, server.last_ms)
    if server is not None and not server.holds(facts.own_ms):
        if facts.certificate.holds(facts.own_ms) and not facts.certificate.holds(hub_ms):
            return advice.clocks_differ(facts.own_ms, hub_ms)  # what the hub once signed speaks for this machine's
        return advice.wrong_clock(f"it says {minute(facts.own_ms)}, the hub's signed time is {minute(hub_ms)}", hub_ms)
    return None if facts.certificate.holds(hub_ms) else _expired(facts)


def _by_own_time(facts: Facts) -> Diagnosis | None:
    """The hub's time cannot be had: say what is known instead."""
    own, held, server = f"it says {minute(facts.own_ms)}", facts.certificate, facts.server
    unasked = "; the hub's time could not be asked"
    if facts.own_ms < held.first_ms:
        return advice.wrong_clock(f"{own}, but its certificate was made after {minute(held.first_ms)}{unasked}", None)
    if server is None or server.holds(facts.own_ms):
        return None if facts.own_ms <= held.last_ms else _expired(facts)
    if facts.own_ms <= held.last_ms:
        return advice.hub_certificate(server.first_ms, server.last_ms)
    return advice.wrong_clock(f"{own}, beyond its own certificate ({minute(held.last_ms)}) and the hub's{unasked}", None)


def _expired(facts: Facts) -> Diagnosis:
    first_ms, last_ms, news = facts.certificate.first_ms, facts.certificate.last_ms, facts.renewal
    if news.state is Renewing.WAITING:
        return advice.waiting(first_ms, last_ms, news.approval)
    if news.state is Renewing.REFUSED:
        return advice.not_renewed(first_ms, last_ms, news.text)
    return advice.renewing(first_ms, last_ms, news.text)
