"""The hub's own keys, one for each thing it signs or opens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hub.ledger.signed_roots import LogKey
from hub.state import HubState
from security.sealing import Unsealer, create_sealing_key
from security.signer import BadKey, Ed25519Signer, Signer, read_key

SEALING_KEY = "sealing-1.key"
LOG_KEY = "log.key"
SIGNING_KEYS = ("record.key", "resource.key", "time.key", LOG_KEY)
PUBLIC_KEYS = "public.json"  # see hub/known_keys.py
PUT_BACK = "put the right one back from a copy of this hub's keys/"
ANOTHERS = f"it is not the key that this hub has used until now ({PUBLIC_KEYS} says which); {PUT_BACK}"


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
    for name in SIGNING_KEYS:
        Ed25519Signer.create(folder / name)
    create_sealing_key(folder / SEALING_KEY)


def load_keys(folder: Path) -> HubKeys:
    """Raises FileNotFoundError, ExposedSecret, BadKey. A hub that was founded before there was a log key gets one here."""
    others = other_keys(folder)
    if others:
        raise BadKey("; ".join(f"{folder / name}: {ANOTHERS}" for name in others))
    if not _has_log_key(folder):
        Ed25519Signer.create(folder / LOG_KEY)
    return HubKeys(
        record=Ed25519Signer.load(folder / "record.key"),
        resource=Ed25519Signer.load(folder / "resource.key"),
        time=Ed25519Signer.load(folder / "time.key"),
        log=Ed25519Signer.load(folder / LOG_KEY),
        sealing_public=_sealing_public(folder),
        unsealer=Unsealer.load(folder),
    )


def public_keys(folder: Path) -> dict[str, bytes]:
    """By file, of those that are there. Raises ExposedSecret, BadKey."""
    keys = {name: Ed25519Signer.load(folder / name).public_key for name in SIGNING_KEYS if (folder / name).exists()}
    return {**keys, SEALING_KEY: _sealing_public(folder)} if (folder / SEALING_KEY).exists() else keys


def other_keys(folder: Path) -> list[str]:
    """Files that do not hold the key that was remembered under their name. Raises ExposedSecret, BadKey."""
    known = remembered_keys(folder)
    return sorted(name for name, key in public_keys(folder).items() if known.get(name, key.hex()) != key.hex())


def remembered_keys(folder: Path) -> dict[str, str]:
    """Public keys in hex, by file. Raises BadKey."""
    path = folder / PUBLIC_KEYS
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not isinstance(known, dict) or not all(isinstance(key, str) for key in known.values()):
            raise ValueError("it holds something else")
    except (ValueError, RecursionError) as error:
        raise BadKey(f"{path}, by which this hub tells its own keys, is damaged; put it back from a copy; if there is none, "
                     "remove it: the next start makes it anew") from error
    return known


def log_key(state: HubState) -> LogKey | None:
    """By which a reader checks what was signed; None when there is no log key: nothing was signed then. Raises LogKeyLost,
    ExposedSecret, BadKey, BadConfig."""
    path = state.keys / LOG_KEY
    return LogKey(state.config().hub, Ed25519Signer.load(path).public_key) if _has_log_key(state.keys) else None


def _sealing_public(folder: Path) -> bytes:
    return X25519PrivateKey.from_private_bytes(read_key(folder / SEALING_KEY)).public_key().public_bytes_raw()


def _has_log_key(folder: Path) -> bool:
    """Raises LogKeyLost."""
    path = folder / LOG_KEY
    if not path.exists() and HubState(folder.parent).high_water.exists():
        raise LogKeyLost(f"{path} is gone, and this hub has signed with it; put it back from a copy")
    return path.exists()
