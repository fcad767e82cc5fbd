"""Where things lie in the folder of the hub, and hub.toml."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class BadConfig(ValueError):
    """hub.toml is missing or cannot be used; the text says what to mend."""


class HubConfig(BaseModel):
    """`hosts` are the names and addresses by which edges reach the hub; the first stands in invitations."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    hub: UUID
    hosts: list[str] = Field(min_length=1)
    listen: str = "0.0.0.0"  # noqa: S104 - a hub serves a city; narrow it in hub.toml
    work_port: int = Field(default=7443, ge=1, le=65535)
    enrol_port: int = Field(default=7444, ge=1, le=65535)
    api_port: int = Field(default=7445, ge=1, le=65535)

    def address(self, port: int) -> str:
        host = self.hosts[0]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def listen_address(self, port: int) -> str:
        return f"[{self.listen}]:{port}" if ":" in self.listen else f"{self.listen}:{port}"

    def to_toml(self) -> str:
        # JSON strings, arrays and numbers are TOML, too.
        fields = self.model_dump(mode="json")
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
            raise BadConfig(f"no hub in {self.root}; run: suozhan-hub --state {self.root} init --host NAME") from error


def read_config(path: Path) -> HubConfig:
    """Raises BadConfig, FileNotFoundError."""
    try:
        return HubConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise BadConfig(f"{path}: {error}; mend the file") from error
