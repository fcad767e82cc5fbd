"""What the hub decided is written twice, and its own journal takes no position twice (invariants 2, 5 and 11)."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from hub.ledger.decision_check import decision_findings
from hub.ledger.decision_log import DecisionLog
from hub.ledger.findings import Finding
from hub.ledger.own_journal import TakenBack
from hub.ledger.runs import Entry
from hub.ledger.store import Ledger
from security.chain import Genesis
from security.record import ClearBody, parse_record
from security.run import Run
from security.signer import Ed25519Signer
from security.suites import Suite
from tests.spine import Spine, damage


@pytest.fixture
def spine(tmp_path: Path) -> Spine:
    return Spine(tmp_path)


def _own(spine: Spine) -> list[Entry]:
    with Ledger(spine.hub_db) as ledger:
        return list(ledger.entries(ledger.journal(spine.hub_id), 0))


def _kinds(spine: Spine) -> list[str]:
    return [parse_record(one.payload).kind for one in _own(spine)]


def _logged(spine: Spine) -> list[bytes]:
    with DecisionLog(spine.folder / "decisions.db") as log:
        return list(log.after(0, b"", 10**6).payloads)


def _put_back(spine: Spine, file: Path) -> None:
    for ending in ("-wal", "-shm"):
        Path(f"{spine.hub_db}{ending}").unlink(missing_ok=True)
    shutil.copy(file, spine.hub_db)


def _log_findings(spine: Spine) -> list[Finding]:
    return list(decision_findings(spine.hub_db))


def _locked(_log: DecisionLog) -> DecisionLog:
    raise sqlite3.OperationalError("database is locked")


def _full(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def _flip(spine: Spine, whole: bytes, flipped: bytes) -> None:
    file = spine.folder / "decisions.db"
    damaged, places = re.subn(whole, flipped, file.read_bytes(), flags=re.DOTALL)
    assert places
    file.write_bytes(damaged)


def test_each_record_stands_in_both_byte_by_byte(spine: Spine) -> None:
    spine.own.note("a", {"text": "一"})
    spine.own.note("b", {})
    assert _kinds(spine) == ["key.registered", "a", "b"]
    assert _logged(spine) == [one.payload for one in _own(spine)]


def test_nobody_is_asked_to_put_a_log_back_beside_a_decision_log_that_is_begun_anew(spine: Spine) -> None:
    spine.own.note("a", {})
    decisions = spine.folder / "decisions.db"
    code = ("import os, signal, sys; from pathlib import Path; from security.durable_sqlite import open_durable; "
            "open_durable(Path(sys.argv[1])).execute('PRAGMA user_version = 0'); os.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([sys.executable, "-c", code, decisions], check=False).returncode == -signal.SIGKILL
    Path(f"{decisions}-wal").unlink()
    with capture_logs() as logs:
        spine.own.note("b", {})
    [said] = [" ".join(map(str, one.values())) for one in logs if one["event"] == "the decision log is begun anew"]
    assert "decisions.db is not whole (decisions.db-wal is gone, with 1 page committed to it)" in said
    assert "back" not in said
    assert _kinds(spine) == ["key.registered", "a", "b"]


def test_a_database_that_is_put_back_by_hand_gets_its_decisions_before_the_next_one(spine: Spine, tmp_path: Path) -> None:
    """Nobody has said `restore` yet, and still no position is signed twice."""
    shutil.copy(spine.hub_db, tmp_path / "old.db")
    for number in range(3):
        spine.own.note("decided", {"number": number})
    before = _own(spine)
    _put_back(spine, tmp_path / "old.db")
    spine.own.note("next", {})
    after = _own(spine)
    assert [one.payload for one in after[:-1]] == [one.payload for one in before]
    assert [one.signature for one in after[:-1]] == [one.signature for one in before]
    assert _kinds(spine)[-1] == "next"
    assert spine.own.take_back() == TakenBack(0, "")
    spine.check_ledger()


def test_many_decisions_are_taken_back_page_by_page(
    spine: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.ledger.own_journal.PAGE_RECORDS", 2)
    shutil.copy(spine.hub_db, tmp_path / "old.db")
    for number in range(5):
        spine.own.note("decided", {"number": number})
    before = [one.payload for one in _own(spine)]
    _put_back(spine, tmp_path / "old.db")
    assert spine.own.take_back() == TakenBack(5, "")
    (spine.folder / "decisions.db").unlink()
    spine.own.note("next", {})
    assert _logged(spine)[:-1] == before


def test_a_commit_that_was_lost_behind_the_log_is_no_position_taken_twice(
    spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = DecisionLog.append

    def dies(self: DecisionLog, *arguments: object) -> None:
        append(self, *arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as crash:
        crash.setattr(DecisionLog, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            spine.own.note("lost", {})
    assert _kinds(spine) == ["key.registered"]
    spine.own.note("next", {})
    assert _kinds(spine) == ["key.registered", "lost", "next"]
    assert _logged(spine) == [one.payload for one in _own(spine)]


def test_what_the_log_does_not_take_is_not_decided(spine: Spine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as disk:
        disk.setattr(DecisionLog, "append", _full)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            spine.own.note("revoked", {})
    assert _kinds(spine) == ["key.registered"]


@pytest.mark.parametrize("column", ["digests", "payloads"])
def test_a_damaged_ledger_is_not_taken_for_a_lost_log_and_gets_into_none(spine: Spine, column: str) -> None:
    spine.own.note("before", {})
    logged = _logged(spine)
    damage(spine.hub_db, f"UPDATE runs SET {column} = zeroblob(length({column})) WHERE idx = 1")
    spine.own.note("after", {})
    assert spine.own.take_back() == TakenBack(0, "")
    assert _logged(spine)[:2] == logged
    assert not list(spine.folder.glob("decisions-*.db"))
    (spine.folder / "decisions.db").unlink()
    spine.own.note("later", {})
    assert _logged(spine) == []


@pytest.mark.parametrize("harm", [b"", b"nonsense" * 1_000, None])
def test_a_log_that_is_lost_or_damaged_is_put_aside_and_made_anew_out_of_the_ledger(spine: Spine, harm: bytes | None) -> None:
    spine.own.note("before", {})
    file = spine.folder / "decisions.db"
    if harm is None:
        damage(file, "UPDATE decisions SET digest = zeroblob(32)")
    else:
        file.write_bytes(harm)
    spine.own.note("after", {})
    assert _kinds(spine) == ["key.registered", "before", "after"]
    assert _logged(spine) == [one.payload for one in _own(spine)]
    assert len(list(spine.folder.glob("decisions-*.db"))) == 1


@pytest.mark.parametrize(("whole", "flipped"), [
    (rb"(?<=\x00)\x4c(?=..\x81\x0c)", b"\x4d"),  # a digest that is a text
    (rb"coalesce", b"\xe3oalesce"), (rb"coalesce", b"coalescd"), (rb"\+ 1 FROM", b"* 1 FROM"),  # a trigger
])
def test_a_log_with_a_flipped_bit_keeps_nothing_from_being_decided(spine: Spine, whole: bytes, flipped: bytes) -> None:
    spine.own.note("before", {})
    _flip(spine, whole, flipped)
    spine.own.note("after", {})
    spine.own.take_back()
    spine.own.note("later", {})
    assert _kinds(spine) == ["key.registered", "before", "after", "later"]
    assert _logged(spine) == [one.payload for one in _own(spine)]
    spine.check_ledger()


def test_a_log_with_a_number_in_the_place_of_a_signature_is_damaged(spine: Spine, tmp_path: Path) -> None:
    shutil.copy(spine.hub_db, tmp_path / "old.db")
    spine.own.note("before", {})
    _flip(spine, rb"(?<=\x00\x4c..)\x81(?=\x0c)", b"\x01")
    _put_back(spine, tmp_path / "old.db")
    assert "damaged" in spine.own.take_back().fault


@pytest.mark.parametrize("column", ["payload", "signature"])
def test_verify_names_damage_of_the_log_before_it_is_needed(spine: Spine, monkeypatch: pytest.MonkeyPatch, column: str) -> None:
    monkeypatch.setattr("hub.ledger.decision_check.PAGE_RECORDS", 2)
    spine.own.note("b", {})
    spine.own.note("c", {})
    spine.own.note("d", {})
    assert _log_findings(spine) == []
    damage(spine.folder / "decisions.db", f"UPDATE decisions SET {column} = zeroblob(length({column})) WHERE position = 3")
    [found] = _log_findings(spine)
    assert (found.where, found.damage) == ("decision log, position 3", False)
    (spine.folder / "decisions.db").write_bytes(b"nonsense" * 1_000)
    assert "is damaged" in _log_findings(spine)[0].reason
    with pytest.MonkeyPatch.context() as locked:
        locked.setattr(DecisionLog, "__enter__", _locked)
        assert "give the command again" in _log_findings(spine)[0].reason
    (spine.folder / "decisions.db").unlink()
    assert _log_findings(spine) == []
    assert not (spine.folder / "decisions.db").exists()  # at the next start that is an alarm


def test_the_log_goes_on_where_the_newest_entry_of_the_ledger_is_damaged(spine: Spine, tmp_path: Path) -> None:
    """Else a restore would say that it knows all that was decided, and have lost what came behind the damage."""
    shutil.copy(spine.hub_db, tmp_path / "old.db")
    spine.own.note("before", {})
    damage(spine.hub_db, "UPDATE runs SET digests = zeroblob(length(digests)) WHERE idx = 1")
    spine.own.note("after", {})
    spine.own.note("later", {})
    _put_back(spine, tmp_path / "old.db")
    assert spine.own.take_back() == TakenBack(3, "")
    assert _kinds(spine) == ["key.registered", "before", "after", "later"]


def test_nothing_is_taken_back_that_this_hub_has_not_signed(spine: Spine, tmp_path: Path) -> None:
    """Or that a bad disk has changed: the log's word alone proves nothing."""
    shutil.copy(spine.hub_db, tmp_path / "old.db")
    spine.own.note("decided", {"by": "A"})
    payload = _own(spine)[-1].payload
    _put_back(spine, tmp_path / "old.db")
    damage(spine.folder / "decisions.db", "UPDATE decisions SET payload = ? WHERE position = 2", payload.replace(b"A", b"B"))
    spine.own.note("next", {})
    assert _kinds(spine) == ["key.registered", "next"]
    content = parse_record(payload).content
    assert isinstance(content, ClearBody)
    assert json.loads(content.data) == {"by": "A"}


