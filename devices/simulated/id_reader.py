"""A virtual ID card reader: what it answers to each command, and how its line spoils that.

Its description is a TOML text. Top-level keys are those of the card that lies on it (devices/simulated/id_card.py), none:
no card. How the reader behaves stands in a table of its own:

[reader]
serial = "05.03-20190101-0012345678-0000000001"
baud = 115200        # it hears nothing at another one
mute = false         # true: it takes what it is told and answers nothing
status = "66"        # its answer to everything: 60 broken, 66 not authorised
slow_ms = 0          # before each answer
pace = false         # true: bytes take their time on the line, as at the baud rate
lift = false         # true: a card that was read is found again only after it was lifted
once = false         # true: it reads a card once for each selection
careless = false     # true: it selects by itself whatever lies there
noise = "AAAA00"     # hexadecimal, before and after every answer
split = 7            # answers come in pieces of so many bytes
doubled = false      # true: every answer comes twice
corrupt_every = 3    # each third answer has a wrong byte; likewise:
long_every = 3       # says that it is longer than it is
lost_every = 3       # does not come
unplug_every = 3     # breaks off in the middle, and the reader is unplugged
"""

import re
import tomllib
from dataclasses import dataclass

from devices.id_card_frames import (
    FIND,
    READ,
    READ_NEWEST_ADDRESS,
    READ_WITH_FINGERPRINTS,
    SAM_ID,
    SELECT,
    encode,
)
from devices.simulated.id_card import IdCardText, built, newest_address_of, reading_of

STATUS_AT = 2
COMMAND = re.compile(rb"\xaa\xaa\xaa\x96\x69\x00\x03(..)(.)", re.DOTALL)
BADLY_HEARD, UNKNOWN_COMMAND = 0x10, 0x21


@dataclass(frozen=True)
class ReaderText:
    """The description of one virtual reader."""

    serial: str = "05.03-20190101-0012345678-0000000001"
    baud: int = 115200
    mute: bool = False
    status: str = ""
    slow_ms: int = 0
    pace: bool = False
    lift: bool = False
    once: bool = False
    careless: bool = False
    noise: str = ""
    split: int = 0
    doubled: bool = False
    corrupt_every: int = 0
    long_every: int = 0
    lost_every: int = 0
    unplug_every: int = 0


def parse(text: str) -> tuple[ReaderText, IdCardText | None]:
    """A reader and the card on it. Raises ValueError (with the name of the key) on anything unknown."""
    table = tomllib.loads(text)
    reader = built(ReaderText, table.pop("reader", {}))
    return reader, IdCardText.from_table(table) if table else None


class VirtualIdReader:
    """The reader at command level. It selects one card at a time, and knows it again only while it lies there."""

    def __init__(self, text: ReaderText | None = None) -> None:
        self.text = text or ReaderText()
        self.commands = 0
        self._card: IdCardText | None = None
        self._laying = 0  # rises with every card that is laid down
        self._found = self._selected = self._read = 0
        self._readings = 0  # since the card was selected
        self._card_commands = 0
        self._answers = 0

    def lay(self, card: IdCardText) -> None:
        """Lay a card down; one that lay there is lifted first. The same card again is another one to the reader."""
        self._card, self._card_commands = card, 0
        self._laying += 1

    def lift(self) -> None:
        self._card = None

    def hear(self, heard: bytes) -> list[bytes]:
        """The contents of the answers to the commands in `heard`; nothing from what is none."""
        return [self._answer(found) for found in COMMAND.finditer(heard)]

    def spoilt(self, content: bytes) -> tuple[bytes, bool]:
        """The bytes on the line for one answer, and whether the reader is unplugged in the middle of them."""
        self._answers += 1
        frame = bytearray(encode(content))
        if self._turn(self.text.corrupt_every):
            frame[-2] ^= 0x55
        if self._turn(self.text.long_every):
            frame[6] ^= 0x40
        noise = bytes.fromhex(self.text.noise)
        line = bytes(frame) * (2 if self.text.doubled else 1)
        if self._turn(self.text.unplug_every):
            return line[: len(line) // 2], True
        return b"" if self._turn(self.text.lost_every) else noise + line + noise, False

    def _turn(self, every: int) -> bool:
        return every > 0 and self._answers % every == 0

    def _answer(self, found: re.Match[bytes]) -> bytes:
        command, check = found.groups()
        self.commands += 1
        if encode(command)[-1:] != check:
            return _content(BADLY_HEARD)
        if self.text.status:
            return _content(int(self.text.status, 16))
        if command == SAM_ID:
            return _content(0x90, sam_bytes(self.text.serial))
        return self._card_answer(command)

    def _card_answer(self, command: bytes) -> bytes:
        card = self._card
        if card is not None and card.pull_after is not None and self._card_commands >= card.pull_after:
            self.lift()
            card = None
        self._card_commands += 1
        if command == FIND:
            return self._find(card)
        if command == SELECT:
            return self._select(card)
        if card is None or (self._selected != self._laying and not self.text.careless):
            return _content(0x41)
        return self._read_answer(command, card)

    def _find(self, card: IdCardText | None) -> bytes:
        self._found = self._selected = 0
        if card is None or (self.text.lift and self._read == self._laying):
            return _content(0x80)
        self._found = self._laying
        return _content(0x9F, bytes(4))

    def _select(self, card: IdCardText | None) -> bytes:
        if card is None or card.other or (self._found != self._laying and not self.text.careless):
            return _content(0x81)
        self._selected, self._readings = self._laying, 0
        return _content(0x90, bytes(8))

    def _read_answer(self, command: bytes, card: IdCardText) -> bytes:
        if card.read_status:
            return _content(int(card.read_status, 16))
        if command == READ_NEWEST_ADDRESS:
            address = newest_address_of(card)
            return _content(0x91) if address is None else _content(0x90, address)
        if command in (READ, READ_WITH_FINGERPRINTS):
            if self.text.once and self._readings:
                return _content(0x41)
            self._readings += 1
            self._read = self._laying
            return _content(0x90, reading_of(card, fingerprints=command == READ_WITH_FINGERPRINTS))
        return _content(UNKNOWN_COMMAND)


def sam_bytes(serial: str) -> bytes:
    """The 16 bytes of a number printed as 05.03-20190101-0012345678-0000000001."""
    numbers = [int(number) for number in re.split(r"[.-]", serial)]
    return b"".join(n.to_bytes(size, "little") for n, size in zip(numbers, (2, 2, 4, 4, 4), strict=True))


def _content(status: int, data: bytes = b"") -> bytes:
    return bytes([0, 0, status]) + data
