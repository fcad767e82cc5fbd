"""What is masked stays masked, whatever stands around it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from security.masking import mask_id_number, mask_name, mask_text

NUMBER = re.compile(r"\d{17}[\dXx]")
id_numbers = st.from_regex(r"[0-9]{17}[0-9Xx]", fullmatch=True)
surroundings = st.text(alphabet=st.one_of(st.sampled_from("0123456789Xx -,。号"), st.characters()), max_size=25)


@given(surroundings, id_numbers, surroundings)
@example("13800001111", "410725199001011234", "")
@example("", "41072519900101123X", "x")
@example("", "410725199001011234", "0" * 18)
def test_no_number_of_eighteen_digits_survives(before: str, number: str, after: str) -> None:
    masked = mask_text(before + number + after)
    assert not NUMBER.search(masked)
    assert number not in masked


@given(st.lists(st.one_of(id_numbers, surroundings), max_size=6))
def test_none_of_several_numbers_survives(parts: list[str]) -> None:
    assert not NUMBER.search(mask_text("".join(parts)))


@given(st.text())
def test_text_without_such_a_number_stays_as_it_is(text: str) -> None:
    if sum(character.isdecimal() for character in text) < 11:
        assert mask_text(text) == text


@pytest.mark.parametrize("number", [
    "410725 19900101 1234", "410725-19900101-1234", "１１０１０５１９４９１２３１００２Ｘ", "11010519491231002Ｘ",
    "110105491231002", "CAN110079010212", "can 1100 7901 0212", "CAN-110079010212"])
def test_a_number_is_masked_however_people_type_it(number: str) -> None:
    masked = mask_text(f"张{number}李")
    assert masked.startswith("张")
    assert masked.endswith("李")
    assert masked.count("*") == len(number) - 7


@given(surroundings, id_numbers)
def test_masking_twice_changes_nothing_more(before: str, number: str) -> None:
    once = mask_text(before + number)
    assert mask_text(once) == once
    assert len(once) == len(before + number)


def test_full_width_digits_are_masked_too() -> None:
    assert not NUMBER.search(mask_text("身份证４１０７２５１９９００１０１１２３４号"))


def test_a_sentence_keeps_its_words() -> None:
    assert mask_text("居民410725199001011234来访，电话13800001111") == "居民410***********1234来访，电话13800001111"


@pytest.mark.parametrize(("number", "masked"), [
    ("410725199001011234", "410***********1234"), ("41072519900101123X", "410***********123X"),
    ("410725900101123", "410********1123"), ("1234567", "*******"), ("", ""),
    ("H12345678", "H******78"), ("12345678", "1*****78"), ("12345678901234", "1***********34"),
])
def test_a_masked_number_shows_three_and_four_characters_at_most(number: str, masked: str) -> None:
    assert mask_id_number(number) == masked


@given(st.text(max_size=40))
def test_more_than_half_of_any_number_is_hidden(number: str) -> None:
    hidden = [shown for shown in mask_id_number(number) if shown == "*"]
    assert 2 * len(hidden) > len(number) or not number


@given(id_numbers)
def test_a_masked_number_never_shows_the_birthday(number: str) -> None:
    assert set(mask_id_number(number)[3:14]) == {"*"}


@pytest.mark.parametrize(("name", "masked"), [("张三丰", "张**"), ("张三", "张*"), ("张", "*"), ("", "")])
def test_a_masked_name_shows_its_first_character(name: str, masked: str) -> None:
    assert mask_name(name) == masked
