"""edge.toml: what a technician may set. Unknown names are errors, so that a slip of the pen shows."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from devices.card_authentication import Algorithm


class BadConfig(ValueError):
    """edge.toml cannot be used; the text names the line to mend."""


class ReaderConfig(BaseModel):
    """`pcsc` talks to pcscd; `simulated` to scripted wires, and marks what is read with them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    wire: str = Field(default="pcsc", pattern="^(pcsc|simulated)$")
    simulated_folder: str = ""


class PsamConfig(BaseModel):
    """The PSAM that proves this terminal to cards of generation 3: its slot, and where in it the keys of each algorithm are, as
    its issuer says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    reader: str
    application: str = Field(pattern="^([0-9A-Fa-f]{2}){1,16}$")
    internal_key: int = Field(ge=0, le=255)
    external_key: int = Field(ge=0, le=255)
    algorithm: Algorithm = Algorithm.SM4


class EdgeConfig(BaseModel):
    """The three addresses (host:port) replace those learnt at enrolment, where a line has a gateway of its own. A rate of 0 is
    none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    hub_address: str = ""
    hub_enrol_address: str = ""
    hub_api_address: str = ""
    door_port: int = Field(default=8471, ge=0, le=65535)
    journal_quota_bytes: int = Field(default=4 * 1024**3, ge=1024**2)
    events_quota_bytes: int = Field(default=256 * 1024**2, ge=1024**2)
    disk_reserve_bytes: int = Field(default=256 * 1024**2, ge=0)
    attachment_quota_bytes: int = Field(default=2 * 1024**3, ge=1024**2)
    attachment_rate_bytes_s: int = Field(default=0, ge=0)
    readers: ReaderConfig = ReaderConfig()
    psam: PsamConfig | None = None
    devices: tuple[dict[str, Any], ...] = ()  # as in a device list (docs/devices.md); goes before the hub's
    simulated: bool = False  # all devices of this machine are played: a demonstration


def load_config(path: Path) -> EdgeConfig:
    """Defaults when there is no file. Raises BadConfig."""
    if not os.path.lexists(path):  # a link that leads nowhere is a mistake, and no wish for the defaults
        return EdgeConfig()
    try:
        return EdgeConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadConfig(f"{path} cannot be read ({error.strerror}); put the file back from a copy, or move it away to use the "
                        "defaults") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise BadConfig(f"{path}: {error}; mend the file, or move it away to use the defaults") from error
