"""Programs of makers that keep to the line protocol badly, or not at all."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from devices import fingerprint_program, fingerprint_worker
from devices.contract import DeviceError, DeviceFault, DeviceState, DeviceStatus, DeviceUnavailable
from devices.fingerprint import FingerprintDriver
from devices.fingerprint_endings import FAULTS, UNAVAILABLE, ending
from devices.fingerprint_process import FingerprintProcess
from tests.devices.programs import programs

LIMIT_S = 30.0
USED_UP_S = 1.0
SILENT_S = 2.0  # of a program that says every quarter of a second that it is alive
IN_TIME_S = 20.0  # all of them would go on for longer
BEGIN = """
import json, os, signal, subprocess, sys, time
def say(line): print(json.dumps(line), flush=True)
def hear(): return json.loads(sys.stdin.readline())
FOUND = {"model": "maker", "serial": "S1", "simulated": False}
"""
GOOD_OPEN = BEGIN + """
say({"request": hear()["request"], "end": "done", **FOUND})
asked = hear()["request"]
"""


SAYS_NOTHING = "time.sleep(60)"


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(autouse=True)
def _until_it_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint_program, "KILL_MAX_S", LIMIT_S)


def played(
    folder: Path,
    program: str,
    act: Callable[[FingerprintProcess], Awaitable[None]],
    answer_max_s: float = LIMIT_S,
    silence_max_s: float = LIMIT_S,
) -> None:
    source = folder / "maker.py"
    source.write_text(program, encoding="utf-8")

    async def with_program() -> None:
        command = (sys.executable, str(source))
        async with (
            asyncio.timeout(50),
            FingerprintProcess(command, answer_max_s=answer_max_s, silence_max_s=silence_max_s) as process,
        ):
            await act(process)

    asyncio.run(with_program())
    assert programs() == []


def test_a_makers_program_is_a_fingerprint_reader(tmp_path: Path) -> None:
    async def act(process: FingerprintProcess) -> None:
        told: list[object] = []
        async with process.opened() as session:
            assert (session.found.identity.serial, session.found.simulated) == ("S1", False)
            assert await session.verify(b"\x00\xff", told.append)
        assert told == [{"request": told[0]["request"], "event": "alive"}]  # type: ignore[index]

    played(tmp_path, BEGIN + """
while True:
    line = hear()
    if line["call"] == "verify":
        assert line["template"] == "AP8="
        say({"request": line["request"], "event": "alive"})
    say({"request": line["request"], "end": "done", **FOUND, "match": True})
