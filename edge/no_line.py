"""A TLS key or certificate that cannot be used: there is no line, and the counter works all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge.advice import key_damaged
from edge.examination import keep_diagnosis
from edge.identity import Identity
from edge.state import IdentityFolder
from edge.tls_pair import load_pair
from security.clock import Clock
from security.file_trouble import advised
from security.signer import BadKey

LOOK_S = 10.0


class NoLine:
    """What is told of it (LineHealth, edge/advice.py). Constructed with what `load_pair` has raised."""

    certificate_ends_ms = 0

    def __init__(self, folder: IdentityFolder, identity: Identity, error: Exception, path: Path, clock: Clock) -> None:
        self.diagnosis = key_damaged(advised(error))
        self._folder = folder
        self._identity = identity
        self._path = path
        self._clock = clock

    async def run(self) -> None:
        """Until somebody has put a whole pair there."""
        await asyncio.to_thread(keep_diagnosis, self._path, self.diagnosis, self._clock.unix_ms())
        while not await asyncio.to_thread(self._mended):
            await asyncio.sleep(LOOK_S)

    def _mended(self) -> bool:
        try:
            load_pair(self._folder, self._identity)
        except (BadKey, OSError):
            return False
        return True
