"""`suozhan-edge status`: the queue as it lies on disk, read without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from shutil import disk_usage
from uuid import UUID

from edge.alarms import Alarm
from edge.drafts import CorruptJournal, JournalUnreadable
from edge.examination import read_diagnosis
from edge.identity import Identity, load_identity
from edge.journal_end import stop_of
from edge.journal_store import JournalStore, Standing
from edge.settlement import all_settled
from edge.state import BUSINESS, EVENTS, IdentityFolder, JournalFiles, StateFolder
from edge.succession import read_succession
from edge.tls_pair import load_pair
from security.durable_sqlite import DatabaseMissing
from security.file_trouble import advised
from security.signer import BadKey
from security.sqlite_connection import FileChanged

_STOPPED = "it takes no more records; the agent goes on in a new journal as soon as it can begin one: suozhan-edge run"


async def describe(state: StateFolder, alarms: Sequence[Alarm]) -> str:
    """Lines for a technician, alarms first. Raises NotEnrolled, DatabaseMissing, CorruptJournal, JournalUnreadable."""
    folder = state.current
    identity = load_identity(folder.identity)
    business = await _look(folder.business)
    stopped = stop_of(folder)
    rows = {
        "machine": identity.edge,
        "site": f"{identity.site} {identity.site_name} ({identity.site_kind})",
        "hub": identity.work_address,
        "certificate": _certificate(folder, identity),
        **_succession(state.identities()),
        **({"line": f"{said[0]} (found at {_time(said[1])})"} if (said := read_diagnosis(state.diagnosis)) else {}),
        "journal": str(business.journal),
        "head": str(business.head),
        "held by the hub": str(business.standing.position),
        "queued": str(business.queued),
        "backed up": str(business.standing.backed_up),
        "kept here from": str(business.first) if business.first is not None else "-",
        "heard of the hub": _time(business.standing.hub_ms) if business.standing.hub_ms else "never",
        **({"stopped": f"{stopped} ({_STOPPED})"} if stopped else {}),
        "journal file": f"{folder.business.db.stat().st_size} bytes",
        "events": await _events(folder, identity),
        **_attachments(state),
    }
    told = [f"ALARM {one.kind}: {one.text} ({one.hint})" for one in alarms]
    return "\n".join([*told, *(f"{name + ':':<18}{value}" for name, value in rows.items())])


@dataclass(frozen=True)
class _Look:
    """A journal at one moment; `first` is the lowest position whose record is still here."""

    journal: UUID
    head: int
    standing: Standing
    first: int | None

    @property
    def queued(self) -> int:
        return self.head - self.standing.position


async def _look(files: JournalFiles) -> _Look:
    """Raises DatabaseMissing, CorruptJournal, JournalUnreadable."""
    try:
        async with JournalStore(files.db, quota_bytes=1, readonly=True) as store:
            head, standing, first = await store.head(), await store.standing(), await store.first_held()
    except FileChanged as error:
        raise JournalUnreadable(str(error)) from error
    except sqlite3.OperationalError as error:
        free = disk_usage(files.db.parent).free
        raise JournalUnreadable(f"{files.db} cannot be read now ({error}); {free} bytes are free on its disk. Make room, or end "
                                "the program that holds the file; what is stored stays, remove nothing of it") from error
    return _Look(store.identity.genesis.journal, head.position, standing, first)


async def _events(folder: IdentityFolder, identity: Identity) -> str:
    """In one line; trouble with it hides nothing of the other."""
    if EVENTS not in identity.journals:
        return "no such journal yet"
    try:
        look = await _look(folder.events)
    except (DatabaseMissing, CorruptJournal, JournalUnreadable) as error:
        return str(error)
    return (f"journal {look.journal}, head {look.head}, held by the hub {look.standing.position}, queued {look.queued}, "
            f"backed up {look.standing.backed_up}, {folder.events.db.stat().st_size} bytes")


def _succession(identities: Sequence[IdentityFolder]) -> dict[str, str]:
    if len(identities) == 1:
        return {}
    *_, old, folder = identities
    succession = read_succession(old, folder)
    settled = "all of it is settled" if all_settled(old, folder) else "what it could not deliver is not carried over yet"
    return {"follows": f"journal {succession.journals[BUSINESS].journal} ({succession.reason}); {settled}"}


def _attachments(state: StateFolder) -> dict[str, str]:
    sizes = []
    for path in state.attachments.glob("*.blob"):
        with suppress(FileNotFoundError):  # the agent has just forgotten it
            sizes.append(path.stat().st_size)
    return {"scans": f"{len(sizes)} not safe at the hub yet, {sum(sizes)} bytes"} if sizes else {}


def _certificate(folder: IdentityFolder, identity: Identity) -> str:
    if not identity.certified:
        return "none yet: a person at the hub has to approve this identity (suozhan-hub approvals)"
    try:
        pair = load_pair(folder, identity)
    except (BadKey, OSError) as error:
        return f"none that can be used: {advised(error)}"
    return f"ends {_time(pair.validity.last_ms)}, generation {pair.check(identity)}, renews from {_time(pair.renew_at_ms)}"


def _time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds")
