"""What an auditor says: what is wrong, and where."""

from __future__ import annotations

from dataclasses import dataclass

BADLY_SIGNED = "stored as it came, but its signature does not hold: the machine signed wrongly; look at that machine"


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
