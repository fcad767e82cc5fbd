"""In idle time: the whole journal and its receipts, over and over, so that damage is known while other copies still exist."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import structlog

from edge.drafts import CorruptJournal
from edge.journal import Journal
from edge.journal_check import Finding, JournalCheck
from edge.receipt_check import ReceiptCheck
from security.clock import Clock
from security.private_files import write_private

QUIET_S = 2.0  # so long nothing was submitted or acknowledged
PAUSE_S = 1.0
STEP_RECORDS = 100  # with a signature each: some 20 ms of one core
STEP_DIGESTS = 5_000  # of pruned records nothing but the row of digests is left
PASS_MIN_MS = 24 * 3600 * 1000
KEEP_EVERY_S = 30.0
NAMED_MAX = 5
ALARM = "journal-damage"
HINT = "本机业务日志有损坏，已受理的业务请勿重复办理。请保留本机现状，不要重装系统，并联系市信息中心。"

log = structlog.get_logger()


class Bell(Protocol):
    """Where findings go."""

    def raise_alarm(self, kind: str, text: str, hint: str, evidence: bytes = b"") -> None: ...


@dataclass(frozen=True, slots=True)
class Pass:
    """One way through the journal: begun at that time (Unix ms), come so far, then so many rows of receipts; `done` when it was
    gone through.
    """

    begun_ms: int
    position: int = 0
    receipts: int = 0
    done: bool = False


class IdleCheck:
    """Of one open journal. `cursor` is the file in which a restart finds how far the pass had come."""

    def __init__(self, journal: Journal, receipts: ReceiptCheck, path: Path, cursor: Path, bell: Bell, clock: Clock) -> None:
        self._journal = journal
        self._receipts = receipts
        self._path = path
        self._cursor = cursor
        self._bell = bell
        self._clock = clock
        self._kept_s = 0.0

    async def run(self) -> None:
        """Until cancelled. Trouble with the disk that may pass is tried again."""
        state = await asyncio.to_thread(self._read)
        while True:
            await self._quiet()
            try:
                state = await self._go_on(state)
            except CorruptJournal as error:
                if not self._journal.stopped:
                    self._journal.stop(str(error))
            except (sqlite3.Error, OSError) as error:
                log.warning("the journal cannot be checked now", error=str(error), next="look after this machine's disk")
            await asyncio.sleep(PAUSE_S)

    async def _quiet(self) -> None:
        seen = self._activity()
        while True:
            await asyncio.sleep(QUIET_S)
            now = self._activity()
            if now == seen:
                return
            seen = now

    def _activity(self) -> tuple[int, int]:
        return self._journal.head.position, self._journal.standing.position

    async def _go_on(self, state: Pass) -> Pass:
        now = self._clock.unix_ms()
        if state.done:
            due = not 0 <= now - state.begun_ms < PASS_MIN_MS  # a clock that was set back must not end it
            return Pass(now) if due else state
        pruned = state.position + STEP_DIGESTS <= await self._journal.pruned_to()
        limit = STEP_DIGESTS if pruned else STEP_RECORDS
        after, findings = await asyncio.to_thread(self._look, state, limit)
        if findings:
            _, again = await asyncio.to_thread(self._look, state, limit)  # memory errs, too
            await self._tell([one for one in findings if one in again])
        if after.done:
            log.info("the journal was checked", positions=after.position, receipts=after.receipts)
        await asyncio.to_thread(self._keep, after)
        return after

    def _look(self, state: Pass, limit: int) -> tuple[Pass, list[Finding]]:
        """One step; behind the last record its receipts, behind those the structure and both ends."""
        try:
            with JournalCheck(self._path) as check:
                last, findings = check.step(state.position, limit)
                if last > state.position:
                    return replace(state, position=last), findings
                row, findings = self._receipts.step(state.receipts, STEP_RECORDS)
                if row > state.receipts:
                    return replace(state, receipts=row), findings
                ends = [*findings, *self._receipts.newest(), *check.structure(), *check.ends()]
                return replace(state, done=True), ends
        except CorruptJournal as error:
            return replace(state, done=True), [Finding("head", str(error))]

    async def _tell(self, findings: list[Finding]) -> None:
        if not findings:
            return
        named = "; ".join(map(str, findings[:NAMED_MAX]))
        text = f"{self._path}: {len(findings)} findings: {named}. Copy this machine's state folder, then: suozhan-edge verify"
        await asyncio.to_thread(self._bell.raise_alarm, ALARM, text, HINT)
        if not self._journal.stopped and any(self._endangers(finding) for finding in findings):
            self._journal.stop(text)

    def _endangers(self, finding: Finding) -> bool:
        """What no backup holds is concerned, or the record that the next one would be written on."""
        return finding.where == "head" or (finding.position or 0) > self._journal.standing.backed_up

    def _read(self) -> Pass:
        try:
            kept = Pass(**json.loads(self._cursor.read_bytes()))
            if isinstance(kept.begun_ms, int) and min(kept.position, kept.receipts) >= 0:
                return kept
        except (OSError, ValueError, TypeError):
            pass
        return Pass(self._clock.unix_ms())

    def _keep(self, state: Pass) -> None:
        now_s = self._clock.boottime_ms() / 1000
        if state.done or now_s - self._kept_s > KEEP_EVERY_S:
            write_private(self._cursor, json.dumps(asdict(state)).encode())
            self._kept_s = now_s
