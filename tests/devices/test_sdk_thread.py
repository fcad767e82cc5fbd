"""A thread of its own for a maker's library, whatever that does."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest

from devices.sdk_thread import SdkThread


def _end() -> None:
    next(iter(()))


def _leave() -> None:
    raise GeneratorExit


@pytest.mark.parametrize("call", [sys.exit, _leave, _end])
def test_a_library_that_ends_the_program_ends_its_call_alone(call: Callable[[], None]) -> None:
    async def act() -> None:
        thread = SdkThread("sdk")
        with pytest.raises(RuntimeError, match="in an SDK"):
            await thread.call(call, 5.0)
        assert await thread.call(lambda: "still there", 5.0) == "still there"
        assert await thread.stop(5.0)

    asyncio.run(act())
