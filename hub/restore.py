"""`suozhan-hub restore` and `reopen`: a hub that comes back from a backup says so, in its log and to every edge.

Each step may be the last before a crash: the same command again goes on. Without the last one the hub runs, and signs nothing.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path

import sqlalchemy as sa

from hub.alone import undisturbed
from hub.attachments.copies import PutBack, put_back
from hub.attention.alarms import Alarms
from hub.backup import copy_database, finish_copy, remove_copy
from hub.database import open_engine
from hub.keys import load_keys, log_key
from hub.known_keys import require_own_keys
from hub.ledger.file_check import file_findings
from hub.ledger.high_water import HighWater
from hub.ledger.own_journal import OwnJournal
from hub.ledger.reader import LedgerReader
from hub.ledger.signed_roots import LogKey
from hub.ledger.stored_tree import StoredTree
from hub.ledger.transparency import TransparencyLog
from hub.ledger.tree_check import tree_check
from hub.ledger.verify import LedgerCheck
from hub.migrate import upgrade
from hub.names import name_fault
from hub.recall import DECIDE_AGAIN, Recall, Recalled
from hub.resources.store import renew_epoch
from hub.state import HubState
from security.clock import Clock
from security.log_epoch import LogEpoch
from security.private_files import sync_folder


class RestoreRefused(RuntimeError):
    """Nothing was changed; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Said:
    """Who brings the hub back, and why; it stands in the ledger."""

    by: str
    reason: str

    def __post_init__(self) -> None:
        if not self.by.strip() or not self.reason.strip() or name_fault(self.by) or name_fault(self.reason):
            raise RestoreRefused("somebody brings a hub back, for a reason; give --by and --reason in a few words")


@dataclass(frozen=True, slots=True)
class Back:
    """The new epoch, what of the hub's own decisions the database lacked, and the attachments that came back."""

    epoch: LogEpoch
    recalled: Recalled
    attachments: PutBack = field(default_factory=lambda: PutBack(0, []))


def reopen(state: HubState, clock: Clock, said: Said) -> Back:
    """Begin a new epoch over the database as it is. The hub must not run. Raises BadConfig, LogBehind."""
    with undisturbed(state):
        require_own_keys(state)
        return _reopen(state, clock, said)


def restore(state: HubState, backup: Path, clock: Clock, said: Said) -> Back:
    """Put a backup in the place of the database, which is kept aside, and begin a new epoch. Raises RestoreRefused, BadConfig."""
    with undisturbed(state):
        require_own_keys(state)
        new, attachments = _checked_copies(backup, state)
        _put_aside(state.database, clock.unix_ms())
        new.replace(state.database)
        sync_folder(state.root)
        return replace(_reopen(state, clock, said), attachments=attachments)


def _reopen(state: HubState, clock: Clock, said: Said) -> Back:
    config, keys, mark = state.config(), load_keys(state.keys), HighWater(state.high_water)
    engine = open_engine(state.database)
    try:
        upgrade(engine)
        own = OwnJournal(state.database, config.hub, keys.record, clock)
        recalled = Recall(engine, state.database, own, config.hub, keys.log.public_key).run()
        log = TransparencyLog(state.database, mark, config.hub, keys.log, clock)
        if not recalled.fault and mark.contradiction(log.last_epoch()).exists():
            recalled = replace(recalled, fault="the high-water mark was put back with the database, and so may they have been")
        if recalled.fault:  # before the epoch: behind it nothing here shows a contradiction any more
            Alarms(engine, own, clock).raise_alarm("decisions-lost", "ledger", lost_decisions(recalled.fault))
            own.fault_told()
        epoch = log.open_epoch()
        own.note("epoch.opened", {
            "epoch": epoch.number, "origin": epoch.origin, "base_size": epoch.base_size, "base_root": epoch.base_root.hex(),
            "last_size": epoch.last_size, "last_root": epoch.last_root.hex() if epoch.last_root else None,
            "statement": epoch.statement(keys.log), "taken_back": recalled.taken_back, "decisions_lost": recalled.fault,
            "requests_behind": recalled.requests_behind,
            "by": said.by, "reason": said.reason})
        # Edges refuse what is older than what they hold, and may hold what this database has lost.
        renew_epoch(engine, keys.resource, clock, epoch.number)
    finally:
        engine.dispose()
    return Back(epoch, recalled)


def lost_decisions(fault: str) -> str:
    """What people have to do then."""
    return f"what this hub decided after its backup was made cannot be known: {fault}. {DECIDE_AGAIN}"


def _checked_copies(backup: Path, state: HubState) -> tuple[Path, PutBack]:
    """What was checked is what will be there: of one file, which has the commits of the backup's WAL in it."""
    new = state.database.with_name(f".{state.database.name}.restored")
    try:
        copy_database(backup, new)
        _upgrade(new)  # a backup may be older than this program
        finish_copy(new)
        _check(new, backup, log_key(state))
        return new, put_back(backup, state.database)
    except (sqlite3.DatabaseError, sa.exc.DBAPIError) as error:
        remove_copy(new)
        raise RestoreRefused(f"{backup} cannot be copied ({error}); look for another backup, or at both disks") from error
    except BaseException:  # stopped by hand, too: it may be what fills the disk
        remove_copy(new)
        raise


def _upgrade(copy: Path) -> None:
    engine = open_engine(copy)
    try:
        upgrade(engine)
    finally:
        engine.dispose()


def _check(copy: Path, backup: Path, log: LogKey | None) -> None:
    with LedgerReader(copy, readonly=True) as ledger, StoredTree(copy, readonly=True) as tree:
        damage = [finding for finding in LedgerCheck(ledger, tree_check(tree, log, None)).findings() if finding.damage]
    damage += file_findings(copy)
    if damage:
        raise RestoreRefused(f"{backup} is damaged ({len(damage)} findings, the first: {damage[0].where}: {damage[0].reason}); "
                             f"look for another backup. All of them: suozhan-hub verify {backup}")


def _put_aside(database: Path, now_ms: int) -> None:
    """With its WAL, which would be replayed onto the restored file. The WAL goes first: without it the database is only older."""
    for ending in ("-shm", "-wal", ""):
        file = Path(f"{database}{ending}")
        if file.exists():
            file.rename(database.with_name(f"before-restore-{now_ms}-{database.name}{ending}"))
    for ending in ("-shm", "-wal"):  # of another program that looked in between: it would be replayed onto the restored file
        Path(f"{database}{ending}").unlink(missing_ok=True)
    sync_folder(database.parent)
