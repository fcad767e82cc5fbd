"""Receipts once more, by `suozhan-edge verify` (invariant 6)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.receipt_store import ReceiptStore
from tests.spine import Spine, clear_page, damage
from tests.test_receipts import _deliver


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Spine:
    """A machine whose records are in the ledger, with receipts of two streams."""
    spine = Spine(tmp_path_factory.mktemp("proved"))
    asyncio.run(_deliver(spine, "a", "b"))
    asyncio.run(_deliver(spine, "c"))
    return spine


def _check(spine: Spine, journal: Path | None = None) -> tuple[int, list[str]]:
    check = spine.receipt_check(journal)
    return check.checked, [str(one) for one in check.findings()]


def test_honest_receipts_have_no_finding(proved: Spine) -> None:
    assert len(ReceiptStore(proved.journal_db).after(0)) >= 2
    assert _check(proved)[1] == []


@pytest.mark.parametrize(("harm", "words"), [
    ("UPDATE receipts SET proof = zeroblob(length(proof)) WHERE position = 3", "position 3"),
    ("UPDATE receipts SET idx = idx - 1 WHERE position = 3", "position 3"),
    ("UPDATE receipts SET arrived_ms = arrived_ms + 1 WHERE position = 3", "position 3"),
    ("UPDATE receipts SET signature = zeroblob(64) WHERE position = 3", "another signature"),
    ("UPDATE receipts SET epoch = 2 WHERE position = 3", "another log"),
    ("UPDATE receipts SET position = 99 WHERE position = 3", "no such record"),
    ("UPDATE receipts SET checkpoint = replace(checkpoint, '/1', '/2') WHERE position = 3", "not signed"),
    ("UPDATE receipts SET checkpoint = 'nonsense' WHERE position = 3", "not signed"),
    ("UPDATE receipts SET arrived_ms = -1 WHERE position = 3", "receipt in row"),
    ("UPDATE receipts SET proof = x'00' WHERE position = 3", "receipt in row"),
    ("UPDATE receipts SET checkpoint = cast(x'ff' || checkpoint AS TEXT) WHERE position = 3", "not signed"),
    ("UPDATE digests SET digest = x'00' WHERE position = 3", "the digest of its record is damaged"),
    ("UPDATE log_view SET checkpoint = cast(x'ff' || checkpoint AS TEXT)", "newest checkpoint"),
    ("UPDATE log_view SET checkpoint = checkpoint || 'x'", "newest checkpoint"),
])
def test_a_receipt_that_proves_nothing_is_named(proved: Spine, tmp_path: Path, harm: str, words: str) -> None:
    copy = tmp_path / "business.db"
    copy.write_bytes(proved.journal_db.read_bytes())
    damage(copy, harm)
    (finding,) = _check(proved, copy)[1]
    assert words in finding
    assert ("look after its disk" if "in row" in words else "security officer") in finding


def test_receipts_that_sqlite_cannot_read_are_a_finding(proved: Spine, tmp_path: Path) -> None:
    copy = tmp_path / "business.db"
    copy.write_bytes(proved.journal_db.read_bytes())
    clear_page(copy, "receipts")
    (finding,) = _check(proved, copy)[1]
    assert "cannot be read" in finding
