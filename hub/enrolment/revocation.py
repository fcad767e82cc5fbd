"""Revoking a machine: a person's decision, for good. Its open streams end within seconds, and nothing is renewed for it."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa

from hub.enrolment.generations import history
from hub.enrolment.tables import edges
from hub.ledger.own_journal import OwnJournal
from hub.names import name_fault


class RevocationRefused(ValueError):
    """The text says what to do."""


def said_by(by: str, reason: str) -> str:
    return f"{reason} ({by})"


def followed_by(successor: str) -> str:
    return f"machine {successor} follows it"


def revoke(engine: sa.Engine, own_journal: OwnJournal, edge: str, by: str, reason: str, now_ms: int) -> bool:
    """False when it was revoked before. Raises RevocationRefused."""
    if not by.strip() or not reason.strip() or name_fault(by) or name_fault(reason):
        raise RevocationRefused("a revocation has a name and a reason; give --by and --reason")
    try:
        machine = UUID(edge)
    except ValueError as error:
        raise RevocationRefused(f"{edge!r} is no machine's id; suozhan-edge status shows it") from error
    with engine.connect() as connection:
        known = history(connection, machine)
    if known is None:
        raise RevocationRefused(f"there is no machine {machine}; suozhan-edge status shows its id")
    if known.revoked_ms is not None:
        return False
    # The record first: a crash behind it leaves a decision that can be given again, not a machine that nobody revoked.
    own_journal.note("machine.revoked", {"edge": str(machine), "by": by, "reason": reason})
    with engine.begin() as connection:
        connection.execute(edges.update().where(edges.c.edge == str(machine)).values(
            revoked_ms=now_ms, revoked_why=said_by(by, reason), successor=None))
    return True


def end_followed(engine: sa.Engine, old: Iterable[UUID], successor: UUID, now_ms: int) -> None:
    """The end of machines that another one follows. Call it behind the record of it (hub/ledger/own_journal.py): a crash in
    between leaves a decision that is given again, not a machine that nobody revoked."""
    with engine.begin() as connection:
        connection.execute(edges.update().where(edges.c.edge.in_([str(one) for one in old]), edges.c.revoked_ms.is_(None)).values(
            revoked_ms=now_ms, revoked_why=followed_by(str(successor)), successor=str(successor)))
