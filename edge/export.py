"""`suozhan-edge export`: what this machine holds and the hub may not, in one signed file that somebody carries there.

For a machine without a line, a damaged or an expired one: nothing but its folder is needed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from edge.agent_lock import agent_lock
from edge.checked_bundle import CheckedBundle
from edge.identity import journals_of
from edge.journal_export import Exported, JournalExport
from edge.journal_store import gone
from edge.keys_check import known_identity
from edge.salvage import NO_RECORD, NothingToSalvage, salvage
from edge.settlement import all_settled
from edge.signatory import ExportRefused, Signatory, signatory
from edge.state import IdentityFolder, StateFolder
from security.bundle.fields import TEXT_MAX_CHARS
from security.bundle.header import Header
from security.bundle.unproved import Unproved
from security.bundle.writer import BundleWriter
from security.checkpoint import origin_of
from security.clock import Clock
from security.note import NoteKey

REASON = "taken to the hub by hand"
FIRST_EPOCH = 1
LOST_SHOWN_MAX = 20


def export_machine(state: StateFolder, file: Path, clock: Clock, reason: str = "") -> str:
    """What to tell the technician. Raises ExportRefused, AlreadyRunning, NotEnrolled, OSError, sqlite3.Error."""
    signer = signatory(state)
    with _alone(state):
        return _told(state, file, signer, clock, *_write(state, file, _header(signer, clock, reason), signer))


def _alone(state: StateFolder) -> AbstractContextManager[None]:
    """No agent writes meanwhile; on a disk that is mounted for reading nobody can."""
    return nullcontext() if os.statvfs(state.root).f_flag & os.ST_RDONLY else agent_lock(state.lock)


def _header(signer: Signatory, clock: Clock, reason: str) -> Header:
    identity = signer.identity
    log_key = NoteKey(origin_of(identity.hub_id, FIRST_EPOCH), identity.log_verifier().public_key)
    try:
        return Header(identity.hub_id, identity.edge_id, socket.gethostname()[:TEXT_MAX_CHARS], reason or REASON,
                      "all that this machine still holds", max(clock.unix_ms(), 0), log_key, signer.certificates)
    except ValueError as error:
        raise ExportRefused(f"{error}; give another --reason") from error


def _write(state: StateFolder, file: Path, header: Header, signer: Signatory) -> tuple[list[Exported], list[str]]:
    """Journal by journal, the oldest first; and the journals of which nothing can be told."""
    exported: list[Exported] = []
    unread: list[str] = []
    with BundleWriter(file, signer.key) as writer:
        try:
            bundle = CheckedBundle(writer, header)
        except Unproved as error:
            raise ExportRefused(f"this machine's certificate proves nothing ({error}); copy {state.root} whole, and call the "
                                "city's IT desk") from error
        settled = _settled(state)
        for folder in state.identities():
            for files in journals_of(folder):
                try:
                    with salvage(files.db, known_identity(files)) as salvaged:
                        if salvaged.nothing_proved:
                            raise NothingToSalvage(f"{files.db} is damaged, and holds no record that can be proved; {NO_RECORD}")
                        exported.append(JournalExport(files, salvaged, bundle).run())
                except NothingToSalvage as error:
                    unread += [] if folder in settled else [str(error)]
                except (FileNotFoundError, IsADirectoryError):
                    unread += [] if folder in settled else [str(gone(files.db))]
        if not exported:
            raise ExportRefused(f"nothing can be saved here: {'; '.join(unread)}")
    return exported, unread


def _settled(state: StateFolder) -> list[IdentityFolder]:
    """Earlier identities that the hub needs no longer, unless it came back from a backup since."""
    return [one for one, after in pairwise(state.identities()) if all_settled(one, after)]


def _told(state: StateFolder, file: Path, signer: Signatory, clock: Clock, exported: Sequence[Exported],
          unread: Sequence[str]) -> str:
    saved, lost = sum(one.saved for one in exported), sum(one.lost_records for one in exported)
    lines = [f"{file} holds {saved} records of {_count(len(exported), 'journal')}, signed by machine {signer.identity.edge}."]
    lines += [line for one in exported for line in _journal(one)]
    lines += [f"NOT IN IT: {text}" for text in unread]
    lines += [f"Not signed with the newest key: {text}" for text in signer.faults]
    if signer.pair.validity.last_ms < clock.unix_ms():
        lines.append(f"Its certificate ended at {_time(signer.pair.validity.last_ms)}: the hub takes the file all the same.")
    if lost or unread or any(one.lost_log or one.doubtful for one in exported):
        are = "ARE" if lost or unread else "MAY BE"
        lines.append(f"SOME RECORDS {are} LOST HERE: keep {state.root} as it is, and say so to the city's IT desk.")
    lines.append(f"Take it to the hub: suozhan-hub import {file.name} --by NAME --reason TEXT. Remove nothing here until the "
                 "hub has said that all of it arrived.")
    return "\n".join(lines)


def _journal(one: Exported) -> Iterator[str]:
    yield (f"Journal {one.journal} ({one.name}), to position {one.last}: {one.saved} records, {one.receipts} receipts of the "
           f"hub.{_pruned(one)}")
    if one.lost:
        shown = [f"{first}" if first == last else f"{first} to {last}" for first, last in one.lost[:LOST_SHOWN_MAX]]
        more = f" and {len(one.lost) - LOST_SHOWN_MAX} more places" if len(one.lost) > LOST_SHOWN_MAX else ""
        yield f"  LOST: {_count(one.lost_records, 'record')}, at {', '.join(shown)}{more}: no whole copy was found."
    if one.lost_log:
        yield (f"  LOST, more may be: {one.lost_log}. What stood behind position {one.last} in that log alone is not in the "
               "file, and how much it was, nobody here knows: once the log is back, export again. Do not boot this machine.")
    if one.fault:
        yield f"  Not all of its receipts are in the file ({one.fault}); the hub has what they prove."


def _pruned(one: Exported) -> str:
    if not one.pruned:
        return ""
    if not one.unsaid:
        return f" {one.pruned} were dropped here before, as a backup of the hub holds them, by its word."
    if one.doubtful:
        return (f" {one.pruned} are not here; whether they were dropped, as a backup of the hub held them, or are lost (up to "
                f"{one.doubtful} of them), nothing here says any more. Ask there whether it has them.")
    return (f" {one.pruned} were dropped here before; that a backup of the hub holds {one.unsaid} of them, nothing here says any "
            "more: it came back from an older one, or its word is damaged here. Ask there whether it has them.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds")
