"""Alarms of this machine: one file each, so that they outlive every restart, until a technician clears them.

They stand in the door's answers, in `status`, in the metrics and in the log, and go into the journal of events as records.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import structlog

from edge.drafts import Draft, JournalRefused, Stored
from security.clock import Clock
from security.private_files import sync_folder, write_private
from security.suites import sha256

REMIND_S = 600.0
LOOK_S = 5.0
ALIKE_MAX = 5  # alarms of one kind that are open at a time, each with evidence or a reason of its own
EVIDENCE_RECORDED_MAX_CHARS = 16 * 1024  # longer evidence stays in the file; the record names it by its SHA-256
KIND = "alarm"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_FILE = re.compile(r"[a-z].*\.json", re.DOTALL)

log = structlog.get_logger()


class NoteJournal(Protocol):
    async def submit(self, draft: Draft) -> Stored:
        """Raises JournalRefused."""
        ...


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
    """`raise_alarm` does file work; call it in a thread where it matters. One for as long as the agent runs: it remembers what
    the disk does not take.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._unwritten: dict[str, Alarm] = {}
        self._raising = threading.Lock()  # the line, the idle check and the agent raise theirs from threads of their own

    def raise_alarm(self, kind: str, text: str, hint: str, evidence: bytes = b"") -> None:
        """What is open already stays as it was first told; other evidence, or another text where nothing proves it, is an alarm
        beside it, `kind-2` and so on.

        Never raises for a full disk: then it is open all the same, and is written once there is room.
        """
        assert _NAME.fullmatch(kind)
        names = [kind, *(f"{kind}-{number}" for number in range(2, ALIKE_MAX + 1))]
        with self._raising:
            alike = {alarm.kind: alarm.evidence or alarm.text for alarm in self.open_alarms() if alarm.kind in names}
            if (evidence.hex() or text) not in alike.values():
                log.error("alarm", kind=kind, text=text)
                if name := next((name for name in names if name not in alike), ""):
                    self._unwritten[name] = Alarm(name, text, hint, self._clock.unix_ms(), evidence.hex())
            self._write()

    def write_again(self) -> None:
        """What the disk did not take."""
        with self._raising:
            self._write()

    def _write(self) -> None:
        for kind, alarm in list(self._unwritten.items()):
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                write_private(self._folder / f"{kind}.json", json.dumps(asdict(alarm), ensure_ascii=False, indent=1).encode())
            except OSError as error:
                log.warning("the alarm is not on disk yet", kind=kind, error=str(error), next="make room on this machine's disk")
            else:
                del self._unwritten[kind]

    def open_alarms(self) -> tuple[Alarm, ...]:
        """By time. A file that cannot be read is an alarm of its own."""
        unwritten = dict(self._unwritten)  # taken first: what is written meanwhile is in both, never in neither
        written = {path.stem: _read(path) for path in self._files()}
        return tuple(sorted((unwritten | written).values(), key=lambda one: one.raised_ms))

    def _files(self) -> list[Path]:
        """Of open alarms. Asked with each look at the state: paths are made of what is there only."""
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            return [Path(entry.path) for entry in entries if _FILE.fullmatch(entry.name)]
        return []

    def clear(self, kind: str) -> None:
        """Keep the file under another name: it may be evidence. Raises AlarmUnknown."""
        path = self._folder / f"{kind}.json"
        if not _NAME.fullmatch(kind) or not path.exists():
            raise AlarmUnknown(f"there is no open alarm {kind!r}; list them with: suozhan-edge alarms")
        path.rename(self._folder / f"cleared-{self._clock.unix_ms()}-{kind}.alarm")
        sync_folder(self._folder)

    async def run(self, journal: NoteJournal) -> None:
        """Put each alarm into the journal once, and say again in the log what nobody clears."""
        loop = asyncio.get_running_loop()
        refused: dict[Alarm, str] = {}  # why it is no record yet; "" once it is
        told_s: dict[Alarm, float] = {}
        while True:
            await asyncio.to_thread(self.write_again)
            alarms = await asyncio.to_thread(self.open_alarms)
            refused = {alarm: refused[alarm] for alarm in alarms if alarm in refused}
            told_s = {alarm: told_s.get(alarm, loop.time()) for alarm in alarms}
            for alarm in alarms:
                if refused.get(alarm) != "":
                    reason = await _record(journal, alarm)
                    if reason and reason != refused.get(alarm):
                        log.warning("the alarm is not in the journal yet", kind=alarm.kind, reason=reason)
                    refused[alarm] = reason
                if loop.time() - told_s[alarm] > REMIND_S:
                    log.error("alarm still open", kind=alarm.kind, text=alarm.text, next="suozhan-edge alarms")
                    told_s[alarm] = loop.time()
            await asyncio.sleep(LOOK_S)


async def _record(journal: NoteJournal, alarm: Alarm) -> str:
    """The journal takes the same alarm once, however often it is said. Returns why it did not: say it again later."""
    body = {"kind": alarm.kind, "text": alarm.text, "raised_ms": alarm.raised_ms, **_evidence(alarm)}
    try:
        await journal.submit(Draft(f"alarm:{alarm.kind}:{alarm.raised_ms}", KIND, json.dumps(body, sort_keys=True).encode()))
    except JournalRefused as error:
        return str(error)
    return ""


def _evidence(alarm: Alarm) -> dict[str, str]:
    """As much as a record's body takes."""
    if len(alarm.evidence) <= EVIDENCE_RECORDED_MAX_CHARS:
        return {"evidence": alarm.evidence}
    return {"evidence_sha256": sha256(bytes.fromhex(alarm.evidence)).hex()}


def _read(path: Path) -> Alarm:
    try:
        alarm = Alarm(**json.loads(path.read_bytes()))
        if alarm.kind != path.stem or not isinstance(alarm.raised_ms, int):
            raise ValueError("it names another alarm")
        if not isinstance(alarm.text, str) or not isinstance(alarm.hint, str):
            raise TypeError("it has no text")
        bytes.fromhex(alarm.evidence)
    except (OSError, ValueError, TypeError) as error:
        return Alarm(path.stem, f"{path} cannot be read ({error}): keep it and call the city's IT desk",
                     "本机有一条告警无法读取，请联系市信息中心。", 0)
    return alarm
