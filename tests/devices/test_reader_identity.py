"""Which reader it is: the same after it was plugged in again, another one when it was swapped."""

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.cards import CardReaders, ReaderState
from devices.contract import DeviceIdentity, DeviceState
from devices.reader_names import found_again, identity_in, serial_of
from devices.simulated.card import CardText
from devices.simulated.folder import ReaderFolder
from devices.simulated.pcscd import VirtualReaders
from devices.simulated.serials import made_up
from devices.simulated.wire import MODEL, SimulatedReaders
from devices.social_card import SocialCardDriver
from tests.installed import needs_pyscard

needs_pyscard()
from devices.pcsc import PcscReaders  # noqa: E402 - which imports pyscard

A, B = "Suozhan Virtual A", "Suozhan Virtual B"
END_MAX_S = 30.0
NAMES = [
    ("Alcor Micro AU9540 00 00", "Alcor Micro AU9540", ""),
    ("Gemalto PC Twin Reader (70D7E2EE) 01 00", "Gemalto PC Twin Reader", "70D7E2EE"),
    ("Identiv uTrust 3512 SAM slot Token [CCID Interface] (55511822700003) 00 01",
     "Identiv uTrust 3512 SAM slot Token", "55511822700003"),
    ("Broadcom Corp 5880 [Contacted SmartCard] (0123456789ABCD) 00 00", "Broadcom Corp 5880", ""),
    ("ACS ACR39U ICC Reader (000000000000) 0A 00", "ACS ACR39U ICC Reader", ""),
    ("窗口1 读卡器", "窗口1 读卡器", ""),
    ("Reader (old) (A1B2) 00 00", "Reader (old)", "A1B2"),
    ("", "", ""),
]  # fmt: skip


def identity(readers: CardReaders, name: str) -> DeviceIdentity | None:
    return next((one.identity for one in readers.states if one.name.startswith(name)), None)


def known(name: str, serial: str):
    return lambda states: any(
        one.name.startswith(name) and one.identity is not None and one.identity.serial == serial for one in states
    )


@pytest.mark.parametrize(("name", "model", "serial"), NAMES)
def test_model_and_serial_are_read_from_the_name_of_the_reader(name: str, model: str, serial: str) -> None:
    assert identity_in(name) == DeviceIdentity(model, serial)


@pytest.mark.parametrize(("name", "there", "found"), [
    ("Reader 01 00", ["Reader 00 00", "Reader 01 00"], "Reader 01 00"),
    ("Reader (A1B2) 01 00", ["Reader (C3D4) 01 00", "Reader (A1B2) 00 00"], "Reader (A1B2) 00 00"),
    ("Reader 01 01", ["Reader 00 00", "Reader 00 01"], "Reader 00 01"),  # the slot of a PSAM
    ("Reader (A1B2) 01 01", ["Reader (A1B2) 00 00"], ""),  # another slot of it
    ("Reader 01 00", ["Reader 00 00"], ""),  # may be a reader for residents of the same make
    ("Reader 02 01", ["Reader 00 01", "Reader 01 01"], ""),
    ("Reader (0123456789ABCD) 01 00", ["Reader (0123456789ABCD) 00 00"], ""),  # that is no serial
    ("PSAM", ["PSAM 00 00"], ""),
    ("", ["Reader 00 00", "Reader 00 01"], ""),
])  # fmt: skip
def test_a_slot_is_found_again_where_its_name_tells_which_it_is(name: str, there: list[str], found: str) -> None:
    assert found_again(name, there) == found


@given(st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=60))
def test_any_name_has_a_model_and_perhaps_a_serial(name: str) -> None:
    found = identity_in(name)
    assert found.model in name
    assert found.serial in name


@pytest.mark.parametrize(
    ("said", "serial"),
    [("A1\x00", "A1"), (" 17 ", "17"), ("\x00", ""), ("FFFFFF", ""), ("\x07A", ""), ("23", "23"), ("1234", "")],
)
def test_what_is_no_serial_is_none(said: str, serial: str) -> None:
    assert serial_of(said) == serial


def test_the_driver_of_the_reader_gives_its_serial_with_a_card_and_without(virtual: VirtualReaders, until, zhang) -> None:
    async def run() -> None:
        async with PcscReaders() as readers:
            await until(readers, known(A, made_up(A)))
            await until(readers, known(B, made_up(B)))
            assert identity(readers, A) == DeviceIdentity(A, made_up(A))
            assert identity(readers, B) == DeviceIdentity(B, made_up(B))
            name = readers.states[0].name
            assert (await SocialCardDriver(readers, name).probe()).identity == DeviceIdentity(A, made_up(A))
            virtual.insert(A, zhang)
            await until(readers, lambda states: states[0].card_present)
            async with SocialCardDriver(readers, name) as driver:
                assert (await driver.read()).serial == made_up(A)
        async with PcscReaders() as readers:  # asked with the card in
            await until(readers, known(A, made_up(A)))
            assert identity(readers, A) == DeviceIdentity(A, made_up(A))

    asyncio.run(run())


