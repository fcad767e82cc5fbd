"""From the bytes of a read answer to a person: what the issuer wrote is kept, everything else is a fault."""

from contextlib import suppress
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import id_card_fields as fields
from devices.contract import CardRefused, DeviceFault
from devices.id_card_fields import IdCard, id_card
from devices.id_card_layouts import LABELS, LAYOUTS, CardKind
from devices.id_number import id_check
from devices.simulated.id_card import IdCardText, reading_of, text_of

ZHANG = IdCardText()
FROM_TAIWAN = IdCardText(
    kind=CardKind.HONG_KONG_MACAO_TAIWAN,
    name="黄大仙",
    id_number="81000019800101006" + id_check("81000019800101006"),
    pass_number="H12345678",
    issues="02",
)
OF_2017 = IdCardText(
    kind=CardKind.FOREIGNER_2017,
    name="证件样本",
    foreign_name="ZHENGJIAN, YANGBEN",
    id_number="CAN110081080319",
    birth="19810803",
    authority="1500",
)
OF_2023 = IdCardText(
    kind=CardKind.FOREIGNER_2023,
    name="证件样本",
    foreign_name="ZHENGJIAN, YANGBEN",
    id_number="931586198001010028",  # the specimen of the issuer's notice
    nationality="PAK",
    issues="00",
)
EVERY_KIND = pytest.mark.parametrize("text", [ZHANG, FROM_TAIWAN, OF_2017, OF_2023], ids=lambda text: text.kind)


def read(text: IdCardText) -> IdCard:
    return id_card(reading_of(text, fingerprints=False))


def place(kind: CardKind, field: str) -> int:
    at = 4
    for name, size in LAYOUTS[kind]:
        if name == field:
            return at
        at += size
    raise KeyError(field)


def with_bytes(text: IdCardText, field: str, raw: bytes) -> bytes:
    answer, at = reading_of(text, fingerprints=False), place(text.kind, field)
    return answer[:at] + raw + answer[at + len(raw) :]


def test_a_resident_is_read() -> None:
    card = read(replace(ZHANG, valid_to="长期"))
    assert (card.kind, card.name, card.sex, card.nation) == (CardKind.RESIDENT, "张三", "1", "01")
    assert (card.id_number, card.birth) == ("11010519491231002X", date(1949, 12, 31))
    assert (card.address, card.authority) == ("北京市朝阳区建国路1号", "北京市公安局朝阳分局")
    assert (card.valid_from, card.valid_to, card.newest_address) == (date(2015, 6, 1), None, None)
    assert (card.foreign_name, card.nationality, card.pass_number, card.issues) == ("", "", "", "")


def test_the_bytes_of_a_resident_stand_where_the_standard_has_them() -> None:
    raw = bytearray("".join([
        "王美娜".ljust(15), "2", "01", "19860911", "河北省秦皇岛市抚宁县抚宁镇下庄村200号".ljust(35), "130323198609114466",
        "抚宁县公安局".ljust(15), "20110303", "20210303", " " * 18,
    ]).encode("utf-16-le"))  # fmt: skip
    raw[122:158] = ("13032319860911446" + id_check("13032319860911446")).encode("utf-16-le")
    card = id_card(b"\x01\x00\x04\x00" + raw + bytes(1024))
    assert (card.name, card.sex, card.nation, card.birth) == ("王美娜", "2", "01", date(1986, 9, 11))
    assert card.address == "河北省秦皇岛市抚宁县抚宁镇下庄村200号"
    assert (card.authority, card.valid_from, card.valid_to) == ("抚宁县公安局", date(2011, 3, 3), date(2021, 3, 3))


def test_a_resident_of_hong_kong_macao_or_taiwan_is_read() -> None:
    card = read(FROM_TAIWAN)
    assert (card.kind, card.name, card.id_number) == (FROM_TAIWAN.kind, "黄大仙", FROM_TAIWAN.id_number)
    assert (card.pass_number, card.issues, card.nation, card.nationality) == ("H12345678", "02", "", "")


def test_a_foreigner_s_card_of_2017_is_read() -> None:
    card = read(OF_2017)
    assert (card.name, card.foreign_name, card.nationality) == ("证件样本", "ZHENGJIAN, YANGBEN", "CAN")
    assert (card.id_number, card.birth, card.authority) == ("CAN110081080319", date(1981, 8, 3), "1500")


