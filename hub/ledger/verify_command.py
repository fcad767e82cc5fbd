"""`suozhan-hub verify`: all that the hub or a backup holds, with progress; interrupted, it goes on where it was."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from hub.alone import alone
from hub.attachments.copies import attachment_findings, copies_beside
from hub.attachments.files import BlobFiles
from hub.keys import LOG_KEY, LogKeyLost, log_key
from hub.known_keys import key_faults, require_own_keys
from hub.ledger.decision_check import decision_findings
from hub.ledger.file_check import file_findings
from hub.ledger.findings import Finding
from hub.ledger.high_water import HighWater
from hub.ledger.reached_file import ReachedFile
from hub.ledger.reader import LedgerReader
from hub.ledger.signed_roots import MARK, LogKey
from hub.ledger.stored_tree import StoredTree
from hub.ledger.tile_mending import MendingRefused, mend
from hub.ledger.transparency import REOPEN
from hub.ledger.tree_check import TreeCheck, tree_check
from hub.ledger.verify import LedgerCheck
from hub.state import HubState

SAVE_ENTRIES = 20_000
SHOW_S = 1.0  # on a terminal
TELL_S = 10.0  # elsewhere
INTERRUPTED = 130  # as a shell says it of Ctrl-C
RESTORE = "Stop the hub and run, with the newest backup that verifies: suozhan-hub restore FILE --by NAME --reason TEXT"
ANOTHER = ("Every entry is whole, but this is not the database that this hub has signed. Put the right one back; if it was "
           f"restored from a backup: {REOPEN}")
UNSIGNED = "All else that was found is said above; verify again once the key is back, before anything is restored."
FILES = ("Attachments are gone or damaged; records are not. Copy their files from a backup's attachments.backup, if it has them "
         "whole; or run: suozhan-hub backup FILE, which puts what is damaged aside: machines that still have it send it again.")
FILES_OF_BACKUP = "Attachments beside this backup are gone or damaged; records are not. Make another backup in another folder."
OLDER = "Do not restore this file; keep it, and look for an older backup that verifies."


@dataclass
class Tally:
    """What a person has been told."""

    findings: int = 0
    damages: int = 0
    files: int = 0  # of the damages: attachments
    marks: int = 0  # of the damages: that the ledger is not what the high-water mark says

    def tell(self, findings: list[Finding]) -> None:
        for finding in findings:
            self.findings += 1
            self.damages += finding.damage
            self.marks += finding.damage and finding.where == MARK
            typer.echo(f"{finding.where}: {finding.reason}")


class ProgressLine:
    """On stderr: one line that changes, or a line now and then where nobody sees it change."""

    def __init__(self, size: int, begin: int, now: Callable[[], float]) -> None:
        self._size = size
        self._begin = begin
        self._now = now
        self._began = self._told = now()
        self._terminal = sys.stderr.isatty()

    def show(self, checked: int) -> None:
        """If it is time."""
        now = self._now()
        if now - self._told < (SHOW_S if self._terminal else TELL_S):
            return
        self._told = now
        rate = (checked - self._begin) / (now - self._began)
        text = f"{checked:,} of {self._size:,} entries, {100 * checked / max(self._size, 1):.0f} %, {rate:,.0f}/s"
        typer.echo(f"\r{text}\x1b[K" if self._terminal else text, nl=not self._terminal, err=True)

    def clear(self) -> None:
        """Before something else is printed."""
        if self._terminal:
            typer.echo("\r\x1b[K", nl=False, err=True)


class Interrupt:
    """Set by Ctrl-C or SIGTERM; a second one ends the program as ever."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """While the check runs."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def ask(_number: int, _frame: FrameType | None) -> None:
            self.asked = True
            _hear_as(before)

        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            _hear_as(before)


def verify(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A backup.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last one was interrupted.")] = False,
    no_signatures: Annotated[bool, typer.Option("--no-signatures", help="Chain and tree only: far faster.")] = False,
    mend_tiles: Annotated[bool, typer.Option("--mend-tiles", help="Write damaged tiles anew, if the entries give the root that "
                                             "was signed. The hub must not run.")] = False,
) -> None:
    """Check every entry of the ledger again, or of the backup FILE: chain, leaf, signature; then the tree over them, and
    everything that was signed over it."""
    state: HubState = context.obj
    if mend_tiles and file is None:
        with alone(state.root):
            _verify(state, None, resume=False, signatures=not no_signatures, mend_tiles=True)
    else:
        _verify(state, file, resume=resume and not mend_tiles, signatures=not no_signatures, mend_tiles=mend_tiles)


