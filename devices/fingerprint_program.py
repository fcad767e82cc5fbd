"""One running fingerprint program and its pipes: lines there, lines back, and its end."""

import asyncio
import json
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

LINE_MAX_BYTES = 1 << 20
KILL_MAX_S = 1.0

Line = Mapping[str, Any]
log = logging.getLogger(__name__)


class Died(Exception):
    """The program ended, or closed its pipes."""


class Garbled(Exception):
    """A line that the protocol does not know, or the answer to another request."""


class Program:
    """Started by `started`. What it writes to standard error is thrown away: nobody vouches for what is in it."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout

    @classmethod
    async def started(cls, command: Sequence[str]) -> Self:
        """Raises OSError where there is no such program."""
        package = str(Path(__file__).parent.parent)
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=LINE_MAX_BYTES,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        return cls(process)

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def send(self, line: Line) -> None:
        try:
            self._stdin.write(json.dumps(line).encode() + b"\n")
            await self._stdin.drain()
        except ConnectionError as error:
            raise Died from error

    async def line(self, request: str) -> Line:
        """The next line; it has to belong to that request."""
        try:
            line = await self._stdout.readline()
            if not line.endswith(b"\n"):
                raise Died
            said = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Garbled("not JSON, or too long") from error
        if not isinstance(said, dict) or said.get("request") != request:
            raise Garbled("not of this request")
        return said

    async def kill(self) -> int | None:
        """The exit status, or None of what can not even be killed: a driver stuck in the kernel."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # with whatever a maker's program started
        try:
            return await asyncio.wait_for(self._process.wait(), KILL_MAX_S)
        except TimeoutError:
            log.warning("fingerprint program %d can not be killed; replug the reader", self._process.pid)
            return None
