"""What an auditor says: what is wrong, and where."""

from __future__ import annotations

from dataclasses import dataclass

# Of a record with others behind it in the same chain: whoever accepted those has verified a signature that covers it.
BADLY_SIGNED = ("the signature does not hold, and came like that; the chain and a later signature prove the digest, so that the "
                "content is what was written. Look at that machine and its disk: suozhan-edge verify")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and where. `damage`: something changed what was stored; else it came like that (decision 0003)."""

    where: str
    reason: str
    damage: bool = True
    position: int = 0


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why an entry is not one. `signature`: all but its signature fits, which the leaf covers as it came."""

    reason: str
    signature: bool = False