def test_a_foreigner_s_card_of_2023_is_read() -> None:
    card = read(OF_2023)
    assert (card.name, card.foreign_name, card.nationality) == ("证件样本", "ZHENGJIAN, YANGBEN", "PAK")
    assert (card.id_number, card.birth, card.issues) == ("931586198001010028", date(1980, 1, 1), "00")


@pytest.mark.parametrize(
    ("name", "rest", "whole"),
    [
        ("MARIA", "", "MARIA"),
        ("A" * 35, "BC", "A" * 35 + "BC"),
        ("A" * 34, "BC", "A" * 34 + " BC"),
    ],
)
def test_a_long_foreign_name_goes_on_in_its_second_field(name: str, rest: str, whole: str) -> None:
    assert read(replace(OF_2023, foreign_name=name, foreign_name_rest=rest)).foreign_name == whole


@pytest.mark.parametrize("kind", [OF_2017, OF_2023], ids=lambda text: text.kind)
def test_a_foreigner_may_have_no_chinese_name(kind: IdCardText) -> None:
    assert read(replace(kind, name="")).name == ""
    with pytest.raises(DeviceFault, match="姓名"):
        read(replace(kind, name="", foreign_name=""))


@pytest.mark.parametrize(
    "name", ["王", "买买提·艾力江", "欧阳 娜娜", "\ue863三", "𠮷野", "A" * 15, "\U000323b0"], ids=ascii
)
def test_a_name_is_read_as_the_issuer_wrote_it(name: str) -> None:
    """Characters of private-use areas and of planes beyond the first are in use for rare names."""
    assert read(replace(ZHANG, name=name)).name == name


@pytest.mark.parametrize("pad", [" ", "\0", "\u3000"])
def test_padding_is_taken_off(pad: str) -> None:
    assert id_card(with_bytes(ZHANG, "name", "李四".ljust(15, pad).encode("utf-16-le"))).name == "李四"


@pytest.mark.parametrize("raw", ["李\0四", "李\n四", "李\uffff", "\u2028"])
def test_what_is_no_text_is_a_fault(raw: str) -> None:
    with pytest.raises(DeviceFault, match="姓名"):
        id_card(with_bytes(ZHANG, "name", raw.encode("utf-16-le")))


def test_half_a_character_is_a_fault() -> None:
    with pytest.raises(DeviceFault, match="住址"):
        id_card(with_bytes(ZHANG, "address", b"\x42\xd8"))


def test_a_resident_without_a_name_is_a_fault() -> None:
    with pytest.raises(DeviceFault, match="姓名"):
        read(replace(ZHANG, name=""))


def test_a_birthday_that_is_not_the_number_s_is_read_as_it_stands() -> None:
    """A lunar one, in the files of old people (docs/decisions/0009)."""
    card = read(replace(ZHANG, birth="19491230"))
    assert (card.id_number[6:14], card.birth) == ("19491231", date(1949, 12, 30))


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        (ZHANG, "id_number", "110105194912310021"),
        (ZHANG, "id_number", "1101051949123100X2"),
        (ZHANG, "id_number", "11010519491331002" + id_check("11010519491331002")),
        (ZHANG, "id_number", "110105194912310"),
        (ZHANG, "id_number", "１１０１０５１９４９１２３１００２X"),
        (ZHANG, "sex", "3"),
        (ZHANG, "sex", " "),
        (ZHANG, "nation", "1"),
        (ZHANG, "nation", "汉"),
        (ZHANG, "birth", "19490230"),
        (ZHANG, "birth", "长期"),
        (ZHANG, "valid_from", "2015061"),
        (ZHANG, "valid_from", "长期"),
        (ZHANG, "valid_to", "长"),
        (ZHANG, "valid_to", "20350631"),
        (FROM_TAIWAN, "pass_number", "h1234567"),
        (FROM_TAIWAN, "id_number", "810000198001010060"),
        (FROM_TAIWAN, "issues", "x"),
        (OF_2017, "id_number", "CAN11008108031X"),
        (OF_2017, "nationality", "CA"),
        (OF_2017, "birth", ""),
        (OF_2023, "id_number", "931586198001010029"),
        (OF_2023, "id_number", "11010519491231002X"),
        (OF_2023, "nationality", "P4K"),
    ],
)
def test_a_value_that_cannot_be_one_is_a_fault(text: IdCardText, field: str, value: str) -> None:
    birth = text.birth or text.id_number[6:14]
    with pytest.raises(DeviceFault, match=LABELS[field]):
        read(replace(text, **{"birth": birth, field: value}))


