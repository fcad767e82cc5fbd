"""A run of entries as one row: what came in one batch is stored in one piece, in the columns of `runs`."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from uuid import UUID

from security.run import Run
from security.tree import split_hashes

HASH_BYTES = 32
# STRICT is not asked again when a row is read: a damaged page may change a type, too.
_RUN_TYPES = (int, bytes, bytes, bytes, int, int, int, bytes, bytes, bytes, bytes, bytes)


class Damaged(sqlite3.DatabaseError):
    """The ledger's database was changed by something else than this program; `suozhan-hub verify` names every place."""


class DamagedRow(Damaged):
    """A row of `runs`, at `index`, that does not hold what it says."""

    def __init__(self, index: int) -> None:
        super().__init__(f"the row of entries at cursor {index + 1} does not hold what it says")
        self.index = index


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger entry. `cursor` is its place in the feed: index + 1."""

    cursor: int
    edge: UUID
    journal: UUID
    position: int
    key_id: bytes
    payload: bytes
    signature: bytes
    digest: bytes
    leaf: bytes
    arrived_ms: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A well-signed run of one journal, with the digest and leaf of each record; the ledger has not judged it yet.

    `edge_head` is where the edge says that its journal ends, 0 when it says nothing.
    """

    journal: UUID
    run: Run
    digests: Sequence[bytes]
    leaves: Sequence[bytes]
    arrived_ms: int
    edge_head: int = 0


def columns(arrival: Arrival, skip: int) -> tuple[int, int, int, bytes, bytes, bytes, bytes, bytes]:
    """first, count, arrived_ms, sizes, digests, leaves, signatures, payloads of what follows the first `skip` records."""
    payloads, signatures = arrival.run.payloads[skip:], arrival.run.signatures[skip:]
    count = len(payloads)
    sizes = struct.pack(f">{2 * count}I", *map(len, payloads), *map(len, signatures))
    return (arrival.run.first + skip, count, arrival.arrived_ms, sizes, b"".join(arrival.digests[skip:]),
            b"".join(arrival.leaves[skip:]), b"".join(signatures), b"".join(payloads))


@dataclass(frozen=True, slots=True)
class Columns:
    """What a row holds, cut into its entries: equally many of each."""

    payloads: Sequence[bytes]
    signatures: Sequence[bytes]
    digests: Sequence[bytes]
    leaves: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A row of `runs`, with whose it is."""

    index: int
    edge: UUID
    journal: UUID
    key_id: bytes
    first: int
    count: int
    arrived_ms: int
    sizes: bytes
    digests: bytes
    leaves: bytes
    signatures: bytes
    payloads: bytes

    def columns(self) -> Columns:
        """All entries at once, for whoever checks a million of them. Raises DamagedRow."""
        if self.count < 1:
            raise DamagedRow(self.index)
        payload_sizes, signature_sizes = self._sizes()
        return Columns(_cut(self.payloads, payload_sizes), _cut(self.signatures, signature_sizes), split_hashes(self.digests),
                       split_hashes(self.leaves))

    def entries(self, start: int, limit: int) -> Iterator[Entry]:
        """At most `limit` of them from offset `start`. Raises DamagedRow rather than give any that is cut wrongly."""
        payload_sizes, signature_sizes = self._sizes()
        payload_at, signature_at = sum(payload_sizes[:start]), sum(signature_sizes[:start])
        for offset in range(start, min(start + limit, self.count)):
            payload_end, signature_end = payload_at + payload_sizes[offset], signature_at + signature_sizes[offset]
            hashes = slice(offset * HASH_BYTES, (offset + 1) * HASH_BYTES)
            yield Entry(
                self.index + offset + 1, self.edge, self.journal, self.first + offset, self.key_id,
                self.payloads[payload_at:payload_end], self.signatures[signature_at:signature_end],
                self.digests[hashes], self.leaves[hashes], self.arrived_ms,
            )
            payload_at, signature_at = payload_end, signature_end

    def _sizes(self) -> tuple[Sequence[int], Sequence[int]]:
        if len(self.sizes) != 8 * self.count or not len(self.digests) == len(self.leaves) == HASH_BYTES * self.count:
            raise DamagedRow(self.index)
        sizes = struct.unpack(f">{2 * self.count}I", self.sizes)
        payload_sizes, signature_sizes = sizes[:self.count], sizes[self.count:]
        if sum(payload_sizes) != len(self.payloads) or sum(signature_sizes) != len(self.signatures):
            raise DamagedRow(self.index)
        return payload_sizes, signature_sizes


def stored_run(row: sqlite3.Row) -> StoredRun:
    """Of the columns of StoredRun, in their order. Raises DamagedRow."""
    index, edge, journal, *rest = row
    if tuple(map(type, row)) != _RUN_TYPES or not len(edge) == len(journal) == 16 or row[4] < 1 or row[6] < 0:
        raise DamagedRow(index)
    return StoredRun(index, UUID(bytes=edge), UUID(bytes=journal), *rest)


def _cut(joined: bytes, sizes: Sequence[int]) -> list[bytes]:
    return [joined[start:end] for start, end in pairwise(accumulate(sizes, initial=0))]
