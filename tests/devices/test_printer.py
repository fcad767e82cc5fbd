"""Printing over IPP on CUPS' own printer: to the end, without paper, cancelled, cut off."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pyipp.enums import IppJobState, IppOperation, IppStatus

from devices import printer
from devices.contract import DeviceError, DeviceFault, DeviceState, DeviceUnavailable, Reading
from devices.ipp import IppWire
from devices.paper import PaperFault
from devices.printer import PDF_MAX_BYTES, PrinterDriver
from devices.printers import Answer, JobProgress, Printed, PrinterWire, Value
from devices.simulated.printer import SimulatedPrinter
from devices.simulated.printer_text import PrinterFolder, PrinterText
from tests.devices.stands import printer as stands
from tests.devices.stands.printer import PrinterStand

pytestmark = pytest.mark.usefixtures("ipp_printer")

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SEEN_MAX_S = 30.0
END_MAX_S = 30.0
LONGER_S = 60.0  # for a limit that must not be waited for
STILL_PRINTING = PrinterText(slow_ms=60_000)


def on(folder: Path, act: Callable[[PrinterStand], Awaitable[None]]) -> None:
    async def with_stand() -> None:
        async with stands.stand(folder) as one:
            await act(one)

    asyncio.run(with_stand())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SEEN_MAX_S):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def printing(
    one: PrinterStand, lost_max_s: float = LONGER_S, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[tuple[asyncio.Task[Reading[Printed]], list[JobProgress]]]:
    """A document on its way, and what is heard of it."""
    heard: list[JobProgress] = []

    async def run() -> Reading[Printed]:
        wire = IppWire(one.printer.uri, answer_max_s=LONGER_S)
        async with PrinterDriver(wire, "x", follow_s=0.05, lost_max_s=lost_max_s, clock=clock) as driver:
            return await driver.print_pdf(PDF, "test page", heard.append)

    task = asyncio.create_task(run())
    try:
        yield task, heard
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=END_MAX_S)
        assert task.done()


async def state_of(one: PrinterStand, job: int) -> Value | None:
    """None where the printer knows no such job."""
    answer = await IppWire(one.printer.uri).ask(IppOperation.GET_JOB_ATTRIBUTES, {"job-id": job})
    return next(iter(answer.job.get("job-state", [])), None)


async def until_it_prints(one: PrinterStand) -> None:
    """The first job."""
    async with asyncio.timeout(SEEN_MAX_S):
        while await state_of(one, 1) != IppJobState.PROCESSING:
            await asyncio.sleep(0.02)


def test_a_document_is_printed_and_nothing_of_it_stays(tmp_path: Path) -> None:
    async def act(one: PrinterStand) -> None:
        async with one.driver() as driver:
            first = await driver.print_pdf(PDF, "收件凭证")
            second = await driver.print_pdf(PDF, "收件凭证" * 99)
        assert (first.data.sides, first.data.with_errors, first.simulated) == (1, False, True)
        assert second.data.job > first.data.job
        assert first.serial == second.serial != ""
        private = one.printer._private
        assert [file for file in private.rglob("*") if file.is_file() and b"%PDF" in file.read_bytes()] == []
        gone.append(private)

    gone: list[Path] = []
    on(tmp_path, act)
    assert not gone[0].exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PrinterText(paper=0), "paperOut"),
        (PrinterText(paper=10), "paperLow"),
        (PrinterText(toner=0), "tonerOut"),
        (PrinterText(toner=5), "tonerLow"),
        (PrinterText(waste=100), "wasteFull"),
        (PrinterText(waste=95), "wasteAlmostFull"),
    ],
)
def test_what_runs_out_shows_in_readings_and_probes(tmp_path: Path, text: PrinterText, reason: str) -> None:
    async def act(one: PrinterStand) -> None:
        async with one.driver() as driver:
            assert (await driver.read()).data.reasons == ()
            await one.be(text)
            reading = await driver.read()
        assert reading.data.reasons == (reason,)
        assert [supply.level_percent for supply in reading.data.supplies] == [text.waste, text.toner]
        assert [supply.filled for supply in reading.data.supplies] == [True, False]
        status = await one.driver().probe()
        assert (status.reasons, status.identity) == ((reason,), reading.data.identity)
        assert reading.serial == reading.data.identity.serial != ""

    on(tmp_path, act)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PrinterText(paper=0), "paperOut"),
        (PrinterText(fault="jam"), "paperJammed"),
        (PrinterText(fault="cover-open"), "coverOpen"),
    ],
)
def test_a_printer_that_stops_says_why_and_goes_on_when_that_is_put_right(
    tmp_path: Path, text: PrinterText, reason: str
) -> None:
    async def act(one: PrinterStand) -> None:
        await one.be(text)
        async with printing(one) as (task, heard):
            await until(lambda: any(reason in progress.reasons for progress in heard))
            assert (await one.driver().probe()).state is DeviceState.DEVICE_BUSY
            assert heard[-1].hint.endswith("。")
            await one.be()
            printed = await asyncio.wait_for(task, SEEN_MAX_S)
        assert printed.data.sides == 1
        assert all(progress != after for progress, after in itertools.pairwise(heard))
        assert (await one.driver().probe()).reasons == ()

    on(tmp_path, act)


@pytest.mark.parametrize("text", [STILL_PRINTING, PrinterText(fault="jam")], ids=["printing", "jammed"])
def test_who_gives_up_cancels_the_job_in_the_printer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: PrinterText
) -> None:
    monkeypatch.setattr(printer, "CANCEL_MAX_S", END_MAX_S)

    async def act(one: PrinterStand) -> None:
        await one.be(text)
        async with printing(one) as (task, heard):
            await until_it_prints(one)
            await until(lambda: bool(heard) or bool(text.slow_ms))
            await asyncio.sleep(0.2)
            before = time.monotonic()
            task.cancel()
            await asyncio.wait([task], timeout=END_MAX_S)
            assert task.cancelled()
            assert time.monotonic() - before < END_MAX_S
        async with asyncio.timeout(SEEN_MAX_S):
            while await state_of(one, 1) != IppJobState.CANCELED:
                await asyncio.sleep(0.05)
        await one.be()
        async with one.driver() as driver:
            assert (await driver.print_pdf(PDF, "next")).data.sides == 1
            assert (await driver.read()).data.reasons == ()

    on(tmp_path, act)


class Wire:
    """The real wire, and something done after a question was answered."""

    def __init__(self, one: PrinterStand, operation: IppOperation, done: Callable[[], Awaitable[object]]) -> None:
        self._wire = IppWire(one.printer.uri, answer_max_s=LONGER_S)
        self._operation = operation
        self._done = done

    async def ask(self, operation: int, attributes: Mapping[str, Value | list[str]], document: bytes = b"") -> Answer:
        answer = await self._wire.ask(operation, attributes, document)
        if operation == self._operation:
            await self._done()
        return answer

    def hurry(self, answer_max_s: float) -> None:
        """From the next question on."""
        self._wire._answer_max_s = answer_max_s


def test_who_gives_up_before_the_jobs_number_is_known_leaves_no_job_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printer, "CANCEL_MAX_S", END_MAX_S)

    async def act(one: PrinterStand) -> None:
        asked, answered = asyncio.Event(), asyncio.Event()

        async def slowly() -> None:
            asked.set()
            await answered.wait()

        async def run() -> None:
            async with PrinterDriver(Wire(one, IppOperation.CREATE_JOB, slowly), "x") as driver:
                await driver.print_pdf(PDF, "test")

        task = asyncio.create_task(run())
        await asyncio.wait_for(asked.wait(), SEEN_MAX_S)
        task.cancel()
        asyncio.get_running_loop().call_later(0.2, answered.set)
        await asyncio.wait([task], timeout=END_MAX_S)
        assert task.cancelled()
        assert await state_of(one, 1) == IppJobState.CANCELED

    on(tmp_path, act)


def test_who_gives_up_on_a_printer_that_hangs_does_not_wait_for_it(tmp_path: Path) -> None:
    async def act(one: PrinterStand) -> None:
        hung = asyncio.Event()

        async def hang() -> None:
            await one.hang()
            hung.set()

        async def run() -> None:
            async with PrinterDriver(Wire(one, IppOperation.SEND_DOCUMENT, hang), "x", follow_s=0.05) as driver:
                await driver.print_pdf(PDF, "test")

        task = asyncio.create_task(run())
        await asyncio.wait_for(hung.wait(), SEEN_MAX_S)
        before = time.monotonic()
        task.cancel()
        await asyncio.wait([task], timeout=END_MAX_S)
        assert task.cancelled()
        assert time.monotonic() - before < END_MAX_S

    on(tmp_path, act)


def test_a_job_that_the_printer_gives_up_is_a_fault(tmp_path: Path) -> None:
    async def act(one: PrinterStand) -> None:
        await one.be(PrinterText(fault="abort"))
        async with one.driver() as driver:
            with pytest.raises(DeviceFault, match="放弃"):
                await driver.print_pdf(PDF, "test")
            await one.be(PrinterText(fault="abort", toner=0))
            with pytest.raises(PaperFault, match="墨粉") as refused:
                await driver.print_pdf(PDF, "test")
        assert refused.value.reasons == ("tonerOut",)

    on(tmp_path, act)


def test_a_job_cancelled_at_the_printer_is_told_as_that(tmp_path: Path) -> None:
    async def act(one: PrinterStand) -> None:
        await one.be(STILL_PRINTING)
        async with printing(one) as (task, _):
            await until_it_prints(one)
            await IppWire(one.printer.uri).ask(IppOperation.CANCEL_JOB, {"job-id": 1})
            await asyncio.wait([task], timeout=SEEN_MAX_S)
            error = task.exception()
        assert isinstance(error, DeviceFault)
        assert error.state is DeviceState.USER_ERROR

    on(tmp_path, act)


@pytest.mark.parametrize("again", [False, True], ids=["away", "restarted"])
def test_a_printer_switched_off_in_the_middle_says_that_it_may_have_printed(tmp_path: Path, again: bool) -> None:
    async def act(one: PrinterStand) -> None:
        hand_clock = [0.0]
        await one.be(STILL_PRINTING)
        async with printing(one, lost_max_s=1.0, clock=lambda: hand_clock[0]) as (task, heard):
            await until_it_prints(one)
            await asyncio.sleep(0.2)
            await one.unplug()
            await until(lambda: bool(heard) and heard[-1].reasons == ("offline",))
            if again:
                await one.plug()
            else:
                await asyncio.sleep(0.2)
                assert not task.done()
                hand_clock[0] = 2.0
            await asyncio.wait([task], timeout=SEEN_MAX_S)
            error = task.exception()
        assert isinstance(error, DeviceUnavailable)
        assert "可能已经打出" in error.hint
        await one.plug()
        async with one.driver() as driver:
            assert (await driver.print_pdf(PDF, "next")).data.sides == 1

    on(tmp_path, act)


def test_a_printer_that_is_silent_for_a_moment_loses_no_job(tmp_path: Path) -> None:
    async def act(one: PrinterStand) -> None:
        followed, heard = asyncio.Event(), list[JobProgress]()

        async def follow() -> None:
            wire.hurry(0.2)
            followed.set()

        await one.be(STILL_PRINTING)
        wire = Wire(one, IppOperation.GET_JOB_ATTRIBUTES, follow)
        async with PrinterDriver(wire, "x", follow_s=0.05, lost_max_s=LONGER_S) as driver:
            task = asyncio.create_task(driver.print_pdf(PDF, "test", heard.append))
            await asyncio.wait_for(followed.wait(), SEEN_MAX_S)
            await one.be(replace(STILL_PRINTING, hang=True))
            await until(lambda: bool(heard) and heard[-1].reasons == ("offline",))
            await one.be()
            assert (await asyncio.wait_for(task, SEEN_MAX_S)).data.sides == 1

    on(tmp_path, act)


def test_a_printer_with_another_job_is_busy(tmp_path: Path) -> None:
    async def act(one: PrinterStand) -> None:
        await one.be(STILL_PRINTING)
        async with printing(one) as (task, _), one.driver() as second:
            await until_it_prints(one)
            with pytest.raises(DeviceUnavailable) as busy:
                await second.print_pdf(PDF, "second")
            assert busy.value.state is DeviceState.DEVICE_BUSY
            await one.be()
            assert (await asyncio.wait_for(task, SEEN_MAX_S)).data.sides == 1

    on(tmp_path, act)


def test_a_script_from_another_process_is_followed_and_a_wrong_one_switches_it_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(one: PrinterStand) -> None:
        (tmp_path / "printer.toml").write_text("paper = 0")
        async with asyncio.timeout(SEEN_MAX_S):
            while (await one.driver().probe()).reasons != ("paperOut",):
                await asyncio.sleep(0.05)
            for wrong in ("papr = 0", "fault = 'fire'", "="):
                (tmp_path / "printer.toml").write_text(wrong)
                while (await one.driver().probe()).state is not DeviceState.OFFLINE:
                    await asyncio.sleep(0.05)
                one.folder.plug()
                while (await one.driver().probe()).state is not DeviceState.ONLINE:
                    await asyncio.sleep(0.05)
        assert "its file is wrong" in caplog.text

    on(tmp_path, act)


def test_a_virtual_printer_that_died_comes_back_by_itself(tmp_path: Path) -> None:
    async def act(one: PrinterStand) -> None:
        process = one.printer._printer
        assert process is not None
        process.kill()
        await process.wait()
        async with asyncio.timeout(SEEN_MAX_S):
            while (await one.driver().probe()).state is not DeviceState.ONLINE:
                await asyncio.sleep(0.05)

    on(tmp_path, act)


def test_what_is_no_document_is_not_sent(tmp_path: Path) -> None:
    async def act(one: PrinterStand) -> None:
        driver = one.driver()
        with pytest.raises(DeviceUnavailable):
            await driver.print_pdf(PDF, "not taken")
        with pytest.raises(DeviceUnavailable):
            await driver.read()
        async with driver:
            for wrong in (b"", b"<html>", b"%PDF-" + bytes(PDF_MAX_BYTES)):
                with pytest.raises(ValueError, match="PDF"):
                    await driver.print_pdf(wrong, "test")

    on(tmp_path, act)


class Flaky:
    """A wire to a printer that is away half of the time: each answer of it about a job comes after four failures."""

    def __init__(self) -> None:
        self.time = 0.0
        self.asked = 0
        self.named = ""

    async def ask(self, operation: int, attributes: Mapping[str, Value | list[str]], document: bytes = b"") -> Answer:
        if operation == IppOperation.GET_PRINTER_ATTRIBUTES:
            return Answer(0, {"printer-state": [3], "document-format-supported": ["application/pdf"]}, {})
        if operation == IppOperation.CREATE_JOB:
            self.named = str(attributes["job-name"])
        if operation != IppOperation.GET_JOB_ATTRIBUTES:
            return Answer(0, {}, {"job-id": [1], "job-state": [IppJobState.PROCESSING]})
        self.time += 1.0
        self.asked += 1
        if self.asked % 5:
            raise DeviceUnavailable("away")
        done = self.asked == 15
        return Answer(0, {}, {"job-state": [IppJobState.COMPLETED if done else IppJobState.PROCESSING]})


def test_a_printer_that_comes_and_goes_is_waited_for_anew_after_every_answer() -> None:
    async def act(lost_max_s: float) -> None:
        wire = Flaky()
        async with PrinterDriver(wire, "x", follow_s=0, lost_max_s=lost_max_s, clock=lambda: wire.time) as driver:
            await driver.print_pdf(PDF, "test")

    asyncio.run(act(5.0))
    with pytest.raises(DeviceUnavailable, match="可能已经打出"):
        asyncio.run(act(3.0))


def test_a_long_name_is_cut_between_characters() -> None:
    async def act() -> None:
        wire = Flaky()
        async with PrinterDriver(wire, "x", follow_s=0, clock=lambda: wire.time) as driver:
            await driver.print_pdf(PDF, "a" + "收件凭证" * 99)
        assert wire.named == "a" + ("收件凭证" * 99)[:84]

    asyncio.run(act())


class Scripted:
    """A wire to a printer that answers every question with one status, after saying how it is."""

    def __init__(self, status: int, formats: list[Value]) -> None:
        self._status = status
        self._formats = formats

    async def ask(self, operation: int, attributes: Mapping[str, Value | list[str]], document: bytes = b"") -> Answer:
        if operation == IppOperation.GET_PRINTER_ATTRIBUTES:
            return Answer(0, {"printer-state": [3], "document-format-supported": self._formats}, {})
        return Answer(self._status, {}, {})


@pytest.mark.parametrize(
    ("status", "kind", "state"),
    [
        (0, DeviceFault, DeviceState.HARDWARE_ERROR),  # success without a job
        (IppStatus.ERROR_BUSY, DeviceUnavailable, DeviceState.DEVICE_BUSY),
        (IppStatus.ERROR_NOT_ACCEPTING_JOBS, DeviceUnavailable, DeviceState.OFFLINE),
        (IppStatus.ERROR_OPERATION_NOT_SUPPORTED, DeviceFault, DeviceState.HARDWARE_ERROR),
        (IppStatus.ERROR_NOT_AUTHORIZED, DeviceFault, DeviceState.HARDWARE_ERROR),
        (IppStatus.ERROR_DOCUMENT_FORMAT_NOT_SUPPORTED, DeviceFault, DeviceState.HARDWARE_ERROR),
        (0x04FF, DeviceFault, DeviceState.HARDWARE_ERROR),
    ],
)
def test_a_refusal_says_what_to_do(status: int, kind: type[DeviceError], state: DeviceState) -> None:
    async def act() -> None:
        wire: PrinterWire = Scripted(status, ["application/pdf"])
        async with PrinterDriver(wire, "x") as driver:
            with pytest.raises(kind) as refused:
                await driver.print_pdf(PDF, "test")
        assert refused.value.state is state
        assert refused.value.hint.endswith("。")

    asyncio.run(act())


def test_a_printer_that_knows_no_pdf_is_not_fed_with_it() -> None:
    async def act() -> None:
        async with PrinterDriver(Scripted(0, ["image/urf", "application/octet-stream"]), "x") as driver:
            with pytest.raises(DeviceFault, match="PDF"):
                await driver.print_pdf(PDF, "test")

    asyncio.run(act())


def test_the_virtual_printer_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.simulated.printer.PATH", "")
    monkeypatch.setenv("PATH", str(tmp_path))

    async def act() -> None:
        async with SimulatedPrinter(PrinterFolder(tmp_path)):
            pytest.fail("it started")

    with pytest.raises(Exception, match="apt install cups-ipp-utils"):
        asyncio.run(act())
