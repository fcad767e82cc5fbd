"""Driver for social-security cards of generations 1 and 2 (LD/T 32, LD/T 33): what anybody may read without a PIN."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date, datetime
from types import TracebackType
from typing import Self

from devices import social_card_fields as fields
from devices.cards import CardReaders, CardWire
from devices.contract import (
    CardRefused,
    DeviceError,
    DeviceFault,
    DeviceState,
    DeviceUnavailable,
    Reading,
    now,
)
from devices.social_card_fields import Field

KIND = "social-card"
APPLICATION = "sx1.sh.社会保障".encode("gbk")
SELECT_APPLICATION = bytes([0x00, 0xA4, 0x04, 0x00, len(APPLICATION)]) + APPLICATION
CARD_FILE = 0xEF05
HOLDER_FILE = 0xEF06
DONE = 0x9000
NOT_FOUND = {0x6A82, 0x6A83, 0x6A88}
FOREIGN = NOT_FOUND | {0x6A86, 0x6D00, 0x6E00}  # chips that know no such command say these to the first one
LOCKED = {0x6283, 0x6A81, 0x9303}
NOT_ALLOWED = {0x6982, 0x6985}

NOT_SOCIAL = "这不是社会保障卡。请插入社会保障卡，注意插卡方向。"
THIRD_GENERATION = "这是第三代社会保障卡，需要密钥认证，本读卡器读不了。请改用身份证办理，或用支持第三代卡的设备。"
CARD_LOCKED = "这张社会保障卡的应用已锁定。请改用身份证办理，并请持卡人到发卡网点解锁或换卡。"


@dataclass(frozen=True)
class SocialCard:
    """What the card says. Codes as on the card: sex GB/T 2261.1, nation GB/T 3304, birthplace GB/T 2260.

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

    @property
    def generation(self) -> int:
        """1 or 2, from the version ("2.00")."""
        return int(self.version[0])

    def __repr__(self) -> str:
        return f"SocialCard(version={self.version}, name=***, id_number=***)"


class SocialCardDriver:
    """`async with SocialCardDriver(readers, reader) as driver: reading = await driver.read()`: one card a time."""

    kind = KIND

    def __init__(self, readers: CardReaders, reader: str, now: Callable[[], datetime] = now) -> None:
        self._readers = readers
        self._reader = reader
        self._now = now
        self._stack = AsyncExitStack()
        self._wire: CardWire | None = None

    async def probe(self) -> DeviceState:
        """The state of the reader; with a card in it, of the two together. Sends the card nothing."""
        seen = [state for state in self._readers.states if state.name == self._reader]
        if not seen:
            return DeviceState.NO_DEVICE if self._readers.service is DeviceState.ONLINE else DeviceState.OFFLINE
        if not seen[0].card_present or seen[0].state is not DeviceState.ONLINE:
            return seen[0].state
        try:
            async with self._readers.card(self._reader):
                return DeviceState.ONLINE
        except DeviceError as error:
            return error.state

    async def __aenter__(self) -> Self:
        self._wire = await self._stack.enter_async_context(self._readers.card(self._reader))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire = None
        await self._stack.aclose()

    async def read(self) -> Reading[SocialCard]:
        """Read the whole card. CardRefused: not such a card. DeviceFault: garbled. CardAbsent: pulled or swapped."""
        if self._wire is None:
            raise DeviceUnavailable("读卡器未打开。请重新开始读卡。")
        data = await read_card(self._wire)
        return Reading(self._reader, KIND, data, self._wire.simulated, self._now())


async def read_card(wire: CardWire) -> SocialCard:
    """Select the application, then read EF05 and EF06 by tag. Damage is refused, not what the issuer wrote
    (docs/decisions/0009)."""
    _, sw = await wire.transmit(SELECT_APPLICATION)
    if sw in FOREIGN:
        raise CardRefused(NOT_SOCIAL)
    _check(sw)
    await _select(wire, CARD_FILE)
    version = fields.version(await _value(wire, fields.VERSION))
    if version[0] == "3":
        raise CardRefused(THIRD_GENERATION)
    card_id = await _value(wire, fields.CARD_ID)
    card_class = await _value(wire, fields.CARD_CLASS)
    organisation = await _value(wire, fields.ORGANISATION)
    issued = await _value(wire, fields.ISSUED)
    expires = await _value(wire, fields.EXPIRES)
    card_number = await _value(wire, fields.CARD_NUMBER)
    await _select(wire, HOLDER_FILE)
    return SocialCard(
        card_id=fields.hexadecimal(fields.CARD_ID, card_id),
        card_class=fields.plain(fields.CARD_CLASS, card_class),
        version=version,
        organisation=fields.hexadecimal(fields.ORGANISATION, organisation),
        issued=fields.day(fields.ISSUED, issued),
        expires=fields.day_or_none(fields.EXPIRES, expires),
        card_number=fields.card_number(card_number),
        id_number=fields.id_number(await _value(wire, fields.ID_NUMBER)),
        name=fields.name(await _value(wire, fields.NAME), await _optional(wire, fields.NAME_EXTENSION)),
        sex=fields.sex(await _value(wire, fields.SEX)),
        nation=fields.digits(fields.NATION, await _value(wire, fields.NATION)),
        birthplace=fields.digits(fields.BIRTHPLACE, await _value(wire, fields.BIRTHPLACE)),
        birth=fields.day(fields.BIRTH, await _value(wire, fields.BIRTH)),
    )


async def _select(wire: CardWire, file: int) -> None:
    _, sw = await wire.transmit(bytes([0x00, 0xA4, 0x02, 0x00, 2]) + file.to_bytes(2, "big"))
    if sw in NOT_FOUND:
        raise CardRefused(NOT_SOCIAL)
    _check(sw)


async def _value(wire: CardWire, field: Field) -> bytes:
    record, sw = await wire.transmit(_read_by_tag(field))
    _check(sw)
    return fields.value_of(field, record)


async def _optional(wire: CardWire, field: Field) -> bytes:
    """The value, or nothing on a card without that record: generation 1 has no name extension."""
    record, sw = await wire.transmit(_read_by_tag(field))
    if sw in NOT_FOUND:
        return b""
    _check(sw)
    return fields.value_of(field, record)


def _read_by_tag(field: Field) -> bytes:
    return bytes([0x00, 0xB2, field.tag, 0x00, 0x00])


def _check(sw: int) -> None:
    if sw in NOT_ALLOWED:
        raise CardRefused(THIRD_GENERATION)
    if sw in LOCKED:
        raise CardRefused(CARD_LOCKED)
    if sw != DONE:
        raise DeviceFault(f"卡片返回状态 {sw:04X}，没有读成。请取出卡片重新插入再读；仍不行请到发卡网点检查卡片。")
