"""Alarms: told once, counted while they go on, open until a person clears them. Each is a record, too."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from hub.attention.tables import alarms
from hub.ledger.own_journal import OwnJournal
from hub.names import name_fault
from security.clock import Clock

TEXT_MAX_CHARS = 2_000

log = structlog.get_logger()


class AttentionRefused(ValueError):
    """An alarm or a request that cannot be dealt with like this; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """`subject` is whom it concerns: a machine, a journal, the ledger. `times`: how often it was raised while open."""

    id: int
    kind: str
    subject: str
    text: str
    raised_ms: int
    repeated_ms: int
    times: int


class Alarms:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, own_journal: OwnJournal, clock: Clock) -> None:
        self._engine = engine
        self._own_journal = own_journal
        self._clock = clock

    def raise_alarm(self, kind: str, subject: str, text: str) -> None:
        """Say it once more when it is open already. Trouble with the database is raised: an alarm must not be lost silently."""
        text = text[:TEXT_MAX_CHARS]
        if self._repeated(kind, subject, text):
            return
        log.error("alarm", kind=kind, subject=subject, text=text)
        # The record first: a crash between the two tells it twice rather than never.
        self._own_journal.note("alarm.raised", {"kind": kind, "subject": subject, "text": text})
        now = self._clock.unix_ms()
        try:
            with self._engine.begin() as connection:
                connection.execute(alarms.insert().values(kind=kind, subject=subject, text=text, raised_ms=now,
                                                          repeated_ms=now, times=1, cleared_by=""))
        except sa.exc.IntegrityError:
            self._repeated(kind, subject, text)  # somebody raised the same in this moment

    def _repeated(self, kind: str, subject: str, text: str) -> bool:
        again = alarms.update().where(alarms.c.kind == kind, alarms.c.subject == subject, alarms.c.cleared_ms.is_(None))
        with self._engine.begin() as connection:
            values = {"times": alarms.c.times + 1, "repeated_ms": self._clock.unix_ms(), "text": text}
            return connection.execute(again.values(values)).rowcount > 0

    def open_alarms(self) -> list[Alarm]:
        """Oldest first."""
        columns = [alarms.c[name] for name in Alarm.__dataclass_fields__]
        query = sa.select(*columns).where(alarms.c.cleared_ms.is_(None)).order_by(alarms.c.id)
        with self._engine.connect() as connection:
            return [Alarm(**row) for row in connection.execute(query).mappings()]

    def clear(self, alarm_id: int, by: str) -> Alarm:
        """Raises AttentionRefused."""
        if not by.strip() or name_fault(by):
            raise AttentionRefused("an alarm is cleared by somebody; give your name with --by")
        found = next((one for one in self.open_alarms() if one.id == alarm_id), None)
        if found is None:
            raise AttentionRefused(f"there is no open alarm {alarm_id}; list them with: suozhan-hub alarms")
        body = {"id": alarm_id, "kind": found.kind, "subject": found.subject, "by": by}
        self._own_journal.note("alarm.cleared", body)
        with self._engine.begin() as connection:
            connection.execute(alarms.update().where(alarms.c.id == alarm_id)
                               .values(cleared_ms=self._clock.unix_ms(), cleared_by=by))
        return found


def open_again(engine: sa.Engine, kind: str, subject: str, text: str, raised_ms: int) -> bool:
    """An alarm that a record tells of, in a database that was put back. False when it is open."""
    try:
        with engine.begin() as connection:
            connection.execute(alarms.insert().values(kind=kind, subject=subject, text=text, raised_ms=raised_ms,
                                                      repeated_ms=raised_ms, times=1, cleared_by=""))
    except sa.exc.IntegrityError:
        return False
    return True


def cleared_again(engine: sa.Engine, kind: str, subject: str, by: str, cleared_ms: int) -> bool:
    """False when it is not open."""
    still_open = alarms.update().where(alarms.c.kind == kind, alarms.c.subject == subject, alarms.c.cleared_ms.is_(None))
    with engine.begin() as connection:
        return connection.execute(still_open.values(cleared_ms=cleared_ms, cleared_by=by)).rowcount > 0