def _verify(state: HubState, file: Path | None, *, resume: bool, signatures: bool, mend_tiles: bool) -> None:
    database, tally = file or state.database, Tally()
    if mend_tiles:
        require_own_keys(state)
    log, lost = (log_key(state), []) if mend_tiles else _known_key(state)
    kept = ReachedFile(state.verify_progress, database, signatures=signatures, signed=log is not None)
    readonly = file is not None
    tally.tell(lost)
    with (LedgerReader(database, readonly=readonly) as ledger,
          StoredTree(database, readonly=readonly and not mend_tiles) as stored):
        begin = kept.read() if resume else None
        if resume and begin is None:
            typer.echo("No interrupted check of this kind and file is known here; this one begins at the beginning.", err=True)
        tree = tree_check(stored, log, None if readonly else HighWater(state.high_water), begin.tiles if begin else None)
        check = LedgerCheck(ledger, tree, begin, signatures=signatures)
        _go_over(check, kept, tally, state, file)
        tally.tell(list(file_findings(database)))
        if file is None:
            tally.tell(list(decision_findings(database)))
        before = tally.damages
        tally.tell(list(attachment_findings(database, copies_beside(file) if file else BlobFiles.beside(database))))
        tally.files = tally.damages - before
        kept.remove()
        typer.echo(f"{check.checked} entries checked, {tally.findings} findings, {tally.damages} of them damage.")
        if log is None:
            typer.echo(f"What was signed over them is not checked: the hub's log key is not in {state.keys}.")
        if tally.files:
            typer.echo(FILES_OF_BACKUP if file else FILES)
        tally.damages -= tally.files
        if mend_tiles and tally.damages:
            _mend(stored, tree, tally, OLDER if file else RESTORE)
        elif tally.damages:
            typer.echo(UNSIGNED if lost else _advice(tree, tally, OLDER if file else RESTORE))
    if tally.damages or tally.files:
        raise typer.Exit(1)


def _known_key(state: HubState) -> tuple[LogKey | None, list[Finding]]:
    """Without the one that is lost or another hub's, all is checked but what was signed; with what is wrong with any key.
    Raises ExposedSecret, BadKey, BadConfig."""
    faults = list(key_faults(state))
    try:
        log = log_key(state)
    except LogKeyLost as error:
        return None, [Finding(f"keys/{LOG_KEY}", str(error)), *faults]
    return None if any(one.where == f"keys/{LOG_KEY}" for one in faults) else log, faults


def _go_over(check: LedgerCheck, kept: ReachedFile, tally: Tally, state: HubState, file: Path | None) -> None:
    line, saved, interrupt = ProgressLine(check.size, check.checked, time.monotonic), check.checked, Interrupt()
    with interrupt.heard():
        for found in check.pages():
            if found:
                line.clear()
            tally.tell(found)
            line.show(check.checked)
            reached = check.reached() if interrupt.asked or check.checked - saved >= SAVE_ENTRIES else None
            if reached is not None:
                kept.write(reached)
                saved = reached.index
            if interrupt.asked and check.checked < check.size:
                line.clear()
                typer.echo(f"Stopped after {saved} of {check.size} entries. Go on with: suozhan-hub --state {state.root} verify"
                           f"{f' {file}' if file else ''} --resume", err=True)
                raise typer.Exit(INTERRUPTED)
    line.clear()


def _advice(tree: TreeCheck, tally: Tally, otherwise: str) -> str:
    if tree.mendable == tally.damages:
        return "Only tiles are damaged, and they follow from the entries. Stop the hub and run: suozhan-hub verify --mend-tiles"
    return ANOTHER if tally.marks == tally.damages else otherwise


def _mend(stored: StoredTree, tree: TreeCheck, tally: Tally, otherwise: str) -> None:
    if tree.mendable != tally.damages:
        raise MendingRefused(f"no tile was changed: other things are damaged, too. {otherwise}")
    mended = mend(stored, tree)
    tally.damages -= mended
    typer.echo(f"{mended} tiles written anew out of the entries, under the root that was signed.")


def _hear_as(handlers: dict[signal.Signals, Callable[[int, FrameType | None], None] | int | None]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
