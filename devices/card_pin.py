"""The PIN of a social-security card: VERIFY (00 20 00 00), and how many tries are left before one is used up.

A PIN goes as packed digits, filled with F where they are odd (six digits: 3 bytes; certainty high for six). VERIFY
without data asks for the tries (ISO 7816-4); a card that does not know that answers 6700 or the like. Six wrong tries
in a row lock a card in Shaanxi; other issuers choose other numbers.
"""

from collections import OrderedDict
from types import TracebackType
from typing import Self

from devices.cards import CardWire
from devices.contract import CardRefused, DeviceFault

VERIFY = bytes([0x00, 0x20, 0x00, 0x00])
DIGITS_MIN, DIGITS_MAX = 4, 12
DONE = 0x9000
BLOCKED = {0x6983, 0x63C0}
WRONG = 0x6300
TRIES_LEFT = 0x63C  # then as many as the last half byte says
CARDS_MAX = 256  # whose last PIN was wrong

PIN_BLOCKED = "社会保障卡的密码已锁定。请持卡人带身份证到发卡网点解锁或重置密码；本次可改用身份证办理。"
LAST_TRY = "社会保障卡的密码只能再试 1 次，再错卡片就会锁定。请先告诉持卡人；确认要试再继续，否则到发卡网点重置密码。"
MAYBE_LAST = "社会保障卡没有说密码还能试几次，再错可能就会锁定。请先告诉持卡人；确认要试再继续，否则到发卡网点重置密码。"
PIN_WRONG = "社会保障卡密码不正确，{left}。请持卡人想清楚后再输入；忘记密码请到发卡网点重置。"
PIN_FAILED = "卡片没有核对密码（状态 {sw:04X}）。请取出卡片重新插入再试；仍不行请到发卡网点检查卡片。"
NO_PIN = f"社会保障卡密码应为 {DIGITS_MIN} 至 {DIGITS_MAX} 位数字。请重新输入。"


class PinRefused(CardRefused):
    """This PIN, or any: `tries_left` is None where the card does not say, 0 when it is locked. The card itself can be read."""

    def __init__(self, hint: str, tries_left: int | None) -> None:
        super().__init__(hint)
        self.tries_left = tries_left


class Pin:
    """Digits that are nowhere shown, and gone from memory after the `with`, as far as Python allows.

    Takes the digits (ASCII) out of the caller's buffer, which is all zeroes afterwards. Copies of the command that
    PC/SC makes on its way are freed, not wiped.
    """

    def __init__(self, digits: bytearray) -> None:
        try:
            if not DIGITS_MIN <= len(digits) <= DIGITS_MAX or not digits.isdigit():
                raise DeviceFault(NO_PIN)
            self._packed = packed(digits)
        finally:
            wipe(digits)

    def command(self) -> bytearray:
        """VERIFY with this PIN: to be wiped by who asked for it."""
        return bytearray([*VERIFY, len(self._packed), *self._packed])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wipe(self._packed)

    def __repr__(self) -> str:
        return "Pin(***)"


class ToldTries:
    """What cards said of their tries when a PIN was wrong, by card id, for those that say it only then: taken out and put in
    again, in another reader, for another window, it is the same card. None: it did not say. In memory only.
    """

    def __init__(self) -> None:
        self._left: OrderedDict[bytes, int | None] = OrderedDict()

    def __contains__(self, card: bytes) -> bool:
        return card in self._left

    def left(self, card: bytes) -> int | None:
        return self._left.get(card)

    def keep(self, card: bytes, left: int | None) -> None:
        self._left[card] = left
        self._left.move_to_end(card)
        if len(self._left) > CARDS_MAX:
            self._left.popitem(last=False)

    def forget(self, card: bytes) -> None:
        self._left.pop(card, None)


class PinCheck:
    """The PIN of the card on `wire`, whose application is selected; `told` is what it, with id `card`, has said before."""

    def __init__(self, wire: CardWire, told: ToldTries, card: bytes) -> None:
        self._wire = wire
        self._told = told
        self._card = card

    async def tries_left(self) -> int | None:
        """How many tries are left, none of them used up by asking; 0: locked; None: the card does not say."""
        _, sw = await self._wire.transmit(VERIFY)
        if sw in BLOCKED:
            return 0
        return sw & 0xF if sw >> 4 == TRIES_LEFT else self._told.left(self._card)

    async def verify(self, pin: Pin, *, last_try: bool) -> None:
        """Return when `pin` is right. Raises PinRefused: wrong; locked; or not tried, as it would be the last try, or may be."""
        left = await self.tries_left()
        if left == 0:
            raise PinRefused(PIN_BLOCKED, 0)
        if left == 1 and not last_try:
            raise PinRefused(LAST_TRY, 1)
        if left is None and self._card in self._told and not last_try:
            raise PinRefused(MAYBE_LAST, None)
        self._told.keep(self._card, None if left is None else max(left - 1, 1))  # before it: its answer may not reach us
        command = pin.command()
        try:
            _, sw = await self._wire.transmit(command)
        finally:
            wipe(command)  # header and all: what a thread still sends of it is no VERIFY
        self._judge(sw)

    def _judge(self, sw: int) -> None:
        if sw == DONE:
            self._told.forget(self._card)
        elif sw in BLOCKED:
            self._told.forget(self._card)
            raise PinRefused(PIN_BLOCKED, 0)
        elif sw >> 4 == TRIES_LEFT:
            left = sw & 0xF
            self._told.keep(self._card, left)
            raise PinRefused(PIN_WRONG.format(left=f"还能试 {left} 次"), left)
        elif sw == WRONG:
            raise PinRefused(PIN_WRONG.format(left="卡片没有说还能试几次"), None)
        else:
            raise DeviceFault(PIN_FAILED.format(sw=sw))


def packed(digits: bytearray) -> bytearray:
    """Two digits a byte, the last half filled with F where it is free."""
    halves = (digit - ord("0") for digit in digits)
    return bytearray(high << 4 | next(halves, 0xF) for high in halves)


def wipe(secret: bytearray) -> None:
    """Zeroes in one step: no other thread sees half of it."""
    secret[:] = bytes(len(secret))
