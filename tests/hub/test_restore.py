"""A hub that comes back from a backup: what is put in the place of its database, and what it knows then (invariants 2, 6, 11)."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

import hub.restore
from deploy.demo.processes import DemoFailed
from hub.alone import alone, beside_others, undisturbed
from hub.api.tokens import list_tokens, make_token, revoke_token
from hub.attention.alarms import Alarm, Alarms
from hub.attention.approvals import Approvals
from hub.backup import back_up
from hub.command import app
from hub.database import open_engine
from hub.enrolment.revocation import revoke
from hub.enrolment.sites import add_site
from hub.enrolment.tables import edges
from hub.founding import found_hub
from hub.keys import load_keys
from hub.ledger.decision_log import DecisionLog
from hub.ledger.high_water import HighWater
from hub.ledger.hole import Hole
from hub.ledger.journal_head import JournalHead, UnknownJournal
from hub.ledger.own_journal import OwnJournal
from hub.ledger.reader import LedgerReader
from hub.ledger.store import Ledger
from hub.ledger.transparency import TransparencyLog
from hub.ledger.tree_store import TreeStore
from hub.ledger.verify import LedgerCheck
from hub.migrate import make_blank
from hub.recall import Recall
from hub.restore import RestoreRefused, Said, reopen, restore
from hub.state import BadConfig, HubState, checked_config
from security.chain import Genesis
from security.checkpoint import Checkpoint
from security.signer import Ed25519Signer
from security.sigterm import ENDED
from security.suites import Suite
from tests.hub.commands import command_here, ended_at
from tests.spine import CEILING_S, HandClock

SAID = Said("周敏", "disk failure")
PAGE_BYTES = 4096  # of SQLite


class City:
    """A hub by its folder, without servers."""

    def __init__(self, folder: Path) -> None:
        self.state, self.clock, self.hub = HubState(folder / "hub"), HandClock(), uuid4()
        config = checked_config({"hub": self.hub, "hosts": ["127.0.0.1"], "listen": "127.0.0.1"})
        found_hub(self.state, config, folder / "root.key", "a passphrase", lambda: None, self.clock)
        self.keys = load_keys(self.state.keys)

    @property
    def own(self) -> OwnJournal:
        return OwnJournal(self.state.database, self.hub, self.keys.record, self.clock)

    def sign(self) -> TransparencyLog:
        """What there is."""
        log = TransparencyLog(self.state.database, HighWater(self.state.high_water), self.hub, self.keys.log, self.clock)
        log.begin()
        return log

    def note(self, *kinds: str) -> None:
        for kind in kinds:
            self.own.note(kind, {})

    def size(self) -> int:
        with Ledger(self.state.database) as ledger:
            return ledger.size()

    def enrol(self, site: str = "A01") -> Genesis:
        """As the enrolment desk does it, without certificates."""
        signer = Ed25519Signer(Ed25519PrivateKey.generate())
        genesis = Genesis(uuid4(), uuid4(), Suite.ED25519_SHA256, signer.public_key)
        with self.engine() as engine, engine.begin() as connection:
            connection.execute(edges.insert().values(edge=str(genesis.edge), site=site, machine="m", enrolled_ms=1))
        self.own.register_machine([("business", genesis)], site)
        return genesis

    def start(self) -> None:
        """As far as a start looks at what was decided before."""
        with self.engine() as engine:
            Recall(engine, self.state.database, self.own, self.hub, self.keys.log.public_key).at_start(
                Alarms(engine, self.own, self.clock))

    def start_and_wait(self) -> None:
        """As the hub does it before its servers open."""
        with self.engine() as engine:
            recall = Recall(engine, self.state.database, self.own, self.hub, self.keys.log.public_key)
            asyncio.run(asyncio.wait_for(recall.before_serving(Alarms(engine, self.own, self.clock)), CEILING_S))

    @contextmanager
    def engine(self) -> Iterator[sa.Engine]:
        engine = open_engine(self.state.database)
        try:
            yield engine
        finally:
            engine.dispose()

    def revoked(self, edge: UUID) -> bool:
        """Raises NoResultFound for a machine that is not known."""
        with self.engine() as engine, engine.connect() as connection:
            query = sa.select(edges.c.revoked_ms).where(edges.c.edge == str(edge))
            return connection.execute(query).scalar_one() is not None

    def journal(self, journal: UUID) -> JournalHead:
        with Ledger(self.state.database) as ledger:
            return ledger.journal(journal)

    def open_alarms(self) -> list[Alarm]:
        with self.engine() as engine:
            return Alarms(engine, self.own, self.clock).open_alarms()

    def alarms(self) -> list[str]:
        return [one.kind for one in self.open_alarms()]

    def ask(self, key: bytes) -> int:
        """A request's id."""
        with self.engine() as engine:
            return Approvals(engine, self.own, self.clock).ask("rejoin", f"machine {key!r}", key, {}).id

    def decide(self, request: int) -> None:
        with self.engine() as engine:
            Approvals(engine, self.own, self.clock).decide(request, "周敏", "seen", approved=True)

    def own_records(self) -> list[bytes]:
        with Ledger(self.state.database) as ledger:
            return [one.payload for one in ledger.entries(ledger.journal(self.hub), 0)]

    def put_back(self, file: Path) -> None:
        """By hand, without a word."""
        for ending in ("-wal", "-shm"):
            Path(f"{self.state.database}{ending}").unlink(missing_ok=True)
        shutil.copy(file, self.state.database)
        self.clock.now_ms += 60_000  # what comes back has other leaves

    def verify(self) -> None:
        """By the command, which has to find nothing."""
        done = CliRunner().invoke(app, ["--state", str(self.state.root), "verify"])
        assert done.exit_code == 0, done.output

    def run(self, *arguments: str) -> str:
        """A command, which has to be refused."""
        done = CliRunner().invoke(app, ["--state", str(self.state.root), *arguments])
        assert isinstance(done.exception, BadConfig), done.output
        return str(done.exception)


