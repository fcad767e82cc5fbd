"""The examination of a line that is down: when it looks, what it says, and what makes the line try again at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from edge import examination
from edge.advice import Kind
from edge.diagnosis import Reach, Validity
from edge.examination import Examination, read_diagnosis
from edge.hub_view import HubView
from edge.line import HubRefused, Line, LineLost, LineStatus
from tests.renewing import DAY_MS, RenewingHub, RenewingMachine
from tests.spine import CEILING_S


class Watched:
    """A machine's line that fails until `up`, and its examination."""

    def __init__(self, folder: Path) -> None:
        (folder / "hub").mkdir()
        self.machine = RenewingMachine(folder / "edge", RenewingHub(folder / "hub"))
        self.clock = self.machine.clock
        self.line = Line("replicate", self.clock, Random(1))
        self.up = asyncio.Event()
        self.tries = 0
        self.failure: Exception = LineLost("cut")
        self.views = 0
        now_ms = self.clock.now_ms
        self.view = HubView(Reach.ANSWERS, True, Validity(now_ms - DAY_MS, now_ms + DAY_MS), now_ms)
        self.examination = Examination([self.line], self.machine.files, self.machine.renewal, self._look,
                                       self.machine.state.diagnosis, self.clock)

    def _look(self) -> HubView:
        self.views += 1
        return self.view

    async def session(self) -> None:
        self.tries += 1
        if not self.up.is_set():
            raise self.failure
        self.line.connected()
        await asyncio.Event().wait()

    async def becomes(self, kind: Kind) -> None:
        while self.examination.diagnosis.kind is not kind:
            await asyncio.sleep(0.005)


def _run(folder: Path, monkeypatch: pytest.MonkeyPatch, then: Callable[[Watched], Awaitable[None]]) -> None:
    for name, value in (("LOOK_S", 0.01), ("SETTLE_S", 0.05), ("EXAMINE_S", 0.2)):
        monkeypatch.setattr(examination, name, value)

    async def scenario() -> None:
        watched = Watched(folder)
        tasks = [asyncio.create_task(watched.line.keep(watched.session)), asyncio.create_task(watched.examination.run())]
        try:
            async with asyncio.timeout(CEILING_S):
                await then(watched)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    asyncio.run(scenario())


def test_a_line_that_is_down_is_explained_on_disk_and_well_again_when_it_is_up(tmp_path: Path,
                                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    async def then(watched: Watched) -> None:
        await watched.becomes(Kind.SILENT)
        said = json.loads(watched.machine.state.diagnosis.read_text(encoding="utf-8"))
        assert (said["kind"], said["since_ms"]) == ("silent", watched.clock.now_ms)
        assert read_diagnosis(watched.machine.state.diagnosis) == (said["english"], said["since_ms"])
        watched.up.set()
        await watched.becomes(Kind.CONNECTED)
        looked = watched.views
        await asyncio.sleep(0.3)
        assert watched.views == looked  # a line that is up is left alone

    _run(tmp_path, monkeypatch, then)
    assert read_diagnosis(tmp_path / "nothing") is None


def test_a_clock_that_is_set_makes_the_line_try_again_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def then(watched: Watched) -> None:
        watched.failure = HubRefused("later", retry_s=3600)
        while watched.line.state.state is not LineStatus.REFUSED:
            await asyncio.sleep(0.01)
        tried = watched.tries
        await asyncio.sleep(0.1)
        assert watched.tries == tried
        watched.up.set()
        watched.clock.now_ms += DAY_MS
        while watched.line.state.state is not LineStatus.CONNECTED:
            await asyncio.sleep(0.01)
        assert watched.tries == tried + 1

    _run(tmp_path, monkeypatch, then)


def test_a_clock_that_runs_on_is_not_taken_for_one_that_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def then(watched: Watched) -> None:
        watched.failure = HubRefused("later", retry_s=3600)
        while watched.line.state.state is not LineStatus.REFUSED:
            await asyncio.sleep(0.01)
        tried = watched.tries
        for _ in range(10):
            watched.clock.now_ms += DAY_MS
            watched.clock.up_ms += DAY_MS  # a long sleep, say
            await asyncio.sleep(0.02)
        assert watched.tries == tried

    _run(tmp_path, monkeypatch, then)


def test_a_certificate_that_has_ended_by_the_hubs_time_is_renewed_whatever_our_clock_says(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def then(watched: Watched) -> None:
        hub_ms = watched.clock.now_ms + 40 * DAY_MS
        watched.machine.hub.clock.now_ms = hub_ms
        watched.view = HubView(Reach.ANSWERS, True, None, hub_ms)
        renewing = asyncio.create_task(watched.machine.renewal.run())
        await watched.becomes(Kind.CERTIFICATE_EXPIRED)
        while watched.machine.files.generation == 0:
            await asyncio.sleep(0.01)
        renewing.cancel()
        await asyncio.wait([renewing])

    _run(tmp_path, monkeypatch, then)


def test_where_the_hubs_time_cannot_be_asked_the_renewal_finds_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def then(watched: Watched) -> None:
        watched.view = HubView(Reach.ANSWERS, True)
        renewing = asyncio.create_task(watched.machine.renewal.run())
        while "nonce" not in watched.machine.office.asked:
            await asyncio.sleep(0.01)
        watched.machine.hub.clock.now_ms += 40 * DAY_MS
        while watched.machine.files.generation == 0:
            await asyncio.sleep(0.01)
        renewing.cancel()
        await asyncio.wait([renewing])

    _run(tmp_path, monkeypatch, then)


def test_a_refused_journal_is_told_in_the_hubs_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def then(watched: Watched) -> None:
        watched.failure = HubRefused("FORKED: a cloned disk", 3600)
        await watched.becomes(Kind.REFUSED)
        assert "FORKED: a cloned disk" in watched.examination.diagnosis.english

    _run(tmp_path, monkeypatch, then)


def test_the_hubs_word_is_told_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def then(watched: Watched) -> None:
        watched.failure = HubRefused("UNAUTHENTICATED: revoked", 3600, "revoked")
        await watched.becomes(Kind.REVOKED)

    _run(tmp_path, monkeypatch, then)
