"""Whole cards through the driver, on the simulated wire and on a real pcscd: both must say the same."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.cards import CardReaders
from devices.contract import CardRefused, DeviceFault, DeviceState, Reading
from devices.simulated.card import CardText
from devices.social_card import SocialCard, SocialCardDriver, read_card

A = "Suozhan Virtual A"
OBSERVED = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
WITH_CARD = Callable[[CardText], AbstractAsyncContextManager[CardReaders]]


@pytest.fixture
def with_card(with_chips) -> WITH_CARD:
    """Readers of which the first holds the card."""
    return lambda text: with_chips({A: text})


def reading_of(with_card: WITH_CARD, text: CardText) -> Reading[SocialCard]:
    async def run() -> Reading[SocialCard]:
        async with with_card(text) as readers:
            name = readers.states[0].name
            async with SocialCardDriver(readers, name, now=lambda: OBSERVED) as driver:
                return await driver.read()

    return asyncio.run(run())


@pytest.mark.parametrize("t0", [True, False], ids=["with 61xx and 6Cxx", "without"])
@pytest.mark.parametrize("generation", [1, 2])
def test_a_whole_card_is_read(with_card: WITH_CARD, zhang: CardText, generation: int, t0: bool) -> None:
    reading = reading_of(with_card, replace(zhang, generation=generation, t0=t0))
    card = reading.data
    assert (card.name, card.id_number, card.card_number) == ("张三", "11010519491231002X", "A12345678")
    assert (card.sex, card.nation, card.birthplace, card.birth) == ("1", "01", "410700", date(1949, 12, 31))
    assert (card.issued, card.expires) == (date(2015, 6, 1), date(2035, 6, 1))
    assert (card.generation, card.version) == (generation, f"{generation}.00")
    assert (reading.kind, reading.simulated, reading.observed_at) == ("social-card", True, OBSERVED)


def test_a_long_name_is_joined_from_its_extension(with_card: WITH_CARD, zhang: CardText) -> None:
    name = "A买买提艾力江阿卜杜热合曼图尔荪吐尔逊"
    assert reading_of(with_card, replace(zhang, name=name)).data.name == name


@pytest.mark.parametrize(
    ("change", "hint"),
    [({"other": True}, "这不是社会保障卡"), ({"generation": 3}, "第三代"), ({"mute": True}, "没有应答")],
    ids=["another card", "generation 3", "mute"],
)
def test_a_card_that_cannot_be_read_here_is_refused(with_card: WITH_CARD, zhang, change, hint: str) -> None:
    with pytest.raises(CardRefused, match=hint) as refused:
        reading_of(with_card, replace(zhang, **change))
    assert refused.value.state is DeviceState.USER_ERROR


@pytest.mark.parametrize("answer", ["6A82", "6A86", "6D00", "6E00"])
def test_a_chip_that_does_not_know_the_first_command_is_another_card(with_card: WITH_CARD, zhang, answer: str) -> None:
    with pytest.raises(CardRefused, match="这不是社会保障卡"):
        reading_of(with_card, replace(zhang, other=True, other_answer=answer))


def test_a_wrong_id_number_on_the_card_is_a_fault(with_card: WITH_CARD, zhang: CardText) -> None:
    with pytest.raises(DeviceFault, match="社会保障号码"):
        reading_of(with_card, replace(zhang, id_number="110105194912310021"))


def test_a_birthday_that_is_not_the_id_number_s_is_read_as_it_stands(with_card: WITH_CARD, zhang: CardText) -> None:
    """A lunar one, in the files of old people (docs/decisions/0009)."""
    card = reading_of(with_card, replace(zhang, birth="19491230")).data
    assert (card.id_number[6:14], f"{card.birth:%Y%m%d}") == ("19491231", "19491230")


def test_two_readings_of_the_same_card_stay_two(with_card: WITH_CARD, zhang: CardText) -> None:
    first, second = reading_of(with_card, zhang), reading_of(with_card, zhang)
    assert first.data == second.data
    assert first.id != second.id


def test_nothing_that_is_logged_tells_who_it_is(with_card: WITH_CARD, zhang: CardText) -> None:
    reading = reading_of(with_card, zhang)
    said = f"{reading!r} {reading} {reading.data!r} {reading.data}"
    assert "张" not in said
    assert "1949" not in said
    assert "A12345678" not in said


class RandomCard:
    """Answers every command with what it was given; once the application is selected, if asked so."""

    reader, atr, simulated = "random", b"", True

    def __init__(self, answers: list[tuple[bytes, int]]) -> None:
        self._answers = answers
        self._next = 0

    async def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self._next += 1
        return self._answers[self._next % len(self._answers)]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.binary(max_size=40), st.sampled_from([0x9000, 0x9000, 0x6A82, 0x6982])), min_size=1))
def test_a_card_of_random_answers_is_refused_or_a_fault(answers: list[tuple[bytes, int]]) -> None:
    with pytest.raises((CardRefused, DeviceFault)):
        asyncio.run(read_card(RandomCard(answers)))
