"""The catalogue at the counter: what is refused, and what the resident is told the first time."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalogue import ITEMS_MAX, Catalogue, CatalogueRefused, Item, check, parse_catalogue
from hub.services.items import load_catalogue
from hub.services.wire import encode_catalogue
from proto import services_pb2

CONTENT = encode_catalogue(load_catalogue())


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return parse_catalogue(CONTENT)


def item(catalogue: Catalogue, code: str) -> Item:
    found = catalogue.item(code)
    assert found is not None
    return found


def test_all_that_the_hub_says_arrives_at_the_counter(catalogue: Catalogue) -> None:
    published = load_catalogue()
    assert len(catalogue.items) == 40
    for ours, theirs in zip(catalogue.items, published.items, strict=True):
        assert {name: getattr(ours, name) for name in type(theirs).model_fields} == theirs.model_dump()


def test_an_unknown_code_has_no_item(catalogue: Catalogue) -> None:
    assert catalogue.item("003-41") is None


def test_the_notice_says_everything_at_once(catalogue: Catalogue) -> None:
    assert item(catalogue, "003-21").one_time_notice.splitlines() == [
        "【社会保险待遇领取资格认证】一次性告知",
        "服务内容：符合按月领取我省社会保险待遇人员每12个月需通过手机APP进行一次待遇领取资格认证，若无法手机认证，"
        "可通过线下人工认证的方式，确认本人领取待遇资格。",
        "服务对象：我省社会保险待遇领取人员",
        "服务渠道：柜面",
        "办理条件：需携带本人身份证或社保卡，现场填写《资格认证告知承诺书》",
        "需带材料：身份证或社保卡；《资格认证告知承诺书》（现场填写）",
        "办结时限：3个工作日",
    ]
    assert item(catalogue, "003-01").one_time_notice.endswith("服务渠道：柜面、自助机\n"
                                                              "办理条件：需本人携带身份证或社保卡\n需带材料：身份证或社保卡\n办结时限：即时办结")


@pytest.mark.parametrize(("code", "channel", "documents", "problems"), [
    ("003-01", "kiosk", ["social-security-card"], []),
    ("003-01", "counter", ["resident-id-card"], []),
    ("003-28", "counter", ["resident-id-card", "household-register", "passport"], []),
    ("003-01", "counter", [], ["缺少身份证或社保卡，请补齐后再办理。"]),
    ("003-34", "counter", ["resident-id-card"], ["缺少社保卡，请补齐后再办理。"]),
    ("003-40", "counter", ["social-security-card"], ["缺少身份证，请补齐后再办理。"]),
    ("003-21", "kiosk", [], [
        "“社会保险待遇领取资格认证”不能在自助机办理，请到柜面办理。",
        "缺少身份证或社保卡，请补齐后再办理。",
        "缺少《资格认证告知承诺书》（现场填写），请补齐后再办理。",
    ]),
    ("003-01", "post", ["resident-id-card"], ["“固定工求职登记”不能在post办理，请到柜面或自助机办理。"]),
])
def test_the_check_lists_all_problems_at_once(catalogue: Catalogue, code: str, channel: str, documents: list[str],
                                              problems: list[str]) -> None:
    assert check(item(catalogue, code), channel, documents) == problems


def changed(**fields: object) -> bytes:
    """The delivered catalogue with other words in its first item."""
    message = services_pb2.Catalogue.FromString(CONTENT)
    first = services_pb2.ServiceItem.FromString(message.items[0].SerializeToString())
    for name, value in fields.items():
        first.ClearField(name)
        if isinstance(value, list):
            getattr(first, name).extend(value)
        else:
            setattr(first, name, value)
    message.items[0].CopyFrom(first)
    return message.SerializeToString()


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "0 items"),
    (b"\xff", "cannot be read"),
    (CONTENT[:-1], "cannot be read"),
    (services_pb2.Catalogue(items=[services_pb2.ServiceItem()] * (ITEMS_MAX + 1)).SerializeToString(), "501 items"),
    (changed(code="003-02"), "a code stands twice"),
    (changed(code="003-1\n"), "is no code of an item"),
    (changed(name=""), "item 003-01, name"),
    (changed(description="x" * 1001), "item 003-01, description"),
    (changed(requirement="a\x1b[2Jb"), "item 003-01, requirement"),
    (changed(channels=[]), "item 003-01, channels"),
    (changed(channels=["counter", "counter"]), "item 003-01, channels"),
    (changed(channels=["../x"]), "item 003-01, channels"),
    (changed(documents=[services_pb2.Documents()]), "item 003-01, documents"),
    (changed(documents=[services_pb2.Documents(any_of=["a"])] * 17), "item 003-01, documents"),
    (changed(working_days=2**32 - 1), "item 003-01, working_days"),
])
def test_a_catalogue_that_is_not_right_is_refused_with_item_and_field(content: bytes, reason: str) -> None:
    with pytest.raises(CatalogueRefused, match=reason):
        parse_catalogue(content)


def test_a_document_of_a_newer_hub_is_shown_by_its_code(catalogue: Catalogue) -> None:
    content = changed(documents=[services_pb2.Documents(any_of=["marriage-certificate"])])
    newer = item(parse_catalogue(content), "003-01")
    assert check(newer, "counter", []) == ["缺少marriage-certificate，请补齐后再办理。"]


def parse_or_refuse(content: bytes) -> None:
    with suppress(CatalogueRefused):
        parse_catalogue(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_catalogue_or_refused(content: bytes) -> None:
    parse_or_refuse(content)


@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), min_size=1, max_size=8),
       st.integers(0, len(CONTENT)))
def test_a_damaged_catalogue_is_a_catalogue_or_refused(damage: list[tuple[int, int]], length: int) -> None:
    content = bytearray(CONTENT)
    for place, value in damage:
        content[place] = value
    parse_or_refuse(bytes(content))
    parse_or_refuse(bytes(content[:length]))


@given(st.builds(
    services_pb2.ServiceItem, code=st.from_regex(r"[0-9]{3}-[0-9]{2}", fullmatch=True) | st.text(max_size=8),
    group=st.text(max_size=5), name=st.text(max_size=5), channels=st.lists(st.text(max_size=5), max_size=3),
    applicants=st.text(max_size=5), requirement=st.text(max_size=5), working_days=st.integers(0, 2**32 - 1),
))
def test_any_item_is_an_item_or_refused(message: services_pb2.ServiceItem) -> None:
    parse_or_refuse(services_pb2.Catalogue(source="x", items=[message]).SerializeToString())
