"""`suozhan-edge verify`: everything that this machine holds, with a cursor from which it can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.drafts import CorruptJournal
from edge.identity import NotEnrolled, load_identity
from edge.journal_check import Finding, JournalCheck
from edge.journal_store import gone
from edge.keys_check import check_keys, known_identity
from edge.receipt_check import ReceiptCheck
from edge.salvage import NothingToSalvage, salvage
from edge.state import IdentityFolder
from security.durable_sqlite import DatabaseMissing
from security.private_files import write_private
from security.signer import BadKey, Ed25519Signer
from security.suites import Verifier

CURSOR_EVERY_RECORDS = 20_000

Progress = Callable[[int, int], None]  # checked, of so many


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far an interrupted check of a journal had come, and what it had found until then."""

    journal: str
    position: int = 0
    findings: int = 0


class Verification:
    """One journal of one machine, and the keys beside it. Reads only, but for the cursor."""

    def __init__(self, state: IdentityFolder, progress: Progress, *, resume: bool) -> None:
        self._state = state
        self._progress = progress
        self._resume = resume
        self._file = state.root / "verify.json"
        self.checked = 0
        self.earlier = 0  # findings before the interruption

    def findings(self) -> Generator[Finding, None, None]:
        """All of them, as they are found. Raises sqlite3.Error for what may pass."""
        genesis = None
        try:
            with JournalCheck(self._state.journal) as check:
                genesis = check.identity.genesis
                yield from check.structure()
                yield from check.ends()
                yield from self._records(check)
                yield from self._receipts()
        except DatabaseMissing:
            yield Finding("journal", str(gone(self._state.journal)))
        except CorruptJournal as error:
            yield Finding("journal", str(error))
            yield from self._damage()
        yield from check_keys(self._state, genesis)

    def _records(self, check: JournalCheck) -> Iterator[Finding]:
        journal = str(check.identity.genesis.journal)
        cursor = _read(self._file, journal) if self._resume else Cursor(journal)
        position, found, self.earlier = cursor.position, cursor.findings, cursor.findings
        end = check.marks().head.position
        try:
            while position < end:
                last, findings = check.step(position)
                if last == position:
                    return
                found += len(findings)
                self.checked += last - position
                if last // CURSOR_EVERY_RECORDS > position // CURSOR_EVERY_RECORDS:
                    self._keep(Cursor(journal, last, found))
                position = last
                yield from findings
                self._progress(position, end)
        except BaseException:
            self._keep(Cursor(journal, position, found))
            raise
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _receipts(self) -> Iterator[Finding]:
        try:
            identity = load_identity(self._state.identity)
            key = Ed25519Signer.load(self._state.record_key)
        except (NotEnrolled, BadKey, OSError):
            return  # told by the check of the keys
        yield from ReceiptCheck(self._state.journal, identity, Verifier(key.suite, key.public_key)).findings()

    def _keep(self, cursor: Cursor) -> None:
        """A disk that is full, or mounted for reading only, is checked all the same; it begins again then."""
        with suppress(OSError):
            write_private(self._file, json.dumps(asdict(cursor)).encode())

    def _damage(self) -> Iterator[Finding]:
        """SQLite cannot open it: name what is damaged page by page."""
        try:
            with salvage(self._state.journal, known_identity(self._state)) as salvaged:
                for damage in salvaged.damage:
                    yield Finding(damage.where, damage.text, damage.position)
                yield Finding("salvage", f"{salvaged.saved} records up to position {salvaged.head.position} are whole, "
                              f"{salvaged.pruned_to} are in the hub's backup, {salvaged.lost} are lost")
        except NothingToSalvage as error:
            yield Finding("salvage", str(error))


def _read(file: Path, journal: str) -> Cursor:
    """From the beginning when there is nothing to go on from."""
    try:
        cursor = Cursor(**json.loads(file.read_bytes()))
        if cursor.journal == journal and cursor.position >= 0 and cursor.findings >= 0:
            return cursor
    except (OSError, ValueError, TypeError):
        pass
    return Cursor(journal)
