"""What an ID card holds: from the bytes of the reader's answers to values, no I/O.

Texts are UTF-16LE, padded with blanks. Damage ends in Unreadable; what an issuer may have written is taken as it stands
(docs/decisions/0009), a rare character from a private-use area too.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

from devices.contract import CardRefused, Unreadable
from devices.id_card_frames import ADDRESS_BYTES, FINGERPRINT_BYTES, PHOTO_BYTES, SAM_ID_BYTES, TEXT_BYTES
from devices.id_card_layouts import FLAG_AT, FORMS, KINDS, LABELS, LAYOUTS, NUMBERS, CardKind
from devices.id_number import id_check

CHARACTER_BYTES = 2
PADDING = " \0\u3000"
FOR_GOOD = "长期"
NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}  # categories of Unicode that no issuer writes
NONCHARACTERS = "\ufffe\uffff"
LENGTH_BYTES = 2
UNKNOWN_KIND = "读卡器读到了一种本程序不认识的证件。请改用其他证件，并把证件名称报给系统管理员。"


@dataclass(frozen=True)
class IdCard:
    """What one card says of one person. `repr` shows nothing that tells who it is.

    Codes as on the card: sex GB/T 2261.1, nation GB/T 3304 (residents), nationality GB/T 2659 (foreigners).
    `valid_to` is None on a card for good. `newest_address` is None when the card was never given one after its issue.
    `photo` is in the WLT format, `fingerprints` in that of GA 1012, both as read. What a kind does not have is "".
    """

    kind: CardKind
    name: str
    sex: str
    birth: date
    id_number: str
    valid_from: date
    valid_to: date | None
    nation: str = ""
    address: str = ""
    newest_address: str | None = None
    authority: str = ""
    foreign_name: str = ""
    nationality: str = ""
    pass_number: str = ""
    issues: str = ""
    photo: bytes = b""
    fingerprints: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"IdCard(kind={self.kind}, name=***, id_number=***)"


def garbled(field: str) -> Unreadable:
    """`field` cannot be what the card holds."""
    return Unreadable(
        f"证件的“{LABELS[field]}”读出的内容不正确。请拿起证件，重新放好再读；仍不行请到公安机关检查证件。"
    )


def id_card(answer: bytes, newest_address: str | None = None) -> IdCard:
    """The card from the data of a read answer: u16 lengths of text, photo and, if asked for, fingerprints; then these."""
    text, photo, fingerprints = parts(answer)
    kind = KINDS.get(_text("text", text[FLAG_AT : FLAG_AT + CHARACTER_BYTES]))
    if kind is None:
        raise CardRefused(UNKNOWN_KIND)
    value = _values(kind, text)
    return IdCard(
        kind=kind,
        name=value["name"],
        sex=value["sex"],
        birth=_day("birth", value["birth"]),
        id_number=_number(kind, value["id_number"]),
        valid_from=_day("valid_from", value["valid_from"]),
        valid_to=None if value["valid_to"] == FOR_GOOD else _day("valid_to", value["valid_to"]),
        nation=value.get("nation", ""),
        address=value.get("address", ""),
        newest_address=newest_address,
        authority=value.get("authority", ""),
        foreign_name=_joined(value.get("foreign_name", ""), value.get("foreign_name_rest", "")),
        nationality=value.get("nationality", ""),
        pass_number=value.get("pass_number", ""),
        issues=value.get("issues", ""),
        photo=photo,
        fingerprints=fingerprints,
    )


def parts(answer: bytes) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    """Text, photo (or none) and fingerprints (two, one or none) of a read answer; all bytes must be accounted for."""
    text_bytes, photo_bytes = (int.from_bytes(answer[at : at + LENGTH_BYTES], "big") for at in (0, 2))
    start = 2 * LENGTH_BYTES
    finger_bytes = 0
    if len(answer) != start + text_bytes + photo_bytes:
        finger_bytes = int.from_bytes(answer[start : start + LENGTH_BYTES], "big")
        start += LENGTH_BYTES
    if len(answer) != start + text_bytes + photo_bytes + finger_bytes or text_bytes != TEXT_BYTES:
        raise garbled("text")
    if photo_bytes not in (0, PHOTO_BYTES):
        raise garbled("photo")
    if finger_bytes not in (0, FINGERPRINT_BYTES, 2 * FINGERPRINT_BYTES):
        raise garbled("fingerprints")
    photo_at, finger_at = start + text_bytes, start + text_bytes + photo_bytes
    fingers = (answer[at : at + FINGERPRINT_BYTES] for at in range(finger_at, len(answer), FINGERPRINT_BYTES))
    return answer[start:photo_at], answer[photo_at:finger_at], tuple(fingers)


def newest_address(answer: bytes) -> str | None:
    """The address from the data of its answer, with or without a u16 length before it; None when it is blank."""
    if len(answer) == LENGTH_BYTES + ADDRESS_BYTES and int.from_bytes(answer[:LENGTH_BYTES], "big") == ADDRESS_BYTES:
        answer = answer[LENGTH_BYTES:]
    if len(answer) != ADDRESS_BYTES:
        raise garbled("newest_address")
    return _text("newest_address", answer) or None


def sam_id(answer: bytes) -> str:
    """The number of the reader's security module as the readers print it: 05.03-20190101-0012345678-1234567890.

    16 bytes, little-endian: u16 . u16 - u32 (a date) - u32 - u32. Raises ValueError on anything else.
    """
    if len(answer) != SAM_ID_BYTES:
        raise ValueError(f"the number of a security module has {SAM_ID_BYTES} bytes, not {len(answer)}")
    numbers = (int.from_bytes(answer[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8), (8, 12), (12, 16)))
    return "{:02}.{:02}-{:08}-{:010}-{:010}".format(*numbers)


def _values(kind: CardKind, text: bytes) -> dict[str, str]:
    """Each field without its padding, in its right form."""
    values, at = {}, 0
    for field, size in LAYOUTS[kind]:
        if field not in ("", "flag"):
            values[field] = _text(field, text[at : at + size])
        at += size
    if kind is CardKind.HONG_KONG_MACAO_TAIWAN:
        del values["nation"]
    if not (values["name"] or values.get("foreign_name")):
        raise garbled("name")
    for field in FORMS.keys() & values.keys():
        if not re.fullmatch(FORMS[field], values[field]):
            raise garbled(field)
    return values


def _text(field: str, raw: bytes) -> str:
    try:
        text = raw.decode("utf-16-le").rstrip(PADDING)
    except UnicodeDecodeError as error:
        raise garbled(field) from error
    if any(unicodedata.category(one) in NO_TEXT or one in NONCHARACTERS for one in text):
        raise garbled(field)
    return text


def _day(field: str, text: str) -> date:
    if not re.fullmatch(r"[0-9]{8}", text):
        raise garbled(field)
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError as error:
        raise garbled(field) from error


def _number(kind: CardKind, text: str) -> str:
    """The number with its check character (ISO 7064 MOD 11-2) and date of birth in order, where it has them."""
    number = text.upper()
    if not re.fullmatch(NUMBERS[kind], number):
        raise garbled("id_number")
    if kind is not CardKind.FOREIGNER_2017:
        _day("id_number", number[6:14])
        if number[17] != id_check(number[:17]):
            raise garbled("id_number")
    return number


def _joined(name: str, rest: str) -> str:
    """A name that fills its field goes on in the next; a blank at the seam was lost as padding when it is shorter."""
    full = len(name) * CHARACTER_BYTES == dict(LAYOUTS[CardKind.FOREIGNER_2023])["foreign_name"]
    return f"{name}{rest}" if full or not rest else f"{name} {rest}"
