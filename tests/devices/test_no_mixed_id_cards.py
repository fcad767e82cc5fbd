"""Whatever is swapped whenever, on readers that hold to one card and on those that do not: a reading is one person or none."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from devices import id_card, id_card_line
from devices.contract import DeviceError
from devices.id_card import BETWEEN_READS_MAX_S, IdCardDriver, read_card
from devices.id_card_fields import IdCard
from devices.id_card_fields import id_card as card_of
from devices.id_card_frames import ANSWER_MAX_BYTES, FIND, READ_WITH_FINGERPRINTS, Answer, encode
from devices.id_card_line import Bauds, CardLine
from devices.id_number import id_check
from devices.simulated.id_card import reading_of
from devices.simulated.id_reader import ReaderText, VirtualIdReader, parse
from tests.devices.stands import id_card as stands
from tests.devices.stands.id_card import IdCardStand

FAMILY = "赵钱孙李周吴郑王"
COMMANDS_OF_A_READING = 6
FIRST_READING, ADDRESS = 2, 3  # of them
SWAPPING_S = 2.0
SWAPPING_MAX_S = 40.0
HAND_MIN_S = 0.3  # to take one card away and lay another; two are more than BETWEEN_READS_MAX_S
TEST_MAX_S = 60.0
SEED = 20261121
DISTURBANCES = [
    "",
    "",
    "pace = true",
    "doubled = true\nslow_ms = 3",
    "noise = '00AAFF'\nslow_ms = 2",
    "split = 50\nslow_ms = 2",
    "slow_ms = 3",
    "corrupt_every = 9",
]


def person(number: int, *, careless: bool = False, disturbance: str = "slow_ms = 1") -> str:
    """Everything about one person differs from everybody else's; every second has a newer address than the printed one."""
    first17 = f"4107821990{number + 1:02}{number + 10:02}{number:03}"
    newest = f"newest_address = '新址{number}号'\n" if number % 2 else ""
    return (
        f"name = '{FAMILY[number] * (number + 1)}'\nid_number = '{first17}{id_check(first17)}'\naddress = '{number}号'\n"
        f"{newest}nation = '{number + 1:02}'\nvalid_from = '2015010{number + 1}'\nvalid_to = '2035010{number + 1}'\n"
        f"authority = '{number}局'\n[reader]\ncareless = {str(careless).lower()}\n{disturbance}\n"
    )


def whole(number: int) -> IdCard:
    card = parse(person(number))[1]
    assert card is not None
    return card_of(reading_of(card, fingerprints=True), card.newest_address or None)


PEOPLE = [whole(number) for number in range(len(FAMILY))]


def enough(endings: Counter[str]) -> bool:
    """To say that cards were read, and that others were not."""
    return endings["read"] > 10 and endings.total() > endings["read"]


@dataclass
class Hands:
    """A reader whose cards are changed just before some commands, each time by the next of `people`."""

    line: CardLine
    stand: IdCardStand
    careless: bool
    swaps: dict[int, int]
    takes_s: float = 0.0
    asked: int = 0
    reading_s: float = 0.0
    pauses_s: dict[int, float] = field(default_factory=dict)  # after so many commands

    async def ask(self, command: bytes) -> Answer:
        if self.asked in self.swaps:
            self.stand.lay(person(self.swaps[self.asked], careless=self.careless))
            await asyncio.sleep(self.takes_s)
        self.asked += 1
        answer = await self.line.ask(command)
        await asyncio.sleep(self.pauses_s.get(self.asked, 0))
        return answer


async def read_with(
    stand: IdCardStand,
    *,
    careless: bool,
    swaps: dict[int, int],
    takes_s: float = 0.0,
    pauses_s: dict[int, float] | None = None,
) -> IdCard | None:
    """The reading of person 1 during which `swaps` happen; None when there was none."""
    stand.lay(person(1, careless=careless))
    async with stand.driver(fingerprints=True) as driver:
        assert driver._line is not None
        await driver._line.ask(FIND)
        hands = Hands(driver._line, stand, careless, swaps, takes_s, pauses_s=pauses_s or {})
        try:
            return await read_card(hands, READ_WITH_FINGERPRINTS)  # type: ignore[arg-type]
        except id_card._NotRead:
            return None


@pytest.mark.parametrize("careless", [False, True], ids=["holds to one card", "reads what lies there"])
@pytest.mark.parametrize("other", [2, 3], ids=["an older address", "a newer address"])
def test_a_swap_before_any_command_gives_one_person_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, careless: bool, other: int
) -> None:
    monkeypatch.setattr(id_card, "BETWEEN_READS_MAX_S", TEST_MAX_S)  # it is not the time that tells here

    async def act() -> None:
        async with asyncio.timeout(TEST_MAX_S), stands.stand(tmp_path) as stand:
            got = [
                await read_with(stand, careless=careless, swaps={before: other})
                for before in range(COMMANDS_OF_A_READING)
            ]
        before_reading = PEOPLE[other] if careless else None
        assert got == [before_reading, before_reading, None, None, None, PEOPLE[1]]

    asyncio.run(act())


def test_a_card_changed_and_changed_back_beside_the_address_is_no_reading(tmp_path: Path) -> None:
    async def act() -> None:
        async with asyncio.timeout(TEST_MAX_S), stands.stand(tmp_path) as stand:
            for other in (2, 3):
                assert await read_with(stand, careless=False, swaps={2: other, 3: 1}) is None
                assert await read_with(stand, careless=True, swaps={2: other, 3: 1}, takes_s=HAND_MIN_S) is None

    assert 2 * HAND_MIN_S > BETWEEN_READS_MAX_S
    asyncio.run(act())


