"""What is lost on both sides: asked for on the hub's own word only, and what is accepted is what a person saw (invariant 3)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from hub.attention.approvals import Approvals
from hub.backup import back_up
from hub.database import open_engine
from hub.ledger.hole import Hole
from hub.ledger.holes import HoleDesk, HoleRefused
from hub.ledger.journal_head import JournalHead
from hub.ledger.own_journal import TakenBack
from hub.ledger.receipts import Receipts
from hub.ledger.shown_receipt import ShownReceipt
from hub.ledger.stated_epochs import DamagedEpoch
from hub.ledger.store import Ledger
from security.chain import signing_input
from security.record import ClearBody
from tests.hub.audit.test_audit import Machine
from tests.spine import Spine, damage


class Lost:
    """A machine whose positions 3 to 5 the hub has lost by a restore; of 6 it has the hub's receipt, and the record."""

    def __init__(self, folder: Path) -> None:
        self.spine = spine = Spine(folder)
        self.machine = Machine(spine)
        self._store(2)
        back_up(spine.hub_db, folder / "old.db")
        self._store(4)
        (*_, e3, e4, e5, e6) = spine.entries()
        self.shown = self._shown()
        Path(f"{spine.hub_db}-wal").unlink(missing_ok=True)
        shutil.copy(folder / "old.db", spine.hub_db)
        self.hole = Hole(3, self.head.digest, [e3.digest, e4.digest, e5.digest], [uuid4(), uuid4(), uuid4()])
        self.whole = Hole(3, self.head.digest, [*self.hole.digests, e6.digest], [*self.hole.ids, uuid4()])
        self.engine = open_engine(spine.hub_db)
        self.approvals = Approvals(self.engine, spine.own, spine.clock)

    def _store(self, count: int) -> None:
        for _ in range(count):
            self.machine.store([self.machine.record(self.machine.next, ClearBody(b"{}"), "note")])

    def _shown(self) -> ShownReceipt:
        spine, log = self.spine, self.spine.transparency()
        log.begin()
        assert log.published is not None
        receipt = Receipts(spine.hub_db, spine.hub_id, spine.log_signer.public_key).receipt(
            spine.journal_id, 0, 0, log.published)
        assert receipt.place is not None
        newest = spine.entries()[-1]
        return ShownReceipt(newest.position, newest.digest, newest.signature, receipt.checkpoint, receipt.place.index,
                            receipt.place.arrived_ms, receipt.inclusion)

    @property
    def desk(self) -> HoleDesk:
        return self.spine.hole_desk(self.approvals)

    @property
    def head(self) -> JournalHead:
        with Ledger(self.spine.hub_db) as ledger:
            return ledger.journal(self.spine.journal_id)


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[Lost]:
    lost = Lost(tmp_path)
    yield lost
    lost.engine.dispose()


def test_what_the_hub_has_signed_that_it_held_is_asked_for_and_accepted(lost: Lost) -> None:
    lost.spine.transparency().open_epoch()
    request = lost.desk.settle(lost.head, lost.hole, lost.shown)
    assert (request.state, request.body["first"], request.body["last"], request.body["held_to"]) == ("waiting", 3, 5, 6)
    lost.approvals.decide(request.id, "周敏", "no newer backup", approved=True)
    assert lost.head.position == 2
    assert lost.desk.settle(lost.head, lost.hole, lost.shown).state == "approved"
    assert (lost.head.position, lost.head.digest) == (5, lost.hole.digests[-1])


def test_a_hole_that_does_not_fit_any_more_is_nowhere_written_down_as_accepted(lost: Lost) -> None:
    """Another stream of the machine was quicker, or a file brought the records: a log of decisions forgets nothing."""
    lost.spine.transparency().open_epoch()
    request = lost.desk.settle(lost.head, lost.hole, lost.shown)
    lost.approvals.decide(request.id, "周敏", "no newer backup", approved=True)
    before = lost.head
    lost.desk.settle(before, lost.hole, lost.shown)
    with pytest.raises(sqlite3.IntegrityError):
        lost.desk.settle(before, lost.hole, lost.shown)
    assert lost.spine.own.take_back() == TakenBack(0, "")