@pytest.fixture
def city(tmp_path: Path) -> City:
    city = City(tmp_path)
    with city.engine() as engine:
        add_site(engine, "A01", "所", "office", "")
    city.note("first")
    city.sign()
    return city


def test_a_database_that_lies_beside_its_wal_is_restored_with_all_that_was_committed(city: City, tmp_path: Path) -> None:
    """What was put aside by an earlier restore, of a hub that had died: whoever undoes that loses nothing."""
    aside = tmp_path / "before-restore-1-hub.db"
    with Ledger(city.state.database):  # so that the WAL stays
        city.note("second", "third")
        size = city.size()
        for ending in ("", "-wal"):
            shutil.copy(f"{city.state.database}{ending}", f"{aside}{ending}")
        with closing(sqlite3.connect(f"file:{aside}?immutable=1", uri=True)) as db:
            (without,) = db.execute("SELECT size FROM ledger_head").fetchone()
    assert without < size
    assert restore(city.state, aside, city.clock, SAID).recalled.taken_back == 0  # it had all of them
    assert city.size() == size + 1  # and the record that says so
    assert not list(city.state.root.glob("*.restored"))


def test_what_is_no_database_or_a_damaged_one_changes_nothing(city: City, tmp_path: Path) -> None:
    size, backup = city.size(), tmp_path / "backup.db"
    nonsense = tmp_path / "nonsense.db"
    nonsense.write_bytes(b"nonsense" * 1_000)
    with pytest.raises(RestoreRefused, match="cannot be copied"):
        restore(city.state, nonsense, city.clock, SAID)
    back_up(city.state.database, backup)
    with closing(sqlite3.connect(backup)) as db:
        db.executescript("DROP TRIGGER runs_never_change; UPDATE runs SET signatures = zeroblob(length(signatures))")
    with pytest.raises(RestoreRefused, match=r"backup\.db is damaged \(\d+ findings"):
        restore(city.state, backup, city.clock, SAID)
    assert city.size() == size
    assert not list(city.state.root.glob("before-restore-*"))
    assert not list(city.state.root.glob("*.restored*"))  # as large as the database, on a disk that may be full


@pytest.mark.parametrize("step", ["_check", "put_back"])
def test_a_restore_that_is_stopped_by_hand_leaves_nothing(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                          step: str) -> None:
    back_up(city.state.database, tmp_path / "backup.db")
    monkeypatch.setattr(hub.restore, step, lambda *_: signal.raise_signal(signal.SIGINT))
    before = set(city.state.root.iterdir())
    with pytest.raises(KeyboardInterrupt):
        restore(city.state, tmp_path / "backup.db", city.clock, SAID)
    assert set(city.state.root.iterdir()) == before