""", act)


@pytest.mark.parametrize("answer", [
    'say({"request": "another", "end": "done", "match": True})',
    'say({"end": "done", "match": True})',
    'say([asked])',
    'print("not JSON", flush=True)',
    'print("[" * 100000, flush=True)',
    'print("x" * (1 << 21), flush=True)',
    'os.write(1, b"\\xff\\xfe\\n")',
    'say({"request": asked, "end": "done"})',
    'say({"request": asked, "end": "done", "match": "true"})',
    'say({"request": asked, "end": "done", "match": 1})',
    'say({"request": asked, "end": 7})',
])
def test_what_is_not_an_answer_to_this_request_is_no_match(tmp_path: Path, answer: str) -> None:
    async def act(process: FingerprintProcess) -> None:
        async with process.opened() as session:
            with pytest.raises(DeviceFault) as fault:
                await session.verify(b"", lambda _: None)
            assert "报修" in fault.value.hint
            assert programs() == []

    played(tmp_path, GOOD_OPEN + answer + "\ntime.sleep(60)", act)


def test_a_template_that_is_none_is_a_fault(tmp_path: Path) -> None:
    async def act(process: FingerprintProcess) -> None:
        async with process.opened() as session:
            with pytest.raises(DeviceFault):
                await session.enrol(lambda _: None)

    played(tmp_path, GOOD_OPEN + 'say({"request": asked, "end": "done", "template": "?"})\ntime.sleep(60)', act)


@pytest.mark.parametrize(("program", "limit_s", "ends_as"), [
    ("time.sleep(60)", USED_UP_S, DeviceFault),
    ("sys.exit(3)", LIMIT_S, DeviceUnavailable),
    ('print(\'{"half": \', end="", flush=True); sys.exit()', LIMIT_S, DeviceUnavailable),
    ("os.close(0); time.sleep(60)", USED_UP_S, DeviceError),
    ('say({"request": hear()["request"], "end": "failed", "reason": ["?"]}); time.sleep(60)', LIMIT_S, DeviceFault),
])
def test_a_program_that_does_not_open_ends_in_time(
    tmp_path: Path, program: str, limit_s: float, ends_as: type[DeviceError]
) -> None:
    async def act(process: FingerprintProcess) -> None:
        started = time.monotonic()
        with pytest.raises(ends_as):
            async with process.opened():
                pytest.fail("open")
        assert time.monotonic() - started < IN_TIME_S
        assert not process.held
        assert programs() == []  # whatever it kept of the reader ended with it

    played(tmp_path, BEGIN + program, act, limit_s)


def test_a_program_that_falls_silent_while_a_finger_is_awaited_is_killed_with_all_it_started(tmp_path: Path) -> None:
    async def act(process: FingerprintProcess) -> None:
        async with process.opened() as session:
            told: list[object] = []
            alive_to_the_last = asyncio.Event()

            def tell(said: object) -> None:
                told.append(said)
                if len(told) == 10:
                    alive_to_the_last.set()

            waiting = asyncio.create_task(session.verify(b"", tell))
            async with asyncio.timeout(LIMIT_S):
                await alive_to_the_last.wait()
            assert not waiting.done()  # it says that it is alive
            [family] = programs()
            grandchildren = family.children()
            assert grandchildren
            last_alive = time.monotonic()
            with pytest.raises(DeviceFault):
                await waiting
            assert time.monotonic() - last_alive < IN_TIME_S
            async with asyncio.timeout(LIMIT_S):
                while any(alive(one) for one in grandchildren):
                    await asyncio.sleep(0.01)

    played(tmp_path, GOOD_OPEN + """
subprocess.Popen(["sleep", "60"])
for _ in range(10):
    time.sleep(0.25)
    say({"request": asked, "event": "alive"})
time.sleep(60)
""", act, silence_max_s=SILENT_S)


def test_a_program_that_hears_no_cancel_is_killed(tmp_path: Path) -> None:
    async def act(process: FingerprintProcess) -> None:
        async with process.opened() as session:
            heard = asyncio.Event()
            waiting = asyncio.create_task(session.verify(b"", lambda _: heard.set()))
            async with asyncio.timeout(LIMIT_S):
                await heard.wait()
            started = time.monotonic()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert time.monotonic() - started < IN_TIME_S
            assert programs() == []

    played(tmp_path, GOOD_OPEN + "\nwhile True:\n    say({'request': asked, 'event': 'alive'})\n    time.sleep(.1)", act)


@pytest.mark.parametrize("pause_s", [0, 0.001, 0.02])
def test_no_program_is_started_for_who_has_left(tmp_path: Path, pause_s: float) -> None:
    async def act(process: FingerprintProcess) -> None:
        first = asyncio.create_task(process.look())
        await asyncio.sleep(pause_s)
        await process.__aexit__(None, None, None)
        assert (await asyncio.gather(first, return_exceptions=True))[0].__class__ is DeviceUnavailable
        with pytest.raises(DeviceUnavailable):
            await process.look()
        assert programs() == []

    played(tmp_path, BEGIN + "time.sleep(60)", act)


def test_a_program_that_does_not_let_go_is_killed(tmp_path: Path) -> None:
    async def act(process: FingerprintProcess) -> None:
        async with process.opened():
            started = time.monotonic()
        assert time.monotonic() - started < IN_TIME_S
        assert programs() == []

    played(tmp_path, GOOD_OPEN + "time.sleep(60)", act)


def test_a_listener_that_fails_leaves_the_line_in_order(tmp_path: Path) -> None:
    class ListenerLost(Exception):
        pass

    def lost(_: object) -> None:
        raise ListenerLost

    async def act(process: FingerprintProcess) -> None:
        async with process.opened() as session:
            with pytest.raises(ListenerLost):
                await session.verify(b"", lost)
            assert await session.verify(b"", lambda _: None)

    played(tmp_path, BEGIN + """
while True:
    line = hear()
    if line["call"] == "cancel":
        continue
    if line["call"] == "verify":
        say({"request": line["request"], "event": "alive"})
    say({"request": line["request"], "end": "done", **FOUND, "match": True})
