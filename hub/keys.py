"""The hub's own keys, one for each thing it signs or opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hub.ledger.signed_roots import LogKey
from hub.state import HubState
from security.sealing import Unsealer, create_sealing_key
from security.signer import BadKey, Ed25519Signer, Signer, read_key

SEALING_KEY = "sealing-1.key"
LOG_KEY = "log.key"


class LogKeyLost(BadKey):
    """This hub has signed with it, and machines take no other."""


@dataclass(frozen=True)
class HubKeys:
    """Record: the hub's own journal. Resource: what flows down. Time: the hub's word for it. Log: checkpoints of the
    ledger's tree. Sealing: bodies."""

    record: Signer
    resource: Signer
    time: Signer
    log: Signer
    sealing_public: bytes
    unsealer: Unsealer


def create_keys(folder: Path) -> None:
    """New keys; raises FileExistsError rather than replace one."""
    for name in ("record", "resource", "time", "log"):
        Ed25519Signer.create(folder / f"{name}.key")
    create_sealing_key(folder / SEALING_KEY)


def load_keys(folder: Path) -> HubKeys:
    """Raises FileNotFoundError, ExposedSecret, BadKey. A hub that was founded before there was a log key gets one here."""
    if not _has_log_key(folder):
        Ed25519Signer.create(folder / LOG_KEY)
    newest = X25519PrivateKey.from_private_bytes(read_key(folder / SEALING_KEY))
    return HubKeys(
        record=Ed25519Signer.load(folder / "record.key"),
        resource=Ed25519Signer.load(folder / "resource.key"),
        time=Ed25519Signer.load(folder / "time.key"),
        log=Ed25519Signer.load(folder / LOG_KEY),
        sealing_public=newest.public_key().public_bytes_raw(),
        unsealer=Unsealer.load(folder),
    )


def log_key(state: HubState) -> LogKey | None:
    """By which a reader checks what was signed; None when there is no log key: nothing was signed then. Raises LogKeyLost,
    ExposedSecret, BadKey, BadConfig."""
    path = state.keys / LOG_KEY
    return LogKey(state.config().hub, Ed25519Signer.load(path).public_key) if _has_log_key(state.keys) else None


def _has_log_key(folder: Path) -> bool:
    """Raises LogKeyLost."""
    path = folder / LOG_KEY
    if not path.exists() and HubState(folder.parent).high_water.exists():
        raise LogKeyLost(f"{path} is gone, and this hub has signed with it; put it back from a copy")
    return path.exists()
