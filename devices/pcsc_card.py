"""One card in one PC/SC reader: connection, transaction and APDUs, in a thread that belongs to the reader."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from devices import apdu as short_apdu
from devices import pcsc_calls as pcsc
from devices.apdu import Command
from devices.contract import DeviceError, DeviceFault, DeviceIdentity, DeviceState, DeviceUnavailable
from devices.pcsc_identity import identity_of
from devices.reader_names import identity_in
from devices.sdk_thread import SdkThread

ANSWER_MAX_S = 8.0  # for one command; a slow card asks for more time for up to about 5 s
LET_GO_MAX_S = 1.0
REMOVAL_LOOKS, REMOVAL_POLL_S = 30, 0.05  # pcscd asks a reader without interrupts every 0.4 s whether the card is there
T = TypeVar("T")
HUNG = "读卡器没有应答。请拔下读卡器重新插上；仍不行请报修。"
BUSY = "读卡器正在读另一张卡。请等读完再试。"


class Connection:
    """The blocking side. Every method runs in the reader's thread. Once an exchange failed, all fail."""

    def __init__(self, reader: str) -> None:
        self._reader = reader
        self.identity = identity_in(reader)
        self._context: int | None = None
        self._card: tuple[int, int] | None = None
        self._events = 0
        self._ended: DeviceError | None = None

    def open(self) -> bytes:
        """Connect and begin the transaction; returns the ATR.

        A context from before pcscd was restarted is dead, which only shows here: then once more with a new one.
        """
        inherited = self._context is not None
        try:
            return self._open()
        except pcsc.PcscError as error:
            ending = self._end(error)
            if not (inherited and error.service_gone):
                raise ending from error
        try:
            return self._open()
        except pcsc.PcscError as error:
            raise self._end(error) from error

    def _open(self) -> bytes:
        self._ended = None
        if self._context is None:
            self._context = pcsc.establish()
        self._card = pcsc.connect(self._context, self._reader)
        pcsc.begin(self._card[0])
        self._events = pcsc.card_events(self._context, self._reader)
        self.identity = identity_of(self._reader, self._card[0])
        return pcsc.card_atr(self._card[0])

    def transmit(self, command: Command) -> tuple[bytes, int]:
        return short_apdu.transmit(self._exchange, command)

    def let_go(self) -> None:
        """End transaction and connection. A card that failed is reset, so that the next reading starts clean.

        Not one that was pulled: a reset would reach the next card before pcscd has noticed it as another one, and a
        connection made then survives its removal (seen with pcscd 1.9.9).
        """
        if self._card is not None:
            card, self._card = self._card[0], None
            pcsc.end(card)
            pcsc.disconnect(card, reset=isinstance(self._ended, DeviceFault))

    def close(self) -> None:
        self.let_go()
        if self._context is not None:
            context, self._context = self._context, None
            pcsc.release(context)

    def _exchange(self, command: Command) -> bytes:
        if self._ended is not None:
            raise self._ended
        if self._card is None or self._context is None:
            raise DeviceUnavailable(BUSY, DeviceState.DEVICE_BUSY)
        try:
            answer = pcsc.exchange(*self._card, command)
            now = pcsc.card_events(self._context, self._reader)
        except pcsc.PcscError as error:
            raise self._end(error) from error
        # Not left to pcscd's word alone that this is still the card of the beginning. Another card has nothing
        # selected yet, so a mixed answer needs two more commands, and each is followed by this look.
        if now != self._events:
            raise self._end(pcsc.PcscError(pcsc.NO_CARD))
        return answer

    def _end(self, error: pcsc.PcscError) -> DeviceError:
        code = self._removal() if error.code == pcsc.NOT_TRANSACTED else error.code
        self._ended = pcsc.ending(code)
        if error.service_gone:
            self._card = None
            self.close()
        return self._ended

    def _removal(self) -> int:
        """NOT_TRANSACTED is said of a pulled card and of a mute one: give pcscd time to see which.

        Looks are counted, not seconds: on a machine that stood still pcscd has seen nothing in that time either.
        """
        for _ in range(REMOVAL_LOOKS):
            if self._card is None:
                break
            try:
                pcsc.card_atr(self._card[0])
            except pcsc.PcscError as error:
                return error.code
            time.sleep(REMOVAL_POLL_S)
        return pcsc.NOT_TRANSACTED


@dataclass(frozen=True)
class PcscCard:
    """The `CardWire` of a held card."""

    reader: str
    atr: bytes
    simulated: bool
    identity: DeviceIdentity
    _held: "PcscReader"

    async def transmit(self, apdu: Command) -> tuple[bytes, int]:
        """See `devices.cards.CardWire.transmit`."""
        return await self._held.transmit(apdu)


class PcscReader:
    """One reader: its thread, and at most one holder at a time."""

    def __init__(self, name: str, *, simulated: bool, answer_max_s: float = ANSWER_MAX_S) -> None:
        self._name = name
        self._simulated = simulated
        self._answer_max_s = answer_max_s
        self._connection = Connection(name)
        self._thread = SdkThread(f"reader {name}")
        self._held = False

    @asynccontextmanager
    async def card(self) -> AsyncIterator[PcscCard]:
        """Hold the card, or raise and hold nothing. A reader that hung stays refused until its call came back."""
        if self._held:  # also while it is being let go, which is no hanging yet
            raise DeviceUnavailable(BUSY, DeviceState.DEVICE_BUSY)
        if self._thread.stuck:
            raise DeviceFault(HUNG)
        self._held = True
        try:
            atr = await self._bounded(self._connection.open)
            yield PcscCard(self._name, atr, self._simulated, self._connection.identity, self)
        finally:
            await self._let_go()

    async def transmit(self, apdu: Command) -> tuple[bytes, int]:
        return await self._bounded(lambda: self._connection.transmit(apdu))

    async def close(self) -> bool:
        """Release everything; False when the thread hangs in the SDK."""
        self._thread.post(self._connection.close)
        return await self._thread.stop(0 if self._thread.stuck else LET_GO_MAX_S)

    async def _let_go(self) -> None:
        try:
            await self._thread.finish(self._connection.let_go, LET_GO_MAX_S)
        finally:
            self._held = False

    async def _bounded(self, call: Callable[[], T], limit_s: float | None = None) -> T:
        try:
            return await self._thread.call(call, limit_s or self._answer_max_s)
        except TimeoutError as error:
            raise DeviceFault(HUNG) from error
