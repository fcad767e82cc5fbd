"""From bytes to values: what is right is kept, everything else is a fault."""

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import social_card_fields as fields
from devices.contract import DeviceFault
from devices.id_number import id_check

FIELDS = [value for value in vars(fields).values() if isinstance(value, fields.Field)]
RARE_NAME = "买买提艾力江阿卜杜热合曼图尔荪"  # 15 characters: fills the 30 bytes


@pytest.mark.parametrize("pad", [b"\x00", b" ", b"\xff"])
@pytest.mark.parametrize("name", ["王", "欧阳娜娜", RARE_NAME])
def test_a_padded_name_is_read_whatever_it_is_padded_with(name: str, pad: bytes) -> None:
    assert fields.name(name.encode("gbk").ljust(30, pad), pad * 20) == name


@pytest.mark.parametrize("pad", [b"\x00", b" ", b"\xff"])
def test_the_extension_continues_the_name_in_the_middle_of_a_character(pad: bytes) -> None:
    name = "A" + RARE_NAME + "吐尔逊"
    raw = name.encode("gbk")
    with pytest.raises(UnicodeDecodeError):
        raw[:30].decode("gbk")
    assert fields.name(raw[:30], raw[30:].ljust(20, pad)) == name


@pytest.mark.parametrize("pad", [b"\x00", b" ", b"\xff"])
def test_a_character_that_did_not_fit_begins_the_extension(pad: bytes) -> None:
    first = ("A" + RARE_NAME[:14]).encode("gbk")
    assert fields.name(first + pad, "吐尔逊".encode("gbk").ljust(20, pad)) == "A" + RARE_NAME[:14] + "吐尔逊"


@pytest.mark.parametrize("pad", [b"\x00", b" ", b"\xff"])
def test_a_blank_at_the_end_of_the_first_part_belongs_to_the_name(pad: bytes) -> None:
    name = "MARIA THERESIA ELISABETHA VON HABSBURG"
    raw = name.encode()
    assert raw[29:30] == b" "
    assert fields.name(raw[:30], raw[30:].ljust(20, pad)) == name


@pytest.mark.parametrize("pad", [b"\x00", b" ", b"\xff"])
@pytest.mark.parametrize("first", ["张三", RARE_NAME[:14], "A" + RARE_NAME[:13], "MARIA THERESIA ELISABETH VON"])
@pytest.mark.parametrize("rest", ["三丰", "B"])
def test_a_short_name_does_not_go_on_in_the_extension(first: str, rest: str, pad: bytes) -> None:
    with pytest.raises(DeviceFault, match="姓名"):
        fields.name(first.encode("gbk").ljust(30, pad), rest.encode("gbk").ljust(20, pad))


def test_two_halves_of_different_characters_are_not_made_one() -> None:
    half = RARE_NAME.encode("gbk")[:29]
    with pytest.raises(DeviceFault, match="姓名"):
        fields.name(half + b"\x00", "三丰".encode("gbk"))


@given(st.text(st.sampled_from("张三买提·AB O'"), min_size=1, max_size=25), st.sampled_from([b"\x00", b"\xff"]))
def test_any_name_that_a_card_holds_is_read_as_it_was_written(name: str, pad: bytes) -> None:
    raw = name.encode("gbk")
    if name.strip() == name and raw[29:30] != b" ":
        assert fields.name(raw[:30].ljust(30, pad), raw[30:].ljust(20, pad)) == name


def test_half_a_character_without_its_extension_is_a_fault() -> None:
    with pytest.raises(DeviceFault, match="姓名"):
        fields.name(("A" + RARE_NAME).encode("gbk")[:30], b"")


@pytest.mark.parametrize("value", [b"", b"\x00" * 30, b"\x07abc", b"\x80\x80"])
def test_a_name_that_is_none_is_a_fault(value: bytes) -> None:
    with pytest.raises(DeviceFault):
        fields.name(value, b"")


def test_dates_are_packed_digits() -> None:
    assert fields.day(fields.BIRTH, bytes.fromhex("19491231")) == date(1949, 12, 31)
    assert fields.day_or_none(fields.EXPIRES, b"\xff" * 4) is None


@pytest.mark.parametrize("value", ["19490230", "1949123A", "00000000", "491231"])
def test_a_date_that_is_none_is_a_fault(value: str) -> None:
    with pytest.raises(DeviceFault, match="出生日期"):
        fields.day(fields.BIRTH, bytes.fromhex(value))


def test_the_check_character_of_the_id_number_is_checked() -> None:
    assert fields.id_number(b"11010519491231002x") == "11010519491231002X"
    with pytest.raises(DeviceFault, match="社会保障号码"):
        fields.id_number(b"110105194912310021")


@pytest.mark.parametrize("first17", ["0" * 17, "11010519491331002", "11010519490230002", "11010500001231002"])
def test_an_id_number_without_a_date_of_birth_is_a_fault(first17: str) -> None:
    with pytest.raises(DeviceFault, match="社会保障号码"):
        fields.id_number((first17 + id_check(first17)).encode())


@pytest.mark.parametrize("value", [b"a12345678", b"A1234567", b"A1234567\x00", b"A123.5678", b"A1234-678", b""])
def test_a_card_number_that_the_door_would_not_take_is_a_fault(value: bytes) -> None:
    with pytest.raises(DeviceFault, match="卡号"):
        fields.card_number(value)


@given(st.integers(0, 10**6 - 1), st.dates(date(1000, 1, 1)), st.integers(0, 999), st.integers(0, 16), st.integers(1, 9))
def test_any_single_wrong_digit_in_an_id_number_is_noticed(area: int, birth: date, no: int, place: int, add: int) -> None:
    first17 = f"{area:06}{birth:%Y%m%d}{no:03}"
    right = first17 + id_check(first17)
    assert fields.id_number(right.encode()) == right
    wrong = right[:place] + str((int(right[place]) + add) % 10) + right[place + 1 :]
    with pytest.raises(DeviceFault):
        fields.id_number(wrong.encode())


@given(st.sampled_from(FIELDS), st.data())
def test_a_record_is_its_value_and_any_truncation_a_fault(field: fields.Field, data: st.DataObject) -> None:
    value = data.draw(st.binary(max_size=field.size_max))
    record = bytes([field.tag, len(value)]) + value
    assert fields.value_of(field, record) == value
    with pytest.raises(DeviceFault):
        fields.value_of(field, record[: data.draw(st.integers(0, len(record) - 1))])


@given(st.sampled_from(FIELDS), st.binary(max_size=60))
def test_random_bytes_as_a_record_are_its_value_or_a_fault(field: fields.Field, record: bytes) -> None:
    with suppress(DeviceFault):
        value = fields.value_of(field, record)
        assert record == bytes([field.tag, len(value)]) + value


@given(st.binary(max_size=32), st.binary(max_size=22))
def test_random_bytes_as_values_are_values_or_faults(value: bytes, extension: bytes) -> None:
    parsers = [
        lambda: fields.name(value, extension),
        lambda: fields.id_number(value),
        lambda: fields.sex(value),
        lambda: fields.card_number(value),
        lambda: fields.digits(fields.NATION, value),
        lambda: fields.day(fields.ISSUED, value),
        lambda: fields.day_or_none(fields.EXPIRES, value),
    ]
    for parse in parsers:
        with suppress(DeviceFault):
            parse()
