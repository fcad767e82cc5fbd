"""The service items as the counter sees them: what to bring is told completely the first time (一次性告知)."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from edge.resources import Kind, ResourceRefused
from proto import services_pb2

ITEMS_MAX = 500
TEXT_MAX_CHARS = 1_000
LIST_MAX = 16
WORKING_DAYS_MAX = 366

_CODE = re.compile(r"[0-9]{3}-[0-9]{2}")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,62}")
_CHANNELS = {"counter": "柜面", "kiosk": "自助机"}
_DOCUMENTS = {
    "resident-id-card": "身份证",
    "social-security-card": "社保卡",
    "household-register": "户口本",
    "eligibility-commitment": "《资格认证告知承诺书》（现场填写）",
}


class CatalogueRefused(ResourceRefused):
    """A catalogue that is not applied; the text says which item and field."""


@dataclass(frozen=True, slots=True)
class Item:
    """One service item; each entry of `documents` is satisfied by any one of its codes."""

    code: str
    group: str
    name: str
    description: str
    channels: tuple[str, ...]
    applicants: str
    requirement: str
    documents: tuple[tuple[str, ...], ...]
    working_days: int

    @property
    def one_time_notice(self) -> str:
        """All that the resident has to know, for the screen or the printer."""
        needed = "；".join(_any_of(entry) for entry in self.documents) or "无"
        limit = f"{self.working_days}个工作日" if self.working_days else "即时办结"
        return "\n".join([
            f"【{self.name}】一次性告知", f"服务内容：{self.description}", f"服务对象：{self.applicants}",
            f"服务渠道：{_names(_CHANNELS, self.channels, '、')}", f"办理条件：{self.requirement}",
            f"需带材料：{needed}", f"办结时限：{limit}",
        ])


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All items, in the hub's order."""

    source: str
    items: tuple[Item, ...]

    def item(self, code: str) -> Item | None:
        """None for a code that the catalogue does not know."""
        return next((item for item in self.items if item.code == code), None)


def check(item: Item, channel: str, documents: Collection[str]) -> list[str]:
    """Everything that stands against handling the item, in Chinese, at once; [] when nothing does."""
    problems: list[str] = []
    if channel not in item.channels:
        offered = _names(_CHANNELS, item.channels, "或")
        problems.append(f"“{item.name}”不能在{_CHANNELS.get(channel, channel)}办理，请到{offered}办理。")
    missing = [entry for entry in item.documents if not set(entry) & set(documents)]
    return problems + [f"缺少{_any_of(entry)}，请补齐后再办理。" for entry in missing]


def _any_of(entry: tuple[str, ...]) -> str:
    return _names(_DOCUMENTS, entry, "或")


def _names(words: dict[str, str], codes: tuple[str, ...], between: str) -> str:
    """A newer hub may know codes that this program has no word for."""
    return between.join(words.get(code, code) for code in codes)


def parse_catalogue(content: bytes) -> Catalogue:
    """Raises CatalogueRefused and nothing else, whatever the bytes."""
    try:
        parsed = services_pb2.Catalogue.FromString(content)
    except DecodeError as error:
        raise CatalogueRefused("the catalogue cannot be read; publish it again") from error
    if not 0 < len(parsed.items) <= ITEMS_MAX:
        raise CatalogueRefused(f"the catalogue has {len(parsed.items)} items; publish 1 to {ITEMS_MAX}")
    items = tuple(_item(item) for item in parsed.items)
    if len({item.code for item in items}) != len(items):
        raise CatalogueRefused("a code stands twice in the catalogue; correct it")
    return Catalogue(_text(parsed.source, "source"), items)


CATALOGUE = Kind("catalogue", parse_catalogue)


def _item(item: services_pb2.ServiceItem) -> Item:
    if not _CODE.fullmatch(item.code):
        raise CatalogueRefused(f"{item.code[:20]!r} is no code of an item; write it like 003-01")
    if item.working_days > WORKING_DAYS_MAX:
        raise CatalogueRefused(f"item {item.code}, working_days: {item.working_days} is too many; correct it")
    place = f"item {item.code}"
    return Item(
        code=item.code,
        group=_text(item.group, f"{place}, group"),
        name=_text(item.name, f"{place}, name"),
        description=_text(item.description, f"{place}, description"),
        channels=_words(item.channels, f"{place}, channels"),
        applicants=_text(item.applicants, f"{place}, applicants"),
        requirement=_text(item.requirement, f"{place}, requirement"),
        documents=_documents(item),
        working_days=item.working_days,
    )


def _documents(item: services_pb2.ServiceItem) -> tuple[tuple[str, ...], ...]:
    place = f"item {item.code}, documents"
    if len(item.documents) > LIST_MAX:
        raise CatalogueRefused(f"{place}: {len(item.documents)} entries; at most {LIST_MAX}")
    return tuple(_words(entry.any_of, place) for entry in item.documents)


def _text(text: str, place: str) -> str:
    if not 0 < len(text) <= TEXT_MAX_CHARS or not text.isprintable():
        raise CatalogueRefused(f"{place}: must be 1 to {TEXT_MAX_CHARS} printable characters; correct it")
    return text


def _words(words: Collection[str], place: str) -> tuple[str, ...]:
    if not 0 < len(words) <= LIST_MAX or len(set(words)) != len(words):
        raise CatalogueRefused(f"{place}: must be 1 to {LIST_MAX} different codes; correct it")
    if not all(_WORD.fullmatch(word) for word in words):
        raise CatalogueRefused(f"{place}: a code is a-z, 0-9 and hyphens; correct it")
    return tuple(words)
