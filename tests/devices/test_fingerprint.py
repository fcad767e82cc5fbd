"""Fingers on libfprint's virtual sensor, with real extraction and comparison (NBIS) in a real worker process."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from uuid import uuid4

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.contract import CardRefused, DeviceError, DeviceFault, DeviceState, DeviceUnavailable
from devices.fingerprint import FingerprintDriver, Match, Template, feedback_of
from devices.fingerprint_endings import TemplateRefused
from devices.fingerprint_process import WORKER, FingerprintProcess
from devices.libfprint import CHECK_BYTES, checked
from devices.libfprint_calls import RETRIES
from devices.simulated.fingerprint_script import Script
from tests.devices.programs import programs
from tests.devices.stands.fingerprint import ENROLMENT, NAME, SILENCE_MAX_S, FingerprintStand, stand
from tests.installed import needs_program

WAIT_MAX_S = 30.0
FALLS_SILENT_S = 3.0  # it says that it is alive every half second

pytestmark = pytest.mark.usefixtures("patient")


def on_glass(
    folder: Path, act: Callable[[FingerprintStand], Awaitable[None]], silence_max_s: float = SILENCE_MAX_S
) -> None:
    async def with_stand() -> None:
        async with asyncio.timeout(120), stand(folder, silence_max_s) as one:
            await act(one)

    asyncio.run(with_stand())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_MAX_S):
        while not condition():
            await asyncio.sleep(0.01)


async def enrolled(one: FingerprintStand, driver: FingerprintDriver, finger: str = "zhang") -> Template:
    one.play(f'finger = "{finger}"', f"presses = {ENROLMENT}")
    async with asyncio.timeout(WAIT_MAX_S):
        return (await driver.read()).data


async def broken_off(one: FingerprintStand, presses: int, then: str) -> None:
    async with one.driver() as driver:
        one.play('finger = "zhang"', f"presses = {presses}", f'then = "{then}"')
        await driver.read()


async def compared(one: FingerprintStand, driver: FingerprintDriver, template: Template, finger: str) -> Match:
    one.play(f'finger = "{finger}"')
    async with asyncio.timeout(WAIT_MAX_S):
        return (await driver.verify(template, uuid4())).data


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def program() -> psutil.Process:
    """The worker of this test: the only child that is one."""
    [worker] = [child for child in programs() if "finger" in child.cmdline()]
    return worker


def test_a_finger_matches_its_own_template_and_no_other_and_the_answer_names_its_request(tmp_path: Path) -> None:
    async def act(one: FingerprintStand) -> None:
        async with one.driver() as driver:
            zhang, li = await enrolled(one, driver, "zhang"), await enrolled(one, driver, "li")
            for owner, finger in (("zhang", "zhang"), ("zhang", "li"), ("li", "li"), ("li", "zhang")):
                template, matched, request = {"zhang": zhang, "li": li}[owner], owner == finger, uuid4()
                one.play(f'finger = "{finger}"')
                reading = await driver.verify(template, request)
                assert reading.data == Match(request, matched)
                assert bool(reading.data) is matched
                assert (reading.kind, reading.simulated) == ("fingerprint", True)

    on_glass(tmp_path, act)


def test_who_presses_is_told_how_far_it_is_and_what_to_do_better(tmp_path: Path) -> None:
    async def act(one: FingerprintStand) -> None:
        async with one.driver() as driver:
            one.play('finger = "zhang"', f"presses = {ENROLMENT}",
                     'retry = ["too-short", "center-finger", "remove-finger", "unclear"]')
            await driver.read()
        words = [told.word for told in one.told if not told.word.startswith("finger-")]
        assert words == ["too-short", "center-finger", "remove-finger", "unclear"] + ["progress"] * ENROLMENT
        assert [told.done for told in one.told if told.word == "progress"] == list(range(1, ENROLMENT + 1))
        assert one.told[0].word == "finger-needed"
        assert all(told.hint.endswith("。") for told in one.told)

    on_glass(tmp_path, act)


def test_a_bad_press_is_no_answer_to_a_comparison(tmp_path: Path) -> None:
    async def act(one: FingerprintStand) -> None:
        async with one.driver() as driver:
            template = await enrolled(one, driver)
            one.told.clear()
            one.play('finger = "zhang"', 'retry = ["too-short", "unclear"]')
            assert (await driver.verify(template, uuid4())).data
            assert [told.word for told in one.told if told.word in ("too-short", "unclear")] == ["too-short", "unclear"]

    on_glass(tmp_path, act)


def test_a_template_stays_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
                                    capfd: pytest.CaptureFixture[str]) -> None:
    for home in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(home, str(tmp_path))
    monkeypatch.setenv("G_MESSAGES_DEBUG", "all")
    caplog.set_level(logging.DEBUG)

    async def act(one: FingerprintStand) -> None:
        async with one.driver() as driver:
            one.play('finger = "zhang"', f"presses = {ENROLMENT}")
            reading = await driver.read()
            assert await compared(one, driver, reading.data, "zhang")
            one.play('then = "crash"')
            with pytest.raises(DeviceUnavailable):
                await driver.verify(reading.data, uuid4())
        data = reading.data.data
        assert len(data) > 500
        told = "".join((repr(reading), str(reading), caplog.text, *map(repr, one.told), *capfd.readouterr()))
        for piece in (data[start : start + 12] for start in range(0, len(data) - 12, 12)):
            for form in (piece.hex(), base64.b64encode(piece).decode(), repr(piece)[2:-1]):
                assert form not in told
        kept = {path: path.read_bytes() for path in files(tmp_path)}
        assert kept
        for path, content in kept.items():
            assert b"FP3" not in content, path
            assert base64.b64encode(data[:12]) not in content, path

    on_glass(tmp_path, act)


def test_a_crashed_worker_leaves_no_memory_behind(tmp_path: Path) -> None:
    async def act(one: FingerprintStand) -> None:
        assert (await one.driver().probe()).state is DeviceState.ONLINE
        assert program().rlimit(psutil.RLIMIT_CORE) == (0, 0)

    on_glass(tmp_path, act)
    source = "import ctypes; from devices import fingerprint_worker as w; w.leave_no_core(); print(ctypes.CDLL(None).prctl(3))"
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, check=True).stdout == b"0\n"  # PR_GET_DUMPABLE


def test_a_worker_that_dies_takes_only_itself_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def act(one: FingerprintStand) -> None:
        async with one.driver() as driver:
            template = await enrolled(one, driver)
            waiting = asyncio.create_task(driver.verify(template, uuid4()))
            one.told.clear()
            await until(lambda: bool(one.told))
            program().send_signal(signal.SIGSEGV)
            with pytest.raises(DeviceUnavailable) as died:
                await waiting
            assert "重新启动" in died.value.hint
            with pytest.raises(DeviceUnavailable) as closed:  # the new program holds no reader
                await driver.verify(template, uuid4())
            assert "重新开始" in closed.value.hint
        async with one.driver() as driver:
            assert await compared(one, driver, template, "zhang")
        assert "died (-11)" in caplog.text

    on_glass(tmp_path, act)


@pytest.mark.parametrize(("then", "ends_as", "state"), [
    ("unplug", DeviceUnavailable, DeviceState.NO_DEVICE),
    ("crash", DeviceUnavailable, DeviceState.OFFLINE),
    ("hang", DeviceFault, DeviceState.HARDWARE_ERROR),
    ("error", DeviceFault, DeviceState.HARDWARE_ERROR),
    ("hot", DeviceUnavailable, DeviceState.DEVICE_BUSY),
])
def test_an_enrolment_that_breaks_off_gives_no_template_and_the_reader_comes_back(
    tmp_path: Path, then: str, ends_as: type[DeviceError], state: DeviceState
) -> None:
    async def act(one: FingerprintStand) -> None:
        with pytest.raises(DeviceError) as broken:
            await broken_off(one, 3, then)
        assert isinstance(broken.value, ends_as)
        assert broken.value.state is state
        assert broken.value.hint.endswith("。")
        assert max(told.done for told in one.told) == 3
        await one.plug()
        async with one.driver() as driver:
            template = await enrolled(one, driver)
            assert await compared(one, driver, template, "zhang")

    on_glass(tmp_path, act, FALLS_SILENT_S if then == "hang" else SILENCE_MAX_S)


def test_a_reader_that_was_pulled_out_is_not_waited_for(tmp_path: Path) -> None:
    async def act(one: FingerprintStand) -> None:
        async with one.driver() as driver:
            template = await enrolled(one, driver)
            one.play('then = "unplug"')
            for _ in range(2):
                async with asyncio.timeout(WAIT_MAX_S):
                    with pytest.raises(DeviceUnavailable):
                        await driver.verify(template, uuid4())
            assert one.folder.script(NAME) is None

    on_glass(tmp_path, act)


def test_what_was_done_to_a_reader_is_done_once(tmp_path: Path) -> None:
    async def act(one: FingerprintStand) -> None:
        with pytest.raises(DeviceUnavailable):
            await broken_off(one, 1, "crash")
        assert one.folder.script(NAME) == Script()
        async with one.driver() as driver:
            waiting = asyncio.create_task(driver.read())
            await asyncio.wait([waiting], timeout=FALLS_SILENT_S + 0.3)
            assert not waiting.done()  # nobody presses, and the program says that it is alive
            waiting.cancel()
            await asyncio.wait([waiting])

    on_glass(tmp_path, act, FALLS_SILENT_S)


def test_giving_up_keeps_the_reader_and_its_program(tmp_path: Path) -> None:
    async def act(one: FingerprintStand) -> None:
        async with one.driver() as driver:
            template = await enrolled(one, driver)
            before = program().pid
            for ask in (lambda: driver.verify(template, uuid4()), driver.read):
                one.told.clear()
                waiting = asyncio.create_task(ask())
                await until(lambda: bool(one.told))
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            assert await compared(one, driver, template, "zhang")
            assert program().pid == before  # one that does not hear the cancel is killed

    on_glass(tmp_path, act)


def test_a_second_window_hears_that_the_reader_is_busy_and_gets_it_afterwards(tmp_path: Path) -> None:
    async def act(one: FingerprintStand) -> None:
        async with one.driver():
            assert (await one.driver().probe()).state is DeviceState.DEVICE_BUSY
            with pytest.raises(DeviceUnavailable) as busy:
                async with one.driver():
                    pytest.fail("held twice")
            assert busy.value.state is DeviceState.DEVICE_BUSY
            with socket.socket(socket.AF_UNIX) as sensor:
                sensor.connect(str(tmp_path / f".{NAME}.socket"))
        with socket.socket(socket.AF_UNIX) as sensor, pytest.raises(ConnectionRefusedError):  # let go
            sensor.connect(str(tmp_path / f".{NAME}.socket"))
        async with one.driver() as driver:
            assert await enrolled(one, driver)

    on_glass(tmp_path, act)


def test_a_finger_for_a_request_that_was_given_up_never_answers_the_next_with_yes(tmp_path: Path) -> None:
    chance = Random(20)

    async def act(one: FingerprintStand) -> None:
        async with one.driver() as driver:
            zhang, li = await enrolled(one, driver, "zhang"), await enrolled(one, driver, "li")
            for _ in range(12):
                one.play('finger = "zhang"', "presses = 3")
                first = asyncio.create_task(driver.verify(zhang, uuid4()))
                await asyncio.sleep(chance.uniform(0, 0.1))
                first.cancel()
                await asyncio.wait([first])
                request = uuid4()
                second = asyncio.create_task(driver.verify(li, request))
                done, _ = await asyncio.wait([second], timeout=0.15)
                if done:
                    assert second.result().data == Match(request, matched=False)
                second.cancel()
                await asyncio.wait([second])
            one.play("")
            assert await compared(one, driver, li, "li")

    on_glass(tmp_path, act)


def test_what_is_no_template_of_this_reader_is_refused(tmp_path: Path) -> None:
    async def act(one: FingerprintStand) -> None:
        async with one.driver() as driver:
            template = await enrolled(one, driver)
            print_itself = template.data[CHECK_BYTES:]
            damaged = template.data[:-1] + bytes([template.data[-1] ^ 1])
            foreign = checked(print_itself.replace(b"virtual_image", b"virtual_imagf"))
            assert checked(print_itself) == template.data
            for wrong in (b"", b"FP3", os.urandom(2000), template.data[:200], template.data[:-1], damaged, foreign):
                with pytest.raises(TemplateRefused) as refused:
                    await driver.verify(Template(wrong), uuid4())
                assert "重新采集" in refused.value.hint
                assert isinstance(refused.value, CardRefused)  # of what was presented, not of the reader
            assert await compared(one, driver, template, "zhang")

    on_glass(tmp_path, act)


@pytest.fixture
def usb_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The worker before a reader on a played USB bus, of which there is a description only: it opens, and does nothing."""
    needs_program("umockdev-run", "umockdev")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return "umockdev-run", "-d", str(Path(__file__).parent / "stands/usb_fingerprint.umockdev"), "--", *WORKER


