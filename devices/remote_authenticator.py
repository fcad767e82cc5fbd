"""The keys in a remote HSM: the seam. The edge gives the callable that carries the question there; no network here."""

import asyncio
from collections.abc import Awaitable, Callable

from devices.card_authentication import HALF_BYTES, Proofs, Question
from devices.contract import DeviceFault, DeviceUnavailable

PROOFS_MAX_S = 10.0  # a person stands before the card meanwhile

AWAY = "联系不上密钥服务，暂时读不了第三代社会保障卡。请检查网络后再读，或改用身份证办理。"
GARBLED = "密钥服务的应答不正确，读不了第三代社会保障卡。请改用身份证办理，并报修密钥服务。"

Ask = Callable[[Question], Awaitable[Proofs]]


class RemoteAuthenticator:
    """A `CardAuthenticator`. `ask` raises DeviceUnavailable while the HSM cannot be reached, DeviceFault when it refuses.

    What an HSM of the ministry's kind is asked for (region, ATR, algorithm, card id, the two challenges) and what it
    answers (the card's proof, the data of EXTERNAL AUTHENTICATION) fits `Question` and `Proofs`; its own protocol
    differs from province to province. A `Question` names a resident's card: only an encrypted line may carry it.
    """

    def __init__(self, ask: Ask, limit_s: float = PROOFS_MAX_S) -> None:
        self._ask = ask
        self._limit_s = limit_s

    async def prove(self, question: Question) -> Proofs:
        """See `CardAuthenticator.prove`."""
        try:
            async with asyncio.timeout(self._limit_s):
                proofs = await self._ask(question)
        except TimeoutError as error:
            raise DeviceUnavailable(AWAY) from error
        if len(proofs.card) != HALF_BYTES or len(proofs.terminal) != 2 * HALF_BYTES:
            raise DeviceFault(GARBLED)
        return proofs