def test_a_reader_plugged_in_again_is_the_same_and_a_swapped_one_another(virtual: VirtualReaders, until, zhang) -> None:
    async def run() -> None:
        async with PcscReaders() as readers:
            for serial in (made_up(A), "A1B2C3", "", made_up(A)):
                await asyncio.to_thread(virtual.unplug, A)
                await until(readers, lambda states: identity(readers, A) is None)
                await asyncio.to_thread(virtual.plug, A, serial)
                await until(readers, known(A, serial))
                assert identity(readers, A) == DeviceIdentity(A, serial)
                virtual.insert(A, zhang)
                await until(readers, lambda states: states[0].card_present)
                async with SocialCardDriver(readers, readers.states[0].name) as driver:
                    assert (await driver.read()).serial == serial
                await until(readers, known(B, made_up(B)))
                assert identity(readers, B) == DeviceIdentity(B, made_up(B))

    asyncio.run(run())


def test_who_holds_a_card_knows_the_reader_better_than_an_old_look(virtual: VirtualReaders, until, zhang) -> None:
    async def run() -> None:
        async with PcscReaders() as readers:
            virtual.insert(A, zhang)
            await until(readers, lambda states: states[0].card_present)
            await until(readers, known(A, made_up(A)))
            name = readers.states[0].name
            readers._identified(name, DeviceIdentity(A, "pulled out unseen"))
            assert identity(readers, A) == DeviceIdentity(A, "pulled out unseen")
            async with SocialCardDriver(readers, name) as driver:
                assert (await driver.read()).serial == made_up(A)
            assert identity(readers, A) == DeviceIdentity(A, made_up(A))

    asyncio.run(run())


def test_a_reader_that_hangs_keeps_nobody_from_the_others(virtual: VirtualReaders, until, zhang, li) -> None:
    async def run() -> None:
        async with PcscReaders(answer_max_s=END_MAX_S) as readers:
            virtual.insert(A, zhang)
            await until(readers, lambda states: states[0].card_present)
            async with readers.card(readers.states[0].name) as wire:
                virtual.hang(A)
                hung = asyncio.create_task(wire.transmit(bytes.fromhex("00A4040000")))
                await asyncio.sleep(0.1)
                started = time.monotonic()
                async with PcscReaders() as others:
                    assert time.monotonic() - started < END_MAX_S
                    await until(others, known(B, made_up(B)))
                    assert identity(others, A) is None
                virtual.unhang(A)
                await asyncio.wait([hung])
                hung.exception()

    asyncio.run(run())


def test_a_late_report_asks_nobody_anything(virtual: VirtualReaders) -> None:
    async def run() -> None:
        async with PcscReaders() as readers:
            seen = readers.states
        readers._seen(DeviceState.ONLINE, (*seen, ReaderState("Another 00 00", DeviceState.ONLINE, False)))
        assert readers.states == seen
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_simulated_readers_have_serials_too(until, zhang: CardText) -> None:
    async def run() -> None:
        async with SimulatedReaders(readers=[A]) as readers:
            assert identity(readers, A) == DeviceIdentity(MODEL, made_up(A))
            readers.unplug(A)
            readers.plug(A, serial="another")
            assert identity(readers, A) == DeviceIdentity(MODEL, "another")
            readers.insert(A, zhang)
            async with SocialCardDriver(readers, A) as driver:
                assert (await driver.read()).serial == "another"
            status = await SocialCardDriver(readers, A).probe()
            assert (status.state, status.identity) == (DeviceState.ONLINE, DeviceIdentity(MODEL, "another"))

    asyncio.run(run())


def test_another_process_swaps_a_reader_through_the_directory(tmp_path: Path, until) -> None:
    async def run() -> None:
        folder = ReaderFolder(tmp_path)
        folder.plug(A)
        async with SimulatedReaders(tmp_path) as readers:
            assert identity(readers, A) == DeviceIdentity(MODEL, made_up(A))
            folder.unplug(A)
            await until(readers, lambda states: states == ())
            folder.plug(A, serial="another")
            await until(readers, known(A, "another"))
            folder.plug(A, serial="a third")  # too quick for anybody to see the gap
            await until(readers, known(A, "a third"))

    asyncio.run(run())
