"""What proves each position of one range: its own proof, the chain to a later one that has a proof, or its signature alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from security.bundle.entries import Proof


class How(StrEnum):
    """Own: index and arrival, too. Chain: the payload, by the digest of a later position. Signed: the machine alone says so. The
    others are not in the bundle; of some of them it has the receipt, which proves their digest, index and arrival.
    """

    OWN = "own proof"
    CHAIN = "chain"
    SIGNED = "signature only"
    RECEIPT = "receipt"
    PRUNED = "pruned"
    LOST = "lost"
    HOLE = "hole"


@dataclass(frozen=True, slots=True)
class Covered:
    """Consecutive positions. `to` is the position whose proof covers them by the chain, or the record that accepted a hole;
    places and arrivals (Unix ms) are of the first and the last when each has its own proof.
    """

    first: int
    last: int
    how: How
    to: int = 0
    index: tuple[int, int] = (0, 0)
    arrived_ms: tuple[int, int] = (0, 0)

    def joined(self, after: Covered) -> Covered | None:
        """Both as one, if they say the same."""
        if (self.how, self.to, self.last + 1) != (after.how, after.to, after.first) or self.how is How.HOLE:
            return None
        return replace(self, last=after.last, index=(self.index[0], after.index[1]),
                       arrived_ms=(self.arrived_ms[0], after.arrived_ms[1]))


class Coverage:
    """Of one range, while it is read."""

    def __init__(self) -> None:
        self._covered: list[Covered] = []
        self.pending: tuple[int, int] | None = None  # entries behind the last proof, first and last

    def entry(self, position: int) -> None:
        self.pending = (self.pending[0] if self.pending else position, position)

    def proof(self, proof: Proof) -> None:
        """Of the last entry."""
        if self.pending is not None:
            first, last = self.pending
            if first < last:
                self._covered.append(Covered(first, last - 1, How.CHAIN, to=last))
            self._add(_proved(proof, How.OWN))
        self.pending = None

    def receipt(self, proof: Proof) -> None:
        """Of a record that is not here."""
        self._add(_proved(proof, How.RECEIPT))

    def missing(self, first: int, last: int, how: How, accepted: int | None) -> None:
        """Not here: what comes behind proves nothing of what came before."""
        self.cut()
        self._add(Covered(first, last, how, to=accepted or 0))

    def cut(self) -> None:
        """The chain ends here: nothing but their signature speaks for the entries behind the last proof."""
        self._covered = list(self.covered())
        self.pending = None

    def covered(self) -> tuple[Covered, ...]:
        """In order, so far."""
        return (*self._covered, *([Covered(*self.pending, How.SIGNED)] if self.pending else []))

    def _add(self, one: Covered) -> None:
        joined = self._covered[-1].joined(one) if self._covered else None
        if joined is None:
            self._covered.append(one)
        else:
            self._covered[-1] = joined


def _proved(proof: Proof, how: How) -> Covered:
    return Covered(proof.position, proof.position, how, index=(proof.index, proof.index),
                   arrived_ms=(proof.arrived_ms, proof.arrived_ms))