def test_a_damaged_ledger_still_takes_what_is_decided_now(spine: Spine) -> None:
    """The alarm that tells of the damage, for one."""
    spine.own.note("before", {})
    (spine.folder / "decisions.db").unlink()
    damage(spine.hub_db, "UPDATE runs SET sizes = zeroblob(length(sizes)) WHERE first = 2")
    spine.own.note("alarm.raised", {})
    with closing(sqlite3.connect(spine.hub_db)) as db:
        assert db.execute("SELECT position FROM journals WHERE journal = ?", (spine.hub_id.bytes,)).fetchone() == (3,)


def test_the_log_takes_each_position_once_and_in_order(spine: Spine) -> None:
    with closing(sqlite3.connect(spine.folder / "decisions.db")) as db:
        for statement in ("DELETE FROM decisions", "UPDATE decisions SET payload = X'00'",
                          "INSERT INTO decisions SELECT position + 2, digest, payload, signature FROM decisions"):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(statement)
    assert (spine.folder / "decisions.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("refused", ["forgotten", "registered", "closed"])
def test_of_a_decision_whose_later_step_fails_nothing_is_taken_back(
    spine: Spine, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """Else a machine that was never followed by another one would be revoked by the next command that looks."""
    logged, key = _logged(spine), Ed25519Signer(Ed25519PrivateKey.generate()).public_key
    new = Genesis(uuid4(), uuid4(), Suite.ED25519_SHA256, key, spine.journal_id)
    forgotten = [Genesis(uuid4(), uuid4(), Suite.ED25519_SHA256, key)]
    if refused == "registered":
        new = replace(new, journal=spine.hub_id)
    elif refused == "forgotten":
        forgotten.append(replace(forgotten[0], edge=uuid4()))
    else:
        monkeypatch.setattr(Ledger, "close", _full)
    with pytest.raises(sqlite3.Error):
        spine.own.succeed([("business", new)], "A01", {"by": "周敏", "reason": "lost"},
                          [("business", one) for one in forgotten])
    assert _logged(spine) == logged
    assert spine.own.take_back() == TakenBack(0, "")
    assert _kinds(spine) == ["key.registered"]


def test_what_one_transaction_decides_gets_into_the_log_at_once(spine: Spine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between two of its records would leave a machine that is revoked, and no other that follows it."""
    append, sizes = DecisionLog.append, list[int]()

    def counted(self: DecisionLog, run: Run, digests: Sequence[bytes]) -> None:
        sizes.append(len(run))
        append(self, run, digests)

    monkeypatch.setattr(DecisionLog, "append", counted)
    key = Ed25519Signer(Ed25519PrivateKey.generate()).public_key
    spine.own.succeed([("business", Genesis(uuid4(), uuid4(), Suite.ED25519_SHA256, key, spine.journal_id))], "A01", {})
    assert sizes == [3]
    assert _logged(spine) == [one.payload for one in _own(spine)]
    assert _kinds(spine) == ["key.registered", "journal.closed", "machine.revoked", "key.registered"]