def test_a_small_x_is_the_check_character_too() -> None:
    assert read(replace(ZHANG, id_number="11010519491231002x")).id_number == "11010519491231002X"


@pytest.mark.parametrize("flag", ["Z", "j", "0"])
def test_a_card_of_an_unknown_kind_is_refused(flag: str) -> None:
    with pytest.raises(CardRefused, match="不认识"):
        read(replace(ZHANG, flag=flag))


@pytest.mark.parametrize("fingers", [0, 1, 2])
def test_photo_and_fingerprints_are_passed_on_as_bytes(fingers: int) -> None:
    answer = reading_of(replace(ZHANG, fingerprints=fingers), fingerprints=True)
    card = id_card(answer)
    assert card.photo == answer[262 : 262 + 1024]
    assert b"".join(card.fingerprints) == answer[262 + 1024 :]
    assert [len(one) for one in card.fingerprints] == [512] * fingers
    assert read(ZHANG).fingerprints == ()
    assert read(ZHANG).photo == card.photo


def test_a_card_without_a_photo_is_read() -> None:
    assert id_card(b"\x01\x00\x00\x00" + text_of(ZHANG)).photo == b""


@pytest.mark.parametrize(("photo", "fingers"), [(1023, 0), (512, 512), (1024, 511), (1024, 1536)])
def test_lengths_that_no_card_has_are_faults(photo: int, fingers: int) -> None:
    lengths = b"".join(length.to_bytes(2, "big") for length in (256, photo, fingers))
    with pytest.raises(DeviceFault):
        id_card(lengths + text_of(ZHANG) + bytes(photo + fingers))


@EVERY_KIND
@given(data=st.data())
def test_any_other_length_of_an_answer_is_a_fault(text: IdCardText, data: st.DataObject) -> None:
    answer = reading_of(text, fingerprints=True)
    with pytest.raises(DeviceFault):
        id_card(answer[: data.draw(st.integers(0, len(answer) - 1))])
    with pytest.raises(DeviceFault):
        id_card(answer + data.draw(st.binary(min_size=1, max_size=40)))


@EVERY_KIND
@given(at=st.integers(0, 255), change=st.integers(1, 255))
def test_one_wrong_byte_in_the_text_is_never_another_person_s_number(text: IdCardText, at: int, change: int) -> None:
    answer = bytearray(reading_of(text, fingerprints=False))
    answer[4 + at] ^= change
    with suppress(DeviceFault):  # a CardRefused too
        card = id_card(bytes(answer))
        assert card.id_number == text.id_number or text.kind is CardKind.FOREIGNER_2017  # which has no check


@given(st.binary(min_size=256, max_size=256), st.sampled_from("\0 JIY"))
def test_random_bytes_are_no_person(text: bytes, flag: str) -> None:
    with pytest.raises(DeviceFault):
        id_card(b"\x01\x00\x00\x00" + text[:248] + flag.encode("utf-16-le") + text[250:])


@given(st.binary(max_size=400))
def test_a_random_answer_is_no_person(answer: bytes) -> None:
    with pytest.raises(DeviceFault):
        id_card(answer)


def test_the_newest_address_comes_with_its_length_or_without() -> None:
    raw = "北京市西城区".ljust(35).encode("utf-16-le")
    assert fields.newest_address(raw) == fields.newest_address(b"\x00\x46" + raw) == "北京市西城区"
    assert fields.newest_address(b" \0" * 35) is None
    for wrong in (b"", raw[:-1], b"\x00\x45" + raw, b"\x42\xd8" + raw[2:]):
        with pytest.raises(DeviceFault, match="最新住址"):
            fields.newest_address(wrong)


def test_a_reader_s_number_is_printed_as_on_its_label() -> None:
    raw = bytes.fromhex("05000300") + (20120629).to_bytes(4, "little") + (202551).to_bytes(4, "little") + b"\1\0\0\x40"
    assert fields.sam_id(raw) == "05.03-20120629-0000202551-1073741825"
    with pytest.raises(ValueError, match="16"):
        fields.sam_id(raw[1:])


@EVERY_KIND
def test_what_is_logged_of_a_card_tells_nobody(text: IdCardText) -> None:
    card = read(replace(text, address="北京市朝阳区", newest_address="北京市西城区"))
    said = f"{card!r} {card}"
    for secret in (text.name, text.id_number, "朝阳", "ZHENG", "1949", "1980", repr(card.photo)[:8]):
        assert secret not in said
