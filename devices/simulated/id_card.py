"""A virtual ID card as its bytes, and its description as a small TOML text.

kind = "resident"              # or hong-kong-macao-taiwan, foreigner-2017, foreigner-2023
name = "张三"
id_number = "11010519491231002X"
newest_address = "北京市朝阳区…"  # none unless given
valid_to = "长期"
fingerprints = 2               # 0, 1 or 2; they and the photo are made up from the number, different for everybody
other = false                  # true: some other card, which cannot be selected
read_status = "41"             # what reading it ends in
pull_after = 3                 # it is lifted after that many commands
and any other field of devices/id_card_layouts.py. `birth` follows from the number unless given.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self, TypeVar

from devices.id_card_frames import ADDRESS_BYTES, FINGERPRINT_BYTES, PHOTO_BYTES
from devices.id_card_layouts import FLAG_AT, KINDS, LAYOUTS, CardKind

CHARACTER_BYTES = 2
BLANK = " ".encode("utf-16-le")
T = TypeVar("T")
FLAGS = {kind: flag for flag, kind in KINDS.items()}


@dataclass(frozen=True)
class IdCardText:
    """The description of one virtual card."""

    kind: CardKind = CardKind.RESIDENT
    name: str = "张三"
    id_number: str = "11010519491231002X"
    sex: str = "1"
    nation: str = "01"
    birth: str = ""
    address: str = "北京市朝阳区建国路1号"
    newest_address: str = ""
    authority: str = "北京市公安局朝阳分局"
    valid_from: str = "20150601"
    valid_to: str = "20350601"
    foreign_name: str = ""
    foreign_name_rest: str = ""
    nationality: str = "CAN"
    pass_number: str = ""
    issues: str = "01"
    version: str = "01"
    flag: str | None = None
    fingerprints: int = 2
    other: bool = False
    read_status: str = ""
    pull_after: int | None = None

    @classmethod
    def from_table(cls, table: dict[str, object]) -> Self:
        """Raises ValueError (with the name of the key) on anything unknown, or what no card can hold."""
        card = built(cls, {**table, "kind": CardKind(str(table.get("kind", CardKind.RESIDENT)))})
        text_of(card)
        return card

    @classmethod
    def from_toml(cls, text: str) -> Self:
        return cls.from_table(tomllib.loads(text))


def built(what: type[T], table: Mapping[str, object]) -> T:
    """An object of a dataclass from a TOML table. Raises ValueError (with the name of the key) on what does not fit it."""
    known = {field.name: field.type for field in fields(what)}  # type: ignore[arg-type]
    if wrong := [key for key, value in table.items() if key not in known or not isinstance(value, known[key])]:  # type: ignore[arg-type]
        raise ValueError(f"unknown keys or wrong values in {what.__name__}: {', '.join(wrong)}; see {what.__module__}")
    return what(**table)


def text_of(card: IdCardText) -> bytes:
    """The 256 bytes of text."""
    values = {
        **{field.name: str(getattr(card, field.name)) for field in fields(card)},
        "birth": card.birth or card.id_number[6:14],
        "flag": "",
        "": "",
    }
    if card.kind is CardKind.HONG_KONG_MACAO_TAIWAN:
        values["nation"] = ""
    text = b"".join(_padded(field, values[field], size) for field, size in LAYOUTS[card.kind])
    flag = _padded("flag", FLAGS[card.kind] if card.flag is None else card.flag, CHARACTER_BYTES)
    return text[:FLAG_AT] + flag + text[FLAG_AT + CHARACTER_BYTES :]


def reading_of(card: IdCardText, *, fingerprints: bool) -> bytes:
    """The data of a read answer."""
    text, photo = text_of(card), _made_up(card, "photo", PHOTO_BYTES)
    fingers = b"".join(_made_up(card, f"finger {n}", FINGERPRINT_BYTES) for n in range(card.fingerprints))
    lengths = [len(text), len(photo), len(fingers)] if fingerprints else [len(text), len(photo)]
    return b"".join(length.to_bytes(2, "big") for length in lengths) + text + photo + (fingers if fingerprints else b"")


def newest_address_of(card: IdCardText) -> bytes | None:
    """The data of the answer to it, None when the card has none."""
    return _padded("newest_address", card.newest_address, ADDRESS_BYTES) if card.newest_address else None


def _padded(field: str, value: str, size: int) -> bytes:
    raw = value.encode("utf-16-le")
    if len(raw) > size:
        raise ValueError(f"{field} of an ID card has room for {size} bytes, not {len(raw)}; shorten it")
    return raw + BLANK * ((size - len(raw)) // CHARACTER_BYTES)


def _made_up(card: IdCardText, what: str, size: int) -> bytes:
    return hashlib.shake_128(f"{what} of {card.name} {card.id_number}".encode()).digest(size)
