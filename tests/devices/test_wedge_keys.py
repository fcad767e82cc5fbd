"""Keys to text: what is pressed is what is meant, and what is not understood is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.contract import DeviceFault
from devices.scan_codes import SPOILED
from devices.scan_text import Encoding
from devices.wedge_keys import OVERRUN, PRESS, RELEASE, UNICODE, Key, Typing, typed
from tests.devices.keyboard import (
    ALT,
    CAPS_LOCK,
    CTRL,
    ENTER,
    NUM_LOCK,
    SHIFT,
    alt_typed,
    gbk_typed,
    keys_of,
    stroke,
    unicode_typed,
)

ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
COMMON = [bytes([first, second]).decode("gb2312") for first in range(0xB0, 0xD7) for second in range(0xA1, 0xFF)]
chinese = st.text(st.sampled_from(COMMON), min_size=1)


def text_of(keys: list[Key], encoding: Encoding = Encoding.AUTO) -> str:
    return typed(Typing().units(keys), encoding)


@given(ASCII)
def test_all_of_ascii_is_typed_on_the_us_layout(text: str) -> None:
    assert text_of(keys_of(text)) == text


@given(chinese, ASCII)
def test_chinese_typed_by_its_gbk_numbers_is_told_from_unicode(text: str, ascii_text: str) -> None:
    assert text_of(gbk_typed(text) + keys_of(ascii_text)) == text + ascii_text


@given(chinese, ASCII)
def test_chinese_typed_by_its_unicode_numbers_is_read_or_refused(text: str, ascii_text: str) -> None:
    keys = unicode_typed(text) + keys_of(ascii_text)
    try:
        assert text_of(keys) == text + ascii_text
    except DeviceFault:
        assert all(ord(character) >= 0x8140 for character in text)
    assert text_of(keys, Encoding.UTF_8) == text + ascii_text


def test_the_numbers_of_a_real_scanner_give_its_text() -> None:
    keys = [key for number in ("31508", "35760", "26412") for key in alt_typed(number)] + keys_of("-01")
    assert text_of(keys) == "笔记本-01"


def test_a_rare_character_alone_could_be_either_and_is_refused_until_somebody_says_which() -> None:
    keys = alt_typed(str(0x8BB0))
    with pytest.raises(DeviceFault):
        text_of(keys)
    assert text_of(keys, Encoding.UTF_8) == "记"
    assert text_of(keys, Encoding.GBK) == b"\x8b\xb0".decode("gbk")


@pytest.mark.parametrize("number", ["+4E2D", "+4e2d", "020013", ".D6D0", "54992"])
def test_a_number_is_written_in_five_ways(number: str) -> None:
    assert text_of(alt_typed(number)) == "中"


def test_a_number_beyond_the_first_plane_is_unicode() -> None:
    assert text_of(alt_typed("134071")) == "𠮷"


def test_gbk_typed_byte_by_byte_needs_its_setting() -> None:
    keys = alt_typed("0214") + alt_typed("0208")
    with pytest.raises(DeviceFault):
        text_of(keys)
    assert text_of(keys, Encoding.GBK) == "中"


def test_a_middle_dot_is_typed_by_its_number() -> None:
    assert text_of(unicode_typed("买买提·江")) == "买买提·江"
    assert text_of(gbk_typed("买买提·江")) == "买买提·江"


@pytest.mark.parametrize("numbers", [("54992", "20013"), ("255", "54992"), ("65535", "65535", "54992")])
def test_numbers_that_fit_no_encoding_are_refused(numbers: tuple[str, ...]) -> None:
    with pytest.raises(DeviceFault):
        text_of([key for number in numbers for key in alt_typed(number)])


def test_a_sign_of_one_byte_does_not_melt_into_its_neighbour() -> None:
    with pytest.raises(DeviceFault):
        text_of(alt_typed("183") + keys_of("A") + gbk_typed("中"))


@pytest.mark.parametrize("number", ["1114112", "1+2", "+", "."])
def test_what_is_no_number_spoils_the_code(number: str) -> None:
    assert Typing().units(alt_typed(number)) == [SPOILED]


def test_enter_tab_and_what_stands_for_them_end_a_code() -> None:
    enter, keypad, tab = (Typing().units(stroke(code)) for code in (ENTER, 96, 15))
    assert (enter, keypad, tab) == ([13], [13], [9])
    assert Typing().units(alt_typed("013")) == [13]
    assert Typing().units([Key(CTRL, PRESS), *keys_of("m"), Key(CTRL, RELEASE)]) == [13]


def test_a_group_separator_is_no_text_but_comes_through() -> None:
    assert Typing().units([Key(CTRL, PRESS), *keys_of("]"), Key(CTRL, RELEASE)]) == [0x1D]
    assert Typing().units(alt_typed("029")) == [0x1D]


@pytest.mark.parametrize(
    "keys",
    [
        stroke(CAPS_LOCK),
        stroke(59),
        stroke(125),
        [Key(ALT, PRESS), *keys_of("q"), Key(ALT, RELEASE)],
        [Key(CTRL, PRESS), *keys_of("1"), Key(CTRL, RELEASE)],
        [Key(OVERRUN, PRESS)],
    ],
)
def test_keys_that_say_nothing_spoil_the_code(keys: list[Key]) -> None:
    assert SPOILED in Typing().units(keys)


def test_num_lock_releases_and_the_kernels_repeats_say_nothing() -> None:
    assert Typing().units([*stroke(NUM_LOCK), Key(30, RELEASE), Key(30, 2)]) == []


def test_after_lost_keys_no_key_counts_as_held() -> None:
    typing = Typing()
    typing.units([Key(SHIFT, PRESS), Key(OVERRUN, PRESS)])
    assert typing.units(keys_of("a1")) == [*b"a1"]


@given(st.lists(st.builds(Key, st.integers(-1, 130), st.integers(0, 2))))
def test_any_keys_give_units_or_are_told(keys: list[Key]) -> None:
    units = Typing().units(keys)
    assert all(unit == SPOILED or 0 <= unit <= UNICODE + 0x10FFFF for unit in units)
    for encoding in Encoding:
        try:
            typed([unit for unit in units if unit != SPOILED], encoding).encode("utf-8", "surrogatepass")
        except DeviceFault:
            continue
