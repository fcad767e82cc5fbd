"""The append rule: one pure function decides what a well-signed run of records means for a journal we hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """Position (0 before the first record) and the digest there."""

    position: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Accept:
    """Append what follows the first `skip` records, which we hold already. All skipped: a repeat, and a success."""

    skip: int


@dataclass(frozen=True, slots=True)
class Gap:
    """It begins beyond our next position."""

    wanted: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Well signed, but on another history than the one we hold; they differ at this position or before."""

    position: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The journal has ended: its machine goes on in another one. The ledger says so before it asks the rule."""

    reason: str


Verdict = Accept | Gap | Fork | Closed


def judge(
    held: Head, first: int, previous: bytes, digests: Sequence[bytes], digest_at: Callable[[int], bytes]
) -> Verdict:
    """`digests[i]` is of position `first + i`, and `previous` of `first - 1`; `digest_at` gives ours, 0 ≤ position < head.

    Each digest covers all before it, so the last position that both know decides for every earlier one.
    """
    if first > held.position + 1:
        return Gap(held.position + 1)
    common = min(held.position, first + len(digests) - 1)
    ours = held.digest if common == held.position else digest_at(common)
    theirs = previous if common == first - 1 else digests[common - first]
    return Accept(common - first + 1) if ours == theirs else Fork(common)
