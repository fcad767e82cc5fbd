"""The ID card driver over a real tty: whole cards through every disturbance, and an ending for everything else."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from devices import id_card, id_card_line
from devices.contract import CardAbsent, CardRefused, DeviceFault, DeviceState, DeviceUnavailable, Reading, Unreadable
from devices.id_card import MODEL, POLL_S, IdCardDriver
from devices.id_card_fields import IdCard
from devices.id_card_fields import id_card as card_of
from devices.id_card_line import BAUDS
from devices.serial_port import SerialPort
from devices.simulated.id_card import IdCardText, reading_of
from devices.simulated.id_reader import parse
from tests.devices.stands import id_card as stands
from tests.devices.stands.id_card import NAME, IdCardStand

SERIAL = "05.03-20190101-0012345678-0000000001"
LI = "name = '李四'\nid_number = '410782199001010025'\nsex = '2'\nnewest_address = '河南省辉县市'\n"
PLAIN = "name = '李四'\nid_number = '410782199001010025'\nsex = '2'\n"
TEST_MAX_S = 120.0
END_MAX_S = 15.0
ANSWER_MAX_S = 30.0  # no answer that comes is missed; those that never come: `impatient`
CARD_IN_MAX_S = 0.5
LOST_S = 1.5  # beside answers that do come
TRIES, WINDOWS = 16, 5  # for what other programs may spoil now and then


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, value in (("SAM_ID_MAX_S", ANSWER_MAX_S), ("ANSWER_MAX_S", ANSWER_MAX_S), ("QUIET_S", 0.03)):
        monkeypatch.setattr(id_card_line, limit, value)
    monkeypatch.setattr(id_card, "POLL_S", 0.02)


@pytest.fixture
def _clean_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer breaks off; one at the line's own pace is waited for however slowly its pieces come."""
    monkeypatch.setattr(id_card_line, "QUIET_S", ANSWER_MAX_S)


