"""Which identity another one follows: succession.json beside its keys, until the hub has admitted it, and after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from edge.state import BUSINESS, IdentityFolder
from security.private_files import read_private, write_private


@dataclass(frozen=True, slots=True)
class Ended:
    """A journal that an identity leaves: where it ends here, and what of it the hub had acknowledged."""

    journal: UUID
    position: int
    held: int


@dataclass(frozen=True, slots=True)
class Succession:
    """Why an identity was begun, and after which; `journals` are the old one's, by the name under which they go on."""

    old_edge: UUID
    reason: str
    journals: Mapping[str, Ended]

    def save(self, folder: IdentityFolder) -> None:
        write_private(folder.succession, json.dumps(asdict(self), ensure_ascii=False, default=str).encode())

    @classmethod
    def load(cls, folder: IdentityFolder) -> Succession:
        """Raises FileNotFoundError, ExposedSecret, ValueError."""
        try:
            said = json.loads(read_private(folder.succession))
            journals = {name: _ended(one) for name, one in said["journals"].items()}
            if not {BUSINESS} <= journals.keys() <= {one.name for one in folder.journals}:
                raise ValueError("it names other journals than a machine has")
            return cls(UUID(said["old_edge"]), str(said["reason"]), journals)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{folder.succession} is damaged ({error!r})") from error


def _ended(said: dict[str, Any]) -> Ended:
    return Ended(UUID(said["journal"]), int(said["position"]), int(said["held"]))
