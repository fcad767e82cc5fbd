"""Whether the files in keys/ are this hub's own. A key of another hub is 32 good bytes, too: what it signs is damage for ever.

What the ledger has of the hub's own journal tells of record.key, and what was signed over the log of log.key. `keys/public.json`
has all of them, from the founding or the first start that knew of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress

from hub.keys import ANOTHERS, LOG_KEY, PUBLIC_KEYS, PUT_BACK, other_keys, public_keys, remembered_keys
from hub.ledger.findings import Finding
from hub.ledger.high_water import HighWater
from hub.ledger.journal_head import UnknownJournal
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Damaged
from hub.ledger.signed_roots import LogKey
from hub.ledger.tree_store import TreeStore
from hub.state import HubState
from security.log_epoch import epoch_of
from security.private_files import write_private
from security.signer import BadKey

RECORD_KEY = "record.key"


def require_own_keys(state: HubState) -> None:
    """Before anything is signed; from now on these are known. Raises BadKey, BadConfig."""
    faults = list(key_faults(state))
    if faults:
        raise BadKey("; ".join(f"{state.root / one.where}: {one.reason}" for one in faults))
    remember_keys(state)


def remember_keys(state: HubState) -> None:
    """Those that are new, durably."""
    known = remembered_keys(state.keys)
    keys = {**{name: key.hex() for name, key in public_keys(state.keys).items()}, **known}
    if keys != known:
        write_private(state.keys / PUBLIC_KEYS, (json.dumps(keys, indent=1) + "\n").encode())


def key_faults(state: HubState) -> Iterator[Finding]:
    """One for each file that is not this hub's own; what is not there at all is told where it is needed. Raises BadKey."""
    keys, others = public_keys(state.keys), other_keys(state.keys)
    for name in others:
        yield Finding(f"keys/{name}", ANOTHERS)
    if RECORD_KEY in keys.keys() - set(others) and not _signs_own_journal(state, keys[RECORD_KEY]):
        yield Finding(f"keys/{RECORD_KEY}", f"it is not the key of the hub's own journal in {state.database}; {PUT_BACK}")
    if LOG_KEY in keys.keys() - set(others) and not _signs_log(state, keys[LOG_KEY]):
        yield Finding(f"keys/{LOG_KEY}", f"it signed neither the epochs in {state.database} nor {state.high_water}; {PUT_BACK}")


def _signs_own_journal(state: HubState, public_key: bytes) -> bool:
    """True where nobody can say."""
    with suppress(sqlite3.DatabaseError, Damaged, UnknownJournal, OSError), LedgerReader(state.database) as ledger:
        return ledger.journal(state.config().hub).may_be_of(public_key)
    return True


def _signs_log(state: HubState, public_key: bytes) -> bool:
    """One note of this hub that names the key is enough: whether they hold is another question. True where nobody can say."""
    log, notes = LogKey(state.config().hub, public_key), list[str]()
    with suppress(sqlite3.DatabaseError, OSError), TreeStore(state.database) as store:
        notes = [*store.epochs(), HighWater(state.high_water).read().decode(errors="replace")]
    said = [log.is_named_in(note, epoch) for note in notes for line in note.split("\n")[:2] if (epoch := epoch_of(line, log.hub))]
    return not said or any(said)
