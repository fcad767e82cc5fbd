"""What every virtual chip card does, whatever is in it: power, pace, and the ways of T=0."""

from dataclasses import dataclass
from typing import Protocol


class ChipText(Protocol):
    """The description of a virtual chip: how it behaves on the contacts, and which program runs in it."""

    @property
    def mute(self) -> bool: ...

    @property
    def mute_after(self) -> int | None: ...

    @property
    def pull_after(self) -> int | None: ...

    @property
    def slow_ms(self) -> int: ...

    @property
    def t0(self) -> bool: ...

    def program(self) -> "ChipProgram":
        """A new one, as it is when the chip is put in."""
        ...


class ChipProgram(Protocol):
    """What answers the commands."""

    @property
    def atr(self) -> bytes: ...

    def reset(self) -> None:
        """Forget what was selected and proved."""
        ...

    def answer(self, command: bytes) -> bytes:
        """Data and status word, as if there were no T=0."""
        ...


@dataclass
class VirtualChip:
    """One chip. It answers only while powered: a card that was out of the reader lost all it had selected."""

    text: ChipText
    apdus: int = 0
    powered: bool = False
    _waiting: bytes = b""

    def __post_init__(self) -> None:
        self._program = self.text.program()

    @property
    def atr(self) -> bytes | None:
        """None from a mute card."""
        return None if self.text.mute else self._program.atr

    def power_up(self) -> bytes | None:
        """The ATR. Also a reset: nothing is selected any more."""
        self._waiting = b""
        self._program.reset()
        self.powered = not self.text.mute
        return self.atr

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
        return self._dressed(command, self._program.answer(command))

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
        return data + b"\x90\x00"
