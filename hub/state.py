"""Where things lie in the folder of the hub, and hub.toml."""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

HOST_MAX_CHARS = 253
ALWAYS_THERE = ("hub", "hosts", "listen", "work_port", "enrol_port", "api_port")  # `init` writes them, the last one at the end
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


class BadConfig(ValueError):
    """hub.toml is missing or cannot be used; the text says what to mend."""


def _is_name(text: str) -> bool:
    labels = text.split(".")
    return len(text) <= HOST_MAX_CHARS and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def _host(text: str) -> str:
    """What a certificate can hold and an edge can call; an address with a zone (%) means something on one machine only."""
    try:
        if not _is_name(text):
            ipaddress.ip_address(text.replace("%", " "))
    except ValueError as error:
        raise ValueError(f"{text!r} is no DNS name or IP address; write such as hub.example or 10.0.0.1") from error
    return text


Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65535)]


class HubConfig(BaseModel):
    """`hosts` are the names and addresses by which edges reach the hub; the first stands in invitations."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    hub: UUID
    hosts: list[Host] = Field(min_length=1)
    listen: Host = "0.0.0.0"  # noqa: S104 - a hub serves a city; narrow it in hub.toml
    work_port: Port = 7443
    enrol_port: Port = 7444
    api_port: Port = 7445
    # How long a machine's certificate holds; it renews at half of it. Shorter than a day leaves no time to mend a hub.
    edge_certificate_hours: Annotated[int, Field(ge=24, le=24 * 366)] = 24 * 30
    # Room on the hub's disk that attachments leave to records.
    attachment_reserve_bytes: Annotated[int, Field(ge=0)] = 1024**3

    def address(self, port: int) -> str:
        host = self.hosts[0]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def listen_address(self, port: int) -> str:
        return f"[{self.listen}]:{port}" if ":" in self.listen else f"{self.listen}:{port}"

    def to_toml(self) -> str:
        # JSON strings, arrays and numbers are TOML, too. What may be left out goes first: a cut takes something that may not.
        fields = dict(sorted(self.model_dump(mode="json").items(), key=lambda one: one[0] in ALWAYS_THERE))
        return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items())


@dataclass(frozen=True)
class HubState:
    """Paths only; nothing here writes."""

    root: Path

    @property
    def config_file(self) -> Path:
        return self.root / "hub.toml"

    @property
    def unfinished(self) -> Path:
        """hub.toml of a hub that is being founded."""
        return self.root / "hub.toml.unfinished"

    @property
    def database(self) -> Path:
        return self.root / "hub.db"

    @property
    def high_water(self) -> Path:
        """The newest checkpoint that was signed: not in the database, nor in its backups."""
        return self.root / "high-water.note"

    @property
    def verify_progress(self) -> Path:
        """Where an interrupted `verify` goes on."""
        return self.root / "verify-progress.json"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def ca(self) -> Path:
        return self.root / "ca"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    def config(self) -> HubConfig:
        """Raises BadConfig."""
        try:
            return read_config(self.config_file)
        except FileNotFoundError as error:
            raise BadConfig(f"no hub in {self.root}; run: suozhan-hub --state {self.root} init --host NAME "
                            "--root-key-out FILE") from error


def read_config(path: Path) -> HubConfig:
    """Raises BadConfig, FileNotFoundError."""
    try:
        text = path.read_text(encoding="utf-8")
        fields = tomllib.loads(text)
        _require_whole(text, fields)
        return checked_config(fields)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadConfig(f"{path} cannot be read ({error.strerror}); put the file back from a copy") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, BadConfig) as error:
        raise BadConfig(f"{path}: {error}; mend the file") from error


def _require_whole(text: str, fields: Mapping[str, object]) -> None:
    """A file that was cut is still TOML, and a hub on other ports is one that no machine finds. Raises BadConfig."""
    missing = [name for name in ALWAYS_THERE if name not in fields]
    if missing:
        raise BadConfig(f"{', '.join(missing)} is not there: perhaps the file was cut off")
    if not text.endswith("\n"):
        raise BadConfig("its last line has no end: perhaps it was cut off; look at that line, and end it with a newline")


def checked_config(fields: Mapping[str, object]) -> HubConfig:
    """Raises BadConfig in one line, which names each field."""
    try:
        return HubConfig.model_validate(fields)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
        raise BadConfig("; ".join(problems)) from error
