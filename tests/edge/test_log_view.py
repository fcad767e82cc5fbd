"""When a machine stops believing the hub's log: growth, epochs, and who signed them (invariant 6)."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.log_view import HistoryRefused, LogView
from security.checkpoint import Checkpoint, origin_of
from security.log_epoch import LogEpoch
from security.proofs import consistency_proof, inclusion_proof
from security.signer import Ed25519Signer
from security.tree import EMPTY_ROOT, Frontier, leaf_hash_of, parents


class Log:
    """Leaves of one history, and the key that signs over it."""

    def __init__(self, hub: UUID, signer: Ed25519Signer, mark: bytes = b"") -> None:
        self.hub = hub
        self.signer = signer
        self.leaves = [leaf_hash_of(mark + bytes([number])) for number in range(40)]

    def node(self, level: int, index: int) -> bytes:
        hashes = self.leaves[index << level:(index + 1) << level]
        while len(hashes) > 1:
            hashes = parents(hashes)
        return hashes[0]

    def root(self, size: int) -> bytes:
        return Frontier.read(size, self.node).root()

    def note(self, size: int, epoch: int = 1) -> str:
        return Checkpoint(origin_of(self.hub, epoch), size, self.root(size)).signed(self.signer).decode()

    def proof(self, old: int, new: int) -> list[bytes]:
        return consistency_proof(old, new, self.node)

    def epoch(self, number: int, base: int, last: int | None = None) -> str:
        after = (None, None) if last is None else (last, self.root(last))
        return LogEpoch(self.hub, number, 1, base, self.root(base) if base else EMPTY_ROOT, *after).statement(self.signer)


@pytest.fixture
def log() -> Log:
    return Log(uuid4(), Ed25519Signer(Ed25519PrivateKey.generate()))


@pytest.fixture
def view(log: Log) -> LogView:
    """A machine that has accepted ten entries of epoch 1."""
    return LogView(log.hub, log.signer.public_key).stated(log.epoch(1, 0)).seen(log.note(10), [])


def test_each_checkpoint_grows_out_of_the_one_before(log: Log, view: LogView) -> None:
    grown = view.seen(log.note(17), log.proof(10, 17))
    assert (grown.held, grown.note) == (Checkpoint(origin_of(log.hub, 1), 17, log.root(17)), log.note(17))
    assert grown.seen(log.note(17), []) == grown
    assert LogView.restored(log.hub, log.signer.public_key, grown.note) == replace(grown, epoch=None, base=None)
    assert LogView.restored(log.hub, log.signer.public_key, "") == LogView(log.hub, log.signer.public_key)


def test_a_history_that_is_another_one_is_refused_with_both_checkpoints(log: Log, view: LogView) -> None:
    other = Log(log.hub, log.signer, b"other")
    for size, proof in ((17, other.proof(10, 17)), (17, log.proof(10, 17)), (10, []), (9, []), (17, [])):
        with pytest.raises(HistoryRefused, match="does not grow out of what it was at 10") as caught:
            view.seen(other.note(size), proof)
        assert caught.value.evidence == f"{view.note}\n{other.note(size)}"
    with pytest.raises(HistoryRefused, match="does not grow"):
        view.seen(log.note(9), log.proof(9, 10))


def test_only_the_hubs_log_key_signs_checkpoints_and_epochs(log: Log, view: LogView) -> None:
    stranger = Log(log.hub, Ed25519Signer(Ed25519PrivateKey.generate()))
    with pytest.raises(HistoryRefused, match="not signed by its log key") as caught:
        view.seen(stranger.note(17), stranger.proof(10, 17))
    assert caught.value.evidence == stranger.note(17)
    statement = stranger.epoch(2, 5, 10)
    with pytest.raises(HistoryRefused, match="epoch is not one") as caught:
        view.stated(statement)
    assert caught.value.evidence == statement
    with pytest.raises(HistoryRefused, match="not signed by its log key"):
        LogView.restored(log.hub, log.signer.public_key, stranger.note(10))


@pytest.mark.parametrize("note", ["", "nonsense", "a\nb\nc\n"])
def test_nonsense_is_refused(view: LogView, note: str) -> None:
    with pytest.raises(HistoryRefused):
        view.seen(note, [])
    with pytest.raises(HistoryRefused):
        view.stated(note)


def test_another_hub_is_not_ours_whoever_signs_for_it(log: Log, view: LogView) -> None:
    other = Log(uuid4(), log.signer)
    with pytest.raises(HistoryRefused, match="a log that it has not stated"):
        view.seen(other.note(17), other.proof(10, 17))
    with pytest.raises(HistoryRefused, match="a log that it has not stated"):
        LogView(log.hub, log.signer.public_key).seen(other.note(3), [])
    with pytest.raises(HistoryRefused, match="epoch is not one"):
        view.stated(other.epoch(2, 5, 10))


def test_a_checkpoint_of_an_epoch_that_was_not_stated_is_refused(log: Log, view: LogView) -> None:
    for epoch in (2, 3):
        note = log.note(17, epoch)
        with pytest.raises(HistoryRefused, match="a log that it has not stated") as caught:
            view.seen(note, log.proof(10, 17))
        assert caught.value.evidence == note
    stated = view.stated(log.epoch(3, 10, 10))
    with pytest.raises(HistoryRefused, match="a log that it has not stated"):
        stated.seen(log.note(17, 2), log.proof(10, 17))


def test_a_new_epoch_that_lost_nothing_still_has_to_grow(log: Log, view: LogView) -> None:
    stated = view.stated(log.epoch(2, 10, 10))
    assert stated.lost() == 0
    other = Log(log.hub, log.signer, b"other")
    with pytest.raises(HistoryRefused, match="does not grow"):
        stated.seen(other.note(17, 2), other.proof(10, 17))
    grown = stated.seen(log.note(17, 2), log.proof(10, 17))
    assert (grown.number, grown.lost(), grown.base) == (2, 0, None)


def test_what_an_epoch_says_to_have_lost_is_counted_until_its_first_checkpoint(log: Log, view: LogView) -> None:
    other = Log(log.hub, log.signer, b"other")
    stated = view.stated(log.epoch(2, 4, 10))
    assert (stated.lost(), stated.number) == (6, 1)
    with pytest.raises(HistoryRefused, match="does not grow"):  # the old epoch may go on, but not differ
        stated.seen(other.note(17, 1), other.proof(10, 17))
    assert stated.seen(log.note(12, 1), log.proof(10, 12)).lost() == 8
    new = stated.seen(other.note(5, 2), [])
    assert (new.number, new.lost(), new.base) == (2, 0, None)
    with pytest.raises(HistoryRefused, match="does not grow"):
        new.seen(log.note(17, 2), log.proof(5, 17))


def test_of_several_epochs_the_smallest_beginning_counts_and_none_comes_back(log: Log, view: LogView) -> None:
    stated = view.stated(log.epoch(2, 4, 10)).stated(log.epoch(3, 8, 9))
    assert (stated.lost(), stated.epoch) == (6, replace(stated.epoch or LogEpoch(log.hub, 3, 1, 8, b""), number=3))
    assert view.stated(log.epoch(2, 8, 10)).stated(log.epoch(3, 4, 9)).lost() == 6
    assert stated.stated(log.epoch(2, 1, 10)) == stated
    assert stated.stated(log.epoch(3, 1, 10)) == stated
    assert view.stated(log.epoch(1, 0)) == view
    with pytest.raises(HistoryRefused, match="a log that it has not stated"):
        stated.seen(log.note(17, 2), [])


def test_a_receipt_proves_its_leaf_in_the_tree_that_is_held_and_in_no_other(log: Log, view: LogView) -> None:
    proof = inclusion_proof(3, 10, log.node)
    view.check_receipt(log.leaves[3], 3, proof)
    wrong = ((log.leaves[4], 3, proof), (log.leaves[3], 4, proof), (log.leaves[3], 3, proof[:-1]),
             (log.leaves[3], 3, inclusion_proof(3, 11, log.node)))
    for leaf, index, path in wrong:
        with pytest.raises(HistoryRefused, match="does not prove this machine's record") as caught:
            view.check_receipt(leaf, index, path)
        assert caught.value.evidence == view.note


def test_an_epoch_that_is_said_again_after_a_restart_has_lost_nothing(log: Log, view: LogView) -> None:
    new = view.stated(log.epoch(2, 4, 10)).seen(log.note(12, 2), log.proof(10, 12))
    again = LogView.restored(log.hub, log.signer.public_key, new.note)
    assert again.stated(log.epoch(2, 4, 10)) == again
    assert again.stated(log.epoch(1, 0)).lost() == 0
