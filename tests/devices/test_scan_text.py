"""Bytes to text: both encodings, what scanners put around, and what is no text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.contract import Unreadable
from devices.scan_text import UNITS_MAX, Encoding, ScanReading, ScanSettings, decoded, scanned

COMMON = [bytes([first, second]).decode("gb2312") for first in range(0xB0, 0xD7) for second in range(0xA1, 0xFF)]
chinese = st.text(st.sampled_from(COMMON), min_size=1)
printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=99).filter(str.strip)
framing = st.text(st.characters(exclude_characters="\r\n\t", exclude_categories=["Cs"]), max_size=4)


@given(chinese)
def test_chinese_in_utf_8_is_told_from_gbk(text: str) -> None:
    assert decoded(text.encode(), Encoding.AUTO) == text


@given(chinese)
def test_chinese_in_gbk_is_read_or_refused_but_never_taken_for_something_else(text: str) -> None:
    try:
        assert decoded(text.encode("gbk"), Encoding.AUTO) == text
    except Unreadable as fault:
        assert "编码" in fault.hint  # noqa: PT017
    assert decoded(text.encode("gbk"), Encoding.GBK) == text


def test_a_word_that_is_sound_in_both_encodings_is_refused_until_somebody_says_which() -> None:
    raw = "一".encode("gbk")
    assert raw.decode() == "һ"
    with pytest.raises(Unreadable):
        decoded(raw, Encoding.AUTO)
    assert (decoded(raw, Encoding.GBK), decoded(raw, Encoding.UTF_8)) == ("一", "һ")


@pytest.mark.parametrize("encoding", [Encoding.AUTO, Encoding.UTF_8])
def test_a_byte_order_mark_is_no_part_of_the_content(encoding: Encoding) -> None:
    assert scanned(decoded("社保-0007".encode("utf-8-sig"), encoding), ScanSettings()) == ScanReading("社保-0007")


def test_rare_characters_of_gb_18030_are_read() -> None:
    assert decoded("𠮷堃".encode("gb18030"), Encoding.AUTO) == "𠮷堃"


@given(st.binary(min_size=1))
def test_any_bytes_give_text_or_a_fault(raw: bytes) -> None:
    for encoding in Encoding:
        try:
            reading = scanned(decoded(raw, encoding), ScanSettings())
        except Unreadable:
            continue
        assert reading.text.strip()
        assert not any(ord(character) < 0x20 for character in reading.text)


@given(text=printable, prefix=framing, suffix=framing, symbology=st.from_regex(r"][A-Za-z][0-9A-Za-z]", fullmatch=True))
def test_what_the_scanner_puts_around_comes_off(text: str, prefix: str, suffix: str, symbology: str) -> None:
    plain = ScanSettings(prefix=prefix, suffix=suffix)
    assert scanned(f"{prefix}{text}{suffix}", plain) == ScanReading(text)
    told = ScanSettings(prefix=prefix, suffix=suffix, aim=True)
    assert scanned(f"{prefix}{symbology}{text}{suffix}", told) == ScanReading(text, symbology)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("12345", ScanSettings(prefix="A")),
        ("A12345", ScanSettings(prefix="A", suffix="Z")),
        ("A", ScanSettings(prefix="A", suffix="A")),
        ("12345", ScanSettings(aim=True)),
        ("]Q", ScanSettings(aim=True)),
        ("]Q号5", ScanSettings(aim=True)),
    ],
)
def test_what_does_not_come_as_set_is_refused(text: str, settings: ScanSettings) -> None:
    with pytest.raises(Unreadable):
        scanned(text, settings)


@pytest.mark.parametrize(
    "text", ["", " ", "\u3000", "12\x0034", "01\x1d21", "12\x7f", "\u202e12", "\ufeff12", "12\ue000", "1" * (UNITS_MAX + 1)]
)
def test_what_is_no_text_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        scanned(text, ScanSettings())


def test_blanks_of_any_width_are_text() -> None:
    assert scanned("张三\u3000男 汉", ScanSettings()).text == "张三\u3000男 汉"


@pytest.mark.parametrize("end", ["\r", "\n", "\t"])
def test_an_end_is_no_part_of_a_prefix_or_suffix(end: str) -> None:
    with pytest.raises(ValueError, match="end a code"):
        ScanSettings(suffix=end)


def test_a_reading_shows_nothing_of_its_text() -> None:
    reading = scanned("]Q311010519491231002X", ScanSettings(aim=True))
    assert (reading.symbology, reading.text) == ("]Q3", "11010519491231002X")
    assert "1101" not in repr(reading)
