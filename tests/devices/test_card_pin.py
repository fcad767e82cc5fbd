"""The PIN: tries are told before one is used up, the last one is never used by mistake, and the digits are nowhere left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.apdu import Command, transmit
from devices.card_pin import CARDS_MAX, VERIFY, Pin, PinCheck, PinRefused, ToldTries, packed
from devices.contract import CardAbsent, CardRefused, DeviceFault, DeviceUnavailable
from devices.simulated.card import CardText
from devices.simulated.chip import VirtualChip
from devices.simulated.wire import SimulatedReaders
from devices.social_card import SocialCardDriver
from devices.social_card_files import SELECT_APPLICATION

A = "Suozhan Virtual A"
RIGHT, WRONG = b"123456", b"654321"
CARD = CardText(pin=RIGHT.decode())
MOST = 6


def on(with_chips, card: CardText, act: Callable[[SocialCardDriver], Awaitable[None]]) -> None:
    async def run() -> None:
        async with with_chips({A: card}) as readers, SocialCardDriver(readers, readers.states[0].name) as driver:
            await act(driver)

    asyncio.run(run())


async def refused(driver: SocialCardDriver, pin: bytes, *, last_try: bool = False) -> PinRefused:
    digits = bytearray(pin)
    with pytest.raises(PinRefused) as raised:
        await driver.verify_pin(digits, last_try=last_try)
    assert digits == bytes(len(pin))
    assert pin.decode() not in f"{raised.value!r} {raised.value}"
    return raised.value


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_the_right_pin_is_right_and_reading_goes_on_afterwards(with_chips, generation: int) -> None:
    async def act(driver: SocialCardDriver) -> None:
        assert await driver.pin_tries() == MOST
        digits = bytearray(RIGHT)
        await driver.verify_pin(digits)
        assert digits == bytes(6)
        assert await driver.pin_tries() == MOST
        if generation < 3:
            assert (await driver.read()).data.name == "张三"

    on(with_chips, replace(CARD, generation=generation), act)


def test_asking_for_the_tries_uses_none_up(with_chips) -> None:
    async def act(driver: SocialCardDriver) -> None:
        assert [await driver.pin_tries() for _ in range(MOST + 1)] == [MOST] * (MOST + 1)

    on(with_chips, CARD, act)


def test_a_wrong_pin_says_how_many_tries_are_left_and_a_right_one_gives_all_back(with_chips) -> None:
    async def act(driver: SocialCardDriver) -> None:
        for left in (5, 4):
            error = await refused(driver, WRONG)
            assert error.tries_left == left
            assert f"还能试 {left} 次" in error.hint
            assert await driver.pin_tries() == left
        await driver.verify_pin(bytearray(RIGHT))
        assert await driver.pin_tries() == MOST

    on(with_chips, CARD, act)


def test_the_last_try_is_used_by_nobody_who_did_not_say_so(with_chips) -> None:
    async def act(driver: SocialCardDriver) -> None:
        for pin in (RIGHT, WRONG, RIGHT):
            error = await refused(driver, pin)
            assert (error.tries_left, "只能再试 1 次" in error.hint) == (1, True)
            assert isinstance(error, CardRefused)
            assert await driver.pin_tries() == 1
        await driver.verify_pin(bytearray(RIGHT), last_try=True)
        assert await driver.pin_tries() == MOST

    on(with_chips, replace(CARD, pin_tries=1), act)


def test_six_wrong_pins_lock_the_card_and_then_the_right_one_does_not_open_it(with_chips) -> None:
    async def act(driver: SocialCardDriver) -> None:
        told = [(await refused(driver, WRONG, last_try=number == MOST - 1)).tries_left for number in range(MOST)]
        assert told == [5, 4, 3, 2, 1, 0]
        assert await driver.pin_tries() == 0
        error = await refused(driver, RIGHT, last_try=True)
        assert (error.tries_left, "已锁定" in error.hint) == (0, True)

    on(with_chips, CARD, act)


def test_a_lock_outlasts_another_connection(with_chips) -> None:
    async def run() -> None:
        async with with_chips({A: replace(CARD, pin_tries=1)}) as readers:
            name = readers.states[0].name
            async with SocialCardDriver(readers, name) as driver:
                assert (await refused(driver, WRONG, last_try=True)).tries_left == 0
            async with SocialCardDriver(readers, name) as driver:
                assert await driver.pin_tries() == 0
                assert (await driver.read()).data.name == "张三", "the card can still be read"

    asyncio.run(run())


def test_a_card_that_does_not_tell_without_a_try_is_unknown_until_it_has_told(with_chips) -> None:
    async def act(driver: SocialCardDriver) -> None:
        assert await driver.pin_tries() is None
        assert (await refused(driver, WRONG)).tries_left == 1
        assert await driver.pin_tries() == 1
        assert "只能再试 1 次" in (await refused(driver, RIGHT)).hint
        await driver.verify_pin(bytearray(RIGHT), last_try=True)
        assert await driver.pin_tries() is None

    on(with_chips, replace(CARD, pin_tries=2, empty_verify=False), act)


def test_a_card_that_never_tells_stays_unknown_and_says_when_it_is_locked(with_chips) -> None:
    async def act(driver: SocialCardDriver) -> None:
        for last_try in (False, True):
            error = await refused(driver, WRONG, last_try=last_try)
            assert (error.tries_left, "卡片没有说" in error.hint) == (None, True)
            assert await driver.pin_tries() is None
        error = await refused(driver, RIGHT, last_try=True)
        assert (error.tries_left, "已锁定" in error.hint) == (0, True)

    on(with_chips, replace(CARD, pin_tries=2, empty_verify=False, tells_tries=False), act)


@pytest.mark.parametrize("digits", [b"", b"123", b"1" * 13, b"12 456", b"12345a", "１２３４".encode()])
def test_what_is_no_pin_never_reaches_the_card(with_chips, digits: bytes) -> None:
    async def act(driver: SocialCardDriver) -> None:
        given = bytearray(digits)
        with pytest.raises(DeviceFault, match="位数字"):
            await driver.verify_pin(given)
        assert given == bytes(len(digits))
        assert await driver.pin_tries() == MOST

    on(with_chips, CARD, act)


def test_a_card_that_is_pulled_is_absent_and_the_digits_are_gone(with_chips) -> None:
    async def act(driver: SocialCardDriver) -> None:
        digits = bytearray(RIGHT)
        with pytest.raises(CardAbsent):
            await driver.verify_pin(digits)
        assert digits == bytes(6)

    on(with_chips, replace(CARD, pull_after=2), act)


def test_a_card_that_is_another_application_is_refused_before_any_pin(with_chips) -> None:
    async def act(driver: SocialCardDriver) -> None:
        with pytest.raises(CardRefused, match="不是社会保障卡"):
            await driver.verify_pin(bytearray(RIGHT))

    on(with_chips, replace(CARD, other=True), act)


def test_a_driver_that_is_not_open_takes_no_pin() -> None:
    digits = bytearray(RIGHT)

    async def run() -> None:
        driver = SocialCardDriver(SimulatedReaders(readers=[A]), A)
        with pytest.raises(DeviceUnavailable):
            await driver.verify_pin(digits)
        with pytest.raises(DeviceUnavailable):
            await driver.pin_tries()

    asyncio.run(run())
    assert digits == bytes(6)


def test_the_digits_are_in_no_log_and_no_repr(with_chips, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def act(driver: SocialCardDriver) -> None:
        await refused(driver, WRONG)
        await driver.verify_pin(bytearray(RIGHT))

    on(with_chips, CARD, act)
    for secret in ("123456", "654321", "e\\x", "12 34 56", "65 43 21"):
        assert secret not in caplog.text
    pin = Pin(bytearray(RIGHT))
    assert "123456" not in f"{pin} {pin!r} {[pin]} {vars(pin)}"


class Kept:
    """A wire to a chip that keeps hold of the very buffers that were sent."""

    reader, atr, simulated = "kept", b"", True

    def __init__(self, text: CardText) -> None:
        self.chip = VirtualChip(text)
        self.chip.power_up()
        self.sent: list[Command] = []
        self.cancel_at: bytes | None = None
        self.asked = asyncio.Event()

    async def transmit(self, apdu: Command) -> tuple[bytes, int]:
        self.sent.append(apdu)
        if self.cancel_at is not None and len(apdu) > 5 and apdu.startswith(self.cancel_at):
            self.asked.set()
            await asyncio.Event().wait()
        return transmit(lambda command: self.chip.exchange(bytes(command)) or b"", apdu)


@pytest.mark.parametrize("ending", ["right", "wrong", "given up"])
def test_the_command_that_carried_the_digits_is_wiped_whatever_the_card_said(ending: str) -> None:
    wire = Kept(CARD)
    wire.cancel_at = VERIFY if ending == "given up" else None

    async def run() -> None:
        await wire.transmit(SELECT_APPLICATION)
        with Pin(bytearray(WRONG if ending == "wrong" else RIGHT)) as pin:
            await PinCheck(wire, ToldTries(), b"card").verify(pin, last_try=False)  # type: ignore[arg-type]

    async def given_up() -> None:
        running = asyncio.create_task(run())
        async with asyncio.timeout(30):
            await wire.asked.wait()
        running.cancel()
        await running

    if ending == "right":
        asyncio.run(run())
    elif ending == "wrong":
        with pytest.raises(PinRefused):
            asyncio.run(run())
    else:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(given_up())
    assert len(wire.sent) == 3
    assert wire.sent[-1] == bytes(8), "header and all, so that it is no VERIFY any more"


@pytest.mark.parametrize("left", [0, 1])
def test_a_pin_that_is_not_tried_does_not_leave_this_machine(left: int) -> None:
    wire = Kept(replace(CARD, pin_tries=left))

    async def run() -> None:
        await wire.transmit(SELECT_APPLICATION)
        with Pin(bytearray(RIGHT)) as pin:
            await PinCheck(wire, ToldTries(), b"card").verify(pin, last_try=left == 0)  # type: ignore[arg-type]

    with pytest.raises(PinRefused):
        asyncio.run(run())
    assert wire.sent[1:] == [VERIFY]


def test_what_cards_said_of_their_tries_is_kept_of_so_many_and_no_more() -> None:
    told = ToldTries()
    for card in range(CARDS_MAX + 1):
        told.keep(card.to_bytes(2, "big"), 1)
    assert (bytes(2) in told, b"\0\1" in told, told.left(CARDS_MAX.to_bytes(2, "big"))) == (False, True, 1)


@given(st.text(st.sampled_from("0123456789"), min_size=4, max_size=12))
def test_digits_are_packed_two_a_byte(digits: str) -> None:
    filled = digits + "F" * (len(digits) % 2)
    assert packed(bytearray(digits.encode())) == bytes.fromhex(filled)


@pytest.mark.parametrize("sw", [0x6F00, 0x6A88, 0x6985, 0x6D00])
def test_a_card_that_does_not_check_pins_is_a_fault_that_names_its_answer(sw: int) -> None:
    class Answering:
        async def transmit(self, apdu: Command) -> tuple[bytes, int]:
            return b"", sw

    async def run() -> None:
        with Pin(bytearray(RIGHT)) as pin:
            check = PinCheck(Answering(), ToldTries(), b"card")  # type: ignore[arg-type]
            assert await check.tries_left() is None
            await check.verify(pin, last_try=False)

    with pytest.raises(DeviceFault, match=f"{sw:04X}") as fault:
        asyncio.run(run())
    assert not isinstance(fault.value, CardRefused)
