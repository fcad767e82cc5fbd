"""A private pcscd with two virtual readers for the whole run: the PC/SC library takes its server once per process."""

import asyncio
import atexit
import os
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from devices import fingerprint_process, fingerprint_program
from devices.cards import CardReaders, ReaderState
from devices.simulated.card import CardText
from devices.simulated.chip import ChipText
from devices.simulated.pcscd import VirtualReaders, VirtualReadersError
from devices.simulated.wire import SimulatedReaders
from tests.devices.testbed.machine import Machine
from tests.devices.testbed.machine import machine as running_machine
from tests.installed import needs_program, needs_pyscard

READER_A, READER_B = "Suozhan Virtual A", "Suozhan Virtual B"
SEEN_MAX_S = 30.0
# Named before any test: whichever is the first in this process to call the library, it reads the name then, and never again.
SERVICE = Path(tempfile.mkdtemp(prefix="suozhan-pcsc-"))
os.environ["PCSCLITE_CSOCK_NAME"] = str(SERVICE / "pcscd.comm")
atexit.register(shutil.rmtree, SERVICE, ignore_errors=True)
THREADS_END_MAX_S = 30.0
ZHANG = CardText(name="张三", id_number="11010519491231002X", card_number="A12345678")
LI = CardText(name="李四", id_number="410782199001010025", card_number="B87654321", sex="2")

WithChips = Callable[[Mapping[str, ChipText]], AbstractAsyncContextManager[CardReaders]]
Seen = Callable[[CardReaders, Callable[[tuple[ReaderState, ...]], bool]], Awaitable[None]]


@pytest.fixture(scope="session")
def pcscd() -> Iterator[VirtualReaders]:
    with ExitStack() as running:
        try:
            virtual = running.enter_context(VirtualReaders(SERVICE, [READER_A, READER_B]))
        except VirtualReadersError as error:
            if os.geteuid() == 0:  # root may install what is missing, so nothing is left out
                raise
            pytest.skip(str(error))
        os.environ.update(virtual.environment)
        yield virtual


@pytest.fixture(scope="session")
def sane() -> None:
    """SANE with its test backend."""
    needs_program("scanimage", "sane-utils")


@pytest.fixture(scope="session")
def ipp_printer() -> None:
    """CUPS' printer of its own, and the bus that it does not start without."""
    needs_program("ippeveprinter", "cups-ipp-utils")
    needs_program("dbus-daemon", "dbus")


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


@pytest.fixture(scope="session")
def testbed() -> Iterator[Machine]:
    with running_machine() as one:
        yield one


@pytest.fixture
def machine(testbed: Machine) -> Iterator[Machine]:
    """One with devices that nobody has, none in the beginning; see tests/devices/testbed."""
    yield testbed
    testbed.clear()


@pytest.fixture
def until() -> Seen:
    """Wait, with a ceiling, until the states of the readers fulfil a condition."""

    async def until(readers: CardReaders, condition: Callable[[tuple[ReaderState, ...]], bool]) -> None:
        generation = -1
        async with asyncio.timeout(SEEN_MAX_S):
            while generation < 0 or not condition(readers.states):
                generation = await readers.changed(generation)

    return until


@pytest.fixture(params=["simulated wire", "real pcscd"])
def with_chips(request: pytest.FixtureRequest) -> WithChips:
    """Two readers, READER_A and READER_B being the first words of their names, with these chips in them."""
    if request.param == "simulated wire":

        @asynccontextmanager
        async def simulated(chips: Mapping[str, ChipText]) -> AsyncIterator[CardReaders]:
            async with SimulatedReaders(readers=[READER_A, READER_B]) as readers:
                for name, chip in chips.items():
                    readers.insert(name, chip)
                yield readers

        return simulated
    needs_pyscard()
    from devices.pcsc import PcscReaders

    virtual, until = request.getfixturevalue("virtual"), request.getfixturevalue("until")

    @asynccontextmanager
    async def real(chips: Mapping[str, ChipText]) -> AsyncIterator[CardReaders]:
        for name, chip in chips.items():
            virtual.insert(name, chip)
        async with PcscReaders() as readers:
            await until(readers, lambda states: sum(one.card_present for one in states) == len(chips))
            yield readers
        for name in chips:
            virtual.pull(name)
        virtual.settle()

    return real


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fingerprint program that is slow in letting go is not killed for it."""
    for limit in ("CANCEL_MAX_S", "CLOSE_MAX_S"):
        monkeypatch.setattr(fingerprint_process, limit, 30.0)
    monkeypatch.setattr(fingerprint_program, "KILL_MAX_S", 30.0)


@pytest.fixture
def reader_a() -> str:
    return f"{READER_A} 00 00"


@pytest.fixture
def zhang() -> CardText:
    return ZHANG


@pytest.fixture
def li() -> CardText:
    return LI
