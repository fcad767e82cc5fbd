"""The epochs that this hub has stated, as its database keeps them."""

from __future__ import annotations

from uuid import UUID

from hub.ledger.runs import Damaged
from hub.ledger.tree_store import TreeStore
from security.log_epoch import LogEpoch, open_epoch


class DamagedEpoch(Damaged):
    """The row of an epoch is not what this hub signed: its own disk is to blame, and no machine."""


def stated(store: TreeStore, hub: UUID, log_key: bytes) -> dict[str, LogEpoch]:
    """By statement, the first one first. Raises DamagedEpoch."""
    found: dict[str, LogEpoch] = {}
    for number, statement in enumerate(store.epochs(), start=1):
        try:
            found[statement] = open_epoch(statement, hub, log_key)
        except ValueError as error:
            raise DamagedEpoch(f"row {number} of the log's epochs, in this hub's own database, is not what this hub signed; look "
                               "at its disk, and run: suozhan-hub verify") from error
    return found
