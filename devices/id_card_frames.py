"""Frames of the business-terminal interface of ID card readers (GA/T 467): bytes to commands and answers, no I/O.

AA AA AA 96 69, length (2 bytes, big-endian, of all that follows), content, XOR over length and content.
The content is CMD PARA data to the reader, SW1 SW2 SW3 data from it. Nothing ties an answer to its command.
"""

from dataclasses import dataclass
from functools import reduce
from operator import xor

PREAMBLE = bytes.fromhex("AAAAAA9669")
LENGTH_BYTES = 2
HEAD_BYTES = len(PREAMBLE) + LENGTH_BYTES
STATUS_BYTES = 3
CHECK_BYTES = 1
TEXT_BYTES = 256
PHOTO_BYTES = 1024
FINGERPRINT_BYTES = 512
SAM_ID_BYTES = 16
ADDRESS_BYTES = 70
ADDRESS_ANSWERS_BYTES = (ADDRESS_BYTES, ADDRESS_BYTES + 2)  # readers differ: with its length before it or without
ANSWER_MAX_BYTES = STATUS_BYTES + 3 * 2 + TEXT_BYTES + PHOTO_BYTES + 2 * FINGERPRINT_BYTES

FIND = b"\x20\x01"
SELECT = b"\x20\x02"
READ = b"\x30\x01"
READ_WITH_FINGERPRINTS = b"\x30\x10"
READ_NEWEST_ADDRESS = b"\x30\x03"
SAM_ID = b"\x12\xff"

DONE = 0x90
FOUND = 0x9F


@dataclass(frozen=True)
class Answer:
    """One whole answer. `status` is SW3, the reader's own word; `repr` shows no data."""

    status: int
    data: bytes = b""

    def __repr__(self) -> str:
        return f"Answer(status={self.status:02X}, {len(self.data)} bytes)"


def encode(content: bytes) -> bytes:
    """The frame of a command or, at the other end, of an answer."""
    body = (len(content) + CHECK_BYTES).to_bytes(LENGTH_BYTES, "big") + content
    return PREAMBLE + body + bytes([reduce(xor, body)])


class Answers:
    """The answers in a stream of bytes that may begin, go on and end with noise, and come in pieces of any size.

    A frame whose length or check is wrong is noise, but a whole one inside it is found. `damaged` counts such frames.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._bytes = bytearray()

    @property
    def unfinished(self) -> bool:
        """Whether the last bytes may be the beginning of a frame."""
        return bool(self._bytes)

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that are whole now."""
        self._bytes += data
        answers = []
        while (content := self._next()) is not None:
            answers.append(Answer(content[STATUS_BYTES - 1], content[STATUS_BYTES:]))
        return answers

    def give_up(self) -> list[Answer]:
        """The rest of what seemed to be a frame will not come: the answers inside it, as when its length was wrong."""
        answers = []
        while self.unfinished:
            self._skip()
            answers += self.feed(b"")
        return answers

    def _next(self) -> bytes | None:
        """The next whole content, taken out; None when more bytes are needed."""
        while self._begun():
            length = int.from_bytes(self._bytes[len(PREAMBLE) : HEAD_BYTES], "big")
            if not STATUS_BYTES <= length - CHECK_BYTES <= ANSWER_MAX_BYTES:
                self._skip()
                continue
            body = bytes(self._bytes[len(PREAMBLE) : HEAD_BYTES + length])
            if len(body) < LENGTH_BYTES + length:
                return None
            if reduce(xor, body) == 0:
                del self._bytes[: HEAD_BYTES + length]
                return body[LENGTH_BYTES:-CHECK_BYTES]
            self._skip()
        return None

    def _begun(self) -> bool:
        """Drop what is before the next preamble, or before what may become one; whether a whole head is there."""
        start = self._bytes.find(PREAMBLE)
        if start < 0:
            start = next(
                at for at in range(max(0, len(self._bytes) - len(PREAMBLE) + 1), len(self._bytes) + 1)
                if PREAMBLE.startswith(self._bytes[at:])
            )  # fmt: skip
        del self._bytes[:start]
        return len(self._bytes) >= HEAD_BYTES

    def _skip(self) -> None:
        self.damaged += 1
        del self._bytes[0]