""", act)


def test_a_program_that_is_not_installed_is_somebodys_job(tmp_path: Path) -> None:
    async def act() -> None:
        async with FingerprintProcess((str(tmp_path / "nowhere"),)) as process:
            with pytest.raises(DeviceFault) as fault:
                await process.look()
            assert "没有装好" in fault.value.hint

    asyncio.run(act())


def test_what_a_program_says_beside_the_protocol_stands_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    async def act(process: FingerprintProcess) -> None:
        with pytest.raises(DeviceFault):
            await process.look()

    played(tmp_path, BEGIN + """
print("secret", file=sys.stderr, flush=True)
print("secret", flush=True)
time.sleep(60)
""", act)
    assert "line protocol" in caplog.text
    assert "secret" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("module", [["devices.fingerprint_worker"], ["devices.simulated.fingerprint_reader", ".", "finger"]])
def test_the_program_ends_when_the_agent_is_gone(module: list[str]) -> None:
    with subprocess.Popen([sys.executable, "-m", *module], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None
        program.stdin.write(b'{"request": "1", "call": "close"}\n')
        program.stdin.close()
        assert program.wait(60) == 0
        assert program.stdout is not None
        assert program.stdout.read() == b'{"request": "1", "end": "done"}\n'


@pytest.mark.parametrize("line", [b"{}\n", b"?\n", b'{"request": "1", "call": "verify", "template": "?"}\n', b"[]\n"])
def test_the_program_serves_nobody_who_speaks_otherwise(line: bytes) -> None:
    said = subprocess.run([sys.executable, "-m", "devices.fingerprint_worker"], input=line, capture_output=True, timeout=60,
                          check=False)
    assert (said.returncode, said.stdout) == (2, b"")


def test_what_a_library_prints_does_not_reach_the_line() -> None:
    source = ("import os, sys; from devices.fingerprint_worker import own_output, saying; say = saying(own_output());"
              "os.write(1, b'noise'); say({'a': 1})")
    said = subprocess.run([sys.executable, "-c", source], capture_output=True, timeout=60, check=True)
    assert (said.stdout, said.stderr) == (b'{"a": 1}\n', b"noise")


@pytest.mark.parametrize(("program", "state", "reasons"), [
    (SAYS_NOTHING, DeviceState.HARDWARE_ERROR, ("noAnswer",)),
    ("sys.exit(3)", DeviceState.OFFLINE, ("driverError",)),
    ("say({}); time.sleep(60)", DeviceState.HARDWARE_ERROR, ("driverError",)),
    ('say({"request": hear()["request"], "end": "failed", "reason": "not-allowed"}); time.sleep(60)',
     DeviceState.HARDWARE_ERROR, ("notAllowed",)),
    ('say({"request": hear()["request"], "end": "failed", "reason": "worn out"}); time.sleep(60)',
     DeviceState.HARDWARE_ERROR, ()),
])
def test_a_probe_says_what_is_wrong_in_a_word_for_those_who_mend_it(
    tmp_path: Path, program: str, state: DeviceState, reasons: tuple[str, ...]
) -> None:
    async def act(process: FingerprintProcess) -> None:
        assert await FingerprintDriver(process, "finger").probe() == DeviceStatus(state, reasons=reasons)

    played(tmp_path, BEGIN + program, act, USED_UP_S if program == SAYS_NOTHING else LIMIT_S)


@pytest.mark.parametrize("reason", [*UNAVAILABLE, *FAULTS, "template", "", "worn out"])
def test_every_reason_ends_in_a_sentence_that_says_what_to_do(reason: str) -> None:
    error = ending(reason)
    assert isinstance(error, DeviceFault | DeviceUnavailable)
    assert "请" in error.hint
    assert error.hint.endswith("。")


def test_every_reason_of_the_protocol_has_an_ending_and_the_other_way_round() -> None:
    told = fingerprint_worker.__doc__ or ""
    [listed] = [line for line in told.splitlines() if line.strip().startswith("no-device, ")]
    known = {*UNAVAILABLE, *FAULTS, "template", "device"} - {"died", "silent", "protocol"}  # which the wire finds out itself
    assert set(listed.strip().split(", ")) == known
