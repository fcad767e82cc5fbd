"""Service items as validated data: what is written in catalogue.toml, and what is wrong when it is not right."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

ITEMS_MAX = 500
TEXT_MAX_CHARS = 1_000
DOCUMENTS_MAX = 16
WORKING_DAYS_MAX = 366
FILE_MAX_BYTES = 1024 * 1024

Channel = Literal["counter", "kiosk"]
Document = Literal["resident-id-card", "social-security-card", "household-register", "eligibility-commitment"]


class CatalogueInvalid(ValueError):
    """A catalogue that must not be published; the text names every item and field to correct."""


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("says the same thing twice")
    return values


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("has line breaks, control characters or blanks at its ends")
    return text


Text = Annotated[str, Field(min_length=1, max_length=TEXT_MAX_CHARS), AfterValidator(_printable)]
AnyOf = Annotated[tuple[Document, ...], Field(min_length=1, max_length=DOCUMENTS_MAX), AfterValidator(_distinct)]


class ServiceItem(BaseModel):
    """One item; `documents` is a list of entries to satisfy, each by any one of its documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Annotated[str, Field(pattern=r"^[0-9]{3}-[0-9]{2}$")]
    group: Text
    name: Text
    description: Text
    channels: Annotated[tuple[Channel, ...], Field(min_length=1), AfterValidator(_distinct)]
    applicants: Text
    requirement: Text
    documents: Annotated[tuple[AnyOf, ...], Field(max_length=DOCUMENTS_MAX)]
    working_days: Annotated[int, Field(ge=0, le=WORKING_DAYS_MAX, strict=True)]


class Catalogue(BaseModel):
    """All items, in the order of the source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Text
    items: Annotated[tuple[ServiceItem, ...], Field(min_length=1, max_length=ITEMS_MAX)]

    @model_validator(mode="after")
    def _codes_are_distinct(self) -> Catalogue:
        codes = [item.code for item in self.items]
        doubles = sorted({code for code in codes if codes.count(code) > 1})
        if doubles:
            raise ValueError(f"the code {', '.join(doubles)} stands twice")
        return self


def load_catalogue(path: Path | None = None) -> Catalogue:
    """The catalogue in a TOML file, by default the one that comes with the hub. Raises CatalogueInvalid, OSError."""
    data = files("hub.services").joinpath("catalogue.toml").read_bytes() if path is None else path.read_bytes()
    return parse_catalogue(data)


def parse_catalogue(data: bytes) -> Catalogue:
    """Raises CatalogueInvalid."""
    if len(data) > FILE_MAX_BYTES:
        raise CatalogueInvalid(f"the catalogue has {len(data)} bytes; shorten it to {FILE_MAX_BYTES}")
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise CatalogueInvalid("the catalogue nests too deep; correct the file") from error
    except ValueError as error:
        raise CatalogueInvalid(f"the catalogue is not TOML in UTF-8: {error}; correct the file") from error
    try:
        return Catalogue.model_validate(raw)
    except ValidationError as error:
        lines = [_problem(raw, detail) for detail in error.errors(include_url=False)]
        raise CatalogueInvalid("\n".join([*lines, "correct the catalogue and publish it again"])) from error


def _problem(raw: dict[str, Any], detail: ErrorDetails) -> str:
    """One line: item by code (or by place, when it has none), field, what is wrong."""
    place = list(detail["loc"])
    if len(place) >= 2 and place[0] == "items" and isinstance(place[1], int):
        place = [_item_name(raw["items"][place[1]], place[1]), *place[2:]]
    where = ", ".join(str(part) for part in place) or "catalogue"
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}"


def _item_name(item: object, index: int) -> str:
    code = item.get("code") if isinstance(item, dict) else None
    return f"item {code}" if isinstance(code, str) else f"item number {index + 1} (no code)"
