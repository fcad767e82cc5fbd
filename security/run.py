"""Records on their way: consecutive ones of one journal, in columns, because a hundred thousand of them pass in a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """Payloads as they were signed and their signatures, equally many; `previous` is the digest before `first`."""

    first: int
    previous: bytes
    payloads: Sequence[bytes]
    signatures: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.payloads)

    @property
    def last(self) -> int:
        """The position of the last record; `first - 1` when there is none."""
        return self.first + len(self.payloads) - 1

    @property
    def size_bytes(self) -> int:
        """Of payloads and signatures."""
        return sum(map(len, self.payloads)) + sum(map(len, self.signatures))
