"""The PIN over the commands of a counter: each of them has a driver of its own, the card is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from devices.card_pin import LAST_TRY, MAYBE_LAST, PinRefused
from devices.contract import CardAbsent
from devices.simulated.card import CardText
from devices.simulated.wire import SimulatedReaders
from edge.equipment.card_source import CardReaderSource
from edge.equipment.commands import Commands, Order
from edge.equipment.equipment import Equipment
from tests.spine import CEILING_S, HandClock

SILENT = CardText(pin="123456", pin_tries=3, empty_verify=False)  # says its tries only when a PIN was wrong
Pin = Callable[..., Awaitable[str]]


def at(act: Callable[[SimulatedReaders, Pin], Awaitable[None]]) -> None:
    async def come() -> None:
        async with asyncio.timeout(CEILING_S), SimulatedReaders(readers=("R1", "R2")) as readers:
            equipment = Equipment([CardReaderSource(readers, simulated=True)], HandClock(), lambda view: None)
            commands = Commands(equipment, lambda reading: None)

            async def pin(digits: str, reader: str = "R1", **values: bool) -> str:
                """The name on the card, or why not."""
                try:
                    order = Order(reader, "read-with-pin", "窗口1", 2 * CEILING_S, values={"pin": digits, **values})
                    return str((await commands.run(order)).data.name)
                except PinRefused as error:
                    return error.hint

            running = asyncio.create_task(equipment.run())
            try:
                while len(equipment.views) < 2:
                    await equipment.changed(equipment.generation)
                await act(readers, pin)
            finally:
                running.cancel()
                await asyncio.wait([running])

    asyncio.run(come())


def test_the_last_try_is_kept_over_commands_and_readers_for_whoever_says_so() -> None:
    async def act(readers: SimulatedReaders, pin: Pin) -> None:
        readers.insert("R1", SILENT)
        assert "还能试 2 次" in await pin("000000")
        assert "还能试 1 次" in await pin("000000")
        assert await pin("123456") == LAST_TRY
        readers.pull("R1")
        readers.insert("R2", replace(SILENT, pin_tries=1))
        assert await pin("123456", "R2") == LAST_TRY
        assert await pin("123456", "R2", last_try=True) == "张三"
        assert await pin("123456", "R2") == "张三"

    at(act)


def test_where_a_card_never_says_its_tries_a_second_one_is_for_whoever_says_so() -> None:
    async def act(readers: SimulatedReaders, pin: Pin) -> None:
        readers.insert("R1", replace(SILENT, tells_tries=False))
        assert "卡片没有说" in await pin("000000")
        assert await pin("123456") == MAYBE_LAST
        assert await pin("123456", last_try=True) == "张三"

    at(act)


def test_a_try_whose_answer_was_lost_counts_as_used() -> None:
    async def act(readers: SimulatedReaders, pin: Pin) -> None:
        readers.insert("R1", SILENT)
        assert "还能试 2 次" in await pin("000000")
        readers.insert("R1", replace(SILENT, pin_tries=2, t0=False, pull_after=5))  # before its answer to VERIFY is out
        with pytest.raises(CardAbsent):
            await pin("000000")
        readers.insert("R1", replace(SILENT, pin_tries=1))
        assert await pin("123456") == LAST_TRY

    at(act)


def test_another_persons_tries_are_not_taken_for_a_cards() -> None:
    async def act(readers: SimulatedReaders, pin: Pin) -> None:
        readers.insert("R1", replace(SILENT, pin_tries=2))
        assert "还能试 1 次" in await pin("000000")
        readers.insert("R1", replace(SILENT, name="李四", card_number="B87654321"))
        assert await pin("123456") == "李四"

    at(act)


def test_a_pin_waits_for_no_card_as_the_next_one_may_be_another_persons() -> None:
    async def act(readers: SimulatedReaders, pin: Pin) -> None:
        waiting = asyncio.ensure_future(pin("000000"))
        with pytest.raises(CardAbsent):
            async with asyncio.timeout(CEILING_S / 2):  # the command has much longer
                await waiting
        readers.insert("R1", replace(SILENT, pin_tries=1))
        assert await pin("123456") == "张三"

    at(act)
