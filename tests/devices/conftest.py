"""A private pcscd with two virtual readers for the whole run: the PC/SC library takes its server once per process."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack

import pytest

from devices.cards import CardReaders, ReaderState
from devices.simulated.card import CardText
from devices.simulated.pcscd import VirtualReaders, VirtualReadersError

READER_A, READER_B = "Suozhan Virtual A", "Suozhan Virtual B"
SEEN_MAX_S = 5.0
THREADS_END_MAX_S = 3.0
ZHANG = CardText(name="张三", id_number="11010519491231002X", card_number="A12345678")
LI = CardText(name="李四", id_number="410782199001010025", card_number="B87654321", sex="2")

Seen = Callable[[CardReaders, Callable[[tuple[ReaderState, ...]], bool]], Awaitable[None]]


@pytest.fixture(scope="session")
def pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualReaders]:
    with ExitStack() as running:
        try:
            virtual = running.enter_context(VirtualReaders(tmp_path_factory.mktemp("pcscd"), [READER_A, READER_B]))
        except VirtualReadersError as error:
            if os.geteuid() == 0:  # root may install what is missing, so nothing is left out
                raise
            pytest.skip(str(error))
        os.environ.update(virtual.environment)
        yield virtual


@pytest.fixture
def virtual(pcscd: VirtualReaders) -> Iterator[VirtualReaders]:
    """Both readers plugged and empty before and after; no thread of ours left behind."""
    before = set(threading.enumerate())
    yield pcscd
    for reader in (READER_A, READER_B):
        pcscd.unhang(reader)
        pcscd.plug(reader)
        pcscd.pull(reader)
    pcscd.settle()
    ours = {"pcsc", "reader"}
    last_look = time.monotonic() + THREADS_END_MAX_S
    while left := [t.name for t in set(threading.enumerate()) - before if t.name.split()[0] in ours]:
        assert time.monotonic() < last_look, f"threads left behind: {left}"
        time.sleep(0.01)


@pytest.fixture
def until() -> Seen:
    """Wait, with a ceiling, until the states of the readers fulfil a condition."""

    async def until(readers: CardReaders, condition: Callable[[tuple[ReaderState, ...]], bool]) -> None:
        generation = -1
        async with asyncio.timeout(SEEN_MAX_S):
            while generation < 0 or not condition(readers.states):
                generation = await readers.changed(generation)

    return until


@pytest.fixture
def reader_a() -> str:
    return f"{READER_A} 00 00"


@pytest.fixture
def zhang() -> CardText:
    return ZHANG


@pytest.fixture
def li() -> CardText:
    return LI
