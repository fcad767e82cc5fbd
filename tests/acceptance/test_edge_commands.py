"""What a technician reads when something is wrong: one line that says what to do, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.demo.processes import DemoFailed, command
from edge.state import StateFolder
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
