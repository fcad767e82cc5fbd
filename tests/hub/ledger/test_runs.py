"""Runs as rows: what comes in one piece lies in one piece, and every record of it can still be had by itself."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.ledger.append_rule import Accept
from hub.ledger.hole import Hole
from hub.ledger.runs import Arrival, Damaged, DamagedRow, Entry, StoredRun, columns
from hub.ledger.store import Ledger
from security.chain import digests_after, leaf_hash, leaf_hashes
from security.run import Run
from tests.spine import Spine, damage

NOW_MS = 1_790_000_000_000
RUN_LENGTHS = [1, 4, 2, 1, 7, 3]
PAYLOADS = [os.urandom(number % 5) for number in range(sum(RUN_LENGTHS))]
SIGNATURES = [os.urandom(60 + number % 9) for number in range(len(PAYLOADS))]


def _arrival(spine: Spine, first: int, last: int) -> Arrival:
    before = [spine.genesis.digest(), *digests_after(spine.genesis.digest(), PAYLOADS)]
    payloads, signatures, digests = PAYLOADS[first - 1:last], SIGNATURES[first - 1:last], before[first:last + 1]
    leaves = leaf_hashes(spine.signer.key_id, spine.journal_id.bytes, first, digests, signatures, NOW_MS)
    return Arrival(spine.journal_id, Run(first, before[first - 1], payloads, signatures), digests, leaves, NOW_MS)


@pytest.fixture(scope="module")
def spine(tmp_path_factory: pytest.TempPathFactory) -> Spine:
    """A ledger of several runs, the hub's own two records before them."""
    spine = Spine(tmp_path_factory.mktemp("runs"))
    with Ledger(spine.hub_db) as ledger:
        first = 1
        for length in RUN_LENGTHS:
            ledger.append([_arrival(spine, first, first + length - 1)])
            first += length
    return spine


@pytest.fixture
def ledger(spine: Spine) -> Iterator[Ledger]:
    with Ledger(spine.hub_db) as ledger:
        yield ledger


def _expected(spine: Spine) -> list[Entry]:
    digests = digests_after(spine.genesis.digest(), PAYLOADS)
    return [
        Entry(position + 1, spine.edge_id, spine.journal_id, position, spine.signer.key_id, payload, signature, digest,
              leaf_hash(spine.signer.key_id, spine.journal_id.bytes, position, digest, signature, NOW_MS), NOW_MS)
        for position, (payload, signature, digest) in enumerate(zip(PAYLOADS, SIGNATURES, digests, strict=True), start=1)
    ]


@given(after=st.integers(0, 25), limit=st.integers(1, 25))
def test_the_feed_gives_the_same_entries_wherever_a_reader_begins_and_stops(spine: Spine, after: int, limit: int) -> None:
    with Ledger(spine.hub_db) as ledger:
        everything = ledger.feed(0, 100)
        assert everything[1:] == _expected(spine)  # before them: the hub's own record of the machine
        assert [entry.cursor for entry in everything] == list(range(1, ledger.size() + 1))
        assert ledger.feed(after, limit) == everything[after:after + limit]


@given(after=st.integers(0, 18), limit_bytes=st.integers(-1, 700))
def test_a_page_ends_with_the_entry_that_fills_it(spine: Spine, after: int, limit_bytes: int) -> None:
    with Ledger(spine.hub_db) as ledger:
        page = ledger.feed(after, 100, limit_bytes)
        assert page == ledger.feed(after, len(page))
        sizes = [len(entry.payload) + len(entry.signature) for entry in page]
        assert sum(sizes[:-1]) < max(limit_bytes, 1)
        assert sum(sizes) >= limit_bytes or page[-1].cursor == ledger.size()


def test_each_record_is_found_by_its_position_and_nothing_beyond(spine: Spine, ledger: Ledger) -> None:
    assert [ledger.entry(spine.journal_id, position) for position in range(1, len(PAYLOADS) + 1)] == _expected(spine)
    for nowhere in (0, len(PAYLOADS) + 1, 2**63 - 1, 2**63, 2**64 - 1):
        assert ledger.entry(spine.journal_id, nowhere) is None


@settings(deadline=None)
@given(st.integers(1, 18), st.integers(1, 18))
def test_what_overlaps_is_stored_from_where_it_is_new(
    tmp_path_factory: pytest.TempPathFactory, held: int, first: int
) -> None:
    """Invariant 2."""
    spine = Spine(tmp_path_factory.mktemp("overlap"))
    first = min(first, held + 1)
    with Ledger(spine.hub_db) as ledger:
        ledger.append([_arrival(spine, 1, held)])
        appended = ledger.append([_arrival(spine, first, len(PAYLOADS))])[0]
        assert appended.verdict == Accept(held - first + 1)
        assert appended.head.position == len(PAYLOADS)
        assert ledger.feed(1, 100) == _expected(spine)


