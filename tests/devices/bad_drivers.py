"""The worked example's driver made worse, in one way each: what the contract test has to find."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import ClassVar, Self
from uuid import UUID

from devices.contract import DeviceError, DeviceState, DeviceStatus, DeviceUnavailable, Reading
from devices.serial_port import SerialPort
from docs.examples.rating_pad import KIND, Rating, RatingPadDriver

TOO_LONG_S = 1.2  # to let go
ANSWER_MAX_S = 0.03
AFTERWARDS = ExitStack()  # puts away what they leave behind


def keep(one: object) -> None:
    AFTERWARDS.callback(lambda: one)


class LeavesAHandle(RatingPadDriver):
    async def __aenter__(self) -> Self:
        AFTERWARDS.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        return await super().__aenter__()


class LeavesAThread(RatingPadDriver):
    async def __aenter__(self) -> Self:
        over = threading.Event()
        AFTERWARDS.callback(over.set)
        threading.Thread(target=over.wait, daemon=True).start()
        return await super().__aenter__()


class LeavesATask(RatingPadDriver):
    async def __aenter__(self) -> Self:
        keep(asyncio.create_task(asyncio.Event().wait()))
        return await super().__aenter__()


class LeavesAProcess(RatingPadDriver):
    async def __aenter__(self) -> Self:
        process = AFTERWARDS.enter_context(subprocess.Popen(["sleep", "60"]))  # noqa: ASYNC220  # begins at once
        AFTERWARDS.callback(process.kill)
        return await super().__aenter__()


class KeepsTheLineAfterAnError(RatingPadDriver):
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await super().__aexit__(kind, error, trace)
        else:
            keep(self)


class LetsGoLate(RatingPadDriver):
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await asyncio.sleep(TOO_LONG_S)


class TakesWhatIsNotThere(RatingPadDriver):
    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except DeviceUnavailable:
            return self


class ProbeTellsTheDevice(RatingPadDriver):
    async def probe(self) -> DeviceStatus:
        status = await super().probe()
        if status.state is DeviceState.ONLINE:
            async with self._new_port() as port:
                await port.write(b"RESET")
                for _ in range(5):  # so that the device hears it, whatever this machine does meanwhile
                    with suppress(TimeoutError):
                        async with asyncio.timeout(ANSWER_MAX_S):
                            await port.read()
        return status


class ProbeClosesTheLine(RatingPadDriver):
    newest: ClassVar[list[RatingPadDriver]] = []

    async def __aenter__(self) -> Self:
        AFTERWARDS.callback(self.newest.clear)
        self.newest.append(self)
        return await super().__aenter__()

    async def probe(self) -> DeviceStatus:
        if self.newest and self.newest[-1]._port is not None:
            await self.newest[-1]._port.__aexit__(None, None, None)
        return await super().probe()


class ProbeRaises(RatingPadDriver):
    async def probe(self) -> DeviceStatus:
        async with self._new_port():
            return DeviceStatus(DeviceState.ONLINE, self._identity)


class ProbeSeesNothing(RatingPadDriver):
    async def probe(self) -> DeviceStatus:
        return DeviceStatus(DeviceState.ONLINE, self._identity)


class ProbeHangsWithTheDevice(RatingPadDriver):
    async def probe(self) -> DeviceStatus:
        await asyncio.Event().wait()
        return await super().probe()


class GivesWhatWasPressedBefore(RatingPadDriver):
    kept: ClassVar[list[SerialPort]] = []

    async def __aenter__(self) -> Self:
        if not self.kept:
            AFTERWARDS.callback(self.kept.clear)
            self.kept.append(await self._new_port().__aenter__())
        self._port = self.kept[0]
        return self


class GivesTheFirstPersonsToAll(RatingPadDriver):
    first: ClassVar[list[Rating]] = []

    async def read(self) -> Reading[Rating]:
        AFTERWARDS.callback(self.first.clear)
        reading = await super().read()
        self.first.append(reading.data)
        return replace(reading, data=self.first[0])


class MakesAReadingOfNoise(RatingPadDriver):
    async def read(self) -> Reading[Rating]:
        assert self._port is not None
        await self._port.read()
        return Reading(self._device, KIND, Rating(0), self._port.simulated, self._now(), serial=self._identity.serial)


class ReadsWhatIsNotThere(RatingPadDriver):
    async def read(self) -> Reading[Rating]:
        return Reading(self._device, KIND, Rating(1), simulated=True, serial=self._identity.serial)


class Changes(RatingPadDriver):
    """What it reads becomes `changes`."""

    changes: ClassVar[dict[str, object]] = {}

    async def read(self) -> Reading[Rating]:
        return replace(await super().read(), **self.changes)  # type: ignore[arg-type]  # which are fields of it


class SaysNoSerial(Changes):
    changes: ClassVar[dict[str, object]] = {"serial": ""}


class NamesItself(Changes):
    changes: ClassVar[dict[str, object]] = {"device": "Pad 5"}


class ObservedIn1970(Changes):
    changes: ClassVar[dict[str, object]] = {"observed_at": datetime.fromtimestamp(0, UTC)}


class HasOneIdForAll(Changes):
    changes: ClassVar[dict[str, object]] = {"id": UUID(int=0)}


class HidesThatItIsSimulated(Changes):
    changes: ClassVar[dict[str, object]] = {"simulated": False}


@dataclass(frozen=True)
class OpenRating:
    level: int


class ShowsWhatWasPressed(RatingPadDriver):
    async def read(self) -> Reading[Rating]:
        reading = await super().read()
        return replace(reading, data=OpenRating(reading.data.level))  # type: ignore[arg-type]  # that is what is wrong with it


class LogsWhatWasPressed(RatingPadDriver):
    async def read(self) -> Reading[Rating]:
        reading = await super().read()
        logging.getLogger("devices").info("pressed level=%d", reading.data.level)
        return reading


class EndsInABug(RatingPadDriver):
    async def read(self) -> Reading[Rating]:
        try:
            return await super().read()
        except DeviceError as error:
            raise RuntimeError("read failed") from error


class GivesNoHint(RatingPadDriver):
    async def read(self) -> Reading[Rating]:
        try:
            return await super().read()
        except DeviceError as error:
            raise DeviceUnavailable("I/O error") from error


class ReadsWhenCancelled(RatingPadDriver):
    async def read(self) -> Reading[Rating]:
        try:
            return await super().read()
        except asyncio.CancelledError:
            return Reading(self._device, KIND, Rating(1), simulated=True, serial=self._identity.serial)


class WaitsOnWhenCancelled(RatingPadDriver):
    async def read(self) -> Reading[Rating]:
        try:
            return await super().read()
        except asyncio.CancelledError:
            return await super().read()
