"""What a view of the feed is: which records it shows, and what of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from security.record import Record

PARTS = "parts"  # in what `row` returns: a list of what the view's table of parts is to show


class MeaninglessBody(ValueError):
    """An opened body that is not what its kind says; names fields and never their values."""


class View(Protocol):
    """Its table has the columns cursor, arrived_ms, edge, journal, position, record and simulated, which are filled in here."""

    @property
    def table(self) -> sa.Table: ...

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of records that it shows; no other view shows them."""
        ...

    @property
    def parts(self) -> sa.Table | None:
        """One row for each of the things that a record names, with cursor, number, edge, journal, position and record."""
        ...

    def row(self, record: Record, body: bytes) -> dict[str, Any]:
        """Its own columns. MUST let nothing of a resident through that is not masked. Raises MeaninglessBody."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What an entry shows in a view; `record` is the one that it carries, if it carries one."""

    view: View
    cursor: int
    record: Record
    values: dict[str, Any]
    parts: Sequence[dict[str, Any]] = ()