@pytest.mark.parametrize(("change", "reason"), [
    ({"first": 18}, "does not follow its journal's head"),  # the record before it once more
    ({"first": 20}, "does not follow its journal's head"),  # a gap
    ({"idx": 3}, "does not follow the ledger's head"),
    ({"idx": 90}, "does not follow the ledger's head"),
    ({"count": 0}, "CHECK"),
    ({"digests": bytes(31)}, "CHECK"),
    ({"leaves": bytes(64)}, "CHECK"),
    ({"sizes": bytes(4)}, "CHECK"),
    ({"arrived_ms": -1}, "CHECK"),
])
def test_the_database_itself_takes_each_position_once_and_in_order(
    spine: Spine, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    """Invariant 2, below all code of ours."""
    with closing(sqlite3.connect(spine.hub_db)) as source, closing(sqlite3.connect(tmp_path / "copy.db")) as db:
        source.backup(db)
        ref, position = db.execute("SELECT ref, position FROM journals ORDER BY ref DESC LIMIT 1").fetchone()
        size = db.execute("SELECT size FROM ledger_head").fetchone()[0]
        row = {"idx": size, "journal": ref, "first": position + 1, "count": 1, "arrived_ms": 0, "sizes": bytes(8),
               "digests": bytes(32), "leaves": bytes(32), "signatures": b"", "payloads": b""}
        insert = f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        with pytest.raises(sqlite3.IntegrityError, match=reason):
            db.execute(insert, list((row | change).values()))
        assert db.execute("SELECT size FROM ledger_head").fetchone()[0] == size
        db.execute(insert, list(row.values()))  # the unchanged one is taken
        assert db.execute("SELECT position, digest FROM journals WHERE ref = ?", (ref,)).fetchone() == (position + 1, bytes(32))


@pytest.mark.parametrize(("statement", "reason"), [
    ("UPDATE runs SET arrived_ms = 0", "never change"),
    ("DELETE FROM runs", "never deleted"),
    ("INSERT OR REPLACE INTO runs SELECT * FROM runs WHERE idx = 1", "does not follow"),
    *((f"UPDATE journals SET {column} = {column}", "never changes") for column in (
        "ref", "journal", "edge", "name", "suite", "public_key", "key_id", "predecessor", "genesis")),
    ("DELETE FROM journals", "never deleted"),
    ("INSERT OR REPLACE INTO journals SELECT * FROM journals WHERE ref = 2", "registered once"),
    ("UPDATE journals SET position = position - 1, backed_up = 0", "with its runs"),
    ("UPDATE journals SET position = position + 1", "with its runs"),
    ("UPDATE journals SET digest = zeroblob(32)", "with its runs"),
    ("UPDATE ledger_head SET size = 0", "with its runs"),
    ("UPDATE ledger_head SET size = size + 1", "with its runs"),
    ("DELETE FROM ledger_head", "never deleted"),
    ("INSERT OR REPLACE INTO ledger_head VALUES (1, 0)", "one head"),
])
def test_nothing_that_was_stored_or_registered_changes_or_goes(spine: Spine, statement: str, reason: str) -> None:
    """Invariant 4, below all code of ours. Heads move with runs only."""
    with closing(sqlite3.connect(spine.hub_db)) as db, pytest.raises(sqlite3.IntegrityError, match=reason):
        db.execute(statement)


@pytest.mark.parametrize("change", [
    {"sizes": b"\xff" * 24}, {"sizes": bytes(24)}, {"sizes": bytes(23)}, {"count": 2}, {"count": 4}, {"count": -3},
    {"digests": bytes(95)}, {"leaves": bytes(97)}, {"payloads": bytes(99)}, {"signatures": b""},
])
def test_a_row_that_does_not_hold_what_it_says_gives_nothing(spine: Spine, change: dict[str, Any]) -> None:
    """Better than entries that are cut wrongly."""
    first, *rest = columns(_arrival(spine, 1, 3), 0)
    run = StoredRun(7, spine.edge_id, spine.journal_id, spine.signer.key_id, first, *rest)
    assert len(list(run.entries(0, 3))) == 3
    with pytest.raises(DamagedRow) as raised:
        list(replace(run, **change).entries(0, 1))
    assert raised.value.index == 7


@pytest.fixture
def with_holes(tmp_path: Path) -> Spine:
    """Of the same records those at 1, 2 and at 6 to 8 are lost; the others are in the runs that they came in."""
    spine, lost, first = Spine(tmp_path), {1, 2, 6, 7, 8}, 1
    digests = [spine.genesis.digest(), *digests_after(spine.genesis.digest(), PAYLOADS)]
    for length in [2, 1, 2, 3, 7, 3]:
        positions = range(first, first + length)
        if first in lost:
            hole = Hole(first, digests[first - 1], [digests[at] for at in positions], [uuid4() for _ in positions], 1)
            spine.own.accept_hole(spine.journal_id, hole, {})
        else:
            with Ledger(spine.hub_db) as ledger:
                ledger.append([_arrival(spine, first, positions[-1])])
        first += length
    return spine


def test_entries_are_found_wherever_a_hole_is_also_at_the_beginning(with_holes: Spine) -> None:
    there = [3, 4, 5, *range(9, len(PAYLOADS) + 1)]
    with Ledger(with_holes.hub_db) as ledger:
        head = ledger.journal(with_holes.journal_id)
        for after in range(len(PAYLOADS) + 1):
            assert [entry.position for entry in ledger.entries(head, after)] == [at for at in there if at > after]


def test_digests_are_one_for_each_position_behind_a_hole_too(with_holes: Spine) -> None:
    """Whoever counts them from where it asked finds each at its position."""
    expected = digests_after(with_holes.genesis.digest(), PAYLOADS)
    with Ledger(with_holes.hub_db) as ledger:
        head = ledger.journal(with_holes.journal_id)
        for after in range(len(PAYLOADS) + 1):
            assert ledger.digests(head, after, 100) == expected[after:]
            assert ledger.digests(head, after, 4) == expected[after:after + 4]
    damage(with_holes.hub_db, "DELETE FROM holes WHERE first = 6")
    with Ledger(with_holes.hub_db) as ledger, pytest.raises(Damaged, match="no digest at position 6"):
        ledger.digests(head, 3, 100)
