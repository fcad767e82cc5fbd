"""A hole in a journal that goes on behind it, as the ledger keeps it; one row of `holes`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from security.tree import split_hashes

COLUMNS = "first, count, previous, digests, ids, approval"


@dataclass(frozen=True, slots=True)
class Hole:
    """Records that neither the hub nor its edge has any more: the digest before them, then digest and id of each."""

    first: int
    previous: bytes
    digests: Sequence[bytes]
    ids: Sequence[UUID]
    approval: int = 0

    @property
    def last(self) -> int:
        return self.first + len(self.digests) - 1


def stored_hole(row: sqlite3.Row) -> Hole:
    """Of COLUMNS."""
    first, count, previous, digests, ids, approval = row
    every = [UUID(bytes=ids[at:at + 16]) for at in range(0, 16 * count, 16)]
    return Hole(first, previous, split_hashes(digests), every, approval)
