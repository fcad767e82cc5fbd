"""Whoever brings a machine's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hub.imports.check import ImportRefused
from hub.names import name_fault


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants a file imported, and why; it stands in the ledger. `site` is where a machine stands that the hub forgot."""

    path: Path
    by: str
    reason: str
    site: str = ""

    def __post_init__(self) -> None:
        if not self.by.strip() or not self.reason.strip() or name_fault(self.by) or name_fault(self.reason):
            raise ImportRefused("somebody brings these records, for a reason; give --by and --reason in a few words")
