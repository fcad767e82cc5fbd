"""The application of a social-security card and the records in its files (LD/T 32, LD/T 33), read by tag."""

from devices.cards import CardWire
from devices.contract import CardRefused, Unreadable
from devices.social_card_fields import Field, value_of

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


async def select_application(wire: CardWire) -> bytes:
    """Select it; returns its file control information. What was proved to the card before no longer holds."""
    selected, sw = await wire.transmit(SELECT_APPLICATION)
    if sw in FOREIGN:
        raise CardRefused(NOT_SOCIAL)
    _check(sw)
    return selected


async def select(wire: CardWire, file: int) -> None:
    _, sw = await wire.transmit(bytes([0x00, 0xA4, 0x02, 0x00, 2]) + file.to_bytes(2, "big"))
    if sw in NOT_FOUND:
        raise CardRefused(NOT_SOCIAL)
    _check(sw)


async def value(wire: CardWire, field: Field) -> bytes:
    record, sw = await wire.transmit(_read_by_tag(field))
    _check(sw)
    return value_of(field, record)


async def optional(wire: CardWire, field: Field) -> bytes:
    """The value, or nothing on a card without that record: generation 1 has no name extension."""
    record, sw = await wire.transmit(_read_by_tag(field))
    if sw in NOT_FOUND:
        return b""
    _check(sw)
    return value_of(field, record)


def _read_by_tag(field: Field) -> bytes:
    return bytes([0x00, 0xB2, field.tag, 0x00, 0x00])


def _check(sw: int) -> None:
    if sw in NOT_ALLOWED:
        raise CardRefused(THIRD_GENERATION)
    if sw in LOCKED:
        raise CardRefused(CARD_LOCKED)
    if sw != DONE:
        raise Unreadable(f"卡片返回状态 {sw:04X}，没有读成。请取出卡片重新插入再读；仍不行请到发卡网点检查卡片。")
