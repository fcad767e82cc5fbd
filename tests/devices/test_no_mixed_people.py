"""Whatever is swapped whenever: a reading is one card or none."""

import asyncio
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from devices.apdu import transmit
from devices.card_authentication import Algorithm
from devices.cards import CardWire
from devices.contract import CardAbsent, DeviceError, DeviceState
from devices.id_number import id_check
from devices.psam_slot import PsamSlot
from devices.remote_authenticator import RemoteAuthenticator
from devices.simulated.card import CardText
from devices.simulated.chip import VirtualChip
from devices.simulated.pcscd import VirtualReaders
from devices.simulated.psam import PsamText
from devices.simulated.wire import SimulatedReaders
from devices.social_card import SocialCard, SocialCardDriver, read_card
from tests.devices.hsm import software
from tests.installed import needs_pyscard

needs_pyscard()
from devices.pcsc import PcscReaders  # noqa: E402 - which imports pyscard

A, B = "Suozhan Virtual A", "Suozhan Virtual B"
SWAPPING_S = 4.0
SWAPPING_MAX_S = 60.0
SEEN_MIN = 10  # of each ending
SWAP_PAUSE_MAX_S = 0.25
APDUS_OF_A_READING = {2: 17, 3: 20}
KEYS = RemoteAuthenticator(software)
PSAM = PsamText()
FAMILY = "赵钱孙李周吴郑王"


def person(number: int) -> CardText:
    """Everything about one person differs from everybody else's."""
    first17 = f"4107821990{number + 1:02}{number + 10:02}{number:03}"
    return CardText(
        name=FAMILY[number] * 16 if number % 2 else FAMILY[number] * 2,
        id_number=first17 + id_check(first17),
        card_number=f"A{number:08}",
        nation=f"{number + 1:02}",
        birthplace=f"4107{number:02}",
        issued=f"20150{number + 1}01",
        expires=f"20350{number + 1}01",
        slow_ms=number % 3,
    )


PEOPLE = [person(number) for number in range(len(FAMILY))]


def is_one_person(card: SocialCard) -> bool:
    owner = PEOPLE[FAMILY.index(card.name[0])]
    said = (
        card.name,
        card.id_number,
        card.card_number,
        card.nation,
        card.birthplace,
        f"{card.issued:%Y%m%d}",
        f"{card.birth:%Y%m%d}",
    )
    return said == (
        owner.name,
        owner.id_number,
        owner.card_number,
        owner.nation,
        owner.birthplace,
        owner.issued,
        owner.id_number[6:14],
    )


class Swapped:
    """A wire on which the card is swapped just before one command."""

    simulated = True

    def __init__(self, wire: CardWire, before: int, swap, wait_s: float) -> None:
        self.reader, self.atr, self.identity = wire.reader, wire.atr, wire.identity
        self._wire, self._before, self._swap, self._wait_s = wire, before, swap, wait_s
        self.sent = 0

    async def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if self.sent == self._before:
            self._swap()
            await asyncio.sleep(self._wait_s)
        self.sent += 1
        return await self._wire.transmit(apdu)


@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize("wait_s", [0, 0.12], ids=["at once", "once the other card is powered"])
def test_a_swap_before_any_command_ends_the_reading(virtual: VirtualReaders, until, wait_s: float, generation: int) -> None:
    first, second = (replace(one, generation=generation, slow_ms=0) for one in PEOPLE[:2])

    async def run() -> None:
        async with PcscReaders() as readers:
            for before in range(APDUS_OF_A_READING[generation]):
                virtual.insert(A, first)
                await until(readers, lambda states: states[0].card_present)
                async with readers.card(readers.states[0].name) as wire:
                    swapped = Swapped(wire, before, lambda: virtual.insert(A, second), wait_s)
                    with pytest.raises(CardAbsent):
                        await read_card(swapped, KEYS)
                    assert swapped.sent == before + 1, "nothing more was sent after the swap"
                    with pytest.raises(CardAbsent):
                        await wire.transmit(bytes.fromhex("00B2080000"))
                virtual.pull(A)
                await until(readers, lambda states: not states[0].card_present)
                virtual.settle()

    asyncio.run(run())


@pytest.mark.parametrize("generation", [2, 3])
def test_a_swap_before_any_command_ends_the_reading_on_the_simulated_wire_too(generation: int) -> None:
    first, second = (replace(one, generation=generation, slow_ms=0) for one in PEOPLE[:2])

    async def run() -> None:
        async with SimulatedReaders(readers=[A]) as readers:
            for before in range(APDUS_OF_A_READING[generation]):
                readers.insert(A, first)
                async with readers.card(A) as wire:
                    swapped = Swapped(wire, before, lambda: readers.insert(A, second), 0)
                    with pytest.raises(CardAbsent):
                        await read_card(swapped, KEYS)
                    assert swapped.sent == before + 1, "nothing more was sent after the swap"

    asyncio.run(run())


def test_a_reading_of_a_whole_card_has_as_many_commands_as_these_tests_swap_before() -> None:
    async def run(generation: int) -> int:
        async with SimulatedReaders(readers=[A]) as readers:
            readers.insert(A, replace(PEOPLE[0], generation=generation))
            async with readers.card(A) as wire:
                counted = Swapped(wire, -1, lambda: None, 0)
                await read_card(counted, KEYS)
                return counted.sent

    assert {generation: asyncio.run(run(generation)) for generation in APDUS_OF_A_READING} == APDUS_OF_A_READING


