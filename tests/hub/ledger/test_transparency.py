"""What the hub signs, in which order it writes it down, and when it signs no more (invariant 6)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hub.ledger.high_water import HighWater
from hub.ledger.receipts import Receipts
from hub.ledger.runs import Damaged
from hub.ledger.stated_epochs import DamagedEpoch
from hub.ledger.store import Ledger
from hub.ledger.transparency import TransparencyLog
from hub.ledger.tree_store import TreeStore
from security.checkpoint import Checkpoint, origin_of
from security.clock import SystemClock
from security.log_epoch import open_epoch
from security.note import NoteKey
from security.signer import Ed25519Signer
from security.tree import EMPTY_ROOT, Frontier
from tests.spine import Spine, damage


class Hub:
    """One with records of its own, and a log."""

    def __init__(self, folder: Path) -> None:
        self.spine = Spine(folder)
        self.mark = folder / "high-water.note"

    def log(self) -> TransparencyLog:
        return self.spine.transparency()

    def note(self, count: int = 1) -> None:
        for _ in range(count):
            self.spine.own.note("test", {})

    def size(self) -> int:
        with Ledger(self.spine.hub_db) as ledger:
            return ledger.size()

    def root(self, size: int) -> bytes:
        with Ledger(self.spine.hub_db) as ledger:
            return Frontier().extended([entry.leaf for entry in ledger.feed(0, size)]).root()

    def marked(self) -> Checkpoint:
        text = self.mark.read_bytes()
        return Checkpoint.open(text, [NoteKey(text.decode().split("\n", 1)[0], self.spine.log_signer.public_key)])

    def kept(self, epoch: int = 1) -> str:
        with TreeStore(self.spine.hub_db, readonly=True) as store:
            return store.checkpoint(epoch)

    def statements(self) -> list[str]:
        with TreeStore(self.spine.hub_db, readonly=True) as store:
            return store.epochs()

    def receipts(self) -> Receipts:
        return Receipts(self.spine.hub_db, self.spine.hub_id, self.spine.log_signer.public_key)

    def save(self, folder: Path) -> None:
        folder.mkdir()
        for path in self.spine.folder.glob("hub.db*"):
            shutil.copy(path, folder)

    def put_back(self, folder: Path) -> None:
        for path in self.spine.folder.glob("hub.db*"):
            path.unlink()
        for path in folder.iterdir():
            shutil.copy(path, self.spine.folder)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    (tmp_path / "hub").mkdir()
    return Hub(tmp_path / "hub")


def test_what_is_published_is_the_ledger_and_stands_in_mark_and_database(hub: Hub) -> None:
    log = hub.log()
    first = log.begin()
    assert first is not None
    assert (first.size, first.root, first.epoch.number) == (hub.size(), hub.root(first.size), 1)
    assert (first.epoch.base_size, first.epoch.base_root) == (0, EMPTY_ROOT)
    hub.note(3)
    second = log.advance()
    assert second is not None
    assert (second.size, second.root) == (first.size + 3, hub.root(first.size + 3))
    assert log.advance() is second  # nothing new, nothing signed
    assert hub.mark.read_text() == hub.kept() == second.note
    assert hub.marked() == Checkpoint(second.epoch.origin, second.size, second.root)


def test_a_checkpoint_whose_mark_cannot_be_written_is_shown_to_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark first: a hub that showed a checkpoint remembers it whatever becomes of its database."""
    log = hub.log()
    before = log.begin()
    hub.note()
    with monkeypatch.context() as full:
        full.setattr(HighWater, "write", _no_space)
        with pytest.raises(OSError, match="no space"):
            log.advance()
    assert before is not None
    assert (log.published, hub.kept()) == (before, before.note)
    after = log.advance()
    assert after is not None
    assert (after.size, hub.kept()) == (before.size + 1, after.note)


def _no_space(self: HighWater, note: bytes) -> None:
    raise OSError("no space left on device")


