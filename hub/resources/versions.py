"""The words of the Watch stream on the hub's side, without protobuf."""

from __future__ import annotations

import re
from dataclasses import dataclass

RESOURCE_MAX_BYTES = 1024 * 1024
REASON_MAX_CHARS = 500
HOLDING_MAX = 64
NUMBER_MAX = 2**63 - 1  # the databases' integers are signed

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class MalformedWatch(ValueError):
    """An edge's message that breaks the protocol: its stream ends."""


def valid_name(name: str) -> bool:
    """Lower-case letters, digits and hyphens, at most 63: a name becomes a file name at the edge."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Ordered by epoch, then number; names are compared by the caller."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"


@dataclass(frozen=True, slots=True)
class NamedVersion:
    """One version of one resource."""

    name: str
    version: Version


@dataclass(frozen=True, slots=True)
class Holding:
    """What an edge holds, at most one version per name."""

    versions: dict[str, Version]


@dataclass(frozen=True, slots=True)
class Report:
    """What an edge did with a resource; the reason says why it was refused."""

    subject: NamedVersion
    applied: bool
    reason: str


@dataclass(frozen=True, slots=True)
class SignedResource:
    """A published resource: `signature` is over exactly `payload`."""

    subject: NamedVersion
    key_id: bytes
    payload: bytes
    signature: bytes
