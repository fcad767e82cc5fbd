"""Driver for printers that speak IPP: state, reasons, supplies, and PDF documents followed to their end."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

from pyipp.enums import IppJobState

from devices.cards import SIMULATED_PREFIX
from devices.contract import (
    DeviceError,
    DeviceFault,
    DeviceIdentity,
    DeviceState,
    DeviceStatus,
    DeviceUnavailable,
    Reading,
    now,
)
from devices.ipp_message import first, numbers, texts
from devices.ipp_status import OFFLINE, PAUSED, blocking
from devices.paper import COVER_OPEN, PAPER_JAMMED, PAPER_OUT, TONER_OUT, PaperFault
from devices.print_queue import FORGOTTEN, NO_PDF, JobForgotten, PrintQueue
from devices.printers import Answer, Heard, JobProgress, Printed, PrinterStatus, PrinterWire

Data = TypeVar("Data")
KIND = "printer"
PDF_BEGIN = b"%PDF-"
PDF_MAX_BYTES = 64 * 1024 * 1024
FOLLOW_S = 0.5
LOST_MAX_S = 15.0  # a printer that wakes its network card does not answer for a moment
CANCEL_MAX_S = 2.5  # whoever cancels waits 3 s at most; a line that stood still for a second must not cost the cancelling
ENDS = (IppJobState.COMPLETED, IppJobState.CANCELED, IppJobState.ABORTED)

HINTS = {
    PAPER_JAMMED: "打印机卡纸。请打开打印机取出卡住的纸，合好盖子，它会接着打。",
    COVER_OPEN: "打印机的盖子没有合好。请合上盖子。",
    PAPER_OUT: "打印机缺纸。请装纸，它会接着打。",
    "trayMissing": "打印机的纸盒没有装好。请把纸盒推到底。",
    TONER_OUT: "打印机的墨粉或墨水用完了。请更换。",
    "wasteFull": "打印机的废粉盒满了。请更换废粉盒。",
    "outputFull": "出纸口满了。请取走打好的纸。",
    "memoryFull": "打印机内存已满。请等前面的文件打完再试。",
    OFFLINE: "打印机没有连上。请检查打印机的电源和连接线。",
    PAUSED: "打印机已暂停。请在打印机面板上按继续键。",
}
CLOSED = "打印机未打开。请重新开始打印。"
ABORTED = "打印机没有打完这份文件就放弃了。请看打印机面板的提示，再打一次。"
CANCELLED_THERE = "这份文件在打印机上被取消了。需要的话请再打一次。"


def silent(progress: JobProgress) -> None:
    """For a caller who needs no progress."""


class PrinterDriver:
    """`async with PrinterDriver(wire, "前台打印机") as driver: await driver.print_pdf(document, "receipt")`.

    Taking it makes sure that it answers; printers queue, so others may print at the same time. `device` is the name by
    which the site knows it. A printer whose model begins with `devices.cards.SIMULATED_PREFIX` is a virtual one.
    """

    kind = KIND

    def __init__(
        self, wire: PrinterWire, device: str, now: Callable[[], datetime] = now,
        follow_s: float = FOLLOW_S, lost_max_s: float = LOST_MAX_S, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._queue = PrintQueue(wire)
        self._device = device
        self._now = now
        self._follow_s = follow_s
        self._lost_max_s = lost_max_s
        self._clock = clock
        self._taken = False

    async def probe(self) -> DeviceStatus:
        """See `Driver.probe`. Prints nothing."""
        try:
            status = await self._queue.status()
        except DeviceError as error:
            return DeviceStatus(error.state)
        return DeviceStatus(status.state, status.identity, status.reasons)

    async def __aenter__(self) -> Self:
        await self._queue.status()
        self._taken = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._taken = False

    async def read(self) -> Reading[PrinterStatus]:
        """State, reasons and supplies, now."""
        status = await self._taken_queue().status()
        return self._reading(status, status.identity)

    async def print_pdf(self, document: bytes, name: str, heard: Heard = silent) -> Reading[Printed]:
        """Print, and wait for the end: without paper for as long as it takes, of which `heard` is told.

        Cancelled here, it is cancelled in the printer. `name` shows on the printer and in its log: nobody's personal
        data. Raises PaperFault, DeviceFault or DeviceUnavailable; ValueError unless it is a PDF of at most 64 MiB.
        """
        if not document.startswith(PDF_BEGIN) or len(document) > PDF_MAX_BYTES:
            raise ValueError(f"document: a PDF of at most {PDF_MAX_BYTES} bytes")
        status = await self._taken_queue().status()
        if not status.prints_pdf:
            raise DeviceFault(NO_PDF)
        job = await self._create(name)
        try:
            end = await self._follow(job, await self._queue.send(job, document), heard)
        except BaseException:  # whoever gave up, or was cancelled, wants no paper later
            await self._cancel(job)
            raise
        return self._reading(await self._outcome(job, end), status.identity)

    async def _create(self, name: str) -> int:
        """The job's number. Given up in the middle, the job is cancelled as soon as its number is known."""
        asked = asyncio.create_task(self._queue.create(name), name="create print job")
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            with suppress(DeviceError, TimeoutError):
                async with asyncio.timeout(CANCEL_MAX_S):
                    await self._cancel(await asked)
            raise

    async def _cancel(self, job: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_MAX_S):
                await self._queue.cancel(job)

    async def _follow(self, job: int, answer: Answer, heard: Heard) -> Answer:
        """What the printer says of the job at its end, good or bad."""
        answered, told = self._clock(), JobProgress(job, 0)
        while first(answer.job, "job-state") not in ENDS:
            await asyncio.sleep(self._follow_s)
            try:
                answer = await self._queue.look(job)
                reasons = blocking((await self._queue.status()).reasons)
                answered = self._clock()
            except JobForgotten:
                raise
            except DeviceUnavailable as error:
                if self._clock() - answered > self._lost_max_s:
                    raise DeviceUnavailable(FORGOTTEN) from error
                reasons = (OFFLINE,)
            progress = JobProgress(job, _sides(answer), reasons, hint_of(reasons))
            if progress != told:
                heard(progress)
                told = progress
        return answer

    async def _outcome(self, job: int, end: Answer) -> Printed:
        state = first(end.job, "job-state")
        if state == IppJobState.COMPLETED:
            return Printed(job, _sides(end), "job-completed-with-errors" in texts(end.job, "job-state-reasons"))
        if state == IppJobState.CANCELED:
            raise DeviceFault(CANCELLED_THERE, DeviceState.USER_ERROR)
        reasons = blocking((await self._queue.status()).reasons)
        if reasons:
            raise PaperFault(f"{ABORTED}{hint_of(reasons)}", reasons)
        raise DeviceFault(ABORTED)

    def _reading(self, data: Data, identity: DeviceIdentity) -> Reading[Data]:
        simulated = identity.model.startswith(SIMULATED_PREFIX)
        return Reading(self._device, KIND, data, simulated, self._now(), serial=identity.serial)

    def _taken_queue(self) -> PrintQueue:
        if not self._taken:
            raise DeviceUnavailable(CLOSED)
        return self._queue


def hint_of(reasons: tuple[str, ...]) -> str:
    """What to do about the worst of them, "" when there is nothing to do."""
    return next((HINTS[reason] for reason in reasons if reason in HINTS), "")


def _sides(answer: Answer) -> int:
    return max(next(iter(numbers(answer.job, "job-impressions-completed")), 0), 0)
