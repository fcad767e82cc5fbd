"""Check the whole ledger again: every entry, and the tree over them. A flipped bit is named, not passed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from hub.ledger.findings import BADLY_SIGNED, Finding, Flaw
from hub.ledger.hole_check import hole_findings
from hub.ledger.journal_check import JournalCheck
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import DamagedRow, StoredRun
from hub.ledger.tree_check import TreeCheck
from security.tiles import OpenTiles

PAGE_ENTRIES = 2_000  # less than a second, with signatures


@dataclass(frozen=True)
class Reached:
    """Where a check stands between two pages, and what it has found: another one can go on from there."""

    index: int = 0
    journals: Mapping[UUID, tuple[int, bytes]] = field(default_factory=dict)
    tiles: OpenTiles = field(default_factory=OpenTiles)
    findings: tuple[Finding, ...] = ()


class LedgerCheck:
    """One pass over the ledger, in its order; what comes in meanwhile is for the next pass.

    `tree` begins where `begin` has ended. Without `signatures` whoever rewrote whole journals and the tree is found by the
    signed roots only.
    """

    def __init__(self, ledger: LedgerReader, tree: TreeCheck | None = None, begin: Reached | None = None, *,
                 signatures: bool = True) -> None:
        begin = begin or Reached()
        self._ledger = ledger
        self._tree = tree
        self._snapshot = ledger.snapshot()
        self._holes = {head.journal: ledger.holes(head) for head in self._snapshot.journals}
        self._journals = {
            head.journal: JournalCheck(head, *begin.journals.get(head.journal, (0, head.genesis)), self._holes[head.journal],
                                       signatures=signatures)
            for head in self._snapshot.journals}
        self._found = list(begin.findings)
        self._next: int | None = begin.index  # where the next row has to begin; None behind a damaged one
        self._begin = begin.index
        self.checked = begin.index

    @property
    def size(self) -> int:
        """Entries in all."""
        return self._snapshot.end

    def findings(self) -> Iterator[Finding]:
        """All of them."""
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[list[Finding]]:
        """What is found, page by page: every journal that is not what was registered, every broken entry and tile, then every
        head that is not where its entries end and every hole that was not accepted. Between two pages the check may be left,
        and `reached` kept.
        """
        yield self._registrations() + (self._tree.begun() if self._tree is not None else []) + self._found
        while self._begin < self._snapshot.end:
            found = self._page()
            if self._tree is not None:
                found += self._tree.settle()
            self._found += found
            yield found
        yield self._ends()

    def reached(self) -> Reached | None:
        """None where nobody could go on: behind a damaged row, or behind the end of the tree, which may grow until then."""
        if self._next is None or (self._tree is not None and self._tree.size != self._next):
            return None
        tiles = self._tree.tiles if self._tree is not None else OpenTiles()
        journals = {journal: check.reached for journal, check in self._journals.items()}
        return Reached(self._next, journals, tiles, tuple(self._found))

    def _registrations(self) -> list[Finding]:
        found = [Finding("journals", str(error)) for error in self._snapshot.damaged]
        return found + [Finding(f"journal {head.journal}", "machine, key or predecessor are not what was registered")
                        for head in self._snapshot.journals if not head.is_registered()]

    def _page(self) -> list[Finding]:
        found: list[Finding] = []
        try:
            runs = self._ledger.runs_from(self._begin, PAGE_ENTRIES)
            for run in runs:
                if run.index >= self._snapshot.end:  # it came meanwhile
                    self._begin = self._snapshot.end
                    break
                if self._next is not None and run.index != self._next:
                    found.append(Finding(f"cursor {run.index + 1}", f"the entry before it should be that of cursor {self._next}"))
                found += self._row(run)
                self._begin, self._next = run.index + 1, run.index + run.count
            else:
                self._begin = self._begin if runs else self._snapshot.end
        except DamagedRow as error:
            self._begin, self._next = error.index + 1, None
            return found if error.index >= self._snapshot.end else [*found, Finding(f"cursor {error.index + 1}", str(error))]
        return found

    def _row(self, run: StoredRun) -> list[Finding]:
        columns = run.columns()
        check = self._journals.get(run.journal)
        unknown = Flaw("its journal is damaged or was never registered")
        flaws = check.flaws(run, columns) if check else dict.fromkeys(range(run.count), unknown)
        self.checked += run.count
        if self._tree is not None:
            self._tree.add(run.index, columns.leaves, {offset for offset, flaw in flaws.items() if not flaw.signature})
        return [_finding(run, offset, flaw) for offset, flaw in flaws.items()]

    def _ends(self) -> list[Finding]:
        found = self._tree.ended() if self._tree is not None else []
        if self._snapshot.size != self._snapshot.end:
            found.append(Finding("ledger head", f"it says {self._snapshot.size} entries, the rows end at {self._snapshot.end}"))
        for head in self._snapshot.journals:
            if not self._journals[head.journal].at_head():
                found.append(Finding(f"journal {head.journal}, position {head.position}", "its head is not its last entry",
                                     position=head.position))
        return found + hole_findings(self._ledger, self._snapshot.journals, self._holes)


def _finding(run: StoredRun, offset: int, flaw: Flaw) -> Finding:
    position = run.first + offset
    where = f"cursor {run.index + offset + 1}, journal {run.journal}, position {position}"
    if flaw.signature and offset < run.count - 1:
        return Finding(where, BADLY_SIGNED, damage=False, position=position)
    return Finding(where, flaw.reason, position=position)  # the last signature of a row was checked before the row was stored
