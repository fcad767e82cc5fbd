"""What is done to a simulated fingerprint reader, told in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.simulated.finger import SIDE, press
from devices.simulated.fingerprint_script import FingerprintFolder, Script


def test_a_script_is_presses_in_the_order_of_the_docstring() -> None:
    script = Script.from_toml('finger = "zhang"\npresses = 2\nretry = ["too-short"]\nthen = "unplug"\nslow_ms = 5')
    assert script.acts() == ["too-short", "press", "press", "unplug"]
    assert Script.from_toml("").acts() == []
    assert Script.from_toml("presses = 3").acts() == []  # nobody's finger


@pytest.mark.parametrize("text", ['fingr = "zhang"', 'then = "explode"', 'retry = ["unknown"]', "= 1"])
def test_a_text_that_is_no_script_is_refused_where_it_is_written(tmp_path: Path, text: str) -> None:
    folder = FingerprintFolder(tmp_path)
    with pytest.raises(ValueError, match=r"fingerprint_script|line 1"):
        folder.play("finger", text)
    assert folder.script("finger") is None
    (tmp_path / "finger.toml").write_text(text, encoding="utf-8")
    assert folder.script("finger") == Script()


def test_the_same_script_again_is_another_one(tmp_path: Path) -> None:
    folder = FingerprintFolder(tmp_path)
    before = folder.version("finger")
    for _ in range(3):
        folder.play("finger", 'finger = "zhang"')
        assert folder.version("finger") != before
        before = folder.version("finger")
    folder.unplug("finger")
    assert folder.version("finger") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_finger_looks_the_same_every_day_and_every_press_lies_a_little_beside_the_last() -> None:
    assert len(press("zhang", 0)) == SIDE * SIDE
    assert press("zhang", 1) == press("zhang", 1) != press("zhang", 2)
    assert press("zhang", 1) != press("li", 1)
