"""The fields of the social-security card's files EF05 and EF06 (LD/T 32, LD/T 33): from bytes to values, no I/O.

Whatever is wrong with the bytes ends in Unreadable: read again, never go on with half a person.
"""

import re
from dataclasses import dataclass
from datetime import date

from devices.contract import Unreadable
from devices.id_number import id_check

HEADER_BYTES = 2  # tag, length
PADDING = b"\x00\x20\xff"
DOUBLE_BYTE = 0x81  # the lowest first byte of a GBK character
NO_DATE = (b"\x00" * 4, b"\xff" * 4)
SEXES = "0129"  # GB/T 2261.1: unknown, male, female, not stated


@dataclass(frozen=True)
class Field:
    """One record, asked for by its tag: `size_max` bytes of value at most."""

    tag: int
    size_max: int
    label: str


CARD_ID = Field(0x01, 16, "卡识别码")
CARD_CLASS = Field(0x02, 1, "卡类别")
VERSION = Field(0x03, 4, "规范版本")
ORGANISATION = Field(0x04, 12, "发卡机构")
ISSUED = Field(0x05, 4, "发卡日期")
EXPIRES = Field(0x06, 4, "有效期")
CARD_NUMBER = Field(0x07, 9, "卡号")
ID_NUMBER = Field(0x08, 18, "社会保障号码")
NAME = Field(0x09, 30, "姓名")
NAME_EXTENSION = Field(0x4E, 20, "姓名扩展")
SEX = Field(0x0A, 1, "性别")
NATION = Field(0x0B, 1, "民族")
BIRTHPLACE = Field(0x0C, 3, "出生地")
BIRTH = Field(0x0D, 4, "出生日期")


def garbled(field: Field) -> Unreadable:
    """The value of `field` cannot be what the card holds."""
    return Unreadable(f"卡内“{field.label}”读出的内容不正确。请取出卡片重新插入再读；仍不行请到发卡网点检查卡片。")


def value_of(field: Field, record: bytes) -> bytes:
    """The value of one record: tag, length, exactly that many bytes."""
    if len(record) < HEADER_BYTES or record[0] != field.tag:
        raise garbled(field)
    value = record[HEADER_BYTES:]
    if record[1] != len(value) or len(value) > field.size_max:
        raise garbled(field)
    return value


def digits(field: Field, value: bytes) -> str:
    """Packed BCD of the field's full size, two digits a byte."""
    text = value.hex()
    if len(value) != field.size_max or not text.isdecimal():
        raise garbled(field)
    return text


def day(field: Field, value: bytes) -> date:
    """A date in 4 BCD bytes, yyyymmdd."""
    return _date(field, digits(field, value))


def _date(field: Field, text: str) -> date:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError as error:
        raise garbled(field) from error


def day_or_none(field: Field, value: bytes) -> date | None:
    """A date, or None where the card has none (all 00 or all FF)."""
    return None if value in NO_DATE else day(field, value)


def plain(field: Field, value: bytes) -> str:
    """ASCII letters, digits and points, padding taken off; never empty."""
    text = value.rstrip(PADDING).decode("ascii", errors="replace")
    if not text.isascii() or not text.replace(".", "").isalnum():
        raise garbled(field)
    return text


def hexadecimal(field: Field, value: bytes) -> str:
    """Bytes of the field's full size, as upper-case digits."""
    if len(value) != field.size_max:
        raise garbled(field)
    return value.hex().upper()


def version(value: bytes) -> str:
    """The version of LD/T 32 that the card follows, such as "2.00"; its first digit is the generation, 1 to 3."""
    text = value.decode("ascii", errors="replace")
    if not re.fullmatch(r"[1-3]\.[0-9]{2}", text):
        raise garbled(VERSION)
    return text


def sex(value: bytes) -> str:
    """One ASCII digit after GB/T 2261.1."""
    text = plain(SEX, value)
    if text not in SEXES or len(text) != 1:
        raise garbled(SEX)
    return text


def card_number(value: bytes) -> str:
    """9 capital letters or digits."""
    text = plain(CARD_NUMBER, value)
    if len(text) != CARD_NUMBER.size_max or "." in text or text != text.upper():
        raise garbled(CARD_NUMBER)
    return text


def id_number(value: bytes) -> str:
    """18 characters, a date of birth among them, the last the ISO 7064 MOD 11-2 check of the others (GB 11643)."""
    text = plain(ID_NUMBER, value).upper()
    if len(text) != 18 or not text[:17].isdecimal() or text[17] != id_check(text[:17]):
        raise garbled(ID_NUMBER)
    _date(ID_NUMBER, text[6:14])
    return text


def name(value: bytes, extension: bytes) -> str:
    """The name in GBK. Joined before decoding: the cut after 30 bytes may fall inside a character.

    Only a name that fills its record goes on in the extension. A double-byte character that did not fit may leave one
    byte of padding; one of a single byte would have fitted, so a blank before it is the name's own.
    """
    first, rest = value.rstrip(PADDING), extension.rstrip(PADDING)
    if not rest or len(first) == NAME.size_max:
        return _text(first + rest)
    if len(first) == NAME.size_max - 1 and rest[0] >= DOUBLE_BYTE:
        return _text(first) + _text(rest)
    if len(first) == NAME.size_max - 1 and value.endswith(b" "):
        return _text(value + rest)
    raise garbled(NAME)


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("gb18030")  # a superset of GBK, for rare characters
    except UnicodeDecodeError as error:
        raise garbled(NAME) from error
    if not text.strip() or not text.isprintable():
        raise garbled(NAME)
    return text
