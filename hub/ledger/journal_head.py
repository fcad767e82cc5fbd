"""A journal as the ledger knows it: what was registered, and where it stands; one row of `journals`."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from types import UnionType
from uuid import UUID

from hub.ledger.runs import Damaged
from security.chain import Genesis
from security.suites import Suite, check_public_key

POSITION_MAX = 2**63 - 1  # SQLite's largest integer

COLUMNS = (
    "ref, journal, edge, name, suite, public_key, predecessor, genesis, "
    "position, digest, arrived_ms, backed_up, edge_head, skew_ms, refusal, closed"
)
# STRICT is not asked again when a row is read: a damaged page may change a type, too.
_TYPES: tuple[type | UnionType, ...] = (
    int, bytes, bytes, str, int, bytes, bytes | None, bytes, int, bytes, int, int, int, int | None, str, str)


class UnknownJournal(LookupError):
    """A journal that no enrolment has registered."""


@dataclass(frozen=True, slots=True)
class JournalHead:
    """A registered journal and where it stands.

    `edge_head` is what its edge last claimed, `skew_ms` how far its clock was ahead of ours then, `refusal`
    why the hub ended its last stream ("" if all is well), `closed` why the journal has ended ("" while it goes on).
    """

    ref: int
    journal: UUID
    edge: UUID
    name: str
    suite: Suite
    public_key: bytes
    predecessor: UUID | None
    genesis: bytes
    position: int
    digest: bytes
    arrived_ms: int
    backed_up: int
    edge_head: int
    skew_ms: int | None
    refusal: str
    closed: str

    def is_registered(self) -> bool:
        """Whether machine, key and predecessor are what was registered: else the row is damaged."""
        return Genesis(self.edge, self.journal, self.suite, self.public_key, self.predecessor).digest() == self.genesis

    def may_be_of(self, public_key: bytes) -> bool:
        """False for another key than was registered. A damaged row tells nothing of the key."""
        return self.public_key == public_key or not self.is_registered()


def stored_head(row: sqlite3.Row) -> JournalHead:
    """Of COLUMNS. Raises Damaged."""
    ref, journal, edge, name, suite, public_key, predecessor, *rest = row
    try:
        if not all(isinstance(value, kind) for value, kind in zip(row, _TYPES, strict=True)):
            raise ValueError("a column is of another type")
        f"{name}{rest[-2]}{rest[-1]}".encode()  # refuses what was no UTF-8
        check_public_key(Suite(suite), public_key)
        before = UUID(bytes=predecessor) if predecessor else None
        return JournalHead(ref, UUID(bytes=journal), UUID(bytes=edge), name, Suite(suite), public_key, before, *rest)
    except ValueError as error:
        raise Damaged(f"the row of journal number {ref} does not hold what was registered: {error}") from error
