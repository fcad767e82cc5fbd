"""What the check of a bundle came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from security.bundle.check import Trust
from security.bundle.exporter import Exporter
from security.bundle.header import Header
from security.bundle.journal_check import CoveredJournal
from security.checkpoint import Checkpoint
from security.log_epoch import LogEpoch


class BundleRefused(ValueError):
    """The first line (from 1) that is not proved, what it is, and why."""

    def __init__(self, line: int, subject: str, reason: str) -> None:
        super().__init__(f"line {line}, {subject}: {reason}")
        self.line = line
        self.subject = subject
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Report:
    """`refusal` is None when all of it is proved. `signed` tells whether the file is, to its last byte, what its exporter signed:
    then a refusal is the exporter's doing. `header` and `exporter` are None when they cannot be told.
    """

    trust: Trust
    header: Header | None
    exporter: Exporter | None
    checkpoint: Checkpoint | None
    epochs: Sequence[LogEpoch]
    journals: Sequence[CoveredJournal]
    entries: int
    signed: bool
    refusal: BundleRefused | None
