"""What a virtual social-security card guards: challenges, the proofs of generation 3, and the PIN."""

import hmac
import secrets
from dataclasses import dataclass

from devices.card_authentication import EXTERNAL_KEY, HALF_BYTES, Algorithm
from devices.simulated.card_keys import IssuerKeys, made_from, proof

DONE = b"\x90\x00"
WRONG_LENGTH = b"\x67\x00"
BLOCKED = b"\x69\x83"
NO_CHALLENGE = b"\x69\x84"
NO_KEY = b"\x6a\x88"
UNKNOWN = b"\x6d\x00"
VERIFY, EXTERNAL, GET_CHALLENGE, INTERNAL = 0x20, 0x82, 0x84, 0x88
KEY_TRIES_MAX = 3
PIN_TRIES_MAX = 6


@dataclass
class Tries:
    """How often a wrong secret may still be said. `tells`: the answer to a wrong one says how many are left."""

    left: int
    most: int
    tells: bool = True

    def judged(self, right: bool) -> bytes:
        """The status word for one try."""
        if self.left <= 0:
            return BLOCKED
        self.left = self.most if right else self.left - 1
        return DONE if right else self.said()

    def said(self) -> bytes:
        return bytes([0x63, 0xC0 | self.left if self.tells else 0x00])


class CardSecurity:
    """Answers the four commands. What was proved lasts until the next reset or selection; tries used up last."""

    def __init__(self, keys: IssuerKeys, algorithm: Algorithm, factors: tuple[bytes, ...], pin: bytes,
                 key_tries: Tries, pin_tries: Tries, *, authenticates: bool, empty_verify: bool) -> None:  # fmt: skip
        self._keys = IssuerKeys(*(_made(algorithm, key, factors) for key in (keys.internal, keys.external)))
        self._algorithm = algorithm
        self._pin = pin
        self._key_tries, self._pin_tries = key_tries, pin_tries
        self._authenticates, self._empty_verify = authenticates, empty_verify
        self.forget()

    def forget(self) -> None:
        """What was proved, and the challenge."""
        self.forget_challenge()
        self._card_proved = self._terminal_proved = self._pin_right = False

    def forget_challenge(self) -> None:
        """It is good for the very next command."""
        self._challenge = b""

    @property
    def mutual(self) -> bool:
        """Whether both have proved themselves."""
        return self._card_proved and self._terminal_proved

    def answer(self, command: bytes) -> bytes:
        """Data and status word."""
        challenge = self._challenge
        self.forget_challenge()
        ins, data = command[1], command[5:]
        if ins == VERIFY:
            return self._verify(data)
        if not self._authenticates:
            return UNKNOWN
        if ins == GET_CHALLENGE:
            self._challenge = secrets.token_bytes(HALF_BYTES)
            return self._challenge + DONE
        if ins in (INTERNAL, EXTERNAL) and len(data) != 2 * HALF_BYTES:
            return WRONG_LENGTH
        if ins == INTERNAL:
            self._card_proved = True
            return proof(self._algorithm, self._keys.internal, data[:HALF_BYTES], data[HALF_BYTES:]) + DONE
        return self._external(command[3], data, challenge) if ins == EXTERNAL else UNKNOWN

    def _external(self, key: int, data: bytes, challenge: bytes) -> bytes:
        if key != EXTERNAL_KEY:
            return NO_KEY
        if self._key_tries.left <= 0:
            return BLOCKED
        if not challenge:
            return NO_CHALLENGE
        wanted = proof(self._algorithm, self._keys.external, challenge, data[HALF_BYTES:])
        self._terminal_proved = hmac.compare_digest(wanted, data[:HALF_BYTES])
        return self._key_tries.judged(self._terminal_proved)

    def _verify(self, said: bytes) -> bytes:
        if said:
            right = hmac.compare_digest(said, self._pin)
            sw = self._pin_tries.judged(right)
            self._pin_right = sw == DONE
            return sw
        if not self._empty_verify:
            return WRONG_LENGTH
        if self._pin_tries.left <= 0:
            return BLOCKED
        return DONE if self._pin_right else self._pin_tries.said()


def _made(algorithm: Algorithm, key: bytes, factors: tuple[bytes, ...]) -> bytes:
    for factor in factors:
        key = made_from(algorithm, key, factor)
    return key
