"""Short APDUs (ISO 7816-3 and 7816-4): what T=0 leaves to the terminal is done here."""

from collections.abc import Callable

from devices.contract import Unreadable

ROUNDS_MAX = 16  # exchanges for one command; a short answer needs two
ANSWER_MAX_BYTES = 4096
MORE_DATA = 0x61  # SW1: fetch SW2 bytes with GET RESPONSE
WRONG_LE = 0x6C  # SW1: ask again with Le = SW2
LE_IN_CASE_2_BYTES = 5

Command = bytes | bytearray  # the latter where it is wiped afterwards
Exchange = Callable[[Command], bytes]


def transmit(exchange: Exchange, apdu: Command) -> tuple[bytes, int]:
    """Send one command, answer 61xx with GET RESPONSE and 6Cxx with the right Le; return (data, SW).

    `exchange` carries one raw APDU each way and raises DeviceError by itself.
    Raises Unreadable when the card answers with less than a status word or never comes to an end.
    """
    data = b""
    command = apdu
    for _ in range(ROUNDS_MAX):
        answer = exchange(command)
        if len(answer) < 2 or len(data) + len(answer) > ANSWER_MAX_BYTES:
            break
        data += answer[:-2]
        sw1, sw2 = answer[-2:]
        if sw1 == MORE_DATA:
            command = bytes([apdu[0], 0xC0, 0, 0, sw2])
        elif sw1 == WRONG_LE:
            command = with_le(command, sw2)
        else:
            return data, sw1 << 8 | sw2
    raise Unreadable("卡片应答异常。请取出卡片，重新插入后再读；仍不行请换一张卡试读卡器。")


def with_le(command: Command, le: int) -> Command:
    """The same short command with another Le, whether it had one (cases 2 and 4) or not (cases 1 and 3)."""
    if len(command) <= LE_IN_CASE_2_BYTES:
        return command[:4] + bytes([le])
    end_of_data = LE_IN_CASE_2_BYTES + command[4]
    return command[:end_of_data] + bytes([le])