def test_a_machine_that_stands_still_in_the_first_reading_leaves_no_hand_more_time(tmp_path: Path) -> None:
    async def act() -> None:
        async with asyncio.timeout(TEST_MAX_S), stands.stand(tmp_path) as stand:
            swaps = {FIRST_READING: 3, ADDRESS: 1, ADDRESS + 1: 3}  # the other's address both times
            pauses_s = {FIRST_READING: HAND_MIN_S * 2, ADDRESS: HAND_MIN_S * 2}
            assert await read_with(stand, careless=True, swaps=swaps, pauses_s=pauses_s) is None

    asyncio.run(act())


@pytest.mark.parametrize(("careless", "pause_min_s"), [(False, 0.0), (True, 0.08)])
def test_random_swaps_never_mix_two_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, careless: bool, pause_min_s: float
) -> None:
    """Hands and all else a few times faster than they are."""
    monkeypatch.setattr(id_card, "POLL_S", 0.005)
    monkeypatch.setattr(id_card, "BETWEEN_READS_MAX_S", 0.04)
    monkeypatch.setattr(id_card, "READING_MAX_S", 0.03 - ANSWER_MAX_BYTES * 10 / 115200)
    monkeypatch.setattr(id_card, "TRIES_MAX", 1)  # else it is simply the next card that is read
    monkeypatch.setattr(id_card_line, "QUIET_S", 0.01)
    chance = random.Random(SEED)
    endings: Counter[str] = Counter()

    async def swap_on(stand: IdCardStand) -> None:
        while True:
            number, disturbance = chance.randrange(len(FAMILY)), chance.choice(DISTURBANCES)
            stand.lay(person(number, careless=careless, disturbance=disturbance))
            await asyncio.sleep(pause_min_s + chance.random() * 0.1)

    async def act() -> None:
        async with asyncio.timeout(TEST_MAX_S), stands.stand(tmp_path) as stand:
            async with stand.driver(fingerprints=True) as driver:
                swapping = asyncio.create_task(swap_on(stand))
                began = time.monotonic()
                while time.monotonic() - began < (SWAPPING_S if enough(endings) else SWAPPING_MAX_S):
                    try:
                        card = (await driver.read()).data
                        assert card in PEOPLE, f"mixed with seed {SEED}"
                        endings["read"] += 1
                    except DeviceError as error:
                        endings[type(error).__name__] += 1
            swapping.cancel()
            await asyncio.wait([swapping])

    asyncio.run(act())
    assert enough(endings), endings
    assert endings["CardAbsent"] + endings["CardRefused"] + endings["DeviceFault"] > 0, endings


class NoisyWire:
    """A reader whose answers suffer on their way, and whose cards are changed at any moment."""

    simulated = True

    def __init__(self, reader: VirtualIdReader, chance: random.Random, swap: Callable[[], None]) -> None:
        self._reader, self._chance, self._swap = reader, chance, swap
        self._came = asyncio.Event()
        self._unread = b""

    async def write(self, data: bytes) -> None:
        self._swap()
        self._unread += b"".join(self._spoilt(encode(content)) for content in self._reader.hear(data))
        self._came.set()

    async def read(self) -> bytes:
        while not self._unread:
            self._came.clear()
            await self._came.wait()
        size = self._chance.randint(1, len(self._unread))
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def discard(self) -> None:
        self._unread = b""

    def _spoilt(self, frame: bytes) -> bytes:
        """A stretch of it is wrong, twice (so that the check may be right), lost, or there twice."""
        if self._chance.random() < 0.8:
            return frame
        at, size = self._chance.randrange(len(frame)), self._chance.choice([1, 2, 4, 30, 300])
        before, stretch, after = frame[:at], frame[at : at + size], frame[at + size :]
        wrong = bytes(byte ^ 0x20 for byte in stretch)
        return self._chance.choice([
            before + wrong + after,
            before + wrong + bytes(byte ^ 0x20 for byte in after[: len(wrong)]) + after[len(wrong) :],
            before + after,
            before + stretch + stretch + after,
            frame + frame,
            before + self._chance.randbytes(len(stretch)) + after,
        ])  # fmt: skip

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@pytest.mark.parametrize("careless", [False, True], ids=["holds to one card", "reads what lies there"])
def test_whatever_the_line_does_a_reading_is_one_person_or_none(
    monkeypatch: pytest.MonkeyPatch, careless: bool
) -> None:
    for limit, value in (("SAM_ID_MAX_S", 0.005), ("ANSWER_MAX_S", 0.0), ("QUIET_S", 0.002)):
        monkeypatch.setattr(id_card_line, limit, value)
    monkeypatch.setattr(id_card, "POLL_S", 0.0)
    chance = random.Random(SEED)
    endings: Counter[str] = Counter()
    reader = VirtualIdReader(ReaderText(careless=careless))
    swapped = False

    def swap() -> None:
        nonlocal swapped
        if not (careless and swapped) and chance.random() < 0.1:  # two would take a hand longer than the driver allows
            card = parse(person(chance.randrange(len(FAMILY))))[1]
            assert card is not None
            reader.lay(card)
            swapped = True

    async def act() -> None:
        nonlocal swapped
        began = time.monotonic()
        while time.monotonic() - began < (SWAPPING_S if enough(endings) else SWAPPING_MAX_S):
            swapped = False
            try:
                driver = IdCardDriver(
                    "窗口1", lambda _baud: NoisyWire(reader, chance, swap), Bauds(), fingerprints=True
                )
                async with asyncio.timeout(1.0), driver:
                    assert (await driver.read()).data in PEOPLE, f"not a person, with seed {SEED}"
                endings["read"] += 1
            except (DeviceError, TimeoutError) as error:
                endings[type(error).__name__] += 1

    asyncio.run(act())
    assert enough(endings), endings
