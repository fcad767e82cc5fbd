"""Which entries somebody asks for: all of the ledger, a site's, a journal's from a position to another, or one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.evidence.own_records import registrations
from hub.ledger.journal_head import JournalHead, UnknownJournal
from hub.ledger.reader import LedgerReader


class EvidenceRefused(ValueError):
    """What is asked for cannot be exported, or not yet; the text says what to do."""


class NotCovered(EvidenceRefused):
    """What is asked for stands in the ledger, and under no checkpoint yet."""


@dataclass(frozen=True, slots=True)
class Span:
    """Positions of one journal."""

    head: JournalHead
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Selection:
    """`last` None: as far as a checkpoint covers. A site and a journal are not asked for together."""

    journal: UUID | None = None
    first: int = 1
    last: int | None = None
    site: str = ""

    def __post_init__(self) -> None:
        if self.site and self.journal is not None:
            raise EvidenceRefused("give a site or a journal, not both")
        if self.journal is None and (self.first != 1 or self.last is not None):
            raise EvidenceRefused("positions are those of a journal: give it, too, with --journal")
        if not 1 <= self.first <= (self.first if self.last is None else self.last):
            raise EvidenceRefused("positions go from 1 up; give --from and --to in this order")

    @classmethod
    def of_record(cls, text: str) -> Selection:
        """Of JOURNAL/POSITION. Raises EvidenceRefused."""
        journal, _, position = text.partition("/")
        try:
            return cls(UUID(journal), int(position), int(position))
        except ValueError as error:
            raise EvidenceRefused(f"{text[:80]!r} is no record; write JOURNAL/POSITION, as the feed names them") from error

    def __str__(self) -> str:
        if self.site:
            return f"site {self.site}"
        if self.journal is None:
            return "the whole ledger"
        end = f"to {self.last}" if self.last is not None else "on"
        return f"journal {self.journal}, from position {self.first} {end}"

    def spans(self, ledger: LedgerReader, own: JournalHead, covered: Callable[[UUID], int]) -> list[Span]:
        """What there is of it; `covered` tells the last position of a journal under the checkpoint. Raises EvidenceRefused,
        NotCovered.
        """
        heads = [head for head in self._heads(ledger, own) if head.position >= (self.last or self.first)]
        if not heads:
            raise EvidenceRefused(f"{self}: the ledger holds no such record; the feed lists what it holds")
        found = [Span(head, self.first, min(covered(head.journal), self.last or head.position)) for head in heads]
        spans = [span for span in found if span.first <= span.last]
        if not spans or (self.last is not None and spans[0].last < self.last):
            raise NotCovered(f"{self}: no checkpoint covers it yet. One comes seconds after a record while the hub runs: start "
                             "the hub if it does not, and try again")
        return [_whole_holes(ledger, span) for span in spans]

    def _heads(self, ledger: LedgerReader, own: JournalHead) -> Sequence[JournalHead]:
        if self.journal is not None:
            try:
                return [ledger.journal(self.journal)]
            except UnknownJournal as error:
                raise EvidenceRefused(str(error)) from error
        wanted = {one.journal for one in registrations(ledger, own) if self.site in {"", one.site}}
        return [head for head in ledger.journals() if head.journal in wanted or (not self.site and head.journal == own.journal)]


def _whole_holes(ledger: LedgerReader, span: Span) -> Span:
    """A hole is told whole or not at all."""
    first, last = span.first, span.last
    for hole in ledger.holes(span.head):
        first = hole.first if hole.first < first <= hole.last else first
        last = hole.last if hole.first <= last < hole.last else last
    return Span(span.head, first, last)
