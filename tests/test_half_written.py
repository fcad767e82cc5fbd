"""Each file that a machine or a hub keeps, cut to nothing, to half, and filled with zeros: the start works, or ends with one
line that names the file and says what to do.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

import edge.command
import edge.enrol
import hub.command
from deploy.demo.city import Hub
from edge.alarms import Alarms
from edge.identity import load_identity
from edge.journal_end import write_stop
from edge.tls_pair import TlsFiles
from security.clock import SystemClock
from security.invitations import SECRET_BYTES, Invitation
from security.private_files import read_private, write_private
from tests.edge.machine import NOBODY, enrolled, fill

HARMS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"", "half": lambda data: data[:len(data) // 2], "zeros": lambda data: bytes(len(data))}
NO_PART = {"agent.lock", "hub.lock", "cards", "door.db.lock"}  # nothing stands in a lock


class Said:
    """What a command said: `works` when it came to be ready."""

    def __init__(self) -> None:
        self.works = False
        self.line = ""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs a command here, to its end; one that serves is stopped once it is ready."""

    def run(main: Callable[[], None], *arguments: str) -> Said:
        said = Said()

        def ready() -> None:
            said.works = True
            os.kill(os.getpid(), signal.SIGTERM)

        for command in (edge.command, hub.command):
            monkeypatch.setattr(command, "_ready", ready)
            monkeypatch.setattr(command, "configure_logs", lambda *_: None)
        monkeypatch.setattr(sys, "argv", ["suozhan", *arguments])
        capfd.readouterr()
        try:
            main()
        except SystemExit as ended:
            said.works = said.works or not ended.code
        said.line = capfd.readouterr().err
        return said

    return run


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name not in NO_PART)


def _check(said: Said, file: Path) -> None:
    if not said.works:
        lines = said.line.splitlines()
        assert len(lines) == 1, f"{file}: {said.line}"
        assert file.name in lines[0], f"{file}: {lines[0]}"
        assert ";" in lines[0] or ":" in lines[0].removeprefix("suozhan"), f"{file}: what is to be done? {lines[0]}"


# ---- a machine ----

@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = enrolled(tmp_path_factory.mktemp("machine") / "edge")
    fill(state, 30)
    (state.resources / "catalogue.resource").write_bytes(b"a signed catalogue" * 20)
    Alarms(state.alarms, SystemClock()).raise_alarm("rollback", "the hub's tree shrank; call the IT desk", "请联系市信息中心。")
    identity = load_identity(state.identity)
    write_private(state.tls_pair, read_private(state.tls_key) + identity.chain.encode())
    TlsFiles(state, identity).next_request()
    state.diagnosis.write_text('{"state": "connected"}', encoding="utf-8")
    state.business.checked.write_text('{"begun_ms": 1, "position": 20, "done": false}', encoding="utf-8")
    write_stop(state.business.db, "FORKED: a copy of this machine works elsewhere")
    with closing(sqlite3.connect(state.door)) as db:
        from edge.door.pairing import _SCHEMA

        db.executescript(_SCHEMA)
    return state.root


EDGE_FILES = ["alarms/rollback.json", "diagnosis.json", "door.db", "edge.toml", "identity.json", "journals/business.checked",
              "journals/business.db", "journals/business.id", "journals/business.keys/1.record", "journals/business.stopped",
              "journals/events.db", "journals/events.id",
              "keys/record.key", "keys/tls.csr", "keys/tls.key", "keys/tls.next", "keys/tls.pem", "resources/catalogue.resource"]
EDGE_COMMANDS = [["run"], ["status"], ["verify"], ["pair", "--name", "counter"]]


def test_no_file_of_a_machine_is_forgotten_here(machine: Path) -> None:
    assert [str(path) for path in _files(machine)] == EDGE_FILES


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", EDGE_FILES)
@pytest.mark.parametrize("arguments", EDGE_COMMANDS, ids=lambda given: given[0])
def test_a_machine_with_a_half_written_file_works_or_names_it(machine: Path, tmp_path: Path, start: Callable[..., Said],
                                                              arguments: list[str], name: str, harm: str) -> None:
    state = tmp_path / "edge"
    shutil.copytree(machine, state)
    file = state / name
    file.write_bytes(HARMS[harm](file.read_bytes()))
    before = file.read_bytes()
    said = start(edge.command.main, "--state", str(state), *arguments)
    if arguments[0] in {"run", "pair"}:
        _check(said, Path(name))
    assert "Traceback" not in said.line
    if name.startswith(("keys", "journals/business.db", "journals/events.db", "identity")):
        assert file.read_bytes() == before, "evidence was changed"
    if arguments == ["run"] and name in {"journals/business.db", "journals/events.db"}:
        assert said.works, "a damaged journal keeps no counter from its work"
        assert (state / "successors" / "2" / "journals" / "business.db").exists()


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", [name for name in EDGE_FILES if name.endswith((".db", ".id", "record.key", "tls.csr", "tls.key"))
                                  and name != "door.db"])
def test_an_enrolment_that_is_repeated_on_a_half_written_file_works_or_names_it(
        machine: Path, tmp_path: Path, start: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, name: str, harm: str) -> None:
    state = tmp_path / "edge"
    shutil.copytree(machine, state)
    root = x509.load_pem_x509_certificate(load_identity(state / "identity.json").root.encode())
    (state / "identity.json").unlink()  # written last: without it the machine is not enrolled
    file = state / name
    file.write_bytes(HARMS[harm](file.read_bytes()))
    monkeypatch.setattr(edge.enrol, "fetch_root", lambda invitation: root)
    token = Invitation(NOBODY, "i", bytes(SECRET_BYTES), bytes(32)).token()
    said = start(edge.command.main, "--state", str(state), "enrol", token)
    assert not said.works
    _check(said, Path(name))


@pytest.mark.parametrize("harm", [Path.mkdir, lambda path: path.symlink_to(path.name), lambda path: path.symlink_to("nowhere")],
                         ids=["a folder", "a circle of links", "a link to nothing"])
def test_a_configuration_that_is_no_file_is_named_and_never_taken_for_a_wish_for_the_defaults(
        machine: Path, city: Path, tmp_path: Path, start: Callable[..., Said], harm: Callable[[Path], object]) -> None:
    for source, main, name in ((machine, edge.command.main, "edge.toml"), (city, hub.command.main, "hub.toml")):
        state = tmp_path / name
        shutil.copytree(source, state)
        (state / name).unlink(missing_ok=True)
        harm(state / name)
        said = start(main, "--state", str(state), "run")
        assert not said.works
        assert "put the file back from a copy" in said.line or "no hub in" in said.line
        assert "Errno" not in said.line


# ---- a hub ----

@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Hub(tmp_path_factory.mktemp("city"))
    made.init()
    made.service.start()
    made.service.stop()
    return made.state



@pytest.mark.parametrize("harm", HARMS)
def test_a_hub_with_a_half_written_file_works_or_names_it(city: Path, tmp_path: Path, start: Callable[..., Said],
                                                          harm: str) -> None:
    for name in _files(city):
        state = tmp_path / "hub"
        shutil.copytree(city, state)
        file = state / name
        file.write_bytes(HARMS[harm](file.read_bytes()))
        said = start(hub.command.main, "--state", str(state), "run")
        _check(said, name)
        shutil.rmtree(state)