def test_a_reader_on_usb_is_known_by_its_model_and_is_not_simulated(usb_reader: tuple[str, ...]) -> None:
    async def act() -> None:
        async with FingerprintProcess(usb_reader) as process, process.opened() as session:
            assert session.found.identity.model.startswith("Digital Persona U.are.U")
            assert not session.found.simulated

    asyncio.run(act())


def test_a_reader_on_usb_that_fails_is_asked_again_by_a_new_program(
    usb_reader: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def act() -> None:
        async with FingerprintProcess(usb_reader) as process:
            for _ in range(2):
                with pytest.raises(DeviceFault):
                    async with FingerprintDriver(process, "usb") as driver:
                        await driver.read()
                assert programs() == []
            assert (await FingerprintDriver(process, "usb").probe()).state is DeviceState.ONLINE

    asyncio.run(act())
    assert "Input/Output Error" in caplog.text


def test_a_reader_that_would_keep_the_prints_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FP_VIRTUAL_DEVICE_STORAGE", str(tmp_path / "socket"))
    monkeypatch.setenv("FP_DRIVERS_WHITELIST", "virtual_device_storage")

    async def act() -> None:
        async with FingerprintProcess() as process:
            with pytest.raises(DeviceFault) as refused:
                async with FingerprintDriver(process, "finger"):
                    pytest.fail("used")
            assert "留在设备里" in refused.value.hint

    asyncio.run(act())


def test_the_real_program_says_which_reader_there_is_or_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FP_DRIVERS_WHITELIST", "virtual_image")

    async def state(*serial: str) -> DeviceState:
        async with FingerprintProcess((*WORKER, *serial)) as process:
            return (await FingerprintDriver(process, "finger").probe()).state

    assert asyncio.run(state()) is DeviceState.NO_DEVICE
    monkeypatch.setenv("FP_VIRTUAL_IMAGE", str(tmp_path / "socket"))
    assert asyncio.run(state()) is DeviceState.ONLINE
    assert asyncio.run(state("of-another")) is DeviceState.NO_DEVICE


def test_rounds_of_crashes_and_unplugging_leave_nothing_behind(tmp_path: Path) -> None:
    def held() -> tuple[int, int, int]:
        return psutil.Process().num_fds(), len(programs()), threading.active_count()

    async def act(one: FingerprintStand) -> None:
        seen: list[tuple[int, int, int]] = []
        for then in ("crash", "unplug", "crash", "error", "crash", "unplug"):
            with pytest.raises(DeviceError):
                await broken_off(one, 0, then)
            await one.plug()
            assert (await one.driver().probe()).state is DeviceState.ONLINE
            seen.append(held())
            await until(lambda: held() == seen[0])

    on_glass(tmp_path, act)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["event", "needed", "present", "done", "of", "reason"]),
                       st.one_of(st.sampled_from(["finger", "progress", "retry"]), st.booleans(), st.integers(), st.none(),
                                 st.text(max_size=3), st.lists(st.integers(), max_size=2))))
def test_whatever_a_program_says_a_person_is_told_in_our_words_or_not_at_all(said: dict[str, object]) -> None:
    feedback = feedback_of(said)
    if feedback is not None:
        assert feedback.word in {"finger-needed", "finger-present", "progress", *RETRIES}
        assert feedback.hint.endswith("。")
