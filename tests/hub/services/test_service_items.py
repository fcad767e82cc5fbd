"""The 40 items of the programme's list, against the facts of the list itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.services.items import Catalogue, CatalogueInvalid, load_catalogue, parse_catalogue
from hub.services.wire import encode_catalogue
from proto import services_pb2

WORKING_DAYS = {10: 5, 11: 10, 18: 5, 21: 3, 22: 5, 23: 5, 24: 1, 28: 2, 29: 2, 31: 2, 32: 2, 34: 2, 35: 2, 37: 1}
KIOSK = {*range(1, 16), 22, 23, 25, 26, 27, 33, 36}
ID, CARD = "resident-id-card", "social-security-card"
DOCUMENTS = {
    21: ((ID, CARD), ("eligibility-commitment",)),
    28: ((ID,), ("household-register",)),
    29: ((ID,), ("household-register",)),
    34: ((ID,), (CARD,)),
    38: ((ID,), (CARD,)),
    39: ((ID,), (CARD,)),
    40: ((ID,),),
}
TEXTS = ("group", "name", "description", "applicants", "requirement")
# First to last item of every merged cell of the column 服务对象.
APPLICANTS = {
    (1, 6): "有就业意愿、有劳动能力的劳动者",
    (7, 9): "需要找零工的用工人员或单位",
    (16, 19): "防止返贫监测对象、毕业年度高校毕业生、城乡未继续升学的应届初高中毕业生、"
              "农村转移就业劳动者、城镇登记失业人员、就业困难人员等",
    (29, 33): "参加我省城乡居民养老保险的参保人员",
    (34, 35): "符合我省城乡居民养老保险待遇领取条件的参保人员",
    (36, 37): "参加我省城乡居民基本养老保险的待遇领取人员或其家属",
    (38, 40): "办事群众",
}
NAMES = """
固定工求职登记 固定工岗位信息推荐 固定工岗位信息查询 零工求职登记 零工岗位信息推荐
零工岗位信息查询 招聘零工登记 零工求职信息推荐 零工求职信息查询 灵活就业登记 失业登记
就业政策法规查询 《就业创业证》查询 招聘会信息查询 档案存放机构查询 培训意向登记
培训机构推荐 培训意向跟踪反馈 参加培训办结送达 灵活就业人员参保登记 社会保险待遇领取资格认证
技能提升补贴申领 失业保险金申领 企业职工基本养老保险待遇暂停 企业职工基本养老保险参保情况查询
企业职工基本养老保险待遇发放记录查询 失业保险待遇发放记录查询 城乡居民基本养老保险参保登记
城乡居民补充养老保险参保登记 参加城乡居民基本养老保险人员非关键信息变更
参加城乡居民基本养老保险人员暂停/恢复缴费 城乡居民养老保险补缴申报
城乡居民养老保险人员缴费信息查询 城乡居民基本养老保险待遇申领 城乡居民补充养老保险待遇申领
城乡居民养老保险待遇发放记录查询 城乡居民养老保险待遇暂停 社会保障卡启用
社会保障卡应用状态查询 社会保障卡挂失与解挂
"""
ITEM = """
[[items]]
code = "003-01"
group = "我要找工作"
name = "固定工求职登记"
description = "登记"
channels = ["counter"]
applicants = "劳动者"
requirement = "需本人携带身份证"
documents = [["resident-id-card"]]
working_days = 0
"""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def test_the_codes_run_from_1_to_40_in_the_order_of_the_list(catalogue: Catalogue) -> None:
    assert [item.code for item in catalogue.items] == [f"003-{number:02d}" for number in range(1, 41)]


def test_the_names_are_those_of_the_list(catalogue: Catalogue) -> None:
    assert [item.name for item in catalogue.items] == NAMES.split()


def test_the_groups_have_15_4_18_and_3_items_in_this_order(catalogue: Catalogue) -> None:
    groups = [item.group for item in catalogue.items]
    assert groups == ["我要找工作"] * 15 + ["我要学技能"] * 4 + ["我要办社保"] * 18 + ["我要办社保卡"] * 3


def test_22_items_are_open_to_the_kiosk_and_18_only_to_the_counter(catalogue: Catalogue) -> None:
    kiosk = {number for number, item in enumerate(catalogue.items, 1) if "kiosk" in item.channels}
    assert kiosk == KIOSK
    assert len(kiosk) == 22
    assert all(item.channels in (("counter",), ("counter", "kiosk")) for item in catalogue.items)


def test_time_limits_are_those_of_the_list(catalogue: Catalogue) -> None:
    assert [item.working_days for item in catalogue.items] == [WORKING_DAYS.get(number, 0) for number in range(1, 41)]


def test_documents_are_those_of_the_list(catalogue: Catalogue) -> None:
    expected = [DOCUMENTS.get(number, ((ID, CARD),)) for number in range(1, 41)]
    assert [item.documents for item in catalogue.items] == expected


def test_a_blank_cell_of_the_merged_column_means_the_one_above(catalogue: Catalogue) -> None:
    for (first, last), applicants in APPLICANTS.items():
        assert {item.applicants for item in catalogue.items[first - 1:last]} == {applicants}


def test_requirements_keep_the_words_of_the_list(catalogue: Catalogue) -> None:
    assert {item.requirement for item in catalogue.items[:20]} == {"需本人携带身份证或社保卡"}
    assert catalogue.items[20].requirement == "需携带本人身份证或社保卡，现场填写《资格认证告知承诺书》"
    assert catalogue.items[34].requirement == "需携带本人身份证或社保卡"
    assert catalogue.items[39].requirement == "需携带本人身份证"
    assert catalogue.items[39].description.startswith("遇有社会保障卡遗失、损毁等情况，可以办理")


def test_no_layout_blank_is_left(catalogue: Catalogue) -> None:
    texts = [getattr(item, field) for item in catalogue.items for field in TEXTS]
    assert not [text for text in texts if any(character.isspace() for character in text)]
    assert len({item.name for item in catalogue.items}) == 40


def test_the_wire_form_says_the_same(catalogue: Catalogue) -> None:
    parsed = services_pb2.Catalogue.FromString(encode_catalogue(catalogue))
    assert parsed.source == catalogue.source
    for message, item in zip(parsed.items, catalogue.items, strict=True):
        said = {name: getattr(message, name) for name in ("code", *TEXTS)}
        assert said == item.model_dump(include=set(said))
        assert tuple(message.channels) == item.channels
        assert message.working_days == item.working_days
        assert tuple(tuple(entry.any_of) for entry in message.documents) == item.documents


@pytest.mark.parametrize(("old", "new", "problem"), [
    ('channels = ["counter"]', 'channels = ["post"]', "item 003-01, channels, 0: "),
    ("working_days = 0", "working_days = -1", "item 003-01, working_days: "),
    ("working_days = 0", "working_days = true", "item 003-01, working_days: "),
    ('name = "固定工求职登记"', 'name = ""', "item 003-01, name: "),
    ('name = "固定工求职登记"', 'name = "固定工\\n求职登记"', "item 003-01, name: has line breaks"),
    ('name = "固定工求职登记"', "", "item 003-01, name: Field required"),
    ('code = "003-01"', 'code = "3-1"', "item 3-1, code: "),
    ('code = "003-01"', "", "item number 1 (no code), code: Field required"),
    ('[["resident-id-card"]]', '[["passport"]]', "item 003-01, documents, 0, 0: "),
    ('[["resident-id-card"]]', "[[]]", "item 003-01, documents, 0: "),
    ("working_days = 0", "working_days = 0\nfee = 5", "item 003-01, fee: Extra inputs"),
])
def test_an_error_names_item_and_field(old: str, new: str, problem: str) -> None:
    with pytest.raises(CatalogueInvalid) as refused:
        parse_catalogue(f'source = "x"\n{ITEM.replace(old, new)}'.encode())
    assert problem in str(refused.value)
    assert str(refused.value).endswith("correct the catalogue and publish it again")


@pytest.mark.parametrize(("text", "problem"), [
    (f'source = "x"\n{ITEM}{ITEM}', "the code 003-01 stands twice"),
    ('source = "x"\nitems = []', "items: "),
    ('source = "x"\nitems = [3]', "item number 1 (no code): "),
    ('source = "x"\nitems = 3', "items: "),
    ("source = ", "is not TOML"),
    (f"source = {'[' * 20_000}", "nests too deep"),
    (f'source = "x" # {"x" * 1024 * 1024}', "shorten it"),
])
def test_a_catalogue_that_is_wrong_as_a_whole_is_refused(text: str, problem: str) -> None:
    with pytest.raises(CatalogueInvalid, match=problem.replace("(", r"\(").replace(")", r"\)")):
        parse_catalogue(text.encode())


def test_a_file_of_ones_own_takes_the_place_of_the_delivered_one(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f'source = "本县"\n{ITEM}', encoding="utf-8")
    assert load_catalogue(path).source == "本县"
