"""What the PC/SC wire sees and survives, on a real pcscd.

Readers come and go here with a restart of pcscd, because pcscd 1.9.9 adds and removes USB devices only while it runs
(SIGUSR1 and --hotplug do not make it read reader.conf again): a reader's return within one pcscd, and UNKNOWN_READER
between listing and waiting, are not shown by these tests.
"""

import asyncio
import logging
import threading
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
from devices import pcsc, pcsc_card, pcsc_monitor  # noqa: E402 - which import pyscard
from devices.pcsc import PcscReaders  # noqa: E402

A, B = "Suozhan Virtual A", "Suozhan Virtual B"
BESIDE_MAX_S = 0.7  # on a busy machine; the lock of the library used to cost a second
BESIDE_READINGS = 5
SHORT_S = 0.5
END_MAX_S = 30.0
LONGER_S = 60.0  # for a limit that must not be waited for


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


def test_without_pcscd_entering_and_leaving_is_quick(virtual: VirtualReaders, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, limit in ((pcsc, "FIRST_LOOK_MAX_S"), (pcsc, "IDENTITIES_MAX_S"), (pcsc_monitor, "BACKOFF_MAX_S"),
                          (pcsc_monitor, "BACKOFF_FIRST_S"), (pcsc_monitor, "STOP_MAX_S")):  # fmt: skip
        monkeypatch.setattr(module, limit, LONGER_S)

    async def run() -> None:
        async with asyncio.timeout(END_MAX_S):
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
        async with PcscReaders(answer_max_s=LONGER_S) as readers:
            await until(readers, lambda states: has_card(states, A))
            async with asyncio.timeout(END_MAX_S):
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
    async def hold_the_hung_one(readers: PcscReaders, hanging: asyncio.Event) -> None:
        name = full_name(readers, A)
        if hang_first:
            hang(readers, name)
            hanging.set()
        async with readers.card(name) as wire:
            await wire.transmit(SELECT_APPLICATION)
            hang(readers, name)
            hanging.set()
            await wire.transmit(SELECT_APPLICATION)

    def hang(readers: PcscReaders, name: str) -> None:
        """From now on, what it is told ends by its limit."""
        virtual.hang(A)
        readers._reader(name)._answer_max_s = SHORT_S

    async def run() -> None:
        virtual.insert(A, zhang)
        virtual.insert(B, li)
        async with PcscReaders(answer_max_s=LONGER_S) as readers:
            await until(readers, lambda states: has_card(states, A) and has_card(states, B))
            hanging = asyncio.Event()
            hung = asyncio.create_task(hold_the_hung_one(readers, hanging))
            await hanging.wait()
            await asyncio.sleep(0.1)
            readers_b = PcscReaders()  # a second client in the same process, with patience
            async with readers_b, asyncio.timeout(END_MAX_S):
                await until(readers_b, lambda states: has_card(states, B))
                quickest_s = LONGER_S
                for _ in range(BESIDE_READINGS):  # a lock would hold up each of them, a machine that stands still one or two
                    began = time.monotonic()
                    assert (await read(readers_b, B)).name == "李四"
                    quickest_s = min(quickest_s, time.monotonic() - began)
                    if quickest_s < BESIDE_MAX_S:
                        break
                assert quickest_s < BESIDE_MAX_S, "the lock of the hung one was waited for"
            with pytest.raises(DeviceFault):
                await hung
            readers._reader(full_name(readers, A))._answer_max_s = LONGER_S
            async with asyncio.timeout(END_MAX_S):  # a reader known to hang is refused at once
                with pytest.raises(DeviceFault):
                    await read(readers, A)
            assert (await read(readers, B)).name == "李四"
            virtual.unhang(A)
            async with asyncio.timeout(END_MAX_S):
                while True:
                    try:
                        assert (await read(readers, A)).name == "张三"
                        break
                    except (DeviceFault, DeviceUnavailable):
                        await asyncio.sleep(0.05)

    asyncio.run(run())


def test_leaving_while_a_reader_hangs_is_quick(virtual: VirtualReaders, until, zhang) -> None:
    async def run() -> None:
        async with PcscReaders(answer_max_s=LONGER_S) as readers:
            virtual.insert(A, zhang)
            await until(readers, lambda states: has_card(states, A))
            virtual.hang(A)
            reading = asyncio.create_task(read(readers, A))
            await asyncio.sleep(0.1)
            reading.cancel()
            started = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert time.monotonic() - started < END_MAX_S

    started = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - started < END_MAX_S


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


def test_a_card_that_is_being_let_go_is_busy_and_its_reader_does_not_hang(
    virtual: VirtualReaders, until, zhang, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, may = pcsc_card.Connection.let_go, threading.Event()

    def slowly(connection: pcsc_card.Connection) -> None:
        may.wait(END_MAX_S)
        let_go(connection)

    async def hold(readers: PcscReaders, name: str) -> None:
        async with readers.card(name):
            monkeypatch.setattr(pcsc_card.Connection, "let_go", slowly)

    async def run() -> None:
        virtual.insert(A, zhang)
        async with PcscReaders() as readers:
            await until(readers, lambda states: has_card(states, A))
            name = full_name(readers, A)
            holding = asyncio.create_task(hold(readers, name))
            try:
                while not readers._reader(name)._thread.stuck:
                    await asyncio.sleep(0.001)
                with pytest.raises(DeviceUnavailable) as busy:
                    async with readers.card(name):
                        pytest.fail("it was not free yet")
            finally:
                may.set()
                monkeypatch.undo()
            assert busy.value.state is DeviceState.DEVICE_BUSY
            await holding
            assert (await read(readers, A)).name == "张三"

    monkeypatch.setattr(pcsc_card, "LET_GO_MAX_S", END_MAX_S)
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
