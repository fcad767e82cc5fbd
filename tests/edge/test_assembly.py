"""The agent as a whole: it stops when it is asked to, whatever it is about to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

import edge.assembly
from edge.assembly import Agent, NextIdentity, run_edge
from security.clock import SystemClock
from tests.edge.machine import enrolled
from tests.spine import CEILING_S


def test_an_agent_goes_on_with_identity_after_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0

    async def ended() -> None:
        await asyncio.sleep(0)
        raise NextIdentity

    async def work(_agent: Agent, ready: Callable[[], None]) -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ended() if begun < 3 else asyncio.sleep(CEILING_S))

    monkeypatch.setattr(edge.assembly, "_work", work)

    async def scenario() -> None:
        ready = asyncio.Event()
        async with asyncio.timeout(CEILING_S):
            agent = asyncio.create_task(run_edge(enrolled(tmp_path / "edge"), SystemClock(), ready.set))
            await asyncio.wait([agent, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert not agent.done()
            agent.cancel()
            await asyncio.wait([agent])

    asyncio.run(scenario())
    assert begun == 3


def test_an_agent_that_is_asked_to_stop_as_it_goes_on_with_another_identity_stops(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0

    async def ended() -> None:
        raise NextIdentity

    async def work(_agent: Agent, ready: Callable[[], None]) -> None:
        nonlocal begun
        begun += 1
        async with asyncio.TaskGroup() as tasks:
            if begun == 1:
                tasks.create_task(ended())
                ready()
            await asyncio.Event().wait()

    monkeypatch.setattr(edge.assembly, "_work", work)

    async def scenario() -> None:
        def stop() -> None:
            agent.cancel()

        async with asyncio.timeout(CEILING_S):
            agent = asyncio.create_task(run_edge(enrolled(tmp_path / "edge"), SystemClock(), stop))
            await asyncio.wait([agent])
            assert agent.cancelled()

    asyncio.run(scenario())
    assert begun == 1
