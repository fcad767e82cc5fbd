"""A virtual social-security card at APDU level, and its description as a small TOML text.

name = "张三"
id_number = "11010519491231002X"
card_number = "A12345678"
generation = 2        # 3 gives EF06 only once card and terminal have proved themselves to each other
algorithm = "SM4"     # or "3DES": of generation 3
imitation = false     # true: generation 3 with keys of its own, not the issuer's
key_tries = 3         # left for a wrong proof of the terminal
pin = "123456"
pin_tries = 6         # left
tells_tries = true    # false: says 6300 instead of 63Cx
empty_verify = true   # false: does not say the tries without a try
other = false         # true: some other chip card
other_answer = "6A82" # what that one says when it is asked for the application
mute = false          # true: no ATR, no answers
mute_after = 3        # mute after that many APDUs
pull_after = 3        # pulled after that many APDUs (the reader takes it out)
slow_ms = 0           # time for every APDU
t0 = true             # answer as T=0 cards do, with 61xx and 6Cxx
values = {"03" = "33"} # records with other bytes than follow from the above, in hexadecimal by tag
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from devices.atr import historical
from devices.card_authentication import ALGORITHM_TAG, HALF_BYTES, Algorithm, Subject
from devices.card_pin import packed
from devices.psam_slot import region_factor
from devices.simulated.card_keys import FORGER, ISSUER
from devices.simulated.card_security import KEY_TRIES_MAX, PIN_TRIES_MAX, UNKNOWN, CardSecurity, Tries
from devices.simulated.chip import ChipProgram
from devices.social_card_files import APPLICATION, CARD_FILE, HOLDER_FILE

ATR_SOCIAL = bytes.fromhex("3B6D000000814D22868653582DC4CFB6AB")  # T=0, made up, 13 historical bytes
ATR_OTHER = bytes.fromhex("3B6800004F544845524B4152")
NAME_BYTES = 30
EXTENSION_BYTES = 20
DONE = b"\x90\x00"
NOT_FOUND = b"\x6a\x82"
NO_RECORD = b"\x6a\x83"
NOT_ALLOWED = b"\x69\x82"


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
    algorithm: str = Algorithm.SM4
    imitation: bool = False
    key_tries: int = KEY_TRIES_MAX
    pin: str = "123456"
    pin_tries: int = PIN_TRIES_MAX
    tells_tries: bool = True
    empty_verify: bool = True
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
        return cls.from_table(tomllib.loads(text))

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Self:
        """See `from_toml`."""
        if unknown := set(table) - {known.name for known in fields(cls)}:
            raise ValueError(f"unknown keys in card: {', '.join(sorted(unknown))}; see devices/simulated/card.py")
        return cls(**table)

    def program(self) -> ChipProgram:
        """See `ChipText.program`."""
        return SocialCardProgram(self)


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


class SocialCardProgram:
    """What answers in a virtual card; `devices.simulated.chip` holds it on the contacts."""

    def __init__(self, text: CardText) -> None:
        self._text = text
        self._records = records_of(text)
        card_id = self._records[CARD_FILE][0x01][2:]
        self.atr = ATR_OTHER if text.other else ATR_SOCIAL if text.generation < 3 else atr_of(card_id)
        algorithm = Algorithm(text.algorithm)
        subject = Subject(algorithm, card_id, historical(self.atr))
        self._security = CardSecurity(
            FORGER if text.imitation else ISSUER,
            algorithm,
            (region_factor(subject), subject.history[-HALF_BYTES:]),
            bytes(packed(bytearray(text.pin.encode()))),
            Tries(text.key_tries, KEY_TRIES_MAX, text.tells_tries),
            Tries(text.pin_tries, PIN_TRIES_MAX, text.tells_tries),
            authenticates=text.generation > 2,
            empty_verify=text.empty_verify,
        )
        self.reset()

    def reset(self) -> None:
        """See `ChipProgram.reset`."""
        self._application, self._file = False, 0
        self._security.forget()

    def answer(self, command: bytes) -> bytes:
        """See `ChipProgram.answer`."""
        if command[1] == 0xA4:
            self._security.forget_challenge()
            return self._select(command[2], command[5:])
        if command[1] == 0xB2 and command[3] == 0x00:
            self._security.forget_challenge()
            return self._read(command[2])
        return self._security.answer(command) if self._application else UNKNOWN

    def _select(self, how: int, name: bytes) -> bytes:
        if how == 0x04:
            self.reset()
            self._application = not self._text.other and name == APPLICATION
            if not self._application:
                return bytes.fromhex(self._text.other_answer) if self._text.other else NOT_FOUND
            return self._control_information(name) + DONE
        self._file = int.from_bytes(name, "big")
        return DONE if self._application and self._file in (CARD_FILE, HOLDER_FILE) else NOT_FOUND

    def _control_information(self, name: bytes) -> bytes:
        fields = _record(0x84, name)
        if self._text.generation > 2:
            fields += _record(0xA5, ALGORITHM_TAG + bytes([list(Algorithm).index(Algorithm(self._text.algorithm)) + 1]))
        return _record(0x6F, fields)

    def _read(self, tag: int) -> bytes:
        if not self._application or not self._file:
            return b"\x69\x86"
        if self._text.generation > 2 and self._file == HOLDER_FILE and not self._security.mutual:
            return NOT_ALLOWED
        record = self._records[self._file].get(tag)
        return NO_RECORD if record is None else record + DONE


def atr_of(card_id: bytes) -> bytes:
    """As in a real card, the last 8 historical bytes are its own."""
    return ATR_SOCIAL[:-HALF_BYTES] + hashlib.sha256(card_id).digest()[:HALF_BYTES]
