"""Alarms of this machine: one file each, so that they outlive every restart, until a technician clears them.

They stand in the door's answers, in `status`, in the metrics and in the log, and go into the journal as records.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from edge.drafts import Draft, JournalRefused
from edge.journal import Journal
from security.clock import Clock
from security.private_files import sync_folder, write_private

REMIND_S = 600.0
LOOK_S = 5.0
KIND = "alarm"
_NAME = re.compile(r"[a-z][a-z-]{0,62}")

log = structlog.get_logger()


class AlarmUnknown(ValueError):
    """There is no such alarm; the text says how to list them."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """`text` is for a technician, `hint` for the counter (Chinese), `evidence` what proves it (hex), if anything does."""

    kind: str
    text: str
    hint: str
    raised_ms: int
    evidence: str = ""


class Alarms:
    """`raise_alarm` does file work; call it in a thread where it matters."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def raise_alarm(self, kind: str, text: str, hint: str, evidence: bytes = b"") -> None:
        """What is open already stays as it was first told. Never raises for a full disk: then it is only in the log."""
        assert _NAME.fullmatch(kind)
        path = self._folder / f"{kind}.json"
        if path.exists():
            return
        log.error("alarm", kind=kind, text=text)
        alarm = Alarm(kind, text, hint, self._clock.unix_ms(), evidence.hex())
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_private(path, json.dumps(asdict(alarm), ensure_ascii=False, indent=1).encode())
        except OSError as error:
            log.warning("the alarm is not on disk", kind=kind, error=str(error), next="make room on this machine's disk")

    def open_alarms(self) -> tuple[Alarm, ...]:
        """By time. A file that cannot be read is an alarm of its own."""
        return tuple(sorted(map(_read, self._folder.glob("[a-z]*.json")), key=lambda one: one.raised_ms))

    def clear(self, kind: str) -> None:
        """Keep the file under another name: it may be evidence. Raises AlarmUnknown."""
        path = self._folder / f"{kind}.json"
        if not _NAME.fullmatch(kind) or not path.exists():
            raise AlarmUnknown(f"there is no open alarm {kind!r}; list them with: suozhan-edge alarms")
        path.rename(self._folder / f"cleared-{self._clock.unix_ms()}-{kind}.alarm")
        sync_folder(self._folder)

    async def run(self, journal: Journal) -> None:
        """Put each alarm into the journal once, and say again in the log what nobody clears."""
        loop = asyncio.get_running_loop()
        told_s: dict[Alarm, float] = {}
        while True:
            alarms = await asyncio.to_thread(self.open_alarms)
            told_s = {alarm: told for alarm, told in told_s.items() if alarm in alarms}
            for alarm in alarms:
                if alarm not in told_s and not await _record(journal, alarm):
                    continue
                if loop.time() - told_s.setdefault(alarm, loop.time()) > REMIND_S:
                    log.error("alarm still open", kind=alarm.kind, text=alarm.text, next="suozhan-edge alarms")
                    told_s[alarm] = loop.time()
            await asyncio.sleep(LOOK_S)


async def _record(journal: Journal, alarm: Alarm) -> bool:
    """The journal takes the same alarm once, however often it is said. False: say it again later."""
    body = {"kind": alarm.kind, "text": alarm.text, "raised_ms": alarm.raised_ms, "evidence": alarm.evidence}
    try:
        await journal.submit(Draft(f"alarm:{alarm.kind}:{alarm.raised_ms}", KIND, json.dumps(body, sort_keys=True).encode()))
    except JournalRefused as error:
        log.warning("the alarm is not in the journal yet", kind=alarm.kind, reason=str(error))
        return False
    return True


def _read(path: Path) -> Alarm:
    try:
        alarm = Alarm(**json.loads(path.read_bytes()))
        if alarm.kind != path.stem or not isinstance(alarm.raised_ms, int):
            raise ValueError("it names another alarm")
    except (OSError, ValueError, TypeError) as error:
        return Alarm(path.stem, f"{path} cannot be read ({error}): keep it and call the city's IT desk",
                     "本机有一条告警无法读取，请联系市信息中心。", 0)
    return alarm
