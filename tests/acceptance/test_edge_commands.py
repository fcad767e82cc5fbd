"""What a technician reads when something is wrong: one line that says what to do, never a traceback."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from deploy.demo.processes import DemoFailed, command
from edge.door.pairing import Pairing
from edge.state import StateFolder
from security.clock import SystemClock
from tests.edge.machine import enrolled


def _said(state: Path, *arguments: str) -> str:
    with pytest.raises(DemoFailed) as caught:
        command("edge", state, *arguments)
    text = str(caught.value)
    assert "Traceback" not in text
    assert len(text.splitlines()) == 1
    return text


def test_before_enrolment_each_command_says_so(tmp_path: Path) -> None:
    for arguments in (["run"], ["status"], ["alarms"], ["pair", "--name", "counter"]):
        assert "enrol TOKEN" in _said(tmp_path, *arguments)
    assert not list(tmp_path.iterdir())


def _bad_identity(state: StateFolder) -> None:
    text = state.identity.read_text(encoding="utf-8")
    state.identity.write_text(text.replace('"hub_time_key": "', '"hub_time_key": "zz'), encoding="utf-8")


def _no_readers(state: StateFolder) -> None:
    config = state.config.read_text(encoding="utf-8")
    state.config.write_text(config.replace('cards"', 'elsewhere"'), encoding="utf-8")


@pytest.mark.parametrize(("harm", "words"), [
    (lambda state: state.record_key.unlink(), "record.key"),
    (lambda state: state.record_key.write_bytes(b"short"), "record.key"),
    (lambda state: state.record_key.write_bytes(bytes(range(32))), "record.key"),
    (_bad_identity, "identity.json"),
    (_no_readers, "simulated_folder"),
], ids=["no record key", "short record key", "another record key", "bad identity", "no readers"])
def test_a_damaged_machine_is_told_in_one_line(tmp_path: Path, harm: Callable[[StateFolder], None], words: str) -> None:
    state = enrolled(tmp_path / "edge")
    harm(state)
    assert words in _said(state.root, "run")


@pytest.mark.parametrize("origin", ["counter.example", "https://counter.example/abc", "https://柜面.example", "*"])
def test_an_origin_that_no_browser_sends_is_refused(tmp_path: Path, origin: str) -> None:
    assert "origin" in _said(enrolled(tmp_path / "edge").root, "pair", "--name", "counter", "--origin", origin)


def test_the_page_is_paired_by_a_link_that_names_its_own_origin(tmp_path: Path) -> None:
    state = enrolled(tmp_path / "edge")
    assert "door_port" in _said(state.root, "pair", "--page")
    state.config.write_text("door_port = 8472\n", encoding="utf-8")
    assert re.fullmatch(r"http://127\.0\.0\.1:8472/#code=\d{10}", command("edge", state.root, "pair", "--page").strip())
    assert "--origin" in _said(state.root, "pair", "--page", "--origin", "https://counter.example")
    assert "--name" in _said(state.root, "pair")


def test_who_is_paired_is_listed_and_taken_back(tmp_path: Path) -> None:
    state = enrolled(tmp_path / "edge")
    for name in ("counter", "kiosk"):
        pairing = Pairing(state.door, SystemClock())
        with closing(pairing):
            pairing.redeem(pairing.make_code(name, ""), "")
    assert command("edge", state.root, "unpair") == "counter\nkiosk"
    assert "counter" in command("edge", state.root, "unpair", "--name", "counter")
    assert command("edge", state.root, "unpair") == "kiosk"
    assert "paired are: kiosk" in _said(state.root, "unpair", "--name", "counter")
    state.door.write_bytes(b"garbage" * 1000)
    assert "pair each counter program again" in _said(state.root, "unpair", "--name", "kiosk")
