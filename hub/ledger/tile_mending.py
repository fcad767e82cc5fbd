"""Damaged tiles, written anew out of the leaves: they follow from the entries, and the signed root vouches for both."""

from __future__ import annotations

import sqlite3

from hub.ledger.stored_tree import StoredTree
from hub.ledger.tree_check import TreeCheck
from security.tiles import OpenTiles

_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'tiles'"
_WRITE = "INSERT INTO tiles VALUES (?, ?, ?) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes"


class MendingRefused(RuntimeError):
    """Nothing was changed; the text says why and what to do."""


def mend(tree: StoredTree, check: TreeCheck) -> int:
    """Tiles written or removed. `check` has gone over all leaves; nobody else may work on the database. Raises MendingRefused."""
    if not check.mendable:
        raise MendingRefused("no tile was changed: other things than tiles are damaged, or the entries do "
                             "not give the root that was signed; restore the newest backup that verifies")
    with tree.changing() as db:
        # The triggers keep this program from changing a tile by mistake, not somebody who may write the file. In one
        # transaction nobody sees the table without them, and a crash brings them back together with the old tiles.
        triggers = [(name.decode(), sql.decode()) for name, sql in db.execute(_TRIGGERS).fetchall()]
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        _write(db, check)
        for _, sql in triggers:
            db.execute(sql)
        if OpenTiles.read(check.tiles.size, tree.tile) != check.tiles:
            raise MendingRefused("no tile was changed: they do not read back; look at the disk")
    return check.mendable


def _write(db: sqlite3.Connection, check: TreeCheck) -> None:
    db.executemany("DELETE FROM tiles WHERE level = ? AND n = ?", check.strays())
    db.executemany(_WRITE, [(tile.level, tile.n, tile.hashes) for tile in check.damaged])
