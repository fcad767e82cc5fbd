"""`suozhan-edge unpair`: who has a token for this machine's door, and taking one back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from edge.config import BadConfig
from edge.door.pairing import Pairing, PairingDamaged
from security.clock import Clock


def unpair_program(door: Path, name: str, clock: Clock) -> str:
    """What to tell the technician; without a name, all who are paired. Raises BadConfig, sqlite3.Error."""
    with closing(Pairing(door, clock)) as pairing:
        try:
            if not name:
                return "\n".join(pairing.names()) or "Nobody is paired."
            if pairing.take_back(name):
                return f"{name}: nothing of it opens this machine's door any more."
            raise BadConfig(f"nobody is paired as {name!r}; paired are: {', '.join(pairing.names()) or 'none'}")
        except PairingDamaged as error:
            raise BadConfig("door.db could not be read and was set aside, so no token is left; pair each counter program again"
                            ) from error
