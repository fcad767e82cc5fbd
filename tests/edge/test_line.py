"""The one place that tries again ends when it is told to."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from edge.line import HubRefused, Line, LineLost
from tests.spine import CEILING_S, HandClock


@pytest.mark.parametrize("answer", [LineLost("the call failed"), HubRefused("not now")])
def test_a_cancellation_that_a_library_answers_with_an_error_of_its_own_ends_the_line(answer: Exception) -> None:
    """gRPC does so when a call fails at the moment of SIGTERM: the agent went on trying, and had to be killed."""

    answers = iter([answer])

    async def session() -> None:
        try:
            await asyncio.sleep(CEILING_S)
        except asyncio.CancelledError as cancelled:
            raise next(answers, cancelled) from None

    async def stop() -> bool:
        keeping = asyncio.create_task(Line("watch", HandClock(), Random(1)).keep(session))
        await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.wait([keeping], timeout=CEILING_S)
        return keeping.cancelled()

    assert asyncio.run(stop())
