"""The wire of a fingerprint reader: a program of its own that speaks the line protocol of `devices.fingerprint_worker`.

A program that hangs, dies or says what it may not is killed, and started again at the next use: nothing else notices.
"""

import asyncio
import base64
import binascii
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from devices.contract import DeviceError, DeviceIdentity
from devices.fingerprint_endings import ending
from devices.fingerprint_program import Died, Garbled, Line, Program

WORKER = (sys.executable, "-P", "-m", "devices.fingerprint_worker")
ANSWER_MAX_S = 10.0  # to look and to open: some readers calibrate
SILENCE_MAX_S = 5.0  # between two lines while a finger is waited for
CANCEL_MAX_S = 1.5
CLOSE_MAX_S = 1.5
DETAIL_MAX_CHARS = 200
SPOILED = (
    "device",
    "removed",
)  # libfprint keeps handles and a thread of a reader that failed: they end with the program

Event = Line
Tell = Callable[[Event], None]
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A reader, as its program describes it."""

    identity: DeviceIdentity
    simulated: bool


@dataclass(frozen=True)
class FingerprintSession:
    """A reader that is held. Cancelling a call returns within CANCEL_MAX_S; the program is killed if it has to be."""

    found: Found
    _process: "FingerprintProcess"

    async def enrol(self, tell: Tell) -> bytes:
        """The template of a finger, not yet sealed."""
        return await self._process.ask("enrol", _template, tell)

    async def verify(self, template: bytes, tell: Tell) -> bool:
        """Whether the finger that is pressed is that of the template."""
        return await self._process.ask("verify", _match, tell, template=base64.b64encode(template).decode())


class FingerprintProcess:
    """One reader. `async with` it once, for as long as the reader is wanted: nothing starts before the first use."""

    def __init__(
        self,
        command: Sequence[str] = WORKER,
        *,
        answer_max_s: float = ANSWER_MAX_S,
        silence_max_s: float = SILENCE_MAX_S,
    ) -> None:
        self._command = command
        self._answer_max_s = answer_max_s
        self._silence_max_s = silence_max_s
        self._turn = asyncio.Lock()
        self._program: Program | None = None
        self._reader: Found | None = None
        self._held = False
        self._ended = False

    @property
    def held(self) -> bool:
        """True while someone has the reader."""
        return self._held

    async def look(self) -> Found:
        """Which reader it is. While it is held, what was found then: its work is not disturbed."""
        if self._reader is not None:
            return self._reader
        return await self.ask("look", _found)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[FingerprintSession]:
        """Hold the reader. Raises DeviceUnavailable (busy, too) or DeviceFault."""
        if self._held:
            raise ending("busy")
        self._held = taken = True
        try:
            try:
                self._reader = await self.ask("open", _found)
            except DeviceError:
                taken = False
                raise
            yield FingerprintSession(self._reader, self)
        finally:
            self._reader = None
            try:
                if taken:
                    await self._close()
            finally:
                self._held = False

    async def ask(
        self,
        call: str,
        parse: Callable[[Event], T],
        tell: Tell | None = None,
        limit_s: float | None = None,
        **arguments: str,
    ) -> T:
        """One call, and what `parse` makes of its answer. With `tell` it may take as long as a person does."""
        async with self._turn:
            line = {"request": str(uuid4()), "call": call, **arguments}
            try:
                return await self._answered(line, parse, tell, limit_s or self._answer_max_s)
            except DeviceError:
                raise
            except BaseException:  # cancelled: the program is not to wait for a finger any more
                await self._cancel(line["request"])
                raise

    async def __aenter__(self) -> Self:
        self._ended = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        await self._kill()

    async def _answered(
        self, line: dict[str, str], parse: Callable[[Event], T], tell: Tell | None, limit_s: float
    ) -> T:
        call = line["call"]
        try:
            return parse(await self._conversation(line, tell, limit_s))
        except TimeoutError:
            await self._kill()
            log.warning("fingerprint program gave no answer to %s: killed, started again at the next use", call)
            raise ending("silent") from None
        except Died:
            status = await self._kill()
            log.warning("fingerprint program died (%s) during %s: started again at the next use", status, call)
            raise ending("died") from None
        except Garbled as error:
            await self._kill()
            log.warning("fingerprint program broke the line protocol at %s (%s): killed; replace it", call, error)
            raise ending("protocol") from None
        except OSError as error:
            log.warning("fingerprint program %s does not start (%s); install it", self._command[0], error.strerror)
            raise ending("library") from None

    async def _conversation(self, line: dict[str, str], tell: Tell | None, limit_s: float) -> Event:
        async with asyncio.timeout(limit_s) as limit:
            program = await self._running()
            await program.send(line)
            while "end" not in (said := await program.line(line["request"])):
                if tell is not None:
                    tell(said)
                    limit.reschedule(asyncio.get_running_loop().time() + self._silence_max_s)
        if said["end"] == "done":
            return said
        if said["end"] != "failed":
            raise Garbled("an end that nobody asked for")
        if line["call"] == "open" or said.get("reason") in SPOILED:
            await self._kill()
        reason, detail = (str(said.get(key, ""))[:DETAIL_MAX_CHARS] for key in ("reason", "detail"))
        log.info("fingerprint reader: %s failed: %r, %r", line["call"], reason, detail)
        raise ending(reason)

    async def _running(self) -> Program:
        if self._program is None or not self._program.running:
            program = await Program.started(self._command)
            if self._ended:  # nobody is left who would end it
                await program.kill()
                raise ending("not-open")
            self._program = program
        return self._program

    async def _cancel(self, request: str) -> None:
        """Let the program end that call, so that the reader stays warm; kill it when it does not."""
        program = self._program
        if program is None:
            return
        try:
            async with asyncio.timeout(CANCEL_MAX_S):
                await program.send({"request": request, "call": "cancel"})
                while "end" not in await program.line(request):
                    pass
        except (TimeoutError, Died, Garbled, asyncio.CancelledError):
            await self._kill()

    async def _close(self) -> None:
        """Give the reader back; a program that died took it along."""
        if self._program is None:
            return
        with suppress(DeviceError):
            await self.ask("close", lambda _: None, limit_s=CLOSE_MAX_S)

    async def _kill(self) -> int | None:
        program, self._program = self._program, None
        return None if program is None else await program.kill()


def _checked(end: Event, key: str, kind: type) -> Any:
    if not isinstance(end.get(key), kind):
        raise Garbled(f"no {key}")
    return end[key]


def _found(end: Event) -> Found:
    identity = DeviceIdentity(_checked(end, "model", str), _checked(end, "serial", str))
    return Found(identity, _checked(end, "simulated", bool))


def _template(end: Event) -> bytes:
    try:
        return base64.b64decode(_checked(end, "template", str), validate=True)
    except binascii.Error as error:
        raise Garbled("no BASE64") from error


def _match(end: Event) -> bool:
    match: bool = _checked(end, "match", bool)
    return match
