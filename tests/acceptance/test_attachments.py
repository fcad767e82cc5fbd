"""SIGKILL of both sides in the middle of a scan's way to the hub (invariants 3, 7, 11): it arrives whole, and is opened there."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.demo.city import Hub, Machine
from tests.attaching import MARK, scan

WAIT_MAX_S = 60.0
SIZE = 4 * 1024 * 1024
RATE_BYTES_S = 1024 * 1024
SLOW_BYTES_A_SECOND = 4_000
SLOW_SIZE = 200_000
BEFORE_IT_MAX_BYTES = 16_000  # what the line carries, both ways, from a transaction to its acknowledgement


def _until(what: Callable[[], Any]) -> Any:
    until = time.monotonic() + WAIT_MAX_S
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it never happened")


def _hand_over(machine: Machine, content: bytes) -> str:
    """Its id."""
    answer = httpx.post(f"{machine.base}/v1/attachments", content=content, trust_env=False, timeout=WAIT_MAX_S, headers={
        "Authorization": f"Bearer {machine.counter._token}", "Content-Type": "application/pdf"})
    assert answer.status_code == 201
    return str(answer.json()["id"])


def _transact(machine: Machine, caller: str, *attachments: str) -> str:
    """Its record."""
    status, answer = machine.counter.call("POST", "/v1/transactions", {
        "id": caller, "item": "003-01", "channel": "counter", "operator": "李芳", "documents": ["resident-id-card"],
        "resident": {"name": "王秀英", "id_number": "11010519491231002X"}, "attachments": attachments})
    assert status == 201
    return str(answer["record"])


def _begun(hub: Hub) -> int:
    """Bytes at the hub of what is not whole."""
    return sum(path.stat().st_size for path in (hub.state / "attachments").glob("partial/*/*"))


@pytest.mark.timeout(200)
def test_killed_in_the_middle_on_both_sides_a_scan_arrives_whole_and_its_machine_forgets_it_when_it_is_safe(
    hub: Hub, machine: Machine, tmp_path: Path
) -> None:
    settings = machine.state / "edge.toml"
    settings.write_text(f"attachment_rate_bytes_s = {RATE_BYTES_S}\n{settings.read_text(encoding='utf-8')}", encoding="utf-8")
    machine.service.start()
    machine.pair()
    machine.wait_for("catalogue", catalogue=True)
    content = scan(SIZE)
    attachment = _hand_over(machine, content)
    record = _transact(machine, "t1", attachment)
    for kill in (machine.service, hub.service):
        before = _begun(hub)
        _until(lambda before=before: _begun(hub) > before)
        kill.kill()
        assert 0 < _begun(hub) < SIZE, "not in the middle: the test proved nothing"
        kill.start()
        assert _begun(hub) > before, "what had come is not sent again"
    _until(lambda: list((hub.state / "attachments").glob("[0-9a-f][0-9a-f]/*")))

    token = hub.command("token", "create", "archive", "--scope", "attachments:read")
    trusted = ssl.create_default_context(cafile=str(hub.state / "ca" / "root.pem"))

    def opened() -> bytes:
        read = httpx.get(f"https://127.0.0.1:{hub.api_port}/v1/attachments/{record}/1", verify=trusted, trust_env=False,
                         timeout=WAIT_MAX_S, headers={"Authorization": f"Bearer {token}"})
        return read.content if read.status_code == 200 else b""

    assert _until(opened) == content
    assert machine.status()["attachments"] == 1
    hub.command("backup", str(tmp_path / "backup.db"))
    _until(lambda: machine.status()["attachments"] == 0)
    assert list((machine.state / "attachments").iterdir()) == []
    assert "0 findings" in hub.command("verify")
    assert "0 findings" in hub.command("verify", str(tmp_path / "backup.db"))
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or MARK not in path.read_bytes(), path


def test_over_a_slow_line_a_scan_keeps_no_transaction_waiting(hub: Hub, machine: Machine) -> None:
    """32 kbit/s: a scan of two hundred kilobytes takes a minute, a transaction goes behind one part of it."""
    machine.service.start()
    machine.pair()
    machine.wait_for("catalogue", catalogue=True, connected=True)
    machine.line.slow_down(SLOW_BYTES_A_SECOND)
    attachment = _hand_over(machine, scan(SLOW_SIZE))
    _transact(machine, "t0", attachment)
    _until(lambda: _begun(hub))
    carried = []
    for number in range(1, 6):
        before, relayed = _begun(hub), machine.line.bytes_relayed
        _transact(machine, f"t{number}")
        machine.wait_for("delivery", queued=0)
        carried.append(machine.line.bytes_relayed - relayed)
        _until(lambda before=before: _begun(hub) > before)
    assert _begun(hub) < SLOW_SIZE, "it was over before: the test proved nothing"
    assert max(carried) < BEFORE_IT_MAX_BYTES, carried
