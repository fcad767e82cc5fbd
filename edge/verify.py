"""`suozhan-edge verify`: everything that this machine holds, with a cursor from which it can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edge.drafts import CorruptJournal
from edge.identity import NotEnrolled, journals_of, load_identity
from edge.journal_check import Finding, JournalCheck
from edge.journal_store import gone
from edge.keys_check import check_keys, known_identity
from edge.receipt_check import ReceiptCheck
from edge.salvage import NO_RECORD, NothingToSalvage, Salvaged, salvage
from edge.state import BUSINESS, IdentityFolder, JournalFiles
from security.chain import Genesis
from security.durable_sqlite import DatabaseMissing
from security.private_files import write_private
from security.sqlite_index import lost_log
from security.suites import Verifier

CURSOR_EVERY_RECORDS = 20_000
BEHIND = "; what stood behind position {} in the lost log alone is not counted: how much that was, nobody here knows"

Progress = Callable[[int, int], None]  # checked, of so many


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far an interrupted check of a journal's file (by its inode) had come, and what it had found until then."""

    file: int
    position: int = 0
    findings: int = 0


class Verification:
    """The journals of one identity of a machine, and the keys beside them. Reads only, but for the cursor."""

    def __init__(self, state: IdentityFolder, progress: Progress, *, resume: bool) -> None:
        self._state = state
        self._progress = progress
        self._resume = resume
        self._file = state.root / "verify.json"
        self._cursors: dict[str, Cursor] = {}  # by journal's id
        self.checked = 0
        self.earlier = 0  # findings before the interruption

    def findings(self) -> Generator[Finding, None, None]:
        """All of them, as they are found. Raises sqlite3.Error for what may pass."""
        self._cursors = _read(self._file) if self._resume else {}
        geneses: dict[str, Genesis] = {}
        for files in journals_of(self._state):
            for finding in self._journal(files, geneses):
                yield finding if files.name == BUSINESS else replace(finding, where=f"{files.name}: {finding.where}")
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
        yield from check_keys(self._state, geneses)

    def _journal(self, files: JournalFiles, geneses: dict[str, Genesis]) -> Iterator[Finding]:
        try:
            with JournalCheck(files.db) as check:
                geneses[files.name] = check.identity.genesis
                yield from check.structure()
                yield from check.ends()
                yield from self._records(check, files.db.stat().st_ino)
                yield from self._receipts(files, check.identity.genesis)
        except DatabaseMissing:
            yield Finding("journal", str(gone(files.db)))
            with suppress(FileNotFoundError):  # its log may be there
                yield from _damage(files)
        except CorruptJournal as error:
            yield Finding("journal", str(error))
            yield from _damage(files)

    def _records(self, check: JournalCheck, file: int) -> Iterator[Finding]:
        journal = str(check.identity.genesis.journal)
        end = check.marks().head.position
        cursor = self._cursors.get(journal, Cursor(file))
        if cursor.file != file or cursor.position > end:  # another one was put in the place of the one that was looked at
            cursor = Cursor(file)
        position, found = cursor.position, cursor.findings
        self.earlier += found
        try:
            while position < end:
                last, findings = check.step(position)
                if last == position:
                    return
                found += len(findings)
                self.checked += last - position
                self._cursors[journal] = Cursor(file, last, found)
                if last // CURSOR_EVERY_RECORDS > position // CURSOR_EVERY_RECORDS:
                    self._keep()
                position = last
                yield from findings
                self._progress(position, end)
        except BaseException:  # stopped by hand, too: the next run goes on from here
            self._keep()
            raise

    def _receipts(self, files: JournalFiles, genesis: Genesis) -> Iterator[Finding]:
        """By the key that the journal itself names: one of another machine beside it says nothing against the hub."""
        try:
            identity = load_identity(self._state.identity)
        except (NotEnrolled, OSError):
            return  # told by the check of the keys
        if (identity.edge_id, identity.journals.get(files.name)) != (genesis.edge, genesis.journal):
            return  # told there, too
        yield from ReceiptCheck(files.db, genesis.journal, identity, Verifier(genesis.suite, genesis.public_key)).findings()

    def _keep(self) -> None:
        """A disk that is full, or mounted for reading only, is checked all the same; it begins again then."""
        with suppress(OSError):
            write_private(self._file, json.dumps({name: asdict(one) for name, one in self._cursors.items()}).encode())


def _damage(files: JournalFiles) -> Iterator[Finding]:
    """SQLite cannot open it: name what is damaged page by page."""
    try:
        with salvage(files.db, known_identity(files)) as salvaged:
            for damage in salvaged.damage:
                yield Finding(damage.where, damage.text, damage.position)
            yield Finding("salvage", f"{salvaged.saved} records up to position {salvaged.head.position} are whole, "
                          f"{salvaged.pruned_to} were dropped before{_unvouched(salvaged)} ({salvaged.backed_up} of them are in "
                          f"a backup of the hub, by its word), {salvaged.lost} are lost{_unknown(salvaged)}"
                          f"{BEHIND.format(salvaged.head.position) if lost_log(files.db) else ''}")
    except NothingToSalvage as error:
        yield Finding("salvage", str(error))


def _unvouched(salvaged: Salvaged) -> str:
    return " or are lost: nothing here says which" if salvaged.vouched_to < salvaged.pruned_to else ""


def _unknown(salvaged: Salvaged) -> str:
    return f"; {NO_RECORD}" if salvaged.nothing_proved else ""


def _read(file: Path) -> dict[str, Cursor]:
    """From the beginning when there is nothing to go on from."""
    try:
        cursors = {str(name): Cursor(**one) for name, one in json.loads(file.read_bytes()).items()}
        if all(one.position >= 0 and one.findings >= 0 for one in cursors.values()):
            return cursors
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    return {}