def test_after_the_approval_nothing_else_may_be_listed_than_what_was_approved(lost: Lost) -> None:
    lost.spine.transparency().open_epoch()
    request = lost.desk.settle(lost.head, lost.hole, lost.shown)
    lost.approvals.decide(request.id, "周敏", "no newer backup", approved=True)
    for other in (replace(lost.hole, ids=[uuid4(), *lost.hole.ids[1:]]),
                  replace(lost.hole, digests=[bytes(32), *lost.hole.digests[1:]]), lost.whole):
        assert lost.desk.settle(lost.head, other, lost.shown).state == "waiting"
    assert lost.head.position == 2


def test_a_hub_that_was_never_restored_has_lost_nothing(lost: Lost) -> None:
    """A machine that skips records it never delivered would say so, too."""
    with pytest.raises(HoleRefused, match=r"never came back from a backup.* suozhan-hub reopen"):
        lost.desk.settle(lost.head, lost.hole, lost.shown)
    lost.spine.transparency().begin()
    with pytest.raises(HoleRefused, match="never came back"):
        lost.desk.settle(lost.head, lost.hole, lost.shown)
    assert lost.approvals.waiting() == []


def test_a_damaged_epoch_is_trouble_of_this_hub_and_nothing_is_decided(lost: Lost) -> None:
    lost.spine.transparency().open_epoch()
    damage(lost.spine.hub_db, "UPDATE epochs SET statement = 'nonsense'")
    with pytest.raises(DamagedEpoch):
        lost.desk.settle(lost.head, lost.hole, lost.shown)


def _forged(lost: Lost) -> ShownReceipt:
    lines = lost.shown.checkpoint.split("\n")
    lines[1] = str(int(lines[1]) + 1)
    return replace(lost.shown, checkpoint="\n".join(lines))


def _unsigned(lost: Lost) -> ShownReceipt:
    return replace(lost.shown, signature=lost.spine.log_signer.sign(signing_input(lost.shown.digest)))


@pytest.mark.parametrize("show", [
    lambda lost: None,
    _forged,
    _unsigned,
    lambda lost: replace(lost.shown, checkpoint="nonsense"),
    lambda lost: replace(lost.shown, position=7),
    lambda lost: replace(lost.shown, position=2),
    lambda lost: replace(lost.shown, digest=bytes(32)),
    lambda lost: replace(lost.shown, index=lost.shown.index - 1),
    lambda lost: replace(lost.shown, inclusion=lost.shown.inclusion[:-1]),
])
def test_without_the_hubs_own_word_that_it_held_them_nobody_is_asked(
        lost: Lost, show: Callable[[Lost], ShownReceipt | None]) -> None:
    lost.spine.transparency().open_epoch()
    with pytest.raises(HoleRefused, match="suozhan-edge rejoin"):
        lost.desk.settle(lost.head, lost.hole, show(lost))
    assert lost.approvals.waiting() == []


def test_the_last_record_of_a_hole_is_the_one_that_the_receipt_is_of(lost: Lost) -> None:
    lost.spine.transparency().open_epoch()
    with pytest.raises(HoleRefused, match="another record at position 6"):
        lost.desk.settle(lost.head, replace(lost.whole, digests=[*lost.hole.digests, bytes(32)]), lost.shown)
    assert lost.desk.settle(lost.head, lost.whole, lost.shown).body["held_to"] == 6


def test_a_receipt_of_another_journal_says_nothing_of_this_one(lost: Lost) -> None:
    lost.spine.transparency().open_epoch()
    other = Machine(lost.spine, uuid4(), uuid4())
    with Ledger(lost.spine.hub_db) as ledger:
        head = ledger.journal(other.journal)
    with pytest.raises(HoleRefused, match="does not hold"):
        lost.desk.settle(head, Hole(1, head.digest, lost.hole.digests, lost.hole.ids), lost.shown)