def test_a_crash_between_mark_and_database_is_gone_on_with(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 11."""
    hub.log().begin()
    hub.note()

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    log = hub.log()
    with monkeypatch.context() as crash:
        crash.setattr(TreeStore, "add_checkpoint", dies)
        with pytest.raises(KeyboardInterrupt):
            log.begin()
    assert hub.marked().size == hub.size()
    hub.note()
    after = hub.log().begin()
    assert after is not None
    assert (after.size, after.root) == (hub.size(), hub.root(hub.size()))


def test_a_crash_between_the_first_mark_and_the_first_epoch_is_gone_on_with(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 11."""
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crash:
        crash.setattr(TreeStore, "add_epoch", dies)
        with pytest.raises(KeyboardInterrupt):
            hub.log().begin()
    assert (hub.marked().size, hub.marked().root) == (0, EMPTY_ROOT)
    published = hub.log().begin()
    assert published is not None
    assert (published.epoch.number, published.size) == (1, hub.size())


def test_a_database_that_is_older_than_the_mark_is_not_signed_for(hub: Hub, tmp_path: Path) -> None:
    hub.log().begin()
    hub.save(tmp_path / "saved")
    hub.note(2)
    newer = hub.log().begin()
    hub.put_back(tmp_path / "saved")
    log = hub.log()
    assert log.begin() is None
    assert "put the right one back" in log.halted
    assert "reopen" in log.halted
    hub.note(5)  # and it does not grow out of it
    assert log.advance() is None
    assert newer is not None
    assert hub.mark.read_text() == newer.note


def test_a_database_with_another_history_than_the_mark_is_not_signed_for(hub: Hub, tmp_path: Path) -> None:
    """As large, or larger: only the root tells."""
    hub.log().begin()
    hub.save(tmp_path / "saved")
    hub.note(2)
    newer = hub.log().begin()
    for more in (2, 5):
        hub.put_back(tmp_path / "saved")
        hub.note(more)
        log = hub.log()
        assert log.begin() is None
        assert "not those that this hub has signed" in log.halted
        assert newer is not None
        assert hub.mark.read_text() == newer.note


def test_a_mark_that_is_lost_damaged_or_anothers_halts_the_log(hub: Hub, tmp_path: Path) -> None:
    hub.log().begin()
    note = hub.mark.read_bytes()
    hub.mark.unlink()
    log = hub.log()
    assert log.begin() is None
    assert "is gone" in log.halted
    assert not hub.mark.exists()
    stranger = Ed25519Signer.create(tmp_path / "other.key")
    origin = note.decode().split("\n", 1)[0]
    for other in (note[:-10], b"nonsense", b"\xff" + note, Checkpoint(origin, 0, EMPTY_ROOT).signed(stranger)):
        hub.mark.write_bytes(other)
        log = hub.log()
        assert log.begin() is None
        assert "damaged or another hub's" in log.halted
    hub.mark.write_bytes(note)
    assert hub.log().begin() is not None


def test_a_database_that_never_had_a_log_does_not_begin_one_behind_a_mark(hub: Hub, tmp_path: Path) -> None:
    hub.save(tmp_path / "new")
    hub.log().begin()
    hub.put_back(tmp_path / "new")
    log = hub.log()
    assert log.begin() is None
    assert "knows nothing of it" in log.halted


def test_what_contradicts_it_is_kept_and_halts_it_for_good(hub: Hub) -> None:
    log = hub.log()
    published = log.begin()
    assert published is not None
    evidence = Checkpoint(published.epoch.origin, published.size + 9, bytes(32))
    note = evidence.signed(hub.spine.log_signer).decode()
    log.contradicted(evidence, note)
    log.contradicted(Checkpoint(published.epoch.origin, 1, bytes(32)), "another")
    hub.note()
    assert log.advance() is published
    assert f"a checkpoint of {evidence.size} entries" in log.halted
    assert hub.mark.read_text() == note  # it is beyond what we know to be signed
    assert hub.log().begin() is None


def test_the_mark_only_grows_and_what_contradicts_it_is_kept_beside_it(hub: Hub) -> None:
    """What an edge shows may be older than what was signed last: the next epoch names the newest."""
    hub.note(3)
    log = hub.log()
    newest = log.begin()
    assert newest is not None
    evidence = Checkpoint(newest.epoch.origin, 2, bytes(32))
    note = evidence.signed(hub.spine.log_signer).decode()
    log.contradicted(evidence, note)
    assert hub.mark.read_text() == newest.note
    assert hub.mark.with_name("contradiction-1.note").read_text() == note
    again = hub.log()
    assert again.begin() is None
    assert "contradiction-1.note" in again.halted
    epoch = hub.log().open_epoch()
    assert (epoch.number, epoch.last_size, epoch.last_root) == (2, newest.size, newest.root)
    assert hub.log().begin() is not None
    assert hub.mark.with_name("contradiction-1.note").read_text() == note  # a proof for anybody


def test_a_contradicted_log_signs_no_more_though_the_disk_takes_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    log = hub.log()
    published = log.begin()
    assert published is not None
    evidence = Checkpoint(published.epoch.origin, published.size + 9, bytes(32))
    note = evidence.signed(hub.spine.log_signer).decode()
    with monkeypatch.context() as full:
        full.setattr(HighWater, "keep_contradiction", _no_place)
        with pytest.raises(OSError, match="no space"):
            log.contradicted(evidence, note)
        hub.note()
        with pytest.raises(OSError, match="no space"):
            log.advance()
    assert log.advance() is published
    assert hub.mark.read_text() == note
    assert hub.log().begin() is None


def _no_place(self: HighWater, epoch: int, note: bytes) -> None:
    raise OSError("no space left on device")


def test_a_new_epoch_names_what_was_signed_before_and_goes_on_from_there(hub: Hub, tmp_path: Path) -> None:
    hub.log().begin()
    hub.save(tmp_path / "saved")
    base = hub.size()
    hub.note(2)
    newer = hub.log().begin()
    hub.put_back(tmp_path / "saved")
    epoch = hub.log().open_epoch()
    assert newer is not None
    assert (epoch.number, epoch.base_size, epoch.base_root) == (2, base, hub.root(base))
    assert (epoch.last_size, epoch.last_root) == (newer.size, newer.root)
    with TreeStore(hub.spine.hub_db, readonly=True) as store:
        first, second = store.epochs()
    for statement, expected in ((first, 1), (second, 2)):
        assert open_epoch(statement, hub.spine.hub_id, hub.spine.log_signer.public_key).number == expected
    hub.note()
    published = hub.log().begin()
    assert published is not None
    size = base + 2 + 1  # with the hub's own decisions, which came back
    assert (published.epoch.number, published.size, hub.marked().origin) == (2, size, epoch.origin)
    third = hub.log().open_epoch()
    assert (third.number, third.base_size) == (3, size)
    assert hub.log().begin() is not None


def test_no_epochs_number_serves_twice_though_the_database_is_from_before_it(hub: Hub, tmp_path: Path) -> None:
    """The mark knows of epochs that the database has lost; what was stated of them is not stated differently."""
    hub.log().begin()
    hub.save(tmp_path / "saved")
    second = hub.log().open_epoch()
    hub.note()
    newer = hub.log().begin()
    assert newer is not None
    assert newer.epoch == second
    hub.put_back(tmp_path / "saved")
    assert hub.log().last_epoch() == 2
    third = hub.log().open_epoch()
    assert (third.number, third.last_size, third.last_root) == (3, newer.size, newer.root)
    published = hub.log().begin()
    assert published is not None
    assert published.epoch == third
    assert hub.kept(3) == published.note
    assert hub.log().open_epoch().number == 4


def test_a_lost_mark_has_the_way_out_that_the_text_names(hub: Hub) -> None:
    """A new epoch behind what the database knows to be signed, and a mark again."""
    published = hub.log().begin()
    hub.mark.unlink()
    assert hub.log().begin() is None
    assert hub.log().last_epoch() == 1
    epoch = hub.log().open_epoch()
    assert published is not None
    assert (epoch.number, epoch.last_size, epoch.last_root) == (2, published.size, published.root)
    hub.note()
    after = hub.log().begin()
    assert after is not None
    assert (after.epoch.number, after.size) == (2, hub.size())
    assert hub.marked() == Checkpoint(epoch.origin, after.size, after.root)


def test_a_crash_before_the_mark_is_there_again_signs_nothing_in_the_old_epoch(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 11: what was signed there last, nobody here knows."""
    hub.log().begin()
    hub.mark.unlink()
    with monkeypatch.context() as full:
        full.setattr(HighWater, "write", _no_space)
        with pytest.raises(OSError, match="no space"):
            hub.log().open_epoch()
    assert hub.log().begin() is None
    assert hub.log().open_epoch().number == 3
    assert hub.log().begin() is not None


def test_another_hubs_statements_are_not_taken(hub: Hub) -> None:
    hub.log().begin()
    signer = hub.spine.log_signer
    other = TransparencyLog(hub.spine.hub_db, HighWater(hub.mark), hub.spine.edge_id, signer, SystemClock())
    assert other.begin() is None
    assert "not what this hub signed" in other.halted


@pytest.mark.parametrize("change", ["replace(statement, 'epoch v1', 'epoch w1')", "CAST(X'FF73756F' AS TEXT)", "''"])
def test_a_damaged_statement_halts_the_log_and_nothing_else(hub: Hub, change: str) -> None:
    """A hub that did not start would turn a bad sector into a queue at two thousand counters."""
    published = hub.log().begin()
    assert published is not None
    damage(hub.spine.hub_db, f"UPDATE epochs SET statement = {change}")
    log = hub.log()
    assert log.begin() is None
    assert "in this hub's own database" in log.halted
    with pytest.raises(DamagedEpoch):  # no machine is to blame
        hub.receipts().known_by(published.note, published)


def test_a_longer_database_of_an_epoch_before_the_last_begins_where_the_last_one_went_another_way(
    hub: Hub, tmp_path: Path
) -> None:
    """Most likely: somebody undoes a restore by putting the file back that was kept aside."""
    hub.log().begin()
    hub.save(tmp_path / "older")
    base = hub.size()
    hub.note(5)
    hub.log().begin()
    hub.save(tmp_path / "longer")
    hub.put_back(tmp_path / "older")
    second = hub.log().open_epoch()
    statement = hub.statements()[-1]
    hub.note(3)
    held = hub.log().begin()
    assert held is not None
    for known, expected in ((False, 0), (True, base)):
        hub.put_back(tmp_path / "longer")
        if known:
            with TreeStore(hub.spine.hub_db) as store:
                store.add_epoch(second.number, statement)
        assert hub.log().begin() is None
        third = hub.log().open_epoch()
        assert third.base_size == expected  # what nobody can show to be common is not claimed
        log = hub.log()
        published = log.begin()
        assert published is not None
        assert hub.receipts().known_by(held.note, published).size == 0  # and no halt: the machine learns what is lost
        hub.mark.write_text(held.note)


def test_what_contradicts_an_epoch_that_has_ended_halts_none_that_came_after_it(hub: Hub) -> None:
    hub.note(3)
    first = hub.log().begin()
    assert first is not None
    hub.log().open_epoch()
    published = hub.log().begin()
    assert published is not None
    other = Checkpoint(first.epoch.origin, first.size - 1, bytes(32)).signed(hub.spine.log_signer).decode()
    known = hub.receipts().known_by(other, published)
    assert known.missed == hub.statements()[1:]
    assert "signed two histories" in known.doubt
    assert hub.receipts().known_by(first.note, published).doubt == ""


def test_a_mark_of_an_older_epoch_that_the_new_one_does_not_name_is_another_history(hub: Hub) -> None:
    hub.note(3)
    published = hub.log().begin()
    assert published is not None
    hub.log().open_epoch()
    for size, root in ((published.size + 3, bytes(32)), (published.size, bytes(32)), (published.size - 1, published.root)):
        hub.mark.write_bytes(Checkpoint(published.epoch.origin, size, root).signed(hub.spine.log_signer))
        log = hub.log()
        assert log.begin() is None
        assert "put the right one back" in log.halted


def test_a_log_that_died_before_its_first_checkpoint_and_lost_its_mark_begins_anew_from_nothing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crash:
        crash.setattr(TreeStore, "add_checkpoint", dies)
        with pytest.raises(KeyboardInterrupt):
            hub.log().begin()
    hub.mark.unlink()
    epoch = hub.log().open_epoch()
    assert (epoch.number, epoch.last_size, epoch.last_root) == (2, 0, EMPTY_ROOT)
    assert hub.log().begin() is not None


def test_a_database_without_log_and_mark_begins_behind_a_first_epoch_that_may_be_lost(hub: Hub) -> None:
    """A backup from before the first start, or a hub that never ran: what was signed in epoch 1, nobody here knows."""
    epoch = hub.log().open_epoch()
    assert (epoch.number, epoch.base_size, epoch.last_size, epoch.last_root) == (2, 0, 0, EMPTY_ROOT)
    assert hub.marked() == Checkpoint(origin_of(hub.spine.hub_id, 1), 0, EMPTY_ROOT)
    published = hub.log().begin()
    assert published is not None
    assert (published.epoch, published.size) == (epoch, hub.size())


@pytest.mark.parametrize("harm", [
    "UPDATE runs SET leaves = substr(leaves, 2) WHERE idx = ?", "UPDATE runs SET leaves = zeroblob(64) WHERE idx = ?",
    "DELETE FROM runs WHERE idx = ?"])
def test_leaves_that_are_not_what_they_say_are_not_signed(hub: Hub, harm: str) -> None:
    published = hub.log().begin()
    assert published is not None
    hub.note(5)
    damage(hub.spine.hub_db, harm, published.size + 2)
    with pytest.raises(Damaged, match=rf"the leaves behind index {published.size + 2} "):
        hub.log().begin()
    assert hub.marked().size == published.size


def test_a_tile_that_is_gone_halts_the_log(hub: Hub) -> None:
    hub.log().begin()
    damage(hub.spine.hub_db, "DELETE FROM tiles")
    log = hub.log()
    assert log.begin() is None
    assert "check the tiles against the ledger" in log.halted
