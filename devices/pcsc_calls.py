"""PC/SC calls (pcsc-lite, by `smartcard.scard`) that raise instead of returning codes; one lock around the risky four.

Concurrent establish, release, connect and disconnect from several threads crashed the process in 4 of 15 runs with
pyscard 2.3.1; one lock for the whole process together with one long-lived context per thread, in none.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from smartcard import scard

from devices.apdu import Command
from devices.contract import (
    CardAbsent,
    CardRefused,
    DeviceError,
    DeviceFault,
    DeviceState,
    DeviceUnavailable,
    Unreadable,
)

LOCK_PATIENCE_S = 0.04  # each thread has a context of its own, too: a reader that hangs must not hold up the others
NEW_READERS = "\\\\?PnP?\\Notification"
State = tuple[str, int, bytes]  # reader, event state, ATR

INVALID_HANDLE = 0x80100003
INVALID_VALUE = 0x80100011
UNKNOWN_READER = 0x80100009
STATE_UNAWARE, STATE_CHANGED, STATE_PRESENT, STATE_MUTE = 0x0000, 0x0002, 0x0020, 0x0200
STATE_UNKNOWN, STATE_UNAVAILABLE = 0x0004, 0x0008
CARD_EVENTS_SHIFT = 16  # pcsc-lite counts insertions and removals in the upper half of the event state
TIMED_OUT = 0x8010000A
SHARING_VIOLATION = 0x8010000B
NO_CARD = 0x8010000C
PROTOCOL_MISMATCH = 0x8010000F
NO_ATTRIBUTE = {0x80100008, 0x80100016, 0x8010001F, 0x80100022}  # whatever a driver says that has no such attribute
NOT_TRANSACTED = 0x80100016
READER_UNAVAILABLE = 0x80100017
NO_READERS = 0x8010002E
HANDSHAKE_CUT = 0x8010006A  # said when pcscd ends while greeting, and when polkit lets this user not in
SERVICE_GONE = {0x80100001, 0x80100002, INVALID_HANDLE, 0x80100013, 0x8010001D, 0x8010001E, HANDSHAKE_CUT}
CARD_UNREADABLE = {PROTOCOL_MISMATCH, 0x80100065, 0x80100066, 0x80100067}
CARD_GONE = {NO_CARD, 0x80100068, 0x80100069}  # the two W_ codes: reset, removed


class PcscError(Exception):
    """A PC/SC call ended with `code` (unsigned 32 bits, see pcsclite.h)."""

    def __init__(self, code: int) -> None:
        super().__init__(f"PC/SC error {code:#010x}")
        self.code = code

    @property
    def service_gone(self) -> bool:
        """True when the context is dead and a new one is needed (pcscd stopped or was restarted)."""
        return self.code in SERVICE_GONE


def ending(code: int) -> DeviceError:
    """What a PC/SC code means to the caller of a driver."""
    if code in CARD_GONE:
        return CardAbsent("卡片已取出或被移动。请重新插入卡片，读完再取。")
    if code in CARD_UNREADABLE:
        return CardRefused("卡片没有应答。请检查插卡方向、擦净芯片后重新插入；仍不行请换卡。")
    if code in SERVICE_GONE:
        return DeviceUnavailable("读卡服务正在重新启动。请稍候再试。")
    if code in (UNKNOWN_READER, INVALID_VALUE, NO_READERS):
        return DeviceUnavailable("读卡器已断开。请检查读卡器的连接线，重新插好。", DeviceState.NO_DEVICE)
    if code == SHARING_VIOLATION:
        return DeviceUnavailable("其他程序正在使用读卡器。请关闭该程序后再试。", DeviceState.DEVICE_BUSY)
    if code == NOT_TRANSACTED:
        return Unreadable("卡片没有应答。请取出卡片，擦净芯片后重新插入。")
    if code == READER_UNAVAILABLE:
        return DeviceFault("读卡器没有应答。请拔下读卡器重新插上；仍不行请报修。")
    return DeviceFault(f"读卡器出错（{code:#010x}）。请拔下读卡器重新插上；仍不行请报修并告知此代码。")


class OneAtATime:
    """The process-wide lock. A holder stuck in a hung reader is left behind after LOCK_PATIENCE_S.

    It is then far past the moment the lock guards (the client library's list of contexts) and waits for
    pcscd on its own socket; without this one dead reader would stop all others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        while not (lock := self._lock).acquire(timeout=LOCK_PATIENCE_S):
            if lock is self._lock:
                self._lock = threading.Lock()
        try:
            yield
        finally:
            lock.release()


one_at_a_time = OneAtATime()  # the library's list is the process's, so is its lock


def checked(code: int) -> None:
    """Raise PcscError unless `code` is success. The binding gives signed codes on some builds."""
    if code & 0xFFFFFFFF:
        raise PcscError(code & 0xFFFFFFFF)


def establish() -> int:
    """A new context. It belongs to the thread that asked for it."""
    with one_at_a_time():
        code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    checked(code)
    return int(context)


def release(context: int) -> None:
    """Let a context go; a dead one is already gone, so the code does not matter."""
    with one_at_a_time():
        scard.SCardReleaseContext(context)


def cancel(context: int) -> None:
    """Unblock `status_change` of that context from another thread."""
    scard.SCardCancel(context)


def readers(context: int) -> list[str]:
    code, names = scard.SCardListReaders(context, [])
    if code & 0xFFFFFFFF == NO_READERS:
        return []
    checked(code)
    return list(names)


def status_change(context: int, limit_ms: int, known: Sequence[tuple[str, int]]) -> list[State]:
    """Wait until a reader differs from `known` (name, last event state); [] after `limit_ms`."""
    code, states = scard.SCardGetStatusChange(context, limit_ms, list(known))
    if code & 0xFFFFFFFF == TIMED_OUT:
        return []
    checked(code)
    return [(name, int(state), bytes(atr)) for name, state, atr in states]


def card_events(context: int, reader: str) -> int:
    """How many insertions and removals pcscd has counted in `reader` (16 bits, wraps around)."""
    return status_change(context, 0, [(reader, STATE_UNAWARE)])[0][1] >> CARD_EVENTS_SHIFT


def connect(context: int, reader: str) -> tuple[int, int]:
    """Connect to the card, shared, T=0 or T=1; returns (card, protocol)."""
    with one_at_a_time():
        code, card, protocol = scard.SCardConnect(
            context, reader, scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        )
    checked(code)
    return int(card), int(protocol)


def connect_reader(context: int, reader: str) -> int:
    """Connect to the reader itself, with a card in it or without; others may use it meanwhile."""
    with one_at_a_time():
        code, card, _protocol = scard.SCardConnect(
            context, reader, scard.SCARD_SHARE_DIRECT, scard.SCARD_PROTOCOL_UNDEFINED
        )
    checked(code)
    return int(card)


def reader_serial(card: int) -> str:
    """What the reader's driver gives as its maker's serial, "" when it gives none."""
    code, value = scard.SCardGetAttrib(card, scard.SCARD_ATTR_VENDOR_IFD_SERIAL_NO)
    if code & 0xFFFFFFFF in NO_ATTRIBUTE:
        return ""
    checked(code)
    return bytes(byte & 0xFF for byte in value).decode("ascii", errors="replace")


def disconnect(card: int, *, reset: bool) -> None:
    """Let the card go; the code does not matter, the card may be gone."""
    with one_at_a_time():
        scard.SCardDisconnect(card, scard.SCARD_RESET_CARD if reset else scard.SCARD_LEAVE_CARD)


def begin(card: int) -> None:
    checked(scard.SCardBeginTransaction(card))


def end(card: int) -> None:
    """End the transaction; the code does not matter, the card may be gone."""
    scard.SCardEndTransaction(card, scard.SCARD_LEAVE_CARD)


def exchange(card: int, protocol: int, command: Command) -> bytes:
    header = scard.SCARD_PCI_T1 if protocol == scard.SCARD_PROTOCOL_T1 else scard.SCARD_PCI_T0
    code, answer = scard.SCardTransmit(card, header, list(command))
    checked(code)
    return bytes(value & 0xFF for value in answer)


def card_atr(card: int) -> bytes:
    """The ATR of the connected card; raises PcscError with a CARD_GONE code once it was pulled or reset."""
    code, _reader, _state, _protocol, atr = scard.SCardStatus(card)
    checked(code)
    return bytes(atr)
