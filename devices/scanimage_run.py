"""One run of `scanimage`: a process of its own, so that a vendor's backend that hangs or crashes takes only itself down."""

import asyncio
import logging
import os
import re
import resource
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from devices.contract import DeviceFault

PROGRAM = "scanimage"
STOP_MAX_S = 1.0  # for each of: asked to stop (the head goes home), killed
LINE_MAX_BYTES = 4096
READ_BYTES = 4096
NOT_STARTED = "扫描程序无法启动。请维护人员检查本机是否安装了 SANE（sane-utils）、内存是否够用。"
HUNG = "扫描仪没有应答。请关闭扫描仪电源再打开，或拔下重新插上；仍不行请报修。"
END_OF_LINE = re.compile(rb"[\r\n]")

log = logging.getLogger(__name__)


class Run:
    """A started run. Nothing of it outlives `running`, but for a process that not even SIGKILL ends."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def lines(self, quiet_max_s: float) -> AsyncGenerator[str, None]:
        """What it prints, until it ends. Raises DeviceFault when it says nothing for `quiet_max_s`."""
        output = self._process.stdout
        if output is None:
            raise AssertionError("started without its output")
        kept = b""
        while True:
            try:
                async with asyncio.timeout(quiet_max_s):
                    chunk = await output.read(READ_BYTES)
            except TimeoutError as error:
                raise DeviceFault(HUNG) from error
            *lines, kept = END_OF_LINE.split(kept + chunk)
            for line in [*lines, *([] if chunk else [kept])]:
                if line:
                    yield line[:LINE_MAX_BYTES].decode("utf-8", "replace")
            if not chunk:
                return
            kept = kept[:LINE_MAX_BYTES]

    async def status(self, limit_s: float) -> int:
        """Its exit status once the output ended; below zero: the signal that ended it."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._process.wait()
        except TimeoutError as error:
            raise DeviceFault(HUNG) from error

    async def let_go(self, limit_s: float) -> int | None:
        """Like `status`, of a run that is done; None when it hung or crashed after that."""
        with suppress(DeviceFault):
            status = await self.status(limit_s)
            return status if status >= 0 else None
        return None


@asynccontextmanager
async def running(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None, file_max_bytes: int
) -> AsyncIterator[Run]:
    """Start it in `folder`, and stop it at the end whatever happened. It may write no larger file, and no core."""
    try:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, *arguments, cwd=folder, env={**os.environ, **environment, "LC_ALL": "C"}, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
    except OSError as error:
        raise DeviceFault(NOT_STARTED) from error
    try:
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))  # it would hold a page
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_max_bytes, file_max_bytes))
        yield Run(process)
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """SIGINT is what scanimage stops the scanner for (SIGTERM just ends it); then SIGKILL to all that it started."""
    ended = False
    try:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        ended = await _ended(process)
    finally:
        if not ended:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not await _ended(process):
                log.warning("scanimage %d does not end, it waits in the kernel: replug the scanner", process.pid)


async def _ended(process: asyncio.subprocess.Process) -> bool:
    """Whether it ended in time; what it still had to say is read away, or its pipe would stay open."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_MAX_S):
            await process.communicate()
            return True
    return False
