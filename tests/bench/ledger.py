"""What the tree costs a hub, how fast a proof is in a tree of ten million, how fast a ledger of a million is verified."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

from hub.ledger.store import Ledger
from security.chain import signing_input
from security.proofs import check_inclusion, consistency_proof, inclusion_proof
from security.suites import Suite, Verifier
from security.tiles import OpenTiles, TileReader
from tests.bench.figures import Figure
from tests.city_ledger import CityLedger

ROW = 500
CHECKPOINT_RECORDS = 10_000
SIGNED_RECORDS = 10_000
STEP_LEAVES = 8_192
PROOFS = 500
LEAF_BYTES = 146
LINK_BYTES = 50  # context and digest before a payload


def tree(folder: Path, records: int) -> dict[str, Figure]:
    """A checkpoint every so many records, as while a backlog drains: reading leaves, hashing, tiles, fsync, signature."""
    city, took = _filled(folder, records)
    with closing(sqlite3.connect(city.database)) as db:
        hashes = [row[0] for row in db.execute("SELECT leaves FROM runs ORDER BY idx")]
    joined = b"".join(hashes)
    leaves = [joined[at:at + 32] for at in range(0, len(joined), 32)]
    return {"tree": Figure(took / records * 1e6, "µs/record", _hashing(leaves) / records * 1e6)}


def verify(folder: Path, runs: int, records: int) -> dict[str, Figure]:
    """CPU time of one core. Floors: SHA-256 of the same bytes by itself; the library's own verification in a loop."""
    city, _ = _filled(folder / "chain", records)
    signed = CityLedger(folder / "signed")
    signed.fill(SIGNED_RECORDS, ROW, signed=True)
    samples = [(_rate(lambda: _check(city, signatures=False), records), _plain_hashes(city, records),
                _rate(lambda: _check(signed, signatures=True), SIGNED_RECORDS), _plain_signatures(signed))
               for _ in range(runs)]
    chain, hashing, signatures, library = (statistics.median(column) for column in zip(*samples, strict=True))
    return {"verify_chain": Figure(chain, "records/s", hashing), "verify_signatures": Figure(signatures, "records/s", library)}


def proof(folder: Path, leaves: int) -> dict[str, Figure]:
    """Made out of stored tiles, each with a cold cache, and checked."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "tiles.db", isolation_level=None)) as db:
        root = _synthetic_tiles(db, leaves).frontier().root()

        def tile(level: int, n: int) -> bytes:
            row = db.execute("SELECT hashes FROM tiles WHERE level = ? AND n = ?", (level, n)).fetchone()
            return bytes(row[0]) if row else b""

        random = Random(1)
        inclusion = [_inclusion(random.randrange(leaves), leaves, tile, root) for _ in range(PROOFS)]
        consistency = [_seconds(lambda: consistency_proof(random.randrange(1, leaves), leaves, TileReader(tile).node))
                       for _ in range(PROOFS)]
    return {f"proof_{name}_{place}": Figure(sorted(values)[at] * 1e3, "ms")
            for name, values in (("inclusion", inclusion), ("consistency", consistency))
            for place, at in (("p50", PROOFS // 2), ("p99", PROOFS * 99 // 100))}


def _filled(folder: Path, records: int) -> tuple[CityLedger, float]:
    """And the seconds that its tree took."""
    city, took = CityLedger(folder), 0.0
    log = city.log()
    log.begin()
    for start in range(0, records, CHECKPOINT_RECORDS):
        city.fill(min(CHECKPOINT_RECORDS, records - start), ROW, signed=False)
        took += _seconds(log.advance)
    return city, took


def _check(city: CityLedger, *, signatures: bool) -> None:
    with city.check(signatures=signatures) as (check, _):
        assert list(check.findings()) == []


def _plain_hashes(city: CityLedger, records: int) -> float:
    """Records a second: of each its link, its signature, its leaf and one node."""
    with Ledger(city.database) as ledger:
        run = ledger.run_from(0)
    assert run is not None
    inputs = [(bytes(LINK_BYTES) + payload, signature, bytes(LEAF_BYTES), bytes(65))
              for payload, signature in zip(run.columns().payloads, run.columns().signatures, strict=True)]

    def hashing() -> None:
        new = hashlib.sha256
        for _ in range(records // len(inputs)):
            for link, signature, leaf, node in inputs:
                new(link).digest()
                new(signature).digest()
                new(leaf).digest()
                new(node).digest()

    return _rate(hashing, records)


def _plain_signatures(city: CityLedger) -> float:
    with Ledger(city.database) as ledger:
        entries = ledger.feed(0, SIGNED_RECORDS, 10**9)
    verifier = Verifier(Suite.ED25519_SHA256, city.signer.public_key)
    inputs = [(entry.signature, signing_input(entry.digest)) for entry in entries]

    def verifying() -> None:
        for signature, message in inputs:
            assert verifier.valid(signature, message)

    return _rate(verifying, SIGNED_RECORDS)


def _hashing(leaves: Sequence[bytes]) -> float:
    """Seconds for the nodes of the whole tree, in memory."""
    def build() -> None:
        row, new = list(leaves), hashlib.sha256
        while len(row) > 1:
            row = [new(b"\1" + row[at] + row[at + 1]).digest() for at in range(0, len(row) - 1, 2)]

    return _seconds(build)


def _inclusion(index: int, leaves: int, tile: Callable[[int, int], bytes], root: bytes) -> float:
    reader = TileReader(tile)
    began = time.perf_counter()
    found = inclusion_proof(index, leaves, reader.node)
    took = time.perf_counter() - began
    check_inclusion(reader.node(0, index), index, leaves, found, root)
    return took


def _synthetic_tiles(db: sqlite3.Connection, leaves: int) -> OpenTiles:
    """The few leaf hashes that there are come again and again: a proof costs the same."""
    db.execute("CREATE TABLE tiles (level INTEGER, n INTEGER, hashes BLOB, PRIMARY KEY (level, n))")
    hashes = [hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(STEP_LEAVES)]
    tiles = OpenTiles()
    db.execute("BEGIN")
    for start in range(0, leaves, STEP_LEAVES):
        tiles, changed = tiles.extended(hashes[:leaves - start])
        db.executemany("INSERT INTO tiles VALUES (?, ?, ?) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes",
                       [(tile.level, tile.n, tile.hashes) for tile in changed])
    db.execute("COMMIT")
    return tiles


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _rate(work: Callable[[], object], count: int) -> float:
    """A second of one core."""
    began = time.process_time()
    work()
    return count / (time.process_time() - began)
