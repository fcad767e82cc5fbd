"""Between a journal and the one behind it: what the hub said of the older one, and what became of its records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from edge.identity import journals_of
from edge.state import IdentityFolder, JournalFiles
from security.private_files import read_private, write_private

KIND = "carried"


def copy_id(journal: UUID, position: int) -> str:
    """The caller's id that a record's copy has in a later journal."""
    return f"{KIND}:{journal}:{position}"


@dataclass(frozen=True, slots=True)
class Held:
    """What the hub said of the old journal: where it ended there, and its digests from the one behind `known` on."""

    position: int
    known: int
    digests: Sequence[bytes]

    @property
    def last(self) -> int:
        """Of the digests."""
        return self.known + len(self.digests)

    def save(self, files: JournalFiles) -> None:
        write_private(files.held, json.dumps({"position": self.position, "known": self.known,
                                               "digests": b"".join(self.digests).hex()}).encode())

    def anchors(self) -> dict[int, bytes]:
        """By position: where ours are lost, the record behind them can still be proved."""
        return dict(enumerate(self.digests, self.known + 1))

    @classmethod
    def load(cls, files: JournalFiles) -> Held:
        """Raises OSError, ValueError."""
        try:
            said = json.loads(read_private(files.held))
            digests = bytes.fromhex(said["digests"])
            return cls(int(said["position"]), int(said["known"]), [digests[at:at + 32] for at in range(0, len(digests), 32)])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{files.held} is damaged ({error!r})") from error


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the old journal: all behind `common`, where it has `digest`, is in a later one, or listed as lost."""

    common: int
    digest: bytes
    carried: int
    lost: int

    def save(self, files: JournalFiles) -> None:
        write_private(files.carried, json.dumps({"common": self.common, "digest": self.digest.hex(), "carried": self.carried,
                                                  "lost": self.lost}).encode())

    @classmethod
    def load(cls, files: JournalFiles) -> Settled:
        """Raises OSError, ValueError."""
        try:
            said = json.loads(read_private(files.carried))
            return cls(int(said["common"]), bytes.fromhex(said["digest"]), int(said["carried"]), int(said["lost"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{files.carried} is damaged ({error!r})") from error


def all_settled(old: IdentityFolder, new: IdentityFolder) -> bool:
    """Of each journal of an identity that another one follows."""
    return all(JournalFiles(new, one.name).carried.exists() for one in journals_of(old))
