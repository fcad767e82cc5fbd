"""Whatever is swapped whenever: a reading is one card or none."""

import asyncio
import random
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from devices.cards import CardWire
from devices.contract import CardAbsent, DeviceError
from devices.simulated.card import CardText
from devices.simulated.pcscd import VirtualReaders
from devices.social_card import SocialCard, SocialCardDriver, read_card
from devices.social_card_fields import id_check

pytest.importorskip("smartcard.scard", reason="pyscard is not installed")
from devices.pcsc import PcscReaders

A = "Suozhan Virtual A"
SWAPPING_S = 5.0
SWAP_PAUSE_MAX_S = 0.25
APDUS_OF_A_READING = 17
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
        self.reader, self.atr = wire.reader, wire.atr
        self._wire, self._before, self._swap, self._wait_s = wire, before, swap, wait_s
        self.sent = 0

    async def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if self.sent == self._before:
            self._swap()
            await asyncio.sleep(self._wait_s)
        self.sent += 1
        return await self._wire.transmit(apdu)


@pytest.mark.parametrize("wait_s", [0, 0.12], ids=["at once", "once the other card is powered"])
def test_a_swap_before_any_command_ends_the_reading(virtual: VirtualReaders, until, wait_s: float) -> None:
    async def run() -> None:
        async with PcscReaders() as readers:
            for before in range(APDUS_OF_A_READING):
                virtual.insert(A, PEOPLE[0])
                await until(readers, lambda states: states[0].card_present)
                async with readers.card(readers.states[0].name) as wire:
                    swapped = Swapped(wire, before, lambda: virtual.insert(A, replace(PEOPLE[1], slow_ms=0)), wait_s)
                    with pytest.raises(CardAbsent):
                        await read_card(swapped)
                    assert swapped.sent == before + 1, "nothing more was sent after the swap"
                    with pytest.raises(CardAbsent):
                        await wire.transmit(bytes.fromhex("00B2080000"))
                virtual.pull(A)
                await until(readers, lambda states: not states[0].card_present)
                virtual.settle()

    asyncio.run(run())


def test_random_swaps_never_mix_two_people(virtual: VirtualReaders) -> None:
    seed = 20261121
    stop = threading.Event()

    def swap_on() -> None:
        chance = random.Random(seed)
        while not stop.wait(chance.random() * SWAP_PAUSE_MAX_S):
            virtual.insert(A, chance.choice(PEOPLE))

    async def run() -> Counter[str]:
        endings: Counter[str] = Counter()
        async with PcscReaders() as readers:
            last_reading = time.monotonic() + SWAPPING_S
            while time.monotonic() < last_reading:
                try:
                    async with SocialCardDriver(readers, readers.states[0].name) as driver:
                        card = (await driver.read()).data
                    assert is_one_person(card), f"mixed with seed {seed}"
                    endings["read"] += 1
                except DeviceError as error:
                    endings[type(error).__name__] += 1
        return endings

    swapper = threading.Thread(target=swap_on)
    swapper.start()
    try:
        endings = asyncio.run(run())
    finally:
        stop.set()
        swapper.join(SWAPPING_S)
    assert endings["read"] > 10, endings
    assert endings["CardAbsent"] > 10, endings
