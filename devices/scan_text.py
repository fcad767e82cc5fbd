"""What a code says, from what a scanner sent: bytes to text, settings taken off, nothing that is not text let through."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from devices.contract import Unreadable

KIND = "barcode"
UNITS_MAX = 8192  # a QR code holds 7,089 digits, Han Xin 7,827 (ISO/IEC 18004, GB/T 21049)
ENDS = frozenset(b"\r\n\t")  # Enter and Tab: what a scanner says after each code
AIM_CHARS = 3  # ISO/IEC 15424: "]", the letter of the symbology, a modifier
THREE_BYTES = "\u0800"  # the first character that takes UTF-8 three bytes; all of Chinese lies behind it
BYTE_ORDER_MARK = "\ufeff"  # some programs that make codes put it before UTF-8; it says nothing of the content

GARBLED = "这个码没有读清楚。请重新扫一次；仍不行请检查码是否破损。"
UNCLEAR = "分不清这个码里的汉字用的是哪种编码。请管理员在设备设置里写明这把扫码枪的编码（GBK 或 UTF-8），再扫一次。"
FRAMED_OTHERWISE = "扫到的内容与设置的前后缀不符。请重新扫一次；总是如此请管理员核对这把扫码枪的设置。"


class Encoding(StrEnum):
    """How a scanner sends what is not ASCII."""

    AUTO = "auto"
    UTF_8 = "utf-8"
    GBK = "gbk"


@dataclass(frozen=True)
class ScanSettings:
    """How a scanner is set: what it says before and after each code (without the Enter or Tab that ends it), and whether
    the symbology's AIM identifier comes first, behind the prefix. What does not come as set is refused.
    """

    prefix: str = ""
    suffix: str = ""
    encoding: Encoding = Encoding.AUTO
    aim: bool = False

    def __post_init__(self) -> None:
        if ENDS & set(map(ord, self.prefix + self.suffix)):
            raise ValueError("Enter and Tab end a code by themselves; leave them out of prefix and suffix")


AS_THEY_COME = ScanSettings()


@dataclass(frozen=True)
class ScanReading:
    """The text of one code, and its AIM symbology identifier ("]Q3") or "". `repr` shows nothing of the text."""

    text: str
    symbology: str = ""

    def __repr__(self) -> str:
        return f"ScanReading(text=***, symbology={self.symbology!r})"


def scanned(text: str, settings: ScanSettings) -> ScanReading:
    """The reading in what a scanner sent for one code. Raises Unreadable when that can not be it."""
    symbology, text = _symbology(_unframed(text, settings), settings)
    if not text.strip() or len(text) > UNITS_MAX or not all(map(_is_text, text)):
        raise Unreadable(GARBLED)
    return ScanReading(text, symbology)


def decoded(raw: bytes, encoding: Encoding) -> str:
    """The characters in `raw`; GBK is read as its superset GB18030. Raises Unreadable.

    A few words are sound in both encodings, and say different things: every character of them is two bytes in UTF-8,
    as none of Chinese is. AUTO refuses these; of random two-character names in GBK they are 3 %.
    """
    utf_8, gbk = _decoded(raw, "utf-8"), _decoded(raw, "gb18030")
    if encoding is Encoding.AUTO and utf_8 is not None and gbk is not None:
        strange = [character for character in utf_8 if not character.isascii()]
        if strange and all(character < THREE_BYTES for character in strange):
            raise Unreadable(UNCLEAR)
    text = {Encoding.AUTO: gbk if utf_8 is None else utf_8, Encoding.UTF_8: utf_8, Encoding.GBK: gbk}[encoding]
    if text is None:
        raise Unreadable(GARBLED)
    return text.removeprefix(BYTE_ORDER_MARK)


def _decoded(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return None


def _unframed(text: str, settings: ScanSettings) -> str:
    prefix, suffix = settings.prefix, settings.suffix
    if not text.startswith(prefix) or not text.endswith(suffix):
        raise Unreadable(FRAMED_OTHERWISE)
    return text[len(prefix) : len(text) - len(suffix)]


def _symbology(text: str, settings: ScanSettings) -> tuple[str, str]:
    if not settings.aim:
        return "", text
    symbology, rest = text[:AIM_CHARS], text[AIM_CHARS:]
    if len(symbology) < AIM_CHARS or symbology[0] != "]" or not (symbology[1:].isascii() and symbology[1:].isalnum()):
        raise Unreadable(FRAMED_OTHERWISE)
    return symbology, rest


def _is_text(character: str) -> bool:
    """No control, no mark that turns the direction of text, nothing that no standard names; blanks of any width are text."""
    return character.isprintable() or unicodedata.category(character) == "Zs"