@pytest.mark.parametrize("step", ["hub.restore._check", "hub.restore.put_back"])
def test_a_restore_that_the_system_ends_leaves_nothing(city: City, tmp_path: Path, step: str) -> None:
    back_up(city.state.database, tmp_path / "backup.db")
    before = {path.name for path in city.state.root.iterdir()}
    arguments = ("restore", str(tmp_path / "backup.db"), "--by", SAID.by, "--reason", SAID.reason)
    assert ended_at(step, city.state.root, *arguments) == ENDED
    assert {path.name for path in city.state.root.iterdir()} == before


def test_a_backup_of_a_program_without_a_tree_is_restored(city: City, tmp_path: Path) -> None:
    old, config = tmp_path / "old.db", Config()
    make_blank(old)
    config.set_main_option("script_location", "hub:migrations")
    engine = open_engine(old)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.commit()
    engine.dispose()
    with closing(sqlite3.connect(old, isolation_level=None)) as db:
        fixed = "journal, edge, name, suite, public_key, key_id, predecessor, genesis"
        db.execute("ATTACH ? AS now", (str(city.state.database),))
        db.execute(f"INSERT INTO journals ({fixed}, position, digest, arrived_ms) "
                   f"SELECT {fixed}, 0, genesis, 0 FROM now.journals")
    city.note("x")
    restore(city.state, old, city.clock, SAID)
    assert city.size() > 1


