"""While there is no line, find out why and say so; when the clock is set or the cause has gone, try again at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import structlog

from edge.advice import CONNECTED, CONNECTING, Diagnosis, Kind
from edge.diagnosis import Facts, Reach, diagnose
from edge.hub_view import HubView
from edge.line import Line, LineStatus
from edge.renewal import Renewal
from edge.tls_pair import TlsFiles
from security.clock import Clock
from security.private_files import write_private

LOOK_S = 1.0
SETTLE_S = 3.0  # a line that comes back at once needs no explanation
EXAMINE_S = 15.0
CLOCK_JUMP_MS = 2_000
REFUSED = "refused"  # the hub's word when it gave none, but a refusal of the journal

log = structlog.get_logger()


class Examination:
    """`diagnosis` is the newest. `view` looks at the hub (edge/hub_view.py); it blocks and is called in a thread."""

    def __init__(self, lines: Sequence[Line], files: TlsFiles, renewal: Renewal, view: Callable[[], HubView], path: Path,
                 clock: Clock) -> None:
        self.diagnosis = CONNECTING
        self._lines = lines
        self._files = files
        self._renewal = renewal
        self._view = view
        self._path = path
        self._clock = clock
        self._ahead_ms = self._wall_ahead_ms()

    @property
    def certificate_ends_ms(self) -> int:
        """Unix ms."""
        return self._files.pair.validity.last_ms

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        well_s = examined_s = loop.time()
        while True:
            await asyncio.sleep(LOOK_S)
            jumped, now_s = self._clock_was_set(), loop.time()
            if jumped:
                self.retry_now()
            if all(line.state.state is LineStatus.CONNECTED for line in self._lines):
                well_s = examined_s = now_s
                await self._tell(CONNECTED)
            elif now_s - well_s >= SETTLE_S and (jumped or now_s - examined_s >= EXAMINE_S or examined_s == well_s):
                await self._tell(await self.examine())
                examined_s = loop.time()

    def retry_now(self) -> None:
        for line in self._lines:
            line.retry_now()

    async def examine(self) -> Diagnosis:
        """Of this moment."""
        view = await asyncio.to_thread(self._view)
        state = next((line.state for line in self._lines if line.state.state is not LineStatus.CONNECTED), self._lines[0].state)
        word = state.word or (REFUSED if state.state is LineStatus.REFUSED else "")
        facts = Facts(own_ms=self._clock.unix_ms(), certificate=self._files.pair.validity, reach=view.reach,
                      trusted=view.trusted, server=view.server, hub_ms=view.hub_ms, renewal=self._renewal.news,
                      word=word, error=state.detail)
        if _may_have_ended(facts):
            self._renewal.want()
        return diagnose(facts)

    def _clock_was_set(self) -> bool:
        before, self._ahead_ms = self._ahead_ms, self._wall_ahead_ms()
        return abs(self._ahead_ms - before) > CLOCK_JUMP_MS

    def _wall_ahead_ms(self) -> int:
        return self._clock.unix_ms() - self._clock.boottime_ms()

    async def _tell(self, diagnosis: Diagnosis) -> None:
        if diagnosis == self.diagnosis:
            return
        if diagnosis.kind is not self.diagnosis.kind:
            well = diagnosis.kind is Kind.CONNECTED
            (log.info if well else log.warning)("diagnosis", kind=diagnosis.kind.value, text=diagnosis.english)
        await asyncio.to_thread(keep_diagnosis, self._path, diagnosis, self._clock.unix_ms())
        self.diagnosis = diagnosis


def _may_have_ended(facts: Facts) -> bool:
    """The certificate, by the hub's clock. Where that cannot be asked, who renews learns it with the first answer."""
    if facts.reach is not Reach.ANSWERS or facts.trusted is False:
        return False
    return facts.hub_ms is None or not facts.certificate.holds(facts.hub_ms)


def keep_diagnosis(path: Path, diagnosis: Diagnosis, since_ms: int) -> None:
    """For `status`; a disk that does not take it keeps nothing else from going on."""
    said = asdict(diagnosis) | {"since_ms": since_ms}
    try:
        write_private(path, json.dumps(said, ensure_ascii=False, indent=1).encode())
    except OSError as error:
        log.warning("the diagnosis is not on disk", error=str(error), next="make room on this machine's disk")


def read_diagnosis(path: Path) -> tuple[str, int] | None:
    """What was said last (English) and when it was found (Unix ms); None when nothing was, or it cannot be read."""
    try:
        said = json.loads(path.read_bytes())
        return str(said["english"]), int(said["since_ms"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
