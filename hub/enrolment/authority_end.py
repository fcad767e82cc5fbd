"""The end of the CA's own certificates, told in time: only people can renew them, with a key that lies elsewhere."""

from __future__ import annotations

import asyncio
import datetime as dt

import sqlalchemy as sa
import structlog

from hub.attention.alarms import Alarms
from hub.enrolment.authority import HubAuthority
from security.clock import Clock

TOLD_BEFORE = dt.timedelta(days=365)
LOOK_S = 24 * 3600.0
ALARM = "authority-ends"

log = structlog.get_logger()


class AuthorityEnd:
    """Looks once a day."""

    def __init__(self, authority: HubAuthority, alarms: Alarms, clock: Clock) -> None:
        self._ends = authority.intermediate.certificate.not_valid_after_utc
        self._alarms = alarms
        self._clock = clock

    def look(self) -> None:
        """Raises sqlalchemy.exc.DBAPIError."""
        now = dt.datetime.fromtimestamp(self._clock.unix_ms() / 1000, dt.UTC)
        if self._ends - now < TOLD_BEFORE:
            self._alarms.raise_alarm(ALARM, f"{self._ends:%Y-%m-%d}", (
                f"the certificate of the hub's CA ends {self._ends:%Y-%m-%d}: no machine works after that day. Fetch the root "
                "key and run: suozhan-hub certificate renew-authority --root-key FILE; then restart the hub"))

    async def run(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.look)
            except sa.exc.DBAPIError as error:
                log.warning("the end of the CA's certificate was not told", error=str(error.orig), next="look after the database")
            await asyncio.sleep(LOOK_S)
