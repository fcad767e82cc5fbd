"""What T=0 leaves to the terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.apdu import ROUNDS_MAX, transmit
from devices.contract import DeviceFault


class Script:
    """Answers in order, and keeps what was asked."""

    def __init__(self, *answers: str) -> None:
        self._answers = [bytes.fromhex(answer) for answer in answers]
        self.asked: list[str] = []

    def __call__(self, command: bytes) -> bytes:
        self.asked.append(command.hex().upper())
        return self._answers.pop(0)


def test_an_answer_with_data_is_split_from_its_status_word() -> None:
    assert transmit(Script("0102 9000"), bytes.fromhex("00B2080000")) == (b"\x01\x02", 0x9000)


def test_61xx_is_answered_with_get_response_until_all_is_there() -> None:
    card = Script("6103", "010203 6102", "0405 9000")
    assert transmit(card, bytes.fromhex("00A404000141")) == (b"\x01\x02\x03\x04\x05", 0x9000)
    assert card.asked[1:] == ["00C0000003", "00C0000002"]


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("00B2080000", "00B2080014"),
        ("00B20800", "00B2080014"),
        ("00A40400024142", "00A4040002414214"),
        ("00A4040002414200", "00A4040002414214"),
    ],
)
def test_6cxx_is_sent_again_with_the_right_length(command: str, again: str) -> None:
    card = Script("6C14", "AA 9000")
    assert transmit(card, bytes.fromhex(command)) == (b"\xaa", 0x9000)
    assert card.asked == [command, again]


def test_a_refusal_is_handed_on() -> None:
    assert transmit(Script("6A82"), bytes.fromhex("00A404000141")) == (b"", 0x6A82)


@pytest.mark.parametrize("answer", ["6100", "6C00"])
def test_a_card_that_never_comes_to_an_end_is_a_fault(answer: str) -> None:
    card = Script(*[answer] * ROUNDS_MAX)
    with pytest.raises(DeviceFault):
        transmit(card, bytes.fromhex("00B2080000"))


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=20))
def test_whatever_a_card_answers_is_an_answer_or_a_fault(answer: bytes, command: bytes) -> None:
    try:
        _data, sw = transmit(lambda _: answer, command)
    except DeviceFault:
        return
    assert sw == int.from_bytes(answer[-2:], "big")
