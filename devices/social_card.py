"""Driver for social-security cards (LD/T 32, LD/T 33): what may be read without a PIN, and the check of the PIN.

Generations 1 and 2 give it to anybody; generation 3 after card and terminal have proved themselves to each other.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date, datetime
from types import TracebackType
from typing import Self

from devices import social_card_fields as fields
from devices import social_card_files as files
from devices.atr import historical
from devices.card_authentication import CardAuthenticator, Subject, algorithm_in, authenticate
from devices.card_pin import Pin, PinCheck, ToldTries
from devices.cards import CardReaders, CardWire, ReaderState
from devices.contract import (
    CardRefused,
    DeviceError,
    DeviceIdentity,
    DeviceState,
    DeviceStatus,
    DeviceUnavailable,
    Reading,
    now,
)

KIND = "social-card"
AWAY = (DeviceState.NO_DEVICE, DeviceState.OFFLINE)

NOT_OPEN = "读卡器未打开。请重新开始读卡。"
NOT_THIS_ONE = "接在这里的不是登记的那台读卡器。请接回原来的读卡器，或请市信息中心在设备列表里更正序列号。"


@dataclass(frozen=True)
class SocialCard:
    """What the card says. Codes as on the card: sex GB/T 2261.1, nation GB/T 3304, birthplace GB/T 2260.

    `authenticated`: the card has proved to be the issuer's, which those before generation 3 are not asked to.
    `card_id` and `organisation` are upper-case hexadecimal. `repr` shows nothing that tells who it is.
    """

    card_id: str
    card_class: str
    version: str
    organisation: str
    issued: date
    expires: date | None
    card_number: str
    id_number: str
    name: str
    sex: str
    nation: str
    birthplace: str
    birth: date
    authenticated: bool

    @property
    def generation(self) -> int:
        """1, 2 or 3, from the version ("2.00")."""
        return int(self.version[0])

    def __repr__(self) -> str:
        return f"SocialCard(version={self.version}, authenticated={self.authenticated}, name=***, id_number=***)"


class SocialCardDriver:
    """`async with SocialCardDriver(readers, reader) as driver: reading = await driver.read()`: one card a time.

    `name` is the site's, if it has one. With a `serial` it is that reader, and another one in its place is none. `keys` are asked
    for cards of generation 3; without them such a card is refused. `told` outlives the drivers of all readers.
    """

    kind = KIND

    def __init__(
        self,
        readers: CardReaders,
        reader: str,
        now: Callable[[], datetime] = now,
        keys: CardAuthenticator | None = None,
        told: ToldTries | None = None,
        *,
        name: str = "",
        serial: str = "",
    ) -> None:
        self._readers = readers
        self._reader = reader
        self._now = now
        self._keys = keys
        self._told = ToldTries() if told is None else told
        self._name = name or reader
        self._serial = serial
        self._stack = AsyncExitStack()
        self._wire: CardWire | None = None

    async def probe(self) -> DeviceStatus:
        """The state of the reader; with a card in it, of the two together. Sends the card nothing."""
        state = await self._state()
        seen = self._seen()
        return DeviceStatus(state, seen.identity) if seen and state not in AWAY else DeviceStatus(self._away())

    def _seen(self) -> ReaderState | None:
        here = (state for state in self._readers.states if state.name == self._reader)
        return next((state for state in here if not self._serial or self._is(state.identity)), None)

    def _is(self, identity: DeviceIdentity | None) -> bool:
        return identity is not None and identity.serial == self._serial

    def _away(self) -> DeviceState:
        return DeviceState.NO_DEVICE if self._readers.service is DeviceState.ONLINE else DeviceState.OFFLINE

    async def _state(self) -> DeviceState:
        seen = self._seen()
        if seen is None:
            return self._away()
        if not seen.card_present or seen.state is not DeviceState.ONLINE:
            return seen.state
        try:
            async with self._readers.card(self._reader):
                return DeviceState.ONLINE
        except DeviceError as error:
            return error.state

    async def __aenter__(self) -> Self:
        if self._serial and self._seen() is None:
            raise DeviceUnavailable(NOT_THIS_ONE, self._away())
        wire = await self._stack.enter_async_context(self._readers.card(self._reader))
        if self._serial and not self._is(wire.identity):  # swapped since the last look
            await self._stack.aclose()
            raise DeviceUnavailable(NOT_THIS_ONE, DeviceState.NO_DEVICE)
        self._wire = wire
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire = None
        await self._stack.aclose()

    async def read(self) -> Reading[SocialCard]:
        """Read the whole card. CardRefused: not such a card. Unreadable: garbled. CardAbsent: pulled or swapped."""
        if self._wire is None:
            raise DeviceUnavailable(NOT_OPEN)
        wire = self._wire
        data = await read_card(wire, self._keys)
        return Reading(self._name, KIND, data, wire.simulated, self._now(), serial=wire.identity.serial)

    async def pin_tries(self) -> int | None:
        """How many tries the PIN has left, without using one up; 0: locked; None: the card does not say."""
        return await (await self._pin_check()).tries_left()

    async def verify_pin(self, pin: bytearray, *, last_try: bool = False) -> None:
        """Return when `pin` (ASCII digits; zeroed whatever happens) is the card's.

        Raises PinRefused, which says how many tries are left: the PIN is wrong; the card is locked; or only one try is left
        and `last_try` was not said, then it was not used. DeviceFault: these are no digits of a PIN.
        """
        with Pin(pin) as kept:
            await (await self._pin_check()).verify(kept, last_try=last_try)

    async def _pin_check(self) -> PinCheck:
        if self._wire is None:
            raise DeviceUnavailable(NOT_OPEN)
        await files.select_application(self._wire)
        await files.select(self._wire, files.CARD_FILE)
        card = await files.value(self._wire, fields.CARD_ID)
        await files.select_application(self._wire)
        return PinCheck(self._wire, self._told, card)


async def read_card(wire: CardWire, keys: CardAuthenticator | None = None) -> SocialCard:
    """Select the application, then read EF05 and EF06 by tag. Damage is refused, not what the issuer wrote
    (docs/decisions/0009)."""
    selected = await files.select_application(wire)
    await files.select(wire, files.CARD_FILE)
    version = fields.version(await files.value(wire, fields.VERSION))
    if version[0] == "3" and keys is None:
        raise CardRefused(files.THIRD_GENERATION)
    card_id = await files.value(wire, fields.CARD_ID)
    card_class = await files.value(wire, fields.CARD_CLASS)
    organisation = await files.value(wire, fields.ORGANISATION)
    issued = await files.value(wire, fields.ISSUED)
    expires = await files.value(wire, fields.EXPIRES)
    card_number = await files.value(wire, fields.CARD_NUMBER)
    authenticated = False
    if version[0] == "3" and keys is not None:
        fields.hexadecimal(fields.CARD_ID, card_id)
        await authenticate(wire, Subject(algorithm_in(selected), card_id, historical(wire.atr)), keys)
        authenticated = True
    await files.select(wire, files.HOLDER_FILE)
    return SocialCard(
        card_id=fields.hexadecimal(fields.CARD_ID, card_id),
        card_class=fields.plain(fields.CARD_CLASS, card_class),
        version=version,
        organisation=fields.hexadecimal(fields.ORGANISATION, organisation),
        issued=fields.day(fields.ISSUED, issued),
        expires=fields.day_or_none(fields.EXPIRES, expires),
        card_number=fields.card_number(card_number),
        id_number=fields.id_number(await files.value(wire, fields.ID_NUMBER)),
        name=fields.name(await files.value(wire, fields.NAME), await files.optional(wire, fields.NAME_EXTENSION)),
        sex=fields.sex(await files.value(wire, fields.SEX)),
        nation=fields.digits(fields.NATION, await files.value(wire, fields.NATION)),
        birthplace=fields.digits(fields.BIRTHPLACE, await files.value(wire, fields.BIRTHPLACE)),
        birth=fields.day(fields.BIRTH, await files.value(wire, fields.BIRTH)),
        authenticated=authenticated,
    )
