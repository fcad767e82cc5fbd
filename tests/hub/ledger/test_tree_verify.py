"""What is stored of the tree, and what was signed over it, against the leaves; interrupted checks; tiles mended (invariant 6)."""

from __future__ import annotations

import random
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.alone import alone
from hub.command import app
from hub.ledger import verify as verify_module
from hub.ledger import verify_command
from hub.ledger.findings import Finding
from hub.ledger.reached_file import ReachedFile
from hub.ledger.runs import Arrival
from hub.ledger.store import Ledger
from hub.ledger.stored_tree import StoredTree
from hub.ledger.tile_mending import MendingRefused, mend
from hub.ledger.verify import LedgerCheck
from hub.state import BadConfig
from security.chain import digests_after, leaf_hashes
from security.checkpoint import Checkpoint, origin_of
from security.durable_sqlite import open_durable
from security.log_epoch import LogEpoch
from security.run import Run
from security.tiles import OpenTiles
from security.tree import EMPTY_ROOT, split_hashes
from tests.city_ledger import CityLedger
from tests.spine import damage

ROW = 9
PARTS = (306, 297, 153)  # a checkpoint behind each
SIZE = sum(PARTS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> CityLedger:
    city = CityLedger(tmp_path_factory.mktemp("whole") / "hub")
    log = city.log()
    log.begin()
    for part in PARTS:
        city.fill(part, ROW, signed=True)
        log.advance()
    with closing(open_durable(city.database)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    return city


@pytest.fixture
def city(whole: CityLedger, tmp_path: Path) -> CityLedger:
    """A copy of it."""
    return whole.copied(tmp_path / "hub")


def findings(city: CityLedger, *, signatures: bool = False) -> list[Finding]:
    with city.check(signatures=signatures) as (check, _):
        return list(check.findings())


def wheres(city: CityLedger) -> list[str]:
    return [one.where for one in findings(city)]


def test_a_sound_ledger_has_the_roots_that_were_signed(city: CityLedger) -> None:
    with city.check() as (check, tree):
        assert list(check.findings()) == []
        assert (check.checked, tree.tiles.size, tree.vouched, tree.mendable) == (SIZE, SIZE, SIZE, 0)


@pytest.mark.parametrize(("statement", "where"), [
    ("UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND n = 1", "tile 1 of level 0"),
    ("UPDATE tiles SET hashes = substr(hashes, 1, 8160) WHERE level = 0 AND n = 1", "tile 1 of level 0"),
    ("UPDATE tiles SET hashes = zeroblob(64) WHERE level = 1", "tile 0 of level 1"),
    ("UPDATE tiles SET hashes = CAST(hashes || zeroblob(32) AS BLOB) WHERE level = 0 AND n = 2", "tile 2 of level 0"),
    ("UPDATE tiles SET hashes = CAST(substr(hashes, 33) || zeroblob(32) AS BLOB) WHERE level = 0 AND n = 2", "tile 2 of level 0"),
    ("DELETE FROM tiles WHERE level = 0 AND n = 0", "tile 0 of level 0"),
    ("DELETE FROM tiles WHERE level = 1", "tile 0 of level 1"),
    ("INSERT INTO tiles VALUES (0, 3, zeroblob(32))", "tile 3 of level 0"),
    ("INSERT INTO tiles VALUES (6, 0, zeroblob(32))", "tile 0 of level 6"),
])
def test_a_damaged_tile_is_named_and_mended_out_of_the_leaves(city: CityLedger, statement: str, where: str) -> None:
    triggers = _triggers(city)
    damage(city.database, statement)
    assert wheres(city) == [where]
    with city.check() as (check, tree), StoredTree(city.database) as stored:
        list(check.findings())
        assert mend(stored, tree) == 1
    assert findings(city) == []
    assert _triggers(city) == triggers
    city.fill(20, ROW, signed=True)
    log = city.log()
    log.begin()
    assert not log.halted
    assert findings(city) == []


def _triggers(city: CityLedger) -> list[tuple[str, str]]:
    with closing(open_durable(city.database)) as db:
        return db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name").fetchall()


@pytest.mark.parametrize(("statement", "where"), [
    ("UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 306) WHERE size = 603", "checkpoint of 603"),
    ("UPDATE checkpoints SET note = replace(note, 'A', 'B') WHERE size = 603", "checkpoint of 603"),
    ("UPDATE checkpoints SET note = '' WHERE size = 603", "checkpoint of 603"),
    ("UPDATE epochs SET statement = ''", "epoch 1"),
    ("UPDATE epochs SET statement = replace(statement, 'v1', 'v2')", "epoch 1"),
    ("UPDATE tree_head SET size = size + 1", "tree"),
])
def test_what_is_not_as_it_was_signed_is_named(city: CityLedger, statement: str, where: str) -> None:
    damage(city.database, statement)
    found = wheres(city)
    assert found
    assert found[0].startswith(where), found


def test_a_tree_that_is_behind_what_was_signed_is_named(city: CityLedger) -> None:
    damage(city.database, "UPDATE tree_head SET size = 700")
    assert {"checkpoint of 756 entries in epoch 1", "high-water mark"} <= set(wheres(city))


def _sign(city: CityLedger, size: int, root: bytes) -> str:
    return Checkpoint(origin_of(city.hub, 1), size, root).signed(city.log_signer).decode()


def test_a_root_that_was_signed_over_something_else_is_told_once(city: CityLedger) -> None:
    for size in (306, 603):
        damage(city.database, "UPDATE checkpoints SET note = ? WHERE size = ?", _sign(city, size, bytes(32)), size)
    (found,) = findings(city)
    assert found == Finding("checkpoint of 306 entries in epoch 1",
                            "the first 306 entries of this ledger are not those that were signed")


def test_an_epoch_that_begins_with_another_tree_is_named(city: CityLedger) -> None:
    epoch = LogEpoch(city.hub, 2, 1, 306, bytes(32), 306, bytes(32))
    damage(city.database, "INSERT INTO epochs VALUES (2, ?)", epoch.statement(city.log_signer))
    assert "epoch 2" in wheres(city)


def test_only_what_no_later_epoch_has_lost_must_be_what_an_epoch_began_with(city: CityLedger) -> None:
    for number, base in [(2, 100), (3, SIZE + 5), (4, 603), (5, 306)]:
        epoch = LogEpoch(city.hub, number, 1, base, bytes(32), SIZE + 5, bytes(32))
        damage(city.database, "INSERT INTO epochs VALUES (?, ?)", number, epoch.statement(city.log_signer))
    assert [one for one in wheres(city) if one.startswith("epoch")] == ["epoch 2", "epoch 5"]


@pytest.mark.parametrize(("mark", "reason"), [
    (lambda city: _sign(city, SIZE, bytes(32)), "are not those that were signed"),
    (lambda city: _sign(city, SIZE + 1, bytes(32)), "the stored tree ends at 756"),
    (lambda city: _sign(city, 0, EMPTY_ROOT), "it was put back"),
    (lambda city: "", "is gone or not what this hub signed"),
    (lambda city: "nonsense", "is gone or not what this hub signed"),
])
def test_a_mark_that_does_not_belong_to_the_ledger_is_named(
        city: CityLedger, mark: Callable[[CityLedger], str], reason: str) -> None:
    city.mark.write(mark(city).encode())
    (found,) = findings(city)
    assert found.where == "high-water mark"
    assert reason in found.reason


def test_a_checkpoint_that_halted_the_log_is_named_and_one_of_an_epoch_that_has_ended_is_not(city: CityLedger) -> None:
    """All else holds: the mark says more than the checkpoint that somebody showed."""
    (city.state.root / "contradiction-1.note").write_text(_sign(city, 2, bytes(32)))
    code, output = _command(city, "--no-signatures")
    assert (code, "1 findings, 1 of them damage" in output) == (1, True)
    assert "high-water mark: the checkpoint in" in output
    assert "suozhan-hub reopen" in output
    log = city.log()
    assert log.begin() is None
    log.open_epoch()
    assert _command(city, "--no-signatures")[0] == 0


def test_history_that_was_rewritten_with_all_digests_leaves_and_tiles_is_found_by_what_was_signed(city: CityLedger) -> None:
    """Without a look at any signature of a record: the log's own are enough."""
    with Ledger(city.database) as ledger:
        runs = ledger.runs_from(594, 10**6)
        head = ledger.journal(city.journal)
        digest = ledger.digest_at(head, runs[0].first - 1)
    leaves: list[bytes] = []
    for one in runs:
        columns = one.columns()
        payloads = [payload[:-1] + b"x" for payload in columns.payloads]
        digests = digests_after(digest, payloads)
        digest = digests[-1]
        changed = leaf_hashes(one.key_id, one.journal.bytes, one.first, digests, columns.signatures, one.arrived_ms)
        leaves += changed
        damage(city.database, "UPDATE runs SET payloads = ?, digests = ?, leaves = ? WHERE idx = ?", b"".join(payloads),
               b"".join(digests), b"".join(changed), one.index)
    damage(city.database, "UPDATE journals SET digest = ?", digest)
    with StoredTree(city.database) as stored:
        _, written = OpenTiles.read(runs[0].index, stored.tile).extended(leaves)
    for tile in written:
        damage(city.database, "INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)", tile.level, tile.n, tile.hashes)
    assert wheres(city) == ["checkpoint of 603 entries in epoch 1", "high-water mark"]
    with city.check(signatures=False) as (check, tree), StoredTree(city.database) as stored:
        list(check.findings())
        assert tree.vouched == 306
        with pytest.raises(MendingRefused, match="no tile was changed"):
            mend(stored, tree)


@pytest.mark.parametrize("statement", [
    "UPDATE runs SET count = count + 1 WHERE idx = 297",
    "DELETE FROM runs WHERE idx = 297",
    "UPDATE runs SET leaves = zeroblob(length(leaves)) WHERE idx = 297",
    "UPDATE runs SET payloads = zeroblob(length(payloads)) WHERE idx = 297",
])
def test_a_damaged_row_does_not_make_the_whole_tree_look_damaged(city: CityLedger, statement: str) -> None:
    """The tiles still have its leaves, and the root says that they are right; but nothing is mended out of them."""
    with Ledger(city.database) as ledger:
        assert any(run.index == 297 for run in ledger.runs_from(290, 100))
    damage(city.database, statement)
    damage(city.database, "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND n = 0")
    with city.check() as (check, tree), StoredTree(city.database) as stored:
        found = [one.where for one in check.findings()]
        assert "tile 0 of level 0" in found
        assert all(one.startswith(("cursor", "tile")) for one in found), found
        assert tree.vouched == SIZE
        with pytest.raises(MendingRefused):
            mend(stored, tree)


def test_a_check_beside_a_hub_that_goes_on_writing_finds_nothing(city: CityLedger) -> None:
    log, stop = city.log(), threading.Event()
    log.begin()

    def work() -> None:
        while not stop.is_set():
            city.fill(7, 3, signed=True)
            log.advance()

    writer = threading.Thread(target=work)
    writer.start()
    try:
        for _ in range(8):
            assert findings(city, signatures=True) == []
    finally:
        stop.set()
        writer.join()
    assert findings(city) == []


def _append(city: CityLedger, change: Callable[[list[bytes], list[bytes]], None]) -> int:
    """A row of which something is not what ingest would let pass; the chain and the leaves are. Returns its first position."""
    with Ledger(city.database) as ledger:
        head = ledger.journal(city.journal)
        arrival = city._arrival(head.position + 1, ROW, head.digest, signed=True)
        payloads, signatures = list(arrival.run.payloads), list(arrival.run.signatures)
        change(payloads, signatures)
        digests = digests_after(head.digest, payloads)
        leaves = leaf_hashes(city.signer.key_id, city.journal.bytes, head.position + 1, digests, signatures, 1)
        run = Run(head.position + 1, head.digest, payloads, signatures)
        ledger.append([Arrival(city.journal, run, digests, leaves, 1)])
    return head.position + 1


def test_a_record_that_names_another_place_is_found_though_the_chain_covers_it(city: CityLedger) -> None:
    def change(payloads: list[bytes], _signatures: list[bytes]) -> None:
        payloads[3] = city._payload(SIZE + 1)

    first = _append(city, change)
    (found,) = findings(city)
    assert (found.position, found.damage) == (first + 3, True)
    assert "not a record of this machine, journal and position" in found.reason


@pytest.mark.parametrize(("at", "damage"), [(3, False), (ROW - 1, True)])
def test_every_signature_is_looked_at_and_only_the_last_of_a_row_must_have_held(
        city: CityLedger, at: int, damage: bool) -> None:
    def change(_payloads: list[bytes], signatures: list[bytes]) -> None:
        signatures[at] = bytes(64)

    first = _append(city, change)
    (found,) = findings(city, signatures=True)
    assert (found.position, found.damage) == (first + at, damage)
    assert findings(city, signatures=False) == []


# ---- interrupted ----


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "PAGE_ENTRIES", 40)
    monkeypatch.setattr(verify_command, "SAVE_ENTRIES", 1)


def _in_two(city: CityLedger, kept: ReachedFile, pages: int) -> tuple[list[Finding], int]:
    with city.check() as (check, _):
        for number, _found in enumerate(check.pages()):
            if number == pages:
                break
        reached = check.reached()
        assert reached is not None
        kept.write(reached)
        assert check.checked == reached.index
    begin = kept.read()
    assert begin == reached
    looked_at: list[int] = []
    with city.check(begin) as (check, _):
        ledger = check._ledger
        plain = ledger.runs_from
        ledger.runs_from = lambda index, limit: looked_at.append(index) or plain(index, limit)  # type: ignore[method-assign]
        found = list(check.findings())
        assert check.checked == SIZE
    return found, looked_at[0] if looked_at else SIZE


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("pages", [0, 1, 7, 15, 17])
def test_an_interrupted_check_goes_on_where_it_was_and_finds_the_same(city: CityLedger, pages: int) -> None:
    for index in (90, 198, 594):  # not where the tile is damaged, too
        damage(city.database, "UPDATE runs SET arrived_ms = arrived_ms + 1 WHERE idx = ?", index)
    damage(city.database, "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND n = 1")
    with city.check() as (check, _):
        expected = list(check.findings())
    assert len(expected) == 3 * ROW + 1
    kept = ReachedFile(city.state.verify_progress, city.database, signatures=True, signed=True)
    found, began = _in_two(city, kept, pages)
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert (began > 40 * (pages - 1)) if pages else began == 0


@pytest.mark.usefixtures("small_pages")
def test_progress_is_kept_for_one_database_and_one_kind_of_check_and_thrown_away_when_damaged(city: CityLedger) -> None:
    kept = ReachedFile(city.state.verify_progress, city.database, signatures=True, signed=True)
    _in_two(city, kept, 3)
    assert kept.read() is not None
    for signatures, signed in ((False, True), (True, False)):  # what was signed is not compared again behind it
        assert ReachedFile(city.state.verify_progress, city.database, signatures=signatures, signed=signed).read() is None
    whole = city.state.verify_progress.read_bytes()
    for at in (0, 70, len(whole) - 1):
        city.state.verify_progress.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        assert kept.read() is None
    city.state.verify_progress.write_bytes(whole)
    other = city.database.with_name("other.db")
    shutil.copy(city.database, other)
    other.replace(city.database)
    assert kept.read() is None


@pytest.mark.usefixtures("small_pages")
def test_nobody_goes_on_behind_the_tree_or_behind_a_damaged_row(city: CityLedger) -> None:
    city.fill(100, 10, signed=True)  # the tree has not taken them up
    damage(city.database, "UPDATE runs SET count = count + 1 WHERE idx = 396")
    with city.check() as (check, _):
        kept = [reached.index for _ in check.pages() if (reached := check.reached())]
    assert 396 not in kept
    assert SIZE - 45 < max(kept) <= SIZE
    assert any(index > 405 for index in kept)


# ---- the command ----


def _command(city: CityLedger, *arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["--state", str(city.state.root), "verify", *arguments])
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer.exit_code, answer.output


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_the_check_and_says_how_to_go_on(
        city: CityLedger, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    damage(city.database, "UPDATE runs SET arrived_ms = arrived_ms + 1 WHERE idx = 90")
    page, pages = LedgerCheck._page, 0

    def interrupted(check: LedgerCheck) -> list[Finding]:
        nonlocal pages
        pages += 1
        if pages == 4:
            signal.raise_signal(number)
        return page(check)

    before = signal.getsignal(number)
    monkeypatch.setattr(LedgerCheck, "_page", interrupted)
    code, output = _command(city)
    assert code == 130
    assert "Stopped after 180 of 756 entries. Go on with: suozhan-hub --state" in output
    assert output.count("the leaf hash does not match") == ROW
    assert signal.getsignal(number) is before
    pages = -1000
    code, output = _command(city, "--resume")
    assert code == 1
    assert pages == -1000 + 14  # and one to see that there are no more
    assert output.count("the leaf hash does not match") == ROW
    assert "756 entries checked, 9 findings, 9 of them damage." in output
    assert not city.state.verify_progress.exists()
    assert "begins at the beginning" in _command(city, "--resume")[1]


def test_a_backup_has_no_mark_and_the_hubs_key_opens_its_checkpoints(city: CityLedger, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    shutil.copy(city.database, backup)
    city.fill(50, ROW, signed=True)
    log = city.log()
    log.begin()
    assert _command(city) == (0, "806 entries checked, 0 findings, 0 of them damage.\n")
    assert _command(city, str(backup)) == (0, "756 entries checked, 0 findings, 0 of them damage.\n")
    damage(backup, "UPDATE checkpoints SET note = replace(note, 'A', 'B') WHERE size = 603")
    code, output = _command(city, str(backup))
    assert code == 1
    assert "checkpoint of 603 entries in epoch 1: is not what this hub signed" in output
    assert "Do not restore this file" in output


def test_tiles_are_mended_by_the_command_and_nothing_else_is(city: CityLedger) -> None:
    damage(city.database, "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND n = 1")
    code, output = _command(city, "--no-signatures")
    assert code == 1
    assert "Only tiles are damaged, and they follow from the entries. Stop the hub and run" in output
    with alone(city.state.root), pytest.raises(BadConfig, match="stop it first"):
        _command(city, "--mend-tiles")
    code, output = _command(city, "--mend-tiles")
    assert code == 0
    assert "1 tiles written anew out of the entries, under the root that was signed." in output
    assert _command(city)[0] == 0
    damage(city.database, "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND n = 1")
    damage(city.database, "UPDATE runs SET arrived_ms = arrived_ms + 1 WHERE idx = 90")
    with pytest.raises(MendingRefused, match="other things are damaged, too"):
        _command(city, "--mend-tiles")
    assert "tile 1 of level 0" in wheres(city)


def test_a_flipped_bit_in_the_tree_is_found_or_changes_nothing(city: CityLedger, tmp_path: Path) -> None:
    """Wherever it is: in tiles, notes, or the rows around them."""
    data, choose = city.database.read_bytes(), random.Random(5)
    with StoredTree(city.database) as stored:
        tile = split_hashes(stored.tile(0, 1))[0]
        note = stored.snapshot().checkpoints[1].note
    for needle in [tile] * 10 + [note] * 10:
        at = data.index(needle) + choose.randrange(len(needle))
        city.database.write_bytes(data[:at] + bytes([data[at] ^ 1 << choose.randrange(8)]) + data[at + 1:])
        assert findings(city)