@contextmanager
def impatient(limit_s: float = 0.15) -> Iterator[None]:
    """While answers are waited for that never come."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(id_card_line, "SAM_ID_MAX_S", limit_s)
        patch.setattr(id_card_line, "ANSWER_MAX_S", limit_s)
        yield


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    threads, handles = set(threading.enumerate()), len(list(Path("/proc/self/fd").iterdir()))
    yield
    last_look = time.monotonic() + END_MAX_S
    while left := set(threading.enumerate()) - threads:
        assert time.monotonic() < last_look, left
        time.sleep(0.01)
    assert len(list(Path("/proc/self/fd").iterdir())) <= handles


@pytest.fixture
def on(tmp_path: Path) -> Callable[[Callable[[IdCardStand], Awaitable[None]]], None]:
    def run(act: Callable[[IdCardStand], Awaitable[None]]) -> None:
        async def with_stand() -> None:
            async with asyncio.timeout(TEST_MAX_S), stands.stand(tmp_path) as stand:
                await act(stand)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(with_stand())

    return run


async def read(stand: IdCardStand, text: str, *, fingerprints: bool = False) -> Reading[IdCard]:
    stand.lay(text)
    async with stand.driver(fingerprints=fingerprints) as driver:
        return await driver.read()


def whole(text: str, *, fingerprints: bool = False) -> IdCard:
    """What `text` lays down, as it must be read."""
    card = parse(text)[1]
    assert card is not None
    return card_of(reading_of(card, fingerprints=fingerprints), card.newest_address or None)


@pytest.mark.parametrize("fingerprints", [False, True])
@pytest.mark.parametrize("text", [LI, PLAIN], ids=["with a newest address", "without"])
def test_a_whole_card_is_read(on, text: str, fingerprints: bool) -> None:
    async def act(stand: IdCardStand) -> None:
        reading = await read(stand, text, fingerprints=fingerprints)
        assert reading.data == whole(text, fingerprints=fingerprints)
        assert (reading.kind, reading.simulated, reading.serial) == ("id-card", True, SERIAL)
        assert len(reading.data.fingerprints) == (2 if fingerprints else 0)

    on(act)


@pytest.mark.usefixtures("_clean_line")
def test_a_card_is_waited_for_and_then_here_in_half_a_second(on, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the line's own pace. The fastest counts, since other tests share the cores, and a card may just miss a look."""
    monkeypatch.setattr(id_card, "POLL_S", POLL_S)

    async def act(stand: IdCardStand) -> None:
        took = []
        async with stand.driver() as driver:
            for text in [LI, PLAIN] * (TRIES // 2):
                stand.lift()
                reading = asyncio.create_task(driver.read())
                await asyncio.sleep(2.3 * POLL_S)
                assert not reading.done()
                before = time.monotonic()
                stand.lay(f"{text}[reader]\npace = true\n")
                assert (await reading).data == whole(text)
                took.append(time.monotonic() - before)
                if len(took) > 1 and min(took) + POLL_S / 2 < CARD_IN_MAX_S:
                    return
        pytest.fail(f"{took}")

    on(act)


@pytest.mark.parametrize(
    "spoilt",
    [
        "noise = '00AAAAAA96FF'",
        "noise = 'AAAAAA9669'",
        "noise = 'AAAAAA966905'",
        "split = 1",
        "split = 7\nnoise = 'AAAAAA966900'",
        "doubled = true",
        "doubled = true\nsplit = 100\nnoise = 'AA'",
        "corrupt_every = 3",
        "corrupt_every = 7",
        "long_every = 4",
        "lost_every = 9",
        "slow_ms = 60",
        "lift = true",
        "careless = true",
        "once = true",
    ],
)
def test_a_card_is_read_whole_or_not_at_all_through_a_disturbed_line(on, spoilt: str) -> None:
    async def act(stand: IdCardStand) -> None:
        with impatient(LOST_S) if "lost" in spoilt else nullcontext():
            for text in (LI, PLAIN):
                assert (await read(stand, f"{text}[reader]\n{spoilt}")).data == whole(text)

    on(act)


def test_a_line_that_spoils_every_answer_is_a_fault_of_the_line(on) -> None:
    async def act(stand: IdCardStand) -> None:
        async with stand.driver() as driver:
            stand.lay(f"{LI}[reader]\ncorrupt_every = 1")
            with pytest.raises(DeviceFault, match="连接线"):
                await driver.read()
            stand.lay(LI)
            assert (await driver.read()).data == whole(LI)

    on(act)


@pytest.mark.parametrize("baud", BAUDS)
def test_a_reader_set_to_another_baud_rate_is_found(on, monkeypatch: pytest.MonkeyPatch, baud: int) -> None:
    async def act(stand: IdCardStand) -> None:
        opened: list[int] = []

        def open_line(at: int) -> SerialPort:
            opened.append(at)
            monkeypatch.setattr(id_card_line, "SAM_ID_MAX_S", ANSWER_MAX_S if at == baud else 0.1)
            return SerialPort(stand.folder.line(NAME), at)

        text = f"{PLAIN}[reader]\nbaud = {baud}"
        stand.lay(text)
        tried = BAUDS.index(baud)
        for bauds in ([BAUDS[0]] * bool(tried) + list(BAUDS[: tried + 1]), [baud]):  # the second time at once
            async with IdCardDriver("窗口1", open_line, stand.bauds) as driver:
                assert (await driver.read()).data == whole(text)
            assert opened == bauds
            opened.clear()

    on(act)


@pytest.mark.usefixtures("_clean_line")
def test_a_slow_line_makes_no_changed_card(on, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_card, "BETWEEN_READS_MAX_S", 0.15)
    monkeypatch.setattr(id_card, "READING_MAX_S", 0.05)
    monkeypatch.setattr(id_card, "TRIES_MAX", TRIES)  # another program's doing may look like a change, the line's never

    async def act(stand: IdCardStand) -> None:
        text = f"{LI}[reader]\nbaud = 38400\npace = true"
        stand.bauds.last = 38400
        assert (await read(stand, text)).data == whole(text)

    on(act)


def test_a_mute_reader_is_said_to_be_offline_and_works_again_when_it_speaks(on) -> None:
    async def act(stand: IdCardStand) -> None:
        await stand.hang()
        with impatient():
            assert (await stand.driver().probe()).state is DeviceState.OFFLINE
            with pytest.raises(DeviceFault, match="没有应答") as silent:
                await stand.driver().__aenter__()
        assert silent.value.state is DeviceState.OFFLINE
        await stand.wake()
        async with stand.driver() as driver:
            await stand.hang()
            with impatient(), pytest.raises(DeviceFault, match="没有应答"):
                await driver.read()
            assert (await read_again(stand, driver)).data == whole(LI)

    on(act)


async def read_again(stand: IdCardStand, driver: IdCardDriver) -> Reading[IdCard]:
    stand.lay(LI)
    return await driver.read()


@pytest.mark.parametrize("status", ["60", "66"])
def test_a_reader_that_failed_its_self_test_is_for_a_person(on, status: str) -> None:
    async def act(stand: IdCardStand) -> None:
        stand.lay(f"[reader]\nstatus = '{status}'")
        assert (await stand.driver().probe()).state is DeviceState.HARDWARE_ERROR
        with pytest.raises(DeviceFault, match=status):
            await stand.driver().__aenter__()

    on(act)


@pytest.mark.parametrize(
    ("card", "ending", "hint"),
    [
        ("other = true", CardRefused, "不是可以在这里读的"),
        ("read_status = '31'", CardRefused, "安全认证"),
        ("read_status = '32'", CardRefused, "安全认证"),
        ("read_status = '33'", CardRefused, "安全认证"),
        ("read_status = '40'", CardRefused, "不是可以在这里读的"),
        ("read_status = '41'", DeviceFault, "重新平放"),
        ("flag = 'Z'", CardRefused, "不认识"),
        ("id_number = '110105194912310021'", Unreadable, "证件号码"),
        ("pull_after = 1", CardAbsent, "移动"),
        ("pull_after = 2", CardAbsent, "移动"),
        ("pull_after = 3", CardAbsent, "移动"),
        ("pull_after = 4", CardAbsent, "移动"),
    ],
)
def test_a_card_that_cannot_be_read_ends_the_reading_and_the_next_is_read(on, card, ending, hint: str) -> None:
    async def act(stand: IdCardStand) -> None:
        async with stand.driver() as driver:
            stand.lay(card)
            with pytest.raises(ending, match=hint) as ended:
                await driver.read()
            assert ended.type is ending
            assert (await read_again(stand, driver)).data == whole(LI)

    on(act)


def test_a_card_laid_in_the_place_of_another_is_read_in_the_same_reading(on) -> None:
    async def act(stand: IdCardStand) -> None:
        async with stand.driver() as driver:
            stand.lay("name = '王五'\n[reader]\nslow_ms = 50")
            reading = asyncio.create_task(driver.read())
            await asyncio.sleep(0.12)
            stand.lay(LI)
            assert (await reading).data == whole(LI)

    on(act)


@pytest.mark.parametrize("every", range(1, 8))
def test_a_reader_unplugged_in_the_middle_of_an_answer_ends_the_reading_and_comes_back(on, every: int) -> None:
    async def act(stand: IdCardStand) -> None:
        stand.lay(f"{LI}[reader]\nunplug_every = {every}")
        before = time.monotonic()
        with pytest.raises(DeviceUnavailable):
            async with stand.driver() as driver:
                await driver.read()
        assert time.monotonic() - before < END_MAX_S
        await stand.plug()
        assert (await read(stand, LI)).data == whole(LI)

    on(act)


@pytest.mark.usefixtures("_clean_line")
@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.05, 0.1, 0.2])
def test_a_cancelled_reading_leaves_nothing_for_the_next_one(on, after_s: float) -> None:
    """The answer that was on its way is another person's when it comes."""

    async def act(stand: IdCardStand) -> None:
        async with stand.driver() as driver:
            stand.lay(f"{PLAIN}[reader]\npace = true")
            reading = asyncio.create_task(driver.read())
            await asyncio.sleep(after_s)
            reading.cancel()
            await asyncio.wait([reading])
            stand.lay("name = '王五'\n[reader]\npace = true")
            assert (await driver.read()).data == whole("name = '王五'")
            assert driver._line is not None

    on(act)


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_person_s(on, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer comes after the driver gave it up: the next reading begins with what the last one still was owed."""
    monkeypatch.setattr(id_card_line, "ANSWER_MAX_S", 0.01)

    async def act(stand: IdCardStand) -> None:
        async with stand.driver() as driver:
            for name in "赵钱孙李":
                stand.lay(f"name = '{name}'\n[reader]\nslow_ms = 60")
                with pytest.raises(DeviceFault):
                    await driver.read()
                with monkeypatch.context() as patch:
                    patch.setattr(id_card_line, "ANSWER_MAX_S", ANSWER_MAX_S)
                    stand.lay(f"name = '{name}{name}'\n")
                    assert (await driver.read()).data.name == name * 2

    on(act)


def test_a_reader_exchanged_for_another_one_is_noticed(on) -> None:
    async def act(stand: IdCardStand) -> None:
        async with stand.driver() as driver:
            stand.lay(f"{LI}[reader]\nserial = '05.03-20190101-0012345678-0000000002'")
            with pytest.raises(DeviceUnavailable, match="另一台"):
                await driver.read()
        assert (await stand.driver().probe()).identity is not None
        async with stand.driver() as driver:
            assert (await driver.read()).serial.endswith("2")

    on(act)


def test_a_driver_that_was_not_opened_says_so(on) -> None:
    async def act(stand: IdCardStand) -> None:
        with pytest.raises(DeviceUnavailable, match="未打开"):
            await stand.driver().read()
        status = await stand.driver().probe()
        assert status.identity is not None
        assert (status.identity.model, status.identity.serial) == (MODEL, SERIAL)

    on(act)


def test_a_port_that_belongs_to_another_program_is_busy(on) -> None:
    async def act(stand: IdCardStand) -> None:
        async with SerialPort(stand.folder.line(NAME), 9600):
            assert (await stand.driver().probe()).state is DeviceState.DEVICE_BUSY
            with pytest.raises(DeviceUnavailable, match="占用"):
                await stand.driver().__aenter__()

    on(act)


def test_waiting_for_a_card_costs_next_to_nothing(on, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_card, "POLL_S", POLL_S)

    async def act(stand: IdCardStand) -> None:
        async with stand.driver() as driver:
            reading = asyncio.create_task(driver.read())
            await asyncio.sleep(POLL_S)
            shares = []
            for _ in range(WINDOWS):
                before_s, before = time.process_time(), time.monotonic()
                await asyncio.sleep(2 * POLL_S)
                shares.append((time.process_time() - before_s) / (time.monotonic() - before))
            reading.cancel()
            await asyncio.wait([reading])
        assert min(shares) < 0.03, shares  # with the simulated reader at the other end of the line, which looks at its file

    on(act)


def test_the_files_of_the_simulated_reader_refuse_what_they_do_not_know(tmp_path: Path) -> None:
    hands = stands.IdReaderFolder(tmp_path)
    for wrong in (
        "nmae = 'x'",
        "[reader]\nmuted = true",
        "[reader]\nmute = 'x'",
        "name = 3",
        f"name = '{'长' * 16}'",
        "kind = 'passport'",
    ):
        with pytest.raises(ValueError, match=r"nmae|mute|name|passport"):
            hands.lay(NAME, wrong)
    assert not os.listdir(tmp_path)  # noqa: PTH208  # names only
    assert replace(IdCardText(), name="李四") == IdCardText.from_toml("name = '李四'")


def test_a_reader_whose_file_is_no_card_has_none(on, caplog: pytest.LogCaptureFixture) -> None:
    async def act(stand: IdCardStand) -> None:
        async with stand.driver() as driver:
            stand.folder.directory.joinpath(f"{NAME}.toml").write_text(
                "id_number = 11010519491231002", encoding="utf-8"
            )
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2 * POLL_S):
                    await driver.read()
            assert (await read_again(stand, driver)).data == whole(LI)

    on(act)
