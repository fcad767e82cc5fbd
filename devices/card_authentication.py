"""Card and terminal prove themselves to each other (social-security cards of generation 3), the keys being elsewhere.

Both proofs are 8 bytes that a key makes of a process factor and source data, 8 bytes each: of those that the terminal
chose in INTERNAL AUTHENTICATION (00 88 00 00 10, factor, source: the card answers them), of the card's own challenge
(00 84 00 00 08, the factor) and any source in EXTERNAL AUTHENTICATION (00 82 00 0A 10, proof, source). Both keys are
the card's own, made from the issuer's by the card's identification and answer to reset; a PSAM or an HSM holds the
issuer's. LD/T 32.5-2015 has the commands; the data fields are those of public terminal programs (medium-high).
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from devices.cards import CardWire
from devices.contract import CardRefused, DeviceFault, DeviceState

HALF_BYTES = 8
GET_CHALLENGE = bytes([0x00, 0x84, 0x00, 0x00, HALF_BYTES])
INTERNAL = bytes([0x00, 0x88, 0x00, 0x00, 2 * HALF_BYTES])
EXTERNAL_KEY = 0x0A  # RK of the application: who has it may read EF06
EXTERNAL = bytes([0x00, 0x82, 0x00, EXTERNAL_KEY, 2 * HALF_BYTES])
ALGORITHM_TAG = bytes.fromhex("9F0C038601")  # in what SELECT answers; without it 01 holds
DONE = 0x9000
UNABLE = {0x6A81, 0x6A86, 0x6A88, 0x6D00, 0x6E00}  # no such key or command: then it is no card of generation 3
WRONG = 0x6300  # also 63Cx, x tries left
BLOCKED = 0x6983

IMITATION = (
    "这张卡不能证明自己是真的社会保障卡，可能是仿制卡。请不要用它办理，核对持卡人身份证并报告主管；"
    "若别的第三代卡也这样，请报修本机的 PSAM 卡或密钥服务。"
)
KEY_BLOCKED = "这张社会保障卡的认证密钥已锁定。请改用身份证办理，并请持卡人到发卡网点处理。"
TERMINAL_REFUSED = "这张社会保障卡不认本机的密钥{left}。请勿再试，改用身份证办理，并报修本机的 PSAM 卡或密钥服务。"
UNKNOWN_ALGORITHM = "这张社会保障卡的加密算法本机不认识。请改用身份证办理，并报修本机。"
NOT_AUTHENTICATED = "卡片认证时返回状态 {sw:04X}，没有读成。请取出卡片重新插入再读；仍不行请到发卡网点检查卡片。"


class Algorithm(StrEnum):
    """What the card's keys work with, as the card says it: 01 (or nothing), 02, 03. Certainty: 03 medium, 02 low."""

    TDES = "3DES"
    SSF33 = "SSF33"
    SM4 = "SM4"


_ALGORITHMS = {1: Algorithm.TDES, 2: Algorithm.SSF33, 3: Algorithm.SM4}


@dataclass(frozen=True)
class Subject:
    """The card that stands to be proved: what its keys follow from. `history` are the historical bytes of its ATR."""

    algorithm: Algorithm
    card_id: bytes = field(repr=False)
    history: bytes = field(repr=False)


@dataclass(frozen=True)
class Challenge:
    """Eight bytes each."""

    factor: bytes
    source: bytes


@dataclass(frozen=True)
class Question:
    """All that the keys are asked about one card, at once: a remote holder takes a single round trip."""

    card: Subject
    internal: Challenge
    external: Challenge


@dataclass(frozen=True)
class Proofs:
    """What a genuine card answers to `internal` (8 bytes), and what proves the terminal in `external`: all 16 bytes
    that the card wants, in its order."""

    card: bytes = field(repr=False)
    terminal: bytes = field(repr=False)


class CardAuthenticator(Protocol):
    """Who has the keys. Two implementations: `devices.psam_slot` and `devices.remote_authenticator`."""

    async def prove(self, question: Question) -> Proofs:
        """Within bounded time. MUST NOT show the keys. Raises DeviceUnavailable (a line is down) or DeviceFault (no PSAM,
        no such key), never CardAbsent or CardRefused: they would be said of the resident's card."""
        ...


def algorithm_in(selected: bytes) -> Algorithm:
    """The algorithm from what the card answered to the selection of its application."""
    _, tag, rest = selected.partition(ALGORITHM_TAG)
    number = rest[0] if tag and rest else 1
    if number not in _ALGORITHMS:
        raise CardRefused(UNKNOWN_ALGORITHM)
    return _ALGORITHMS[number]


async def authenticate(
    wire: CardWire, card: Subject, keys: CardAuthenticator, random: Callable[[int], bytes] = secrets.token_bytes
) -> None:
    """Return once each has proved itself to the other; the card goes first, so that an imitation costs no try of a key.

    Raises CardRefused: an imitation (POTENTIAL_FRAUD), or a card that refuses the terminal. Whatever `keys` raises.
    """
    internal = Challenge(random(HALF_BYTES), random(HALF_BYTES))
    answer, sw = await wire.transmit(INTERNAL + internal.factor + internal.source)
    if sw in UNABLE:
        raise CardRefused(IMITATION, DeviceState.POTENTIAL_FRAUD)
    _check(sw)
    challenge, sw = await wire.transmit(GET_CHALLENGE)
    _check(sw)
    if len(challenge) != HALF_BYTES:
        raise DeviceFault(NOT_AUTHENTICATED.format(sw=sw))
    external = Challenge(challenge, random(HALF_BYTES))
    proofs = await keys.prove(Question(card, internal, external))
    if not hmac.compare_digest(answer, proofs.card):
        raise CardRefused(IMITATION, DeviceState.POTENTIAL_FRAUD)
    _, sw = await wire.transmit(EXTERNAL + proofs.terminal)
    _check(sw)


def _check(sw: int) -> None:
    if sw == BLOCKED:
        raise CardRefused(KEY_BLOCKED)
    if sw == WRONG or sw >> 4 == 0x63C:
        left = "" if sw == WRONG else f"（还能试 {sw & 0xF} 次）"
        raise CardRefused(TERMINAL_REFUSED.format(left=left))
    if sw != DONE:
        raise DeviceFault(NOT_AUTHENTICATED.format(sw=sw))
