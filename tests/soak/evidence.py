"""Tree, checkpoints and receipts, checked against the ledger with a tree of our own (RFC 6962, section 2.1; invariant 6).

Whatever was signed must be a beginning of the ledger that is there now, and every receipt must prove its record.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from edge.receipt_store import Receipt, ReceiptStore
from hub.ledger.runs import Entry
from hub.ledger.tree_store import TreeStore
from hub.state import HubState
from security.chain import leaf_hash
from security.checkpoint import Checkpoint
from security.durable_sqlite import open_readonly
from security.note import MalformedNote, NoteKey, NoteRefused
from security.proofs import ProofRefused, check_inclusion
from security.tiles import TileReader
from security.tree import Frontier
from tests.soak.world import World

EMPTY_ROOT = hashlib.sha256().digest()


@dataclass(frozen=True)
class Signed:
    """Checkpoints with whoever holds them, and the receipts that the machine keeps, read in one go."""

    notes: Sequence[tuple[str, str]]
    receipts: Sequence[tuple[UUID, Receipt]]

    @classmethod
    def of(cls, world: World) -> Signed:
        receipts: list[tuple[UUID, Receipt]] = []
        notes: set[str] = set()
        for journal, path in world.journals.items():
            store = ReceiptStore(path)
            found = store.after(0)
            receipts += [(journal, one) for one in found]
            notes |= {store.checkpoint(), *(one.checkpoint for one in found)}
        return cls([*(("edge", note) for note in notes if note), *_of_hub(world)], receipts)


def roots(leaves: Sequence[bytes], sizes: set[int]) -> dict[int, bytes]:
    """The root over the first `size` leaves, for each of those sizes."""
    found, peaks = {0: EMPTY_ROOT}, list[tuple[int, bytes]]()
    for size, leaf in enumerate(leaves, 1):
        height, node = 0, leaf
        while peaks and peaks[-1][0] == height:
            node = _node(peaks.pop()[1], node)
            height += 1
        peaks.append((height, node))
        if size in sizes:
            found[size] = _joined(peaks)
    return found


def _joined(peaks: Sequence[tuple[int, bytes]]) -> bytes:
    root = peaks[-1][1]
    for _, peak in reversed(peaks[:-1]):
        root = _node(peak, root)
    return root


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def flaws(world: World, signed: Signed, entries: Sequence[Entry]) -> list[str]:
    """What does not hold; `entries` is the whole ledger, in its order, read after what was signed."""
    leaves = [one.leaf for one in entries]
    opened = [(where, _opened(world, note)) for where, note in signed.notes]
    checkpoints = [(where, found) for where, found in opened if isinstance(found, Checkpoint)]
    ours = roots(leaves, {found.size for _, found in checkpoints})
    problems = [f"{where}: {found}" for where, found in opened if isinstance(found, str)]
    problems += [f"{where}: the checkpoint of {found.size} entries is not the root of those in the ledger ({len(leaves)})"
                 for where, found in checkpoints if ours.get(found.size) != found.root]
    problems += [flaw for journal, one in signed.receipts for flaw in _flaws(world, journal, one, entries)]
    return [*problems, *_tiles(world, leaves)]


def proved_to(journal: Path) -> int:
    """The newest position with a receipt."""
    return max((one.position for one in ReceiptStore(journal).after(0)), default=0)


def _of_hub(world: World) -> Iterator[tuple[str, str]]:
    mark = HubState(world.hub_state).high_water
    if mark.exists():
        yield "high-water mark", mark.read_text(encoding="utf-8")
    with closing(open_readonly(world.hub_db)) as db:
        yield from (("hub", row[0]) for row in db.execute("SELECT note FROM checkpoints").fetchall())


def _opened(world: World, note: str) -> Checkpoint | str:
    key = NoteKey(note.split("\n", 1)[0], bytes.fromhex(world.identity.hub_log_key))
    try:
        return Checkpoint.open(note.encode(), [key])
    except (MalformedNote, NoteRefused) as error:
        return str(error)


def _flaws(world: World, journal: UUID, receipt: Receipt, entries: Sequence[Entry]) -> Iterator[str]:
    """Of a receipt that a machine keeps."""
    where = f"receipt for position {receipt.position}"
    if receipt.index >= len(entries):
        yield f"{where}: the ledger ends before index {receipt.index}"
        return
    entry = entries[receipt.index]
    if (entry.journal, entry.position) != (journal, receipt.position) or entry.signature != receipt.signature:
        yield f"{where}: another record stands at index {receipt.index}"
    leaf = leaf_hash(entry.key_id, entry.journal.bytes, entry.position, entry.digest, receipt.signature,
                     receipt.arrived_ms)
    checkpoint = _opened(world, receipt.checkpoint)
    if not isinstance(checkpoint, Checkpoint):
        return  # said already
    try:
        check_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    except ProofRefused as error:
        yield f"{where}: {error}"


def _tiles(world: World, leaves: Sequence[bytes]) -> Iterator[str]:
    with TreeStore(world.hub_db, readonly=True) as store:
        size = min(store.size(), len(leaves))  # a hub that works has grown meanwhile
        if Frontier.read(size, TileReader(store.tile).node).root() != roots(leaves, {size})[size]:
            yield f"the tiles do not make the root of the first {size} entries"


def alarms(world: World, allowed: Set[str] = frozenset()) -> Iterator[str]:
    """Whoever is alarmed. Nobody has to be, where nothing was rewritten and nobody copied; `allowed` are kinds of the hub."""
    try:
        with closing(open_readonly(world.hub_db)) as db:
            yield from (f"alarm at the hub: {kind}, {text}" for kind, text in db.execute(
                "SELECT kind, text FROM alarms WHERE cleared_ms IS NULL") if kind not in allowed)
    except sqlite3.OperationalError as error:
        yield f"the hub's alarms cannot be read: {error}"
    yield from (f"alarm at the edge: {path.read_text(encoding='utf-8')}" for path in world.edge_state.glob("alarms/*.json"))
