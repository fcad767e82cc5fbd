"""What a keyboard-wedge scanner means by the keys it presses, no I/O.

US layout. What has no key is typed as on Windows: Alt held, a number on the keypad. Chinese comes either in GBK (what code page
936 makes of the number, as Notepad does) or in Unicode (as Word does), depending on a setting of the scanner; "+" before
the number says that it is Unicode in hexadecimal, "." that it is of the code page. Key numbers: linux/input-event-codes.h.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from devices.contract import Unreadable
from devices.scan_codes import SPOILED
from devices.scan_text import GARBLED, UNCLEAR, Encoding, decoded

RELEASE, PRESS = 0, 1  # 2 is the kernel's own repeat of a held key: nobody pressed it
OVERRUN = -1  # in place of a key: keys were lost
SHIFTS, CONTROLS, ALTS = {42, 54}, {29, 97}, {56, 100}
NUM_LOCK = 69  # some press it around a number
ENDING = {28: 0x0D, 96: 0x0D, 15: 0x09}  # Enter, the keypad's, Tab
ROWS = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
)
KEYPAD = {55: "*", 98: "/"} | {71 + at: sign for at, sign in enumerate("789-456+1230.")}
PLAIN = KEYPAD | {first + at: sign for first, signs, _ in ROWS for at, sign in enumerate(signs)}
SHIFTED = KEYPAD | {first + at: sign for first, _, signs in ROWS for at, sign in enumerate(signs)}
CONTROLLED = "abcdefghijklmnopqrstuvwxyz[\\]"
CONTROL_BITS = 0x1F

ASCII_MAX, BYTE_MAX = 0x7F, 0xFF
PLANES_MAX = 0x10FFFF
UNICODE = 1 << 24  # added to a number that says that it is Unicode
GBK_FIRST, GBK_LAST = 0x8140, 0xFEFE
COMMON_FIRST = 0xA1A1  # of GB 2312; all Chinese characters of Unicode's first plane lie below


class Key(NamedTuple):
    """One event of a keyboard."""

    code: int
    value: int


class Typing:
    """Follows the keys of one keyboard, all of which are up in the beginning."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._number = ""

    def units(self, keys: Iterable[Key]) -> list[int]:
        """What was typed: characters of ASCII, numbers typed with Alt, SPOILED for whatever says nothing."""
        return [unit for key in keys if (unit := self._unit(key)) is not None]

    def _unit(self, key: Key) -> int | None:
        if key.code == OVERRUN:
            self._held.clear()
            return SPOILED
        if key.code in SHIFTS | CONTROLS | ALTS:
            return self._modifier(key)
        if key.value != PRESS or key.code == NUM_LOCK:
            return None
        if self._held & ALTS:
            return self._digit(key.code)
        if self._held & CONTROLS:
            sign = PLAIN.get(key.code, "")
            return ord(sign.upper()) & CONTROL_BITS if sign and sign in CONTROLLED else SPOILED
        if key.code in ENDING:
            return ENDING[key.code]
        sign = (SHIFTED if self._held & SHIFTS else PLAIN).get(key.code, "")
        return ord(sign) if sign else SPOILED

    def _modifier(self, key: Key) -> int | None:
        if key.value == PRESS:
            if key.code in ALTS:
                self._number = ""
            self._held.add(key.code)
            return None
        if key.value == RELEASE and key.code in self._held:
            self._held.discard(key.code)
            if key.code in ALTS and self._number:
                number, self._number = self._number, ""
                return _number(number)
        return None

    def _digit(self, code: int) -> int | None:
        sign = KEYPAD.get(code) or PLAIN.get(code, "")
        if code not in KEYPAD and (sign not in "abcdef" or not self._number.startswith(("+", "."))):
            return SPOILED
        self._number += sign
        return None


def typed(units: Sequence[int], encoding: Encoding) -> str:
    """The text of one code. AUTO tells GBK from Unicode where all numbers can be the one only. Raises Unreadable."""
    if not any(unit > BYTE_MAX for unit in units):
        if encoding is Encoding.AUTO and not bytes(units).isascii():
            raise Unreadable(UNCLEAR)
        return decoded(bytes(units), encoding)
    if _meant(units, encoding) is Encoding.UTF_8:
        return "".join(chr(unit % UNICODE) for unit in units)
    if any(ASCII_MAX < unit < GBK_FIRST or unit > GBK_LAST for unit in units):
        raise Unreadable(GARBLED)
    return decoded(b"".join(unit.to_bytes(1 if unit <= ASCII_MAX else 2, "big") for unit in units), Encoding.GBK)


def _meant(units: Sequence[int], encoding: Encoding) -> Encoding:
    if any(unit >= UNICODE for unit in units):
        return Encoding.UTF_8
    if encoding is not Encoding.AUTO:
        return encoding
    wide = [unit for unit in units if unit > BYTE_MAX]
    unicode = any(unit < GBK_FIRST or unit > GBK_LAST for unit in wide)
    gbk = any(COMMON_FIRST <= unit <= GBK_LAST for unit in wide)
    if unicode == gbk:
        raise Unreadable(UNCLEAR)
    return Encoding.UTF_8 if unicode else Encoding.GBK


def _number(text: str) -> int:
    try:
        number = int(text[1:], 16) if text[0] in "+." else int(text)
    except ValueError:
        return SPOILED
    if number > PLANES_MAX:
        return SPOILED
    return number + UNICODE if text[0] == "+" else number
