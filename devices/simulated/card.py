"""A virtual social-security card at APDU level, and its description as a small TOML text.

name = "张三"
id_number = "11010519491231002X"
card_number = "A12345678"
generation = 2        # 3 is refused by the driver: it needs authentication
other = false         # true: some other chip card
other_answer = "6A82" # what that one says when it is asked for the application
mute = false          # true: no ATR, no answers
mute_after = 3        # mute after that many APDUs
pull_after = 3        # pulled after that many APDUs (the reader takes it out)
slow_ms = 0           # time for every APDU
t0 = true             # answer as T=0 cards do, with 61xx and 6Cxx
values = {"03" = "33"} # records with other bytes than follow from the above, in hexadecimal by tag
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Self

from devices.social_card import APPLICATION, CARD_FILE, HOLDER_FILE

ATR_SOCIAL = bytes.fromhex("3B6D000000814D22868653582DC4CFB6AB")  # T=0, made up, 13 historical bytes
ATR_OTHER = bytes.fromhex("3B6800004F544845524B4152")
NAME_BYTES = 30
EXTENSION_BYTES = 20
DONE = b"\x90\x00"
NOT_FOUND = b"\x6a\x82"
NO_RECORD = b"\x6a\x83"
NOT_ALLOWED = b"\x69\x82"
UNKNOWN = b"\x6d\x00"


@dataclass(frozen=True)
class CardText:
    """The description of one virtual card. A person's `birth` follows from the ID number unless given."""

    name: str = "张三"
    id_number: str = "11010519491231002X"
    card_number: str = "A12345678"
    sex: str = "1"
    nation: str = "01"
    birthplace: str = "410700"
    birth: str = ""
    issued: str = "20150601"
    expires: str = "20350601"
    generation: int = 2
    other: bool = False
    other_answer: str = "6A82"
    mute: bool = False
    mute_after: int | None = None
    pull_after: int | None = None
    slow_ms: int = 0
    t0: bool = True
    pad: str = "00"
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Raises ValueError (with the name of the key) on anything unknown."""
        table = tomllib.loads(text)
        if unknown := set(table) - {known.name for known in fields(cls)}:
            raise ValueError(f"unknown keys in card: {', '.join(sorted(unknown))}; see devices/simulated/card.py")
        return cls(**table)


def records_of(text: CardText) -> dict[int, dict[int, bytes]]:
    """The records by file and tag, each as tag, length, value."""
    name = text.name.encode("gb18030")
    if len(name) > NAME_BYTES + EXTENSION_BYTES:
        raise ValueError(f"a card holds {NAME_BYTES + EXTENSION_BYTES} bytes of name, not {len(name)}; shorten it")
    pad = bytes.fromhex(text.pad)
    card = {
        0x01: bytes.fromhex("41070000") + text.card_number.encode().ljust(12, b"\x00"),
        0x02: b"1",
        0x03: f"{text.generation}.00".encode(),
        0x04: bytes.fromhex("000000410700000000000000"),
        0x05: bytes.fromhex(text.issued),
        0x06: bytes.fromhex(text.expires),
        0x07: text.card_number.encode(),
    }
    holder = {
        0x08: text.id_number.encode(),
        0x09: name[:NAME_BYTES].ljust(NAME_BYTES, pad),
        0x0A: text.sex.encode(),
        0x0B: bytes.fromhex(text.nation),
        0x0C: bytes.fromhex(text.birthplace),
        0x0D: bytes.fromhex(text.birth or text.id_number[6:14]),
    }
    if text.generation > 1:
        holder[0x4E] = name[NAME_BYTES:].ljust(EXTENSION_BYTES, pad)
    given = {int(tag, 16): bytes.fromhex(value) for tag, value in text.values.items()}
    return {
        file: {tag: _record(tag, given.get(tag, value)) for tag, value in content.items()}
        for file, content in ((CARD_FILE, card), (HOLDER_FILE, holder))
    }


def _record(tag: int, value: bytes) -> bytes:
    return bytes([tag, len(value)]) + value


@dataclass
class VirtualCard:
    """One card. It answers only while powered: a card that was out of the reader lost all it had selected."""

    text: CardText = field(default_factory=CardText)
    apdus: int = 0
    powered: bool = False
    _application: bool = False
    _file: int = 0
    _waiting: bytes = b""

    def power_up(self) -> bytes | None:
        """The ATR, or None from a mute card. Also a reset: nothing is selected any more."""
        self._application, self._file, self._waiting = False, 0, b""
        self.powered = not self.text.mute
        if not self.powered:
            return None
        return ATR_OTHER if self.text.other else ATR_SOCIAL

    def power_down(self) -> None:
        self.powered = False

    @property
    def pulled(self) -> bool:
        """True once the card has had as many APDUs as its text allows: the reader has to take it out."""
        return self.text.pull_after is not None and self.apdus >= self.text.pull_after

    def exchange(self, command: bytes) -> bytes | None:
        """The answer with its status word, or None: mute."""
        if not self.powered or (self.text.mute_after is not None and self.apdus >= self.text.mute_after):
            return None
        self.apdus += 1
        if len(command) < 4:
            return b"\x67\x00"
        if command[1] == 0xC0:
            return self._get_response(command)
        return self._dressed(command, self._answer(command))

    def _answer(self, command: bytes) -> bytes:
        if command[1] == 0xA4:
            return self._select(command[2], command[5:])
        if command[1] == 0xB2 and command[3] == 0x00:
            return self._read(command[2])
        return UNKNOWN

    def _select(self, how: int, name: bytes) -> bytes:
        if how == 0x04:
            self._application = not self.text.other and name == APPLICATION
            self._file = 0
            if not self._application:
                return bytes.fromhex(self.text.other_answer) if self.text.other else NOT_FOUND
            return bytes([0x6F, len(name) + 2, 0x84, len(name)]) + name + DONE
        self._file = int.from_bytes(name, "big")
        return DONE if self._application and self._file in (CARD_FILE, HOLDER_FILE) else NOT_FOUND

    def _read(self, tag: int) -> bytes:
        if not self._application or not self._file:
            return b"\x69\x86"
        if self.text.generation > 2 and self._file == HOLDER_FILE:
            return NOT_ALLOWED
        record = records_of(self.text)[self._file].get(tag)
        return NO_RECORD if record is None else record + DONE

    def _dressed(self, command: bytes, answer: bytes) -> bytes:
        """The answer as a T=0 card gives it: data only for the right Le, and never after data was sent."""
        data, sw = answer[:-2], answer[-2:]
        if not self.text.t0 or not data:
            return answer
        if len(command) > 5:
            self._waiting = data
            return bytes([0x61, len(data)])
        if len(command) < 5 or command[4] != len(data):
            return bytes([0x6C, len(data)])
        return data + sw

    def _get_response(self, command: bytes) -> bytes:
        if not self._waiting:
            return b"\x69\x85"
        if command[4:] != bytes([len(self._waiting)]):
            return bytes([0x6C, len(self._waiting)])
        data, self._waiting = self._waiting, b""
        return data + DONE
