"""Where things lie in the folder of one machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BUSINESS_JOURNAL = "business"


@dataclass(frozen=True)
class StateFolder:
    """Paths only; nothing here touches the disk but `make`."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "edge.toml"

    @property
    def identity(self) -> Path:
        return self.root / "identity.json"

    @property
    def tls_key(self) -> Path:
        return self.root / "keys" / "tls.key"

    @property
    def record_key(self) -> Path:
        return self.root / "keys" / "record.key"

    @property
    def csr(self) -> Path:
        return self.root / "keys" / "tls.csr"

    @property
    def tls_pair(self) -> Path:
        """Key and certificate of the newest renewal; absent before the first."""
        return self.root / "keys" / "tls.pem"

    @property
    def tls_next(self) -> Path:
        """Key and request of a renewal that is not finished."""
        return self.root / "keys" / "tls.next"

    @property
    def diagnosis(self) -> Path:
        """What the agent last found out about the line to the hub."""
        return self.root / "diagnosis.json"

    @property
    def journal(self) -> Path:
        return self.root / "journals" / f"{BUSINESS_JOURNAL}.db"

    @property
    def journal_id(self) -> Path:
        return self.root / "journals" / f"{BUSINESS_JOURNAL}.id"

    @property
    def resources(self) -> Path:
        return self.root / "resources"

    @property
    def door(self) -> Path:
        return self.root / "door.db"

    @property
    def alarms(self) -> Path:
        return self.root / "alarms"

    @property
    def lock(self) -> Path:
        return self.root / "agent.lock"

    def make(self) -> None:
        for folder in (self.root, self.root / "keys", self.root / "journals", self.root / "resources"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
