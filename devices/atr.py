"""Answer to reset (ISO 7816-3, 8.2)."""

from devices.contract import Unreadable

INTERFACE_BYTES = 0b0111  # TA, TB, TC; the bit above them says that TD follows
MORE = 0b1000


def historical(atr: bytes) -> bytes:
    """The historical bytes, without the check byte behind them. Unreadable when there are fewer than were announced."""
    try:
        count, present, place = atr[1] & 0x0F, atr[1] >> 4, 2
        while True:
            place += (present & INTERFACE_BYTES).bit_count()
            if not present & MORE:
                break
            present, place = atr[place] >> 4, place + 1
    except IndexError:
        count, place = 1, len(atr)
    history = atr[place : place + count]
    if len(history) < count:
        raise Unreadable("卡片的复位应答不完整。请取出卡片，擦净芯片后重新插入。")
    return history
