"""The hub's server certificate while the hub runs: renewed in time, taken up within seconds when a command made a new one."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from hub.enrolment.authority import HubAuthority, ServerFiles, ensure_server_certificate
from security.clock import Clock

LOOK_S = 2.0

log = structlog.get_logger()


class ServerCertificate:
    """`pair` is what new connections get; `run` looks after it. Each of `followers` is called when it has
    changed; what they raise as an OSError is tried again."""

    def __init__(self, folder: Path, authority: HubAuthority, hosts: Sequence[str], clock: Clock,
                 look_s: float = LOOK_S) -> None:
        self._folder = folder
        self._authority = authority
        self._hosts = list(hosts)
        self._clock = clock
        self._look_s = look_s
        self._told = ""
        self.pair: tuple[bytes, bytes] = (b"", b"")
        self.followers: list[Callable[[], None]] = []

    def load(self) -> ServerFiles:
        """Make it if it does not do. Raises OSError."""
        now = dt.datetime.fromtimestamp(self._clock.unix_ms() / 1000, dt.UTC)
        files = ensure_server_certificate(self._folder, self._authority, self._hosts, now)
        pair = files.certificate.read_bytes(), files.key.read_bytes()
        if pair != self.pair:
            self.pair = pair
        return files

    async def run(self) -> None:
        followed = self.pair
        while True:
            await asyncio.sleep(self._look_s)
            try:
                await asyncio.to_thread(self.load)
                if self.pair is not followed:
                    for follow in self.followers:
                        follow()
                    followed = self.pair
                    log.info("new server certificate", folder=str(self._folder))
            except OSError as error:
                self._tell(str(error))  # the one we hold goes on; the next look tries again
            else:
                self._tell("")

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._told:
            log.error("the server certificate cannot be looked after", error=trouble, next="mend the file, or its disk")
        self._told = trouble
