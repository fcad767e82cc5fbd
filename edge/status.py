"""`suozhan-edge status`: the queue as it lies on disk, read without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from shutil import disk_usage

from edge.alarms import Alarm
from edge.drafts import JournalUnreadable
from edge.examination import read_diagnosis
from edge.identity import Identity, load_identity
from edge.journal_store import JournalStore, read_stop
from edge.state import IdentityFolder, StateFolder
from edge.succession import read_succession
from edge.tls_pair import load_pair
from security.signer import BadKey

_STOPPED = "it takes no more records; the agent goes on in a new journal as soon as it can begin one: suozhan-edge run"


async def describe(state: StateFolder, alarms: Sequence[Alarm]) -> str:
    """Lines for a technician, alarms first. Raises NotEnrolled, DatabaseMissing, CorruptJournal, JournalUnreadable."""
    folder = state.current
    identity = load_identity(folder.identity)
    try:
        async with JournalStore(folder.journal, quota_bytes=1, readonly=True) as store:
            head, standing, first = await store.head(), await store.standing(), await store.first_held()
    except sqlite3.OperationalError as error:
        raise _unreadable(folder, error) from error
    heard = _time(standing.hub_ms) if standing.hub_ms else "never"
    stopped = read_stop(folder.journal)
    rows = {
        "machine": identity.edge,
        "site": f"{identity.site} {identity.site_name} ({identity.site_kind})",
        "hub": identity.work_address,
        "certificate": _certificate(folder, identity),
        **_succession(state.identities()),
        **({"line": f"{said[0]} (found at {_time(said[1])})"} if (said := read_diagnosis(state.diagnosis)) else {}),
        "journal": str(store.identity.genesis.journal),
        "head": str(head.position),
        "held by the hub": str(standing.position),
        "queued": str(head.position - standing.position),
        "backed up": str(standing.backed_up),
        "kept here from": str(first) if first is not None else "-",
        "heard of the hub": heard,
        **({"stopped": f"{stopped} ({_STOPPED})"} if stopped else {}),
        "journal file": f"{folder.journal.stat().st_size} bytes",
    }
    told = [f"ALARM {one.kind}: {one.text} ({one.hint})" for one in alarms]
    return "\n".join([*told, *(f"{name + ':':<18}{value}" for name, value in rows.items())])


def _unreadable(folder: IdentityFolder, error: sqlite3.Error) -> JournalUnreadable:
    free = disk_usage(folder.journal.parent).free
    return JournalUnreadable(f"{folder.journal} cannot be read now ({error}); {free} bytes are free on its disk. Make room, or "
                             "end the program that holds the file; what is stored stays, remove nothing of it")


def _succession(identities: Sequence[IdentityFolder]) -> dict[str, str]:
    if len(identities) == 1:
        return {}
    *_, old, folder = identities
    succession = read_succession(old, folder)
    settled = "all of it is settled" if folder.carried.exists() else "what it could not deliver is not carried over yet"
    return {"follows": f"journal {succession.old_journal} ({succession.reason}); {settled}"}


def _certificate(folder: IdentityFolder, identity: Identity) -> str:
    if not identity.certified:
        return "none yet: a person at the hub has to approve this identity (suozhan-hub approvals)"
    try:
        pair = load_pair(folder, identity)
    except (BadKey, OSError) as error:
        return f"none that can be used: {error}"
    return f"ends {_time(pair.validity.last_ms)}, generation {pair.check(identity)}, renews from {_time(pair.renew_at_ms)}"


def _time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds")
