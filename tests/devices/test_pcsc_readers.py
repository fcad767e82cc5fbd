"""What the PC/SC wire sees and survives, on a real pcscd.

Readers come and go here with a restart of pcscd, because pcscd 1.9.9 adds and removes USB devices only while it runs
(SIGUSR1 and --hotplug do not make it read reader.conf again): a reader's return within one pcscd, and UNKNOWN_READER
between listing and waiting, are not shown by these tests.
"""

import asyncio
import logging
import time

import pytest

from devices.cards import ReaderState
from devices.contract import CardAbsent, CardRefused, DeviceFault, DeviceState, DeviceUnavailable
from devices.simulated.card import CardText
from devices.simulated.pcscd import VirtualReaders
from devices.social_card import SocialCard, SocialCardDriver
from devices.social_card_files import SELECT_APPLICATION
from tests.installed import needs_pyscard

needs_pyscard()
from devices.pcsc import PcscReaders  # noqa: E402 - which imports pyscard

A, B = "Suozhan Virtual A", "Suozhan Virtual B"
BESIDE_MAX_S = 0.7  # on a busy machine; the lock of the library used to cost a second
SHORT_S = 0.5


def named(states: tuple[ReaderState, ...], name: str) -> ReaderState | None:
    return next((state for state in states if state.name.startswith(name)), None)


def has_card(states: tuple[ReaderState, ...], name: str) -> bool:
    reader = named(states, name)
    return reader is not None and reader.card_present


def full_name(readers: PcscReaders, name: str) -> str:
    reader = named(readers.states, name)
    assert reader is not None
    return reader.name


async def read(readers: PcscReaders, name: str) -> SocialCard:
    async with SocialCardDriver(readers, full_name(readers, name)) as driver:
        return (await driver.read()).data


def test_a_card_already_in_at_the_start_is_seen_and_read(virtual: VirtualReaders, until, zhang) -> None:
    virtual.insert(A, zhang)

    async def run() -> None:
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A))
            async with SocialCardDriver(readers, full_name(readers, A)) as driver:
                reading = await driver.read()
            assert reading.data.name == "张三"
            assert reading.simulated
            assert reading.device.startswith(A)

    asyncio.run(run())
    asyncio.run(run())  # pcscd itself may have seen it only after the first start


def test_every_insertion_and_removal_is_seen(virtual: VirtualReaders, until, zhang, li) -> None:
    async def run() -> None:
        async with PcscReaders() as readers:
            for text in (zhang, li, zhang):
                virtual.insert(A, text)
                await until(readers, lambda states: has_card(states, A))
                assert (await read(readers, A)).id_number == text.id_number
                virtual.pull(A)
                await until(readers, lambda states: not has_card(states, A))

    asyncio.run(run())


def test_a_quick_swap_shows_as_another_insertion(virtual: VirtualReaders, until, zhang, li) -> None:
    async def run() -> None:
        async with PcscReaders() as readers:
            virtual.insert(A, zhang)
            await until(readers, lambda states: has_card(states, A))
            first = named(readers.states, A)
            virtual.insert(A, li)
            await until(readers, lambda s: has_card(s, A) and named(s, A).insertion > first.insertion)
            assert (await read(readers, A)).name == "李四"

    asyncio.run(run())


def test_a_reader_that_is_unplugged_and_plugged_again_goes_and_comes(virtual: VirtualReaders, until, zhang) -> None:
    async def run() -> None:
        async with PcscReaders() as readers:
            gone = full_name(readers, B)
            await asyncio.to_thread(virtual.unplug, B)
            await until(readers, lambda states: named(states, A) is not None and named(states, B) is None)
            with pytest.raises(DeviceUnavailable) as refused:
                async with SocialCardDriver(readers, gone):
                    pytest.fail("an unplugged reader was opened")
            assert refused.value.state is DeviceState.NO_DEVICE
            assert (await SocialCardDriver(readers, gone).probe()).state is DeviceState.NO_DEVICE
            await asyncio.to_thread(virtual.plug, B)
            virtual.insert(B, zhang)
            await until(readers, lambda states: has_card(states, B))
            assert (await read(readers, B)).name == "张三"

    asyncio.run(run())


def test_readers_are_gone_while_pcscd_is_and_come_back_with_it(virtual: VirtualReaders, until, zhang) -> None:
    async def run() -> None:
        virtual.insert(A, zhang)
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A))
            name = full_name(readers, A)
            await read(readers, A)
            await asyncio.to_thread(virtual.stop_service)
            await until(readers, lambda states: states == ())
            assert readers.service is DeviceState.OFFLINE
            with pytest.raises(DeviceUnavailable):
                async with readers.card(name):
                    pytest.fail("a card was opened without a card service")
            await asyncio.to_thread(virtual.start_service)
            await until(readers, lambda states: has_card(states, A))
            assert readers.service is DeviceState.ONLINE
            assert (await read(readers, A)).name == "张三"

    asyncio.run(run())


def test_a_missing_pcscd_is_logged_once_and_so_is_its_return(virtual: VirtualReaders, until, caplog) -> None:
    caplog.set_level(logging.INFO, "devices")

    async def run() -> None:
        virtual.stop_service()
        async with PcscReaders() as readers:
            await asyncio.sleep(SHORT_S)  # three looks
            await asyncio.to_thread(virtual.start_service)
            await until(readers, lambda states: len(states) == 2)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    asyncio.run(run())


