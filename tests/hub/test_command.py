"""What `suozhan-hub` says to a person who types something that cannot be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deploy.demo.city import Hub
from deploy.demo.processes import DemoFailed


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    hub = Hub(tmp_path)
    hub.init()
    return hub


def _refusal(hub: Hub, *arguments: str) -> str:
    """Without a traceback."""
    with pytest.raises(DemoFailed) as caught:
        hub.command(*arguments)
    text = str(caught.value)
    assert "Traceback" not in text
    return text


def test_a_token_ends_within_a_hundred_years_and_the_list_survives_one_that_does_not(hub: Hub) -> None:
    for days in ("36501", "999999999999999", "-1"):
        assert "--days" in _refusal(hub, "token", "create", "t", "--scope", "feed:read", "--days", days)
    hub.command("token", "create", "a-hundred-years", "--scope", "feed:read", "--days", "36500")
    hub.command("token", "create", "for-ever", "--scope", "feed:read", "--days", "0")
    hub.command("token", "create", "old", "--scope", "feed:read")
    with closing(sqlite3.connect(hub.state / "hub.db", isolation_level=None)) as db:
        db.execute("UPDATE api_tokens SET expires_ms = 8641760000000000000 WHERE name = 'old'")
    ends = {line.split("\t")[1]: line.split("\t")[3] for line in hub.command("token", "list").splitlines()}
    assert ends["for-ever"] == ends["old"] == "ends never"
    assert ends["a-hundred-years"].startswith("ends 21")


def test_a_catalogue_that_is_a_folder_or_absent_is_one_line(hub: Hub, tmp_path: Path) -> None:
    assert f"Is a directory: '{tmp_path}'" in _refusal(hub, "catalogue", "publish", str(tmp_path))
    assert "No such file" in _refusal(hub, "catalogue", "publish", str(tmp_path / "nowhere.toml"))