def test_a_reader_that_counted_another_card_ends_the_reading(virtual: VirtualReaders, until, monkeypatch) -> None:
    """pcscd ends a connection by itself when the card goes; this holds where it would not."""
    from devices import pcsc_card

    counted = pcsc_card.pcsc.card_events

    async def run() -> None:
        async with PcscReaders() as readers:
            virtual.insert(A, PEOPLE[0])
            await until(readers, lambda states: states[0].card_present)
            async with readers.card(readers.states[0].name) as wire:
                monkeypatch.setattr(pcsc_card.pcsc, "card_events", lambda *asked: counted(*asked) + 2)
                with pytest.raises(CardAbsent):
                    await read_card(wire)
                monkeypatch.undo()
                with pytest.raises(CardAbsent):
                    await read_card(wire)

    asyncio.run(run())


def test_on_a_machine_that_stands_still_a_pulled_card_is_not_called_mute(virtual: VirtualReaders, until, monkeypatch) -> None:
    """Called mute instead, the card would be reset, and the reset would reach the one that is in by then."""
    from devices import pcsc_card

    stalled = SimpleNamespace(monotonic=time.monotonic, sleep=lambda wanted_s: time.sleep(max(1.0, wanted_s)))
    monkeypatch.setattr(pcsc_card, "time", stalled)

    async def run() -> None:
        async with PcscReaders() as readers:
            virtual.insert(A, replace(PEOPLE[0], pull_after=3))
            await until(readers, lambda states: states[0].card_present)
            async with readers.card(readers.states[0].name) as wire:
                with pytest.raises(CardAbsent):
                    await read_card(wire)

    asyncio.run(run())


class SwappedUnseen:
    """A wire that does not notice the other card, which is powered at once: only the cards themselves are left to tell."""

    reader, simulated = A, True

    def __init__(self, first: CardText, second: CardText, before: int) -> None:
        self._chip, self._other, self._before = VirtualChip(first), VirtualChip(second), before
        self.atr = self._chip.power_up() or b""
        self._other.power_up()
        self._sent = 0

    async def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if self._sent == self._before:
            self._chip = self._other
        self._sent += 1
        return transmit(lambda command: self._chip.exchange(bytes(command)) or b"", apdu)


@pytest.mark.parametrize("generation", [2, 3])
def test_a_swap_that_no_reader_notices_still_mixes_nobody(generation: int) -> None:
    first, second = (replace(one, generation=generation, slow_ms=0) for one in PEOPLE[:2])
    for before in range(1, APDUS_OF_A_READING[generation]):
        with pytest.raises(DeviceError):
            asyncio.run(read_card(SwappedUnseen(first, second, before), KEYS))


def test_a_card_that_lets_another_prove_itself_in_its_place_is_not_read() -> None:
    """Both cards have the application and EF06 selected: what keeps them apart is who was authenticated."""
    first, second = (replace(one, generation=3, slow_ms=0) for one in PEOPLE[:2])

    class Selected(SwappedUnseen):
        async def transmit(self, apdu: bytes) -> tuple[bytes, int]:
            if apdu[1] == 0xA4:
                transmit(lambda command: self._other.exchange(bytes(command)) or b"", apdu)
            return await super().transmit(apdu)

    select_holder = APDUS_OF_A_READING[3] - 8
    for before in range(select_holder, APDUS_OF_A_READING[3]):
        with pytest.raises(DeviceError):
            asyncio.run(read_card(Selected(first, second, before), KEYS))


@pytest.mark.parametrize("generation", [2, 3])
def test_random_swaps_never_mix_two_people(virtual: VirtualReaders, until, generation: int) -> None:
    seed = 20261121
    stop = threading.Event()

    def swap_on() -> None:
        chance = random.Random(seed)
        while not stop.wait(chance.random() * SWAP_PAUSE_MAX_S):
            virtual.insert(A, replace(chance.choice(PEOPLE), generation=generation))

    def enough(endings: Counter[str]) -> bool:
        return min(endings["read"], endings["CardAbsent"]) > SEEN_MIN

    async def run() -> Counter[str]:
        endings: Counter[str] = Counter()
        async with PcscReaders() as readers:
            await until(readers, lambda states: states[1].card_present)
            name, psam = (one.name for one in readers.states)
            keys = PsamSlot(readers, psam, {Algorithm(PSAM.algorithm): PSAM.keys})
            began = time.monotonic()
            while time.monotonic() - began < (SWAPPING_S if enough(endings) else SWAPPING_MAX_S):
                try:
                    async with SocialCardDriver(readers, name, keys=keys) as driver:
                        card = (await driver.read()).data
                    assert is_one_person(card), f"mixed with seed {seed}"
                    assert card.authenticated is (generation == 3)
                    endings["read"] += 1
                except DeviceError as error:
                    endings[type(error).__name__] += 1
                    endings[error.state] += 1
        return endings

    virtual.insert(B, PSAM)
    swapper = threading.Thread(target=swap_on)
    swapper.start()
    try:
        endings = asyncio.run(run())
    finally:
        stop.set()
        swapper.join(SWAPPING_S)
    assert enough(endings), endings
    assert endings[DeviceState.POTENTIAL_FRAUD] == 0, f"a swap is no imitation: {endings}"
