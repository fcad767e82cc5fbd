"""One attachment, as a record names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from security.attachment import AttachmentSeal


@dataclass(frozen=True, slots=True)
class Attached:
    """One that a record may name."""

    id: UUID
    seal: AttachmentSeal
    media_type: str
    simulated: bool = False
    source: Mapping[str, Any] | None = None  # the device's reading that it is, as a record says it

    def body(self) -> dict[str, Any]:
        """As it stands in the sealed body of a record; with the key."""
        return {"id": str(self.id), "blob": self.seal.address.hex(), "key": self.seal.key.hex(),
                "sha256": self.seal.sha256.hex(), "size": self.seal.size, "media_type": self.media_type,
                **({"source": dict(self.source)} if self.source else {})}
