"""The keys in a PSAM (secure access module of the ministry) in a slot of a card reader: an ordinary PC/SC reader name.

Commands, after three public terminal programs that work with cards of generations 1 to 3; no standard was read:
- 00 A4 04 00 06 D15600000590 selects the PSAM's application for 3DES (high). Other algorithms have other applications
  (sx2.sh.社会保障 for SSF33); the one for SM4 is not public, so it is an argument.
- BF DE 48 KK 18, card factor, region factor, process factor: make the session key from key KK, use 8 (MAC and cipher),
  two levels (high). It stands where a PSAM of the People's Bank kind has 80 1A.
  Card factor: the last 8 historical bytes of the card's ATR; region factor: the first six digits of the card's
  identification in ASCII, then "sx" (high).
- 80 FA 00 00 08, source: 8 bytes of proof (high).
- Which numbers KK the keys for reading have (IRK, and RK 0A) depends on the issuer of the PSAM: arguments.
- That the proof comes before the source in EXTERNAL AUTHENTICATION: high for other keys, medium-high for 0A.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from devices.card_authentication import HALF_BYTES, Algorithm, Challenge, Proofs, Question, Subject
from devices.cards import CardReaders, CardWire
from devices.contract import CardAbsent, DeviceFault, DeviceState, DeviceUnavailable
from devices.reader_names import found_again

TDES_APPLICATION = bytes.fromhex("D15600000590")
TWO_LEVELS = 0x48
BUSY_MAX_S = 1.0  # somebody looks whether the PSAM is there
BUSY_POLL_S = 0.02
REGION_BYTES = 3
REGION_END = b"sx"
DONE = 0x9000
NO_KEY = {0x6A88, 0x9403}
NO_PSAM_REASON = "noPsam"

NO_PSAM = "读卡器里没有可用的 PSAM 卡，读不了第三代社会保障卡。请改用身份证办理，并请技术人员检查 PSAM 卡是否插好。"
PSAM_LACKS = "读卡器里的 PSAM 卡没有读第三代社会保障卡所需的{algorithm}密钥。请改用身份证办理，并请技术人员更换 PSAM 卡。"
PSAM_SAYS = "读卡器里的 PSAM 卡返回状态 {sw:04X}，读不了第三代社会保障卡。请改用身份证办理，并报修 PSAM 卡。"
PSAM_BUSY = "读卡器里的 PSAM 卡正被其他程序使用，或读卡器已断开。请稍候再读；仍不行请重新插好读卡器。"


class PsamFault(DeviceFault):
    """The PSAM is missing, silent, or lacks a key. The reader of the resident's card is well."""

    reasons = (NO_PSAM_REASON,)


@dataclass(frozen=True)
class PsamKeys:
    """Where in the PSAM the keys of one algorithm are; its issuer says it."""

    application: bytes
    internal: int
    external: int


class PsamSlot:
    """A `CardAuthenticator`. Several card readers may share one: a question waits for the one before it."""

    def __init__(self, readers: CardReaders, reader: str, keys: Mapping[Algorithm, PsamKeys]) -> None:
        self._readers = readers
        self._reader = reader
        self._keys = keys
        self._one_at_a_time = asyncio.Lock()

    async def prove(self, question: Question) -> Proofs:
        """See `CardAuthenticator.prove`."""
        if question.card.algorithm not in self._keys:
            raise PsamFault(PSAM_LACKS.format(algorithm=question.card.algorithm))
        async with self._one_at_a_time:
            last_try = time.monotonic() + BUSY_MAX_S
            while True:
                try:
                    return await self._proved(question)
                except DeviceUnavailable as error:
                    if error.state is DeviceState.NO_DEVICE:  # its own reader: the resident's is there
                        raise PsamFault(NO_PSAM) from error
                    if error.state is not DeviceState.DEVICE_BUSY or time.monotonic() > last_try:
                        raise DeviceUnavailable(PSAM_BUSY, error.state) from error
                await asyncio.sleep(BUSY_POLL_S)

    async def _proved(self, question: Question) -> Proofs:
        try:
            now = found_again(self._reader, [state.name for state in self._readers.states])
            async with self._readers.card(now or self._reader) as psam:
                return await _proofs(psam, self._keys[question.card.algorithm], question)
        except PsamFault:
            raise
        except (CardAbsent, DeviceFault) as error:  # said of the PSAM, not of the resident's card
            raise PsamFault(NO_PSAM) from error


async def _proofs(psam: CardWire, keys: PsamKeys, question: Question) -> Proofs:
    select = bytes([0x00, 0xA4, 0x04, 0x00, len(keys.application)]) + keys.application
    _check(question.card.algorithm, (await psam.transmit(select))[1])
    card = await _proof(psam, keys.internal, question.card, question.internal)
    terminal = await _proof(psam, keys.external, question.card, question.external)
    return Proofs(card, terminal + question.external.source)


async def _proof(psam: CardWire, key: int, card: Subject, challenge: Challenge) -> bytes:
    factors = card.history[-HALF_BYTES:] + region_factor(card) + challenge.factor
    _, sw = await psam.transmit(bytes([0xBF, 0xDE, TWO_LEVELS, key, len(factors)]) + factors)
    _check(card.algorithm, sw)
    proof, sw = await psam.transmit(bytes([0x80, 0xFA, 0x00, 0x00, HALF_BYTES]) + challenge.source)
    _check(card.algorithm, sw)
    if len(proof) != HALF_BYTES:
        raise PsamFault(PSAM_SAYS.format(sw=sw))
    return proof


def region_factor(card: Subject) -> bytes:
    """Eight bytes from the region that issued the card."""
    return card.card_id[:REGION_BYTES].hex().upper().encode("ascii") + REGION_END


def _check(algorithm: Algorithm, sw: int) -> None:
    if sw in NO_KEY:
        raise PsamFault(PSAM_LACKS.format(algorithm=algorithm))
    if sw != DONE:
        raise PsamFault(PSAM_SAYS.format(sw=sw))
