"""A virtual PSAM at APDU level, and its description as a small TOML text; see `devices.psam_slot` for the commands.

chip = "psam"
algorithm = "SM4"                 # or "3DES"
application = "D15600000590"
internal = 0x11                   # numbers of its two keys
external = 0x12
internal_key = "000102…0E0F"      # of the issuer; without them those of all virtual cards, "" for none
external_key = "F0F1F2…FEFF"
mute, mute_after, pull_after, slow_ms, t0  # as in `devices.simulated.card`
"""

from dataclasses import dataclass, field, fields
from typing import Any, Self

from devices.card_authentication import HALF_BYTES, Algorithm
from devices.psam_slot import TDES_APPLICATION, TWO_LEVELS, PsamKeys
from devices.simulated.card_keys import ISSUER, made_from, proof
from devices.simulated.chip import ChipProgram

ATR = bytes.fromhex("3B6C00000053555A48414E5053414D30")
DONE = b"\x90\x00"
WRONG_LENGTH = b"\x67\x00"
NOT_READY = b"\x69\x85"
NOT_FOUND = b"\x6a\x82"
NO_KEY = b"\x94\x03"
UNKNOWN = b"\x6d\x00"


@dataclass(frozen=True)
class PsamText:
    """The description of one virtual PSAM."""

    algorithm: str = Algorithm.SM4
    application: str = TDES_APPLICATION.hex()
    internal: int = 0x11
    external: int = 0x12
    internal_key: str = field(default=ISSUER.internal.hex(), repr=False)
    external_key: str = field(default=ISSUER.external.hex(), repr=False)
    mute: bool = False
    mute_after: int | None = None
    pull_after: int | None = None
    slow_ms: int = 0
    t0: bool = True

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Self:
        """Raises ValueError (with the name of the key) on anything unknown."""
        if unknown := set(table) - {known.name for known in fields(cls)}:
            raise ValueError(f"unknown keys in PSAM: {', '.join(sorted(unknown))}; see devices/simulated/psam.py")
        return cls(**table)

    @property
    def keys(self) -> PsamKeys:
        """What `PsamSlot` has to be told of it."""
        return PsamKeys(bytes.fromhex(self.application), self.internal, self.external)

    def program(self) -> ChipProgram:
        """See `ChipText.program`."""
        return PsamProgram(self)


class PsamProgram:
    """What answers in a virtual PSAM."""

    atr = ATR

    def __init__(self, text: PsamText) -> None:
        self._algorithm = Algorithm(text.algorithm)
        self._application = bytes.fromhex(text.application)
        keys = {text.internal: text.internal_key, text.external: text.external_key}
        self._keys = {number: bytes.fromhex(key) for number, key in keys.items() if key}
        self.reset()

    def reset(self) -> None:
        """See `ChipProgram.reset`."""
        self._selected = False
        self._process: tuple[bytes, bytes] | None = None

    def answer(self, command: bytes) -> bytes:
        """See `ChipProgram.answer`."""
        head, data = command[:2], command[5:]
        if head == b"\x00\xa4":
            self.reset()
            self._selected = data == self._application
            return bytes([0x6F, len(data) + 2, 0x84, len(data)]) + data + DONE if self._selected else NOT_FOUND
        if head == b"\xbf\xde" and self._selected:
            return self._init(command[2], command[3], data)
        if head == b"\x80\xfa" and self._selected:
            return self._crypt(data)
        return UNKNOWN

    def _init(self, use: int, key: int, factors: bytes) -> bytes:
        self._process = None
        if use != TWO_LEVELS or key not in self._keys:
            return NO_KEY
        if len(factors) != 3 * HALF_BYTES:
            return WRONG_LENGTH
        card, region, factor = (factors[place : place + HALF_BYTES] for place in range(0, len(factors), HALF_BYTES))
        of_region = made_from(self._algorithm, self._keys[key], region)
        self._process = made_from(self._algorithm, of_region, card), factor
        return DONE

    def _crypt(self, source: bytes) -> bytes:
        if self._process is None:
            return NOT_READY
        if len(source) != HALF_BYTES:
            return WRONG_LENGTH
        return proof(self._algorithm, *self._process, source) + DONE
