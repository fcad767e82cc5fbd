"""A hole that nobody approved is found, however well the digests around it fit (invariants 3 and 6)."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from hub.ledger.findings import Finding
from hub.ledger.hole import Hole
from hub.ledger.own_journal import LISTED_MAX
from hub.ledger.store import Ledger
from hub.ledger.verify import LedgerCheck
from security.chain import next_digest
from security.record import ClearBody
from tests.hub.audit.test_audit import Machine
from tests.spine import Spine, damage

LOST = LISTED_MAX + 20


@pytest.fixture
def spine(tmp_path: Path) -> Spine:
    """One machine with a record at 1 and one behind a hole that was accepted."""
    spine = Spine(tmp_path)
    _store(spine)
    spine.own.accept_hole(spine.journal_id, _hole(spine, LOST), {"id": 7, "by": "周敏", "reason": "no backup has them"})
    _store(spine)
    assert _findings(spine) == []
    return spine


def _store(spine: Spine) -> None:
    machine = Machine(spine)
    machine.store([machine.record(machine.next, ClearBody(b"{}"), "note")])


def _hole(spine: Spine, count: int) -> Hole:
    with Ledger(spine.hub_db) as ledger:
        head = ledger.journal(spine.journal_id)
    digests = [head.digest]
    for number in range(count):
        digests.append(next_digest(digests[-1], b"%d" % number))
    return Hole(head.position + 1, head.digest, digests[1:], [uuid4() for _ in range(count)], 7)


def _findings(spine: Spine) -> list[Finding]:
    with Ledger(spine.hub_db) as ledger:
        return list(LedgerCheck(ledger).findings())


def _places(spine: Spine) -> list[tuple[str, bool]]:
    return [(one.where, one.damage) for one in _findings(spine)]


def test_a_hole_without_a_record_that_accepts_it_is_found(spine: Spine) -> None:
    hole = _hole(spine, 2)
    with Ledger(spine.hub_db) as ledger, ledger.transaction():
        ledger.add_hole(spine.journal_id, hole)
    _store(spine)
    assert _places(spine) == [(f"journal {spine.journal_id}, position {hole.first}", True)]


@pytest.mark.parametrize(("statement", "position"), [
    ("UPDATE holes SET ids = CAST(zeroblob(16) || substr(ids, 17) AS BLOB)", 2),
    ("UPDATE holes SET ids = CAST(substr(ids, 1, length(ids) - 16) || zeroblob(16) AS BLOB)", 2 + LISTED_MAX),
    ("UPDATE holes SET digests = CAST(zeroblob(32) || substr(digests, 33) AS BLOB)", 2),
    ("UPDATE holes SET approval = 8", 2),
])
def test_a_hole_that_is_not_the_accepted_one_is_found(spine: Spine, statement: str, position: int) -> None:
    damage(spine.hub_db, statement)
    assert (f"journal {spine.journal_id}, position {position}", True) in _places(spine)


def _accepted(spine: Spine, first: int, digests: list[bytes], journal: UUID | None = None) -> None:
    records = [{"id": str(uuid4()), "digest": digest.hex()} for digest in digests]
    spine.own.note("hole.accepted", {"journal": str(journal or spine.journal_id), "first": first, "approval": {"id": 9},
                                     "last": first + len(digests) - 1, "records": records})


def test_a_record_that_accepts_something_else_than_the_ledger_has_is_found(spine: Spine) -> None:
    """As after somebody took a hole away."""
    _accepted(spine, 1, [bytes(32)])
    assert _places(spine) == [(f"journal {spine.journal_id}, position 1", False)]


def test_what_was_accepted_and_came_back_and_what_is_still_to_come_are_no_findings(spine: Spine) -> None:
    """A newer backup has it; a crash, or a restore, was between the record and the hole."""
    entry = spine.entries()[0]
    _accepted(spine, 1, [entry.digest])
    _accepted(spine, LOST + 3, [bytes(32), bytes(32)])
    assert _findings(spine) == []


def test_only_the_hubs_own_journal_accepts(spine: Spine) -> None:
    hole = _hole(spine, 1)
    with Ledger(spine.hub_db) as ledger, ledger.transaction():
        ledger.add_hole(spine.journal_id, hole)
    machine = Machine(spine, uuid4(), uuid4())
    said = (f'{{"journal":"{spine.journal_id}","first":{hole.first},"last":{hole.last},"approval":{{"id":7}},'
            f'"records":[{{"id":"{hole.ids[0]}","digest":"{hole.digests[0].hex()}"}}]}}')
    machine.store([machine.record(1, ClearBody(said.encode()), "hole.accepted")])
    assert _places(spine) == [(f"journal {spine.journal_id}, position {hole.first}", True)]