def test_nothing_lies_beside_the_restored_file_that_would_be_replayed_onto_it(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, rename = tmp_path / "backup.db", Path.rename
    back_up(city.state.database, backup)

    def looked_into(path: Path, target: Path) -> Path:
        done = rename(path, target)
        if path == city.state.database:
            Path(f"{path}-wal").write_bytes(b"of a program that looked in")
        return done

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", looked_into)
        restore(city.state, backup, city.clock, SAID)
    with Ledger(city.state.database):
        assert not Path(f"{city.state.database}-wal").read_bytes().startswith(b"of a program")


@pytest.fixture
def held(city: City) -> Iterator[City]:
    with undisturbed(city.state):
        yield city


def test_no_command_opens_the_database_while_another_one_is_put_in_its_place(held: City) -> None:
    """It would write into the file that is put aside, or leave a WAL beside the one that comes."""
    for arguments in (["approvals"], ["alarms", "clear", "1", "--by", "周敏"], ["site", "list"], ["backup", "x.db"],
                      ["import", "file", "--by", "周敏", "--reason", "x"], ["invite", "A01"], ["verify"],
                      ["revoke", str(uuid4()), "--by", "周敏", "--reason", "x"]):
        assert "restore or reopen works" in held.run(*arguments)


def test_a_restore_waits_for_no_command_and_goes_ahead_of_none(city: City, tmp_path: Path) -> None:
    with beside_others(city.state), beside_others(city.state):  # commands disturb each other as little as before
        assert "let it end" in city.run("reopen", "--by", "周敏", "--reason", "x")
        with alone(city.state.root):  # nor does a hub that runs
            pass
    with alone(city.state.root):
        assert "stop it first" in city.run("restore", str(tmp_path / "x"), "--by", "周敏", "--reason", "x")


def test_a_restore_that_has_to_wait_names_what_it_waits_for(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verify of a large ledger takes hours, in a window that nobody may remember. This command waits for what it reads."""
    pipe = tmp_path / "catalogue.toml"
    os.mkfifo(pipe)
    waiting = subprocess.Popen([sys.executable, "-m", "hub.command", "--state", str(city.state.root), "catalogue", "publish",
                                str(pipe)])
    try:
        with pipe.open("wb"):  # open for both: it has its lock
            said = city.run("restore", str(tmp_path / "x"), "--by", "周敏", "--reason", "x")
            assert f"process {waiting.pid}: " in said
            assert f"catalogue publish {pipe}" in said
            assert "Ctrl-C" in said
    finally:
        waiting.kill()
        waiting.wait(CEILING_S)
    monkeypatch.setattr("hub.alone.KERNEL_LOCKS", tmp_path / "not here")
    with beside_others(city.state):
        assert "pgrep" in city.run("reopen", "--by", "周敏", "--reason", "x")


def test_a_hub_looks_at_no_database_before_it_is_alone(held: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.assembly.upgrade", lambda _engine: pytest.fail("the database was opened"))
    assert "stop it first" in held.run("run")


def _decided(city: City, backup: Path) -> tuple[Genesis, Genesis, Genesis]:
    """After the backup: one machine is revoked, one has rejoined under another identity, one is new."""
    stolen, damaged = city.enrol(), city.enrol()
    back_up(city.state.database, backup)
    new = Genesis(uuid4(), uuid4(), damaged.suite, Ed25519Signer(Ed25519PrivateKey.generate()).public_key, damaged.journal)
    with city.engine() as engine:
        revoke(engine, city.own, str(stolen.edge), "李芳", "stolen", 1)
        with engine.begin() as connection:
            connection.execute(edges.update().where(edges.c.edge == str(damaged.edge)).values(revoked_ms=1))
            connection.execute(edges.insert().values(edge=str(new.edge), site="A01", machine="m", enrolled_ms=1))
    city.own.succeed([("business", new)], "A01", {"by": "周敏", "reason": "damaged disk"})
    city.sign()
    return stolen, damaged, new


def test_what_was_decided_after_the_backup_holds_after_the_restore_and_is_told(city: City, tmp_path: Path) -> None:
    """A revocation is for good."""
    stolen, damaged, new = _decided(city, tmp_path / "backup.db")
    before = city.own_records()
    back = restore(city.state, tmp_path / "backup.db", city.clock, SAID)
    assert (back.recalled.taken_back, back.recalled.fault) == (4, "")
    assert city.revoked(stolen.edge)
    assert city.revoked(damaged.edge)
    assert "follows it" in city.journal(damaged.journal).closed
    assert not city.revoked(new.edge)
    assert city.journal(new.journal).genesis == new.digest()
    assert [one.split(",")[0] for one in back.recalled.words] == [
        f"machine {stolen.edge} is revoked", f"journal {damaged.journal} has ended: {new.journal} follows it",
        f"machine {damaged.edge} is revoked", f"machine {new.edge} of site A01 is enrolled"]
    assert city.own_records()[:-1] == before  # byte by byte: nothing of its own is signed twice
    assert city.alarms() == []
    assert reopen(city.state, city.clock, SAID).recalled.words == ()  # a repeat applies nothing anew


@pytest.mark.parametrize("lost", ["gone", "damaged"])
def test_a_lost_decision_log_is_told_with_what_to_do(city: City, tmp_path: Path, lost: str) -> None:
    stolen, *_ = _decided(city, tmp_path / "backup.db")
    decisions = city.state.root / "decisions.db"
    if lost == "gone":
        decisions.unlink()
    else:
        decisions.write_bytes(b"nonsense" * 1_000)
    back = restore(city.state, tmp_path / "backup.db", city.clock, SAID)
    assert str(decisions) in back.recalled.fault
    assert lost in back.recalled.fault or lost == "damaged"
    assert not city.revoked(stolen.edge)  # nobody here knows it any more
    assert city.alarms() == ["decisions-lost"]
    assert reopen(city.state, city.clock, SAID).recalled.fault == ""


@pytest.mark.parametrize("dies_at", [None, "raise_alarm", "fault_told", "open_epoch", "note"])
def test_a_mark_that_was_put_back_puts_the_decisions_in_doubt_too(
        city: City, monkeypatch: pytest.MonkeyPatch, dies_at: str | None) -> None:
    """Killed anywhere and repeated, `reopen` raises the alarm."""
    log = city.sign()
    assert log.published is not None
    evidence = Checkpoint(log.published.epoch.origin, log.published.size + 5, bytes(32))
    log.contradicted(evidence, evidence.signed(city.keys.log).decode())
    if dies_at:
        at = {"raise_alarm": Alarms, "open_epoch": TransparencyLog}.get(dies_at, OwnJournal)
        with monkeypatch.context() as patched:
            patched.setattr(at, dies_at, _dies)
            with pytest.raises(Died):
                reopen(city.state, city.clock, SAID)
    fault = reopen(city.state, city.clock, SAID).recalled.fault
    assert "mark was put back" in fault or dies_at == "note"  # the epoch was open by then
    assert city.alarms() == ["decisions-lost"]


def test_a_hub_whose_database_was_put_back_by_hand_lets_nobody_in_whom_it_has_sent_away(city: City, tmp_path: Path) -> None:
    """Before anybody says `reopen`: it runs, and takes records."""
    stolen, damaged, _ = _decided(city, tmp_path / "backup.db")
    city.put_back(tmp_path / "backup.db")
    assert not city.revoked(stolen.edge)
    city.start()
    assert city.revoked(stolen.edge)
    assert city.journal(damaged.journal).closed
    assert "reopen" in city.sign().halted
    said = CliRunner().invoke(app, ["--state", str(city.state.root), "verify"])
    assert said.exit_code == 1
    assert "suozhan-hub reopen" in said.output  # no backup is needed: every entry is whole
    assert "suozhan-hub restore" not in said.output


def test_what_a_command_took_back_before_the_start_is_applied_at_the_start(city: City, tmp_path: Path) -> None:
    """Any command that writes takes back first, and applies nothing."""
    stolen, damaged, _ = _decided(city, tmp_path / "backup.db")
    city.start()
    city.put_back(tmp_path / "backup.db")
    city.note("alarm of somebody's")
    city.start()
    assert city.revoked(stolen.edge)
    assert city.journal(damaged.journal).closed


def test_a_start_goes_over_what_came_since_the_last_one_only(city: City) -> None:
    machine = city.enrol()
    city.start()
    with Ledger(city.state.database) as ledger, pytest.MonkeyPatch.context() as patched:
        journal, entries = ledger.journal(city.hub), LedgerReader.entries
        asked: list[int] = []
        patched.setattr(LedgerReader, "entries", lambda self, head, after: asked.append(after) or entries(self, head, after))
        city.start()
    assert asked == [journal.position]
    assert not city.revoked(machine.edge)


@pytest.mark.parametrize("lost", ["gone", "damaged"])
def test_a_decision_log_that_is_lost_before_a_start_is_an_alarm(city: City, tmp_path: Path, lost: str) -> None:
    """Who put the database back by hand, and the log with it or away, hears it: at `reopen` both are the same again."""
    _decided(city, tmp_path / "backup.db")
    city.put_back(tmp_path / "backup.db")
    decisions = city.state.root / "decisions.db"
    decisions.unlink() if lost == "gone" else decisions.write_bytes(b"nonsense" * 1_000)
    city.start()
    assert city.alarms() == ["decisions-lost"]
    city.start()
    reopen(city.state, city.clock, SAID)
    assert city.alarms() == ["decisions-lost"]


@pytest.mark.parametrize("way", ["restore", "by hand"])
def test_a_request_behind_a_restore_has_no_id_of_one_before_it(city: City, tmp_path: Path, way: str) -> None:
    """Else somebody approves another one by an old note."""
    held = city.ask(b"held")
    back_up(city.state.database, tmp_path / "backup.db")
    lost = [city.ask(b"decided"), city.ask(b"decided, too"), city.ask(b"waits")]
    city.decide(lost[0])
    city.decide(lost[1])
    if way == "restore":
        restore(city.state, tmp_path / "backup.db", city.clock, SAID)
    else:
        city.put_back(tmp_path / "backup.db")
        city.start()
    assert city.ask(b"held") == held
    new = city.ask(b"new")
    assert new > max(lost)
    city.start()
    assert city.ask(b"newer") == new + 1
    restore(city.state, tmp_path / "backup.db", city.clock, SAID)  # once more: what came since was asked, too
    assert city.ask(b"newest") > new + 1


def test_a_start_skips_no_id(city: City) -> None:
    asked = city.ask(b"1")
    city.decide(asked)
    city.start()
    assert city.ask(b"2") == asked + 1


def _failing_once(patched: pytest.MonkeyPatch, part: type, name: str) -> list[str]:
    """A full disk at the first call, in place of what it would have done; the list says which were made."""
    real, calls = getattr(part, name), list[str]()

    def full_once(*arguments: object) -> object:
        calls.append(name)
        if len(calls) == 1:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return real(*arguments)

    patched.setattr("hub.recall.RETRY_S", 0.01)
    patched.setattr(part, name, full_once)
    return calls


@pytest.mark.parametrize(("part", "name"), [(DecisionLog, "__enter__"), (Ledger, "append_within"), (Ledger, "close")])
def test_trouble_with_the_disk_at_a_start_lets_nobody_in_whom_the_hub_has_sent_away(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type, name: str
) -> None:
    stolen, damaged, _ = _decided(city, tmp_path / "backup.db")
    city.put_back(tmp_path / "backup.db")
    with monkeypatch.context() as patched:
        calls = _failing_once(patched, part, name)
        city.start_and_wait()
    assert len(calls) > 1
    assert city.revoked(stolen.edge)
    assert city.revoked(damaged.edge)
    assert city.journal(damaged.journal).closed


@pytest.mark.parametrize("lost", ["gone", "damaged"])
@pytest.mark.parametrize(("part", "name"), [(DecisionLog, "append"), (OwnJournal, "note")])
def test_a_decision_log_that_is_lost_is_an_alarm_also_where_the_first_try_met_trouble(
    city: City, monkeypatch: pytest.MonkeyPatch, lost: str, part: type, name: str
) -> None:
    """That try has put it aside, or made it anew."""
    decisions = city.state.root / "decisions.db"
    decisions.unlink() if lost == "gone" else decisions.write_bytes(b"nonsense" * 1_000)
    with monkeypatch.context() as patched:
        calls = _failing_once(patched, part, name)
        city.start_and_wait()
    assert len(calls) > 1
    assert city.alarms() == ["decisions-lost"]


def test_an_alarm_is_not_lost_with_a_database_and_one_that_was_cleared_does_not_come_back(city: City, tmp_path: Path) -> None:
    with city.engine() as engine:
        alarms = Alarms(engine, city.own, city.clock)
        alarms.raise_alarm("audit", "ledger", "a finding")
        alarms.raise_alarm("broken-signature", "edge 1", "once")
        (audit, broken) = alarms.open_alarms()
        alarms.clear(broken.id, "周敏")
        back_up(city.state.database, tmp_path / "backup.db")
        alarms.raise_alarm("broken-signature", "edge 1", "again")
        alarms.raise_alarm("clone", "edge 2", "two machines")
        alarms.clear(audit.id, "周敏")
    back = restore(city.state, tmp_path / "backup.db", city.clock, SAID)
    assert city.alarms() == ["broken-signature", "clone"]
    assert back.recalled.words == (
        "the alarm audit (ledger) was cleared by 周敏", "the alarm broken-signature (edge 1) is open: again",
        "the alarm clone (edge 2) is open: two machines")
    assert reopen(city.state, city.clock, SAID).recalled.words == ()


def test_a_revoked_token_stays_revoked(city: City, tmp_path: Path) -> None:
    with city.engine() as engine:
        make_token(engine, "t", ["feed:read"], 1, None)
        (token,) = list_tokens(engine)
    back_up(city.state.database, tmp_path / "backup.db")
    assert CliRunner().invoke(app, ["--state", str(city.state.root), "token", "revoke", token["id"]]).exit_code == 0
    restore(city.state, tmp_path / "backup.db", city.clock, SAID)
    with city.engine() as engine:
        assert list_tokens(engine)[0]["revoked_ms"] is not None


def test_a_token_whose_revocation_is_no_record_yet_is_not_revoked(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the list says that it is, and a restore makes it good again."""
    with city.engine() as engine:
        make_token(engine, "t", ["feed:read"], 1, None)
        (token,) = list_tokens(engine)
        monkeypatch.setattr(OwnJournal, "note", _no_space)
        with pytest.raises(OSError, match="full"):
            revoke_token(engine, city.own, token["id"], 2)
        assert list_tokens(engine)[0]["revoked_ms"] is None


def _no_space(*_: object) -> None:
    raise OSError("the disk is full")


def test_a_machine_of_a_site_that_the_backup_does_not_know_is_named(city: City, tmp_path: Path) -> None:
    back_up(city.state.database, tmp_path / "backup.db")
    with city.engine() as engine:
        add_site(engine, "B07", "站", "station", "")
    machine = city.enrol("B07")
    (word,) = restore(city.state, tmp_path / "backup.db", city.clock, SAID).recalled.words
    assert "site add B07, then suozhan-hub reopen" in word
    with pytest.raises(UnknownJournal):  # a file of the machine would be taken, and its records belong to no site for ever
        city.journal(machine.journal)
    with city.engine() as engine:
        add_site(engine, "B07", "站", "station", "")
    assert len(reopen(city.state, city.clock, SAID).recalled.words) == 1
    assert not city.revoked(machine.edge)
    assert city.journal(machine.journal).edge == machine.edge


def test_a_hole_that_was_accepted_is_accepted_again_where_the_journal_has_come_so_far(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.ledger.own_journal.LISTED_MAX", 2)  # in several records
    machine = city.enrol()
    back_up(city.state.database, tmp_path / "backup.db")
    digests = [bytes([number]) * 32 for number in range(4)]
    holes = [Hole(1, machine.digest(), digests[:3], [uuid4() for _ in range(3)], 7),
             Hole(4, digests[2], digests[3:], [uuid4()], 8)]
    for hole in holes:  # one behind the other, each approved by itself
        city.own.accept_hole(machine.journal, hole, {"id": hole.approval, "by": "周敏", "reason": "x"})
    back = restore(city.state, tmp_path / "backup.db", city.clock, SAID)
    assert city.journal(machine.journal).position == 4
    assert back.recalled.words == tuple(f"the hole of journal {machine.journal}, positions {where}, is accepted"
                                        for where in ("1 to 3", "4 to 4"))
    with Ledger(city.state.database) as ledger:
        assert ledger.holes(ledger.journal(machine.journal)) == holes
        assert list(LedgerCheck(ledger).findings()) == []


def test_an_epoch_that_the_backup_does_not_know_is_stated_again(city: City, tmp_path: Path) -> None:
    """Its base is what a longer database of the epoch before it may still have in common with it."""
    back_up(city.state.database, tmp_path / "older.db")
    base = city.size()
    city.note("second", "third")
    city.sign()
    back_up(city.state.database, tmp_path / "longer.db")
    city.clock.now_ms += 60_000  # what comes back has other leaves
    assert restore(city.state, tmp_path / "older.db", city.clock, SAID).epoch.base_size == base
    city.sign()
    third = restore(city.state, tmp_path / "longer.db", city.clock, SAID).epoch
    assert (third.number, third.base_size) == (3, base)
    with TreeStore(city.state.database) as store:
        assert len(store.epochs()) == 3
    assert city.sign().halted == ""


@pytest.mark.parametrize("signed_between", [True, False])
def test_a_second_restore_to_an_older_backup_leaves_a_ledger_that_verifies_and_can_be_backed_up(
        city: City, tmp_path: Path, *, signed_between: bool) -> None:
    """What the epoch between the two began with is lost by the second one, on the hub's own word: that is no damage, and keeps
    no later backup from being restored.
    """
    back_up(city.state.database, tmp_path / "older.db")
    city.note("second", "third")
    city.sign()
    back_up(city.state.database, tmp_path / "newer.db")
    restore(city.state, tmp_path / "newer.db", city.clock, SAID)
    if signed_between:
        city.sign()
    city.clock.now_ms += 60_000  # what comes back has other leaves
    restore(city.state, tmp_path / "older.db", city.clock, SAID)
    city.verify()
    city.note("fourth", "fifth", "sixth")
    assert city.sign().halted == ""
    city.verify()
    back_up(city.state.database, tmp_path / "later.db")
    assert restore(city.state, tmp_path / "later.db", city.clock, SAID).epoch.number == 4
    city.verify()


def test_an_epoch_without_a_checkpoint_goes_on_only_over_its_own_base(city: City, tmp_path: Path) -> None:
    """It was opened, and before it signed anything somebody put an older database there."""
    back_up(city.state.database, tmp_path / "older.db")
    city.note("second")
    city.sign()
    reopen(city.state, city.clock, SAID)
    city.put_back(tmp_path / "older.db")
    city.start()
    assert "reopen" in city.sign().halted


class Died(BaseException):
    """The process, at this place."""


def _dies(*_: object, **_by_name: object) -> None:
    raise Died


@pytest.mark.parametrize("lost", ["gone", "damaged"])
@pytest.mark.parametrize("way", ["start", "reopen"])
def test_a_decision_log_that_is_lost_is_an_alarm_also_where_the_hub_died_before_it_was_raised(
    city: City, monkeypatch: pytest.MonkeyPatch, lost: str, way: str
) -> None:
    """It was made anew by then, and agrees with whatever was put back."""
    decisions = city.state.root / "decisions.db"
    decisions.unlink() if lost == "gone" else decisions.write_bytes(b"nonsense" * 1_000)
    with monkeypatch.context() as patched:
        patched.setattr(Alarms, "raise_alarm", _dies)
        with pytest.raises(Died):
            city.start() if way == "start" else reopen(city.state, city.clock, SAID)
    assert city.alarms() == []
    city.start()
    city.start()
    assert [(one.kind, one.times) for one in city.open_alarms()] == [("decisions-lost", 1)]


def test_a_decision_log_that_a_command_made_anew_is_an_alarm_at_the_start(city: City) -> None:
    """The command raises none."""
    (city.state.root / "decisions.db").unlink()
    city.note("of a command")
    city.start()
    assert city.alarms() == ["decisions-lost"]


def test_ids_go_on_behind_lost_requests_also_where_the_hub_died_behind_the_alarm(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(city.state.database, tmp_path / "backup.db")
    lost = city.ask(b"lost")
    city.put_back(tmp_path / "backup.db")
    (city.state.root / "decisions.db").unlink()
    with monkeypatch.context() as patched:
        patched.setattr("hub.recall.go_on_behind", _dies)
        with pytest.raises(Died):
            city.start()
    city.start()
    assert city.ask(b"new") > lost


def _page_of(database: Path, name: str) -> int:
    with closing(sqlite3.connect(database)) as db:
        return int(db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0])


def _damaged_page(database: Path, name: str, old: bytes = b"", new: bytes = b"") -> None:
    """All of the first page of a table, or these bytes in it."""
    data, start = bytearray(database.read_bytes()), (_page_of(database, name) - 1) * PAGE_BYTES
    page = bytes(data[start:start + PAGE_BYTES])
    assert old in page
    data[start:start + PAGE_BYTES] = page.replace(old, new, 1) if old else bytes(PAGE_BYTES)
    database.write_bytes(data)


@pytest.mark.parametrize("table", ["machine_certificates", "approvals", "resources", "edges", "one byte of edges"])
def test_a_damaged_page_of_a_table_without_entries_is_found_and_not_put_back(city: City, tmp_path: Path, table: str) -> None:
    """No chain speaks for these; a hub that came back from them would know no machine, or another one."""
    edge = city.enrol().edge
    backup = tmp_path / "backup.db"
    back_up(city.state.database, backup)
    if table.startswith("one byte"):
        _damaged_page(backup, "edges", str(edge).encode(), f"{'0' if str(edge)[0] != '0' else '1'}{str(edge)[1:]}".encode())
    else:
        _damaged_page(backup, table)
    with pytest.raises(DemoFailed, match=r"database file: (.|\n)* [1-9] of them damage\.\nDo not restore this file"):
        command_here(city.state.root, "verify", str(backup))
    with pytest.raises(RestoreRefused, match="look for another backup"):
        restore(city.state, backup, city.clock, SAID)
    assert city.journal(city.hub).position > 0
    assert not list(city.state.root.glob("before-restore-*"))


def test_no_number_of_an_epoch_is_stated_twice_though_nothing_but_a_file_beside_tells_of_it(city: City, tmp_path: Path) -> None:
    """Two restores, without a run between, and without the decisions: neither the mark nor the database knows of the first."""
    backup = tmp_path / "backup.db"
    city.sign()
    back_up(city.state.database, backup)
    assert restore(city.state, backup, city.clock, SAID).epoch.number == 2
    for file in city.state.root.glob("decisions.db*"):
        file.unlink()
    second = restore(city.state, backup, city.clock, SAID).epoch
    assert second.number == 3
    assert city.sign().halted == ""
    (city.state.root / "newest-epoch.note").write_text("nonsense")
    assert restore(city.state, backup, city.clock, SAID).epoch.number == 4  # by the mark


def test_the_answer_of_a_restore_has_no_line_of_the_log_in_it(tmp_path: Path) -> None:
    city = City(tmp_path)
    backup = tmp_path / "backup.db"
    back_up(city.state.database, backup)
    city.own.note("alarm.raised", {"kind": "x", "subject": "y", "text": "z"})
    done = subprocess.run([sys.executable, "-m", "hub", "--state", str(city.state.root), "restore", str(backup), "--by", "周敏",
                           "--reason", "disk"], capture_output=True, text=True, check=True, timeout=CEILING_S)
    assert done.stdout.startswith("Epoch ")
    assert "decisions that the database lacked were taken back" in done.stderr
    assert "[warning" not in done.stdout
