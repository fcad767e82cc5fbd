"""Who this machine is, as the hub said at enrolment: identity.json beside the keys. Written last, whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from edge.state import BUSINESS, EVENTS, IdentityFolder, JournalFiles
from security.private_files import read_private, write_private
from security.suites import Suite, Verifier

KEY_BYTES = 32
RESTORE = ("restore it from a copy; without one keep this folder, which may hold records that no hub has, and call the city's IT "
           "desk")


class NotEnrolled(Exception):
    """This folder holds no enrolled machine."""


@dataclass(frozen=True)
class Identity:
    """Keys are hex, certificates PEM; `root` is the only root that the machine trusts."""

    edge: str
    hub: str
    site: str
    site_name: str
    site_kind: str
    work_address: str
    enrol_address: str
    api_address: str
    root: str
    chain: str
    journal: str
    hub_resource_key: str
    hub_time_key: str
    hub_sealing_key: str
    hub_record_key: str
    hub_log_key: str
    events: str = ""  # of a machine that enrolled before there was such a journal

    @property
    def edge_id(self) -> UUID:
        return UUID(self.edge)

    @property
    def hub_id(self) -> UUID:
        return UUID(self.hub)

    @property
    def journals(self) -> dict[str, UUID]:
        """By name, the one that has the line first before the other."""
        return {name: UUID(one) for name, one in ((BUSINESS, self.journal), (EVENTS, self.events)) if one}

    @property
    def certified(self) -> bool:
        """False for a successor that the hub has not admitted yet."""
        return bool(self.chain)

    def resource_verifier(self) -> Verifier:
        return Verifier(Suite.ED25519_SHA256, bytes.fromhex(self.hub_resource_key))

    def time_verifier(self) -> Verifier:
        return Verifier(Suite.ED25519_SHA256, bytes.fromhex(self.hub_time_key))

    def log_verifier(self) -> Verifier:
        return Verifier(Suite.ED25519_SHA256, bytes.fromhex(self.hub_log_key))

    def check(self) -> None:
        """Raises ValueError for text that cannot be what it stands for."""
        UUID(self.edge), UUID(self.hub), UUID(self.journal), self.journals
        self.resource_verifier(), self.time_verifier(), self.log_verifier()
        if {len(bytes.fromhex(key)) for key in (self.hub_sealing_key, self.hub_record_key)} != {KEY_BYTES}:
            raise ValueError("a key of the hub has not 32 bytes; restore the file from a copy")

    def save(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self), ensure_ascii=False, indent=1).encode())


def load_identity(path: Path) -> Identity:
    """Raises NotEnrolled."""
    try:
        identity = Identity(**json.loads(read_private(path)))
        identity.check()
    except FileNotFoundError as error:
        if (path.parent / "succession.json").exists():
            raise NotEnrolled(f"{path} is gone; {RESTORE}") from error
        raise NotEnrolled(f"no machine is enrolled in {path.parent}; run: suozhan-edge --state {path.parent} enrol TOKEN"
                          ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise NotEnrolled(f"{path} is damaged ({error}); {RESTORE}") from error
    return identity


def named(journals: Mapping[str, UUID]) -> dict[str, str]:
    """The fields of an identity that name its journals."""
    return {"journal": str(journals[BUSINESS]), "events": str(journals[EVENTS])}


def journals_of(folder: IdentityFolder) -> tuple[JournalFiles, ...]:
    """Those of an identity; where its file is damaged, those that are there, and business."""
    try:
        names = set(load_identity(folder.identity).journals)
    except (NotEnrolled, OSError):
        names = {BUSINESS}
    return tuple(one for one in folder.journals if one.name in names or one.db.exists())