def test_pcscd_restarted_in_the_middle_of_a_reading_ends_it(virtual: VirtualReaders, until, zhang) -> None:
    async def run() -> None:
        virtual.insert(A, zhang)
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A))
            async with readers.card(full_name(readers, A)) as wire:
                await wire.transmit(SELECT_APPLICATION)
                await asyncio.to_thread(virtual.restart)
                with pytest.raises(DeviceUnavailable):
                    await wire.transmit(SELECT_APPLICATION)
            await until(readers, lambda states: has_card(states, A))
            assert (await read(readers, A)).name == "张三"

    asyncio.run(run())


def test_without_pcscd_entering_and_leaving_is_quick(virtual: VirtualReaders) -> None:
    async def run() -> None:
        async with asyncio.timeout(3):
            async with PcscReaders() as readers:
                assert readers.service is DeviceState.OFFLINE
                assert readers.states == ()
                assert (await SocialCardDriver(readers, "nothing").probe()).state is DeviceState.OFFLINE

    virtual.stop_service()
    try:
        asyncio.run(run())
    finally:
        virtual.start_service()


@pytest.mark.parametrize("apdus", [0, 1, 2, 6, 12])
def test_a_card_pulled_in_mid_read_is_absent(virtual: VirtualReaders, until, zhang, apdus: int) -> None:
    async def run() -> None:
        virtual.insert(A, CardText(pull_after=apdus))
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A))
            with pytest.raises(CardAbsent):
                await read(readers, A)
            virtual.insert(A, zhang)
            await until(readers, lambda states: has_card(states, A))
            assert (await read(readers, A)).name == "张三"

    asyncio.run(run())


def test_a_card_that_falls_silent_is_a_fault_in_bounded_time(virtual: VirtualReaders, until) -> None:
    async def run() -> None:
        virtual.insert(A, CardText(mute_after=3))
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A))
            async with asyncio.timeout(3):
                with pytest.raises(DeviceFault) as fault:
                    await read(readers, A)
            assert "重新插入" in fault.value.hint

    asyncio.run(run())


def test_a_mute_card_is_shown_and_refused(virtual: VirtualReaders, until) -> None:
    async def run() -> None:
        virtual.insert(A, CardText(mute=True))
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A))
            assert named(readers.states, A).state is DeviceState.USER_ERROR
            with pytest.raises(CardRefused, match="插卡方向"):
                await read(readers, A)

    asyncio.run(run())


def test_a_slow_card_is_waited_for(virtual: VirtualReaders, until) -> None:
    async def run() -> None:
        virtual.insert(A, CardText(slow_ms=20))
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A))
            assert (await read(readers, A)).name == "张三"

    asyncio.run(run())


@pytest.mark.parametrize("hang_first", [True, False], ids=["before connecting", "between two commands"])
def test_a_hung_reader_is_a_fault_and_leaves_the_other_alone(
    virtual: VirtualReaders, until, zhang, li, hang_first: bool
) -> None:
    async def hold_the_hung_one(readers: PcscReaders) -> None:
        if hang_first:
            virtual.hang(A)
        async with readers.card(full_name(readers, A)) as wire:
            await wire.transmit(SELECT_APPLICATION)
            virtual.hang(A)
            await wire.transmit(SELECT_APPLICATION)

    async def run() -> None:
        virtual.insert(A, zhang)
        virtual.insert(B, li)
        async with PcscReaders(answer_max_s=SHORT_S) as readers:
            await until(readers, lambda states: has_card(states, A) and has_card(states, B))
            hung = asyncio.create_task(hold_the_hung_one(readers))
            await asyncio.sleep(0.1)
            readers_b = PcscReaders()  # a second client in the same process, with patience
            async with readers_b, asyncio.timeout(4):
                began = time.monotonic()
                assert (await read(readers_b, B)).name == "李四"
                assert time.monotonic() - began < BESIDE_MAX_S, "the lock of the hung one was waited for"
            with pytest.raises(DeviceFault):
                await hung
            started = time.monotonic()
            with pytest.raises(DeviceFault):
                await read(readers, A)
            assert time.monotonic() - started < 0.1, "a reader known to hang is refused at once"
            assert (await read(readers, B)).name == "李四"
            virtual.unhang(A)
            async with asyncio.timeout(3):
                while True:
                    try:
                        assert (await read(readers, A)).name == "张三"
                        break
                    except (DeviceFault, DeviceUnavailable):
                        await asyncio.sleep(0.05)

    asyncio.run(run())


def test_leaving_while_a_reader_hangs_is_quick(virtual: VirtualReaders, until, zhang) -> None:
    async def run() -> None:
        async with PcscReaders() as readers:
            virtual.insert(A, zhang)
            await until(readers, lambda states: has_card(states, A))
            virtual.hang(A)
            reading = asyncio.create_task(read(readers, A))
            await asyncio.sleep(0.1)
            reading.cancel()
            started = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert time.monotonic() - started < 2

    started = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - started < 6


def test_a_second_holder_of_the_same_reader_is_told_that_it_is_busy(virtual: VirtualReaders, until, zhang) -> None:
    async def run() -> None:
        virtual.insert(A, zhang)
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A))
            name = full_name(readers, A)
            async with readers.card(name):
                with pytest.raises(DeviceUnavailable) as busy:
                    async with readers.card(name):
                        pytest.fail("two held the same card")
            assert busy.value.state is DeviceState.DEVICE_BUSY
            assert (await SocialCardDriver(readers, name).probe()).state is DeviceState.ONLINE

    asyncio.run(run())


def test_two_readers_are_read_at_once(virtual: VirtualReaders, until, zhang, li) -> None:
    async def run() -> None:
        virtual.insert(A, zhang)
        virtual.insert(B, li)
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A) and has_card(states, B))
            for _ in range(20):
                a, b = await asyncio.gather(read(readers, A), read(readers, B))
                assert (a.name, b.name) == ("张三", "李四")

    asyncio.run(run())
