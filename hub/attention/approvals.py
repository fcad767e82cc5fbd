"""Requests that a person has to decide: whoever asks comes again until it is decided. Each decision is a record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
import structlog

from hub.attention.alarms import AttentionRefused
from hub.attention.tables import approvals
from hub.ledger.own_journal import OwnJournal
from hub.names import name_fault
from hub.projection.tables import cursors
from security.clock import Clock

WAITING_MAX = 4  # of one kind for one subject: two copies of a disk may ask, and no key fills the desk's list

ID_MAX = 2**63 - 1  # of the database
UNNAMED_MAX = 1_000  # requests that waited when a database was lost: no record names them, but somebody's note may
NAME = "approvals"  # of the last id that must not be given again
_USED = sa.union_all(sa.select(approvals.c.id), sa.select(cursors.c.cursor).where(cursors.c.name == NAME)).subquery()
_LAST = sa.select(sa.func.coalesce(sa.func.max(_USED.c.id), 0))

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Approval:
    """A request and what became of it. `subject` is whom it concerns, `body` all that the one who decides has to know."""

    id: int
    kind: str
    subject: str
    body: dict[str, Any]
    asked_ms: int
    state: Literal["waiting", "approved", "refused"]
    decided_by: str
    reason: str


class Approvals:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, own_journal: OwnJournal, clock: Clock) -> None:
        self._engine = engine
        self._own_journal = own_journal
        self._clock = clock

    def ask(self, kind: str, subject: str, key: bytes, body: dict[str, Any]) -> Approval:
        """The request of this kind and key; made when it is new. What was asked first counts: `body` never changes.

        Where too many wait for this subject already, it is the oldest of them: that has to be decided first. (Were the oldest to
        give way, two machines that ask in turn would keep each other out.)
        """
        if found := self._one(approvals.c.kind == kind, approvals.c.key == key):
            return found
        waiting = self._many(approvals.c.kind == kind, approvals.c.subject == subject, approvals.c.state == "waiting")
        if len(waiting) >= WAITING_MAX:
            return waiting[0]
        row = {"id": _LAST.scalar_subquery() + 1, "kind": kind, "subject": subject, "key": key,
               "body": json.dumps(body, ensure_ascii=False, sort_keys=True), "asked_ms": self._clock.unix_ms(),
               "state": "waiting", "decided_by": "", "reason": ""}
        try:
            with self._engine.begin() as connection:
                connection.execute(approvals.insert().values(row))
        except sa.exc.IntegrityError:
            pass  # somebody asked the same in this moment
        made = self._one(approvals.c.kind == kind, approvals.c.key == key)
        assert made is not None
        log.warning("a request waits for approval", id=made.id, kind=kind, subject=subject)
        return made

    def waiting(self) -> list[Approval]:
        """Oldest first."""
        return self._many(approvals.c.state == "waiting")

    def decide(self, approval_id: int, by: str, reason: str, *, approved: bool) -> Approval:
        """Raises AttentionRefused. The same decision again is a success."""
        state: Literal["approved", "refused"] = "approved" if approved else "refused"
        if not by.strip() or not reason.strip() or name_fault(by) or name_fault(reason):
            raise AttentionRefused("a decision has a name and a reason; give --by and --reason")
        found = self._one(approvals.c.id == approval_id) if 0 <= approval_id <= ID_MAX else None
        if found is None:
            raise AttentionRefused(f"there is no request {approval_id}; list them with: suozhan-hub approvals")
        if found.state not in {"waiting", state}:
            raise AttentionRefused(f"request {approval_id} was {found.state} by {found.decided_by}, and that stays. A machine "
                                   "comes back by: suozhan-hub invite SITE --replaces EDGE; it ends by: suozhan-hub revoke EDGE")
        if found.state == "waiting":
            self._own_journal.note(f"request.{state}", {
                "id": found.id, "kind": found.kind, "subject": found.subject, "body": found.body, "by": by, "reason": reason})
            with self._engine.begin() as connection:
                connection.execute(approvals.update().where(approvals.c.id == approval_id, approvals.c.state == "waiting").values(
                    state=state, decided_ms=self._clock.unix_ms(), decided_by=by, reason=reason))
        decided = self._one(approvals.c.id == approval_id)
        assert decided is not None
        return decided

    def _one(self, *conditions: sa.ColumnElement[bool]) -> Approval | None:
        return next(iter(self._many(*conditions)), None)

    def _many(self, *conditions: sa.ColumnElement[bool]) -> list[Approval]:
        columns = [approvals.c[name] for name in Approval.__dataclass_fields__]
        query = sa.select(*columns).where(*conditions).order_by(approvals.c.id)
        with self._engine.connect() as connection:
            return [Approval(**{**row, "body": json.loads(row["body"])}) for row in connection.execute(query).mappings()]


def go_on_behind(engine: sa.Engine, named: int, *, lost: bool) -> int:
    """In a database that was put back ids are not given twice: `named` is the highest one that a record names. `lost`: perhaps
    there were requests that none names. The last id that is not given any more, which belongs into a record then.
    """
    with engine.begin() as connection:
        last = max(named, connection.execute(_LAST).scalar_one()) + (UNNAMED_MAX if lost else 0)
        connection.execute(cursors.delete().where(cursors.c.name == NAME))
        connection.execute(cursors.insert().values(name=NAME, cursor=last))
    return int(last)
