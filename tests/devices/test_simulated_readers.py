"""The simulated wire: driven by calls, and by another process through a directory."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from devices.contract import CardAbsent, DeviceFault, DeviceState, DeviceUnavailable
from devices.simulated.card import CardText
from devices.simulated.folder import ReaderFolder
from devices.simulated.wire import SimulatedReaders
from devices.social_card import SocialCard, SocialCardDriver

A = "窗口1 读卡器"
CARD = 'name = "李四"\nid_number = "410782199001010025"\ncard_number = "B87654321"\n'
INSERT = "import sys; from pathlib import Path; from devices.simulated.folder import ReaderFolder; "
INSERT += "ReaderFolder(Path(sys.argv[1])).insert(sys.argv[2], sys.argv[3])"


async def read(readers: SimulatedReaders) -> SocialCard:
    async with SocialCardDriver(readers, A) as driver:
        return (await driver.read()).data


def test_plug_insert_pull_and_unplug_are_seen(until, zhang: CardText) -> None:
    async def run() -> None:
        async with SimulatedReaders() as readers:
            assert readers.states == ()
            assert (await SocialCardDriver(readers, A).probe()).state is DeviceState.NO_DEVICE
            readers.plug(A)
            assert (await SocialCardDriver(readers, A).probe()).state is DeviceState.ONLINE
            with pytest.raises(CardAbsent):
                await read(readers)
            readers.insert(A, zhang)
            assert (await read(readers)).name == "张三"
            readers.pull(A)
            await until(readers, lambda states: not states[0].card_present)
            readers.unplug(A)
            with pytest.raises(DeviceUnavailable):
                await read(readers)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "ending"), [({"pull_after": 4}, CardAbsent), ({"mute_after": 4}, DeviceFault)], ids=["pulled", "silent"]
)
def test_a_card_can_fail_in_mid_read(zhang: CardText, change, ending: type[Exception]) -> None:
    async def run() -> None:
        async with SimulatedReaders(readers=[A]) as readers:
            readers.insert(A, replace(zhang, **change))
            with pytest.raises(ending):
                await read(readers)

    asyncio.run(run())


def test_a_swap_to_an_equal_card_in_mid_read_ends_the_reading(zhang: CardText) -> None:
    async def run() -> None:
        async with SimulatedReaders(readers=[A]) as readers:
            readers.insert(A, replace(zhang, slow_ms=10))
            reading = asyncio.create_task(read(readers))
            await asyncio.sleep(0.05)
            readers.insert(A, replace(zhang, slow_ms=10))
            with pytest.raises(CardAbsent):
                await reading

    asyncio.run(run())


def test_a_card_that_another_process_put_into_the_directory_is_read(tmp_path: Path, until) -> None:
    async def run() -> None:
        async with SimulatedReaders(tmp_path) as readers:
            await asyncio.to_thread(subprocess.run, [sys.executable, "-c", INSERT, tmp_path, A, CARD], check=True)
            await until(readers, lambda states: bool(states) and states[0].card_present)
            assert (await read(readers)).name == "李四"
            ReaderFolder(tmp_path).pull(A)
            await until(readers, lambda states: not states[0].card_present)
            ReaderFolder(tmp_path).unplug(A)
            await until(readers, lambda states: states == ())

    asyncio.run(run())


def test_a_card_in_the_directory_at_the_start_is_seen(tmp_path: Path) -> None:
    async def run() -> None:
        ReaderFolder(tmp_path).insert(A, CARD)
        async with SimulatedReaders(tmp_path) as readers:
            assert readers.states[0].card_present
            assert (await read(readers)).name == "李四"

    asyncio.run(run())


def test_the_same_card_put_in_again_is_another_insertion(tmp_path: Path, until) -> None:
    async def run() -> None:
        folder = ReaderFolder(tmp_path)
        folder.insert(A, CARD)
        async with SimulatedReaders(tmp_path) as readers:
            first = readers.states[0].insertion
            folder.insert(A, CARD)
            await until(readers, lambda states: states[0].insertion > first)

    asyncio.run(run())


def test_a_file_that_is_no_card_leaves_the_reader_empty_and_says_so(tmp_path: Path, caplog) -> None:
    async def run() -> None:
        (tmp_path / f"{A}.toml").write_text('nmae = "李四"', encoding="utf-8")
        async with SimulatedReaders(tmp_path) as readers:
            assert not readers.states[0].card_present

    asyncio.run(run())
    assert "nmae" in caplog.text


def test_a_card_pulled_in_mid_read_is_out_of_the_directory_too(tmp_path: Path) -> None:
    async def run() -> None:
        ReaderFolder(tmp_path).insert(A, CARD + "pull_after = 3\n")
        async with SimulatedReaders(tmp_path) as readers:
            with pytest.raises(CardAbsent):
                await read(readers)
            assert not readers.states[0].card_present
        assert ReaderFolder(tmp_path).card(A) is None

    asyncio.run(run())
