"""Scanning by SANE's own stack: pages, settings, and everything that goes wrong in the middle of a page."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from devices import scanimage, scanimage_run, scanners
from devices.contract import CardRefused, DeviceError, DeviceFault, DeviceState, DeviceUnavailable, Reading
from devices.document_scanner import DocumentScannerDriver, chosen
from devices.paper import PaperFault
from devices.scanimage import Scanimage
from devices.scanimage_run import END_OF_LINE, Run
from devices.scanners import Page, Scanner, ScanSettings
from devices.simulated.document_scanner import SimulatedScanner
from devices.simulated.scanner_text import ScannerFolder, ScannerText

pytestmark = pytest.mark.usefixtures("sane")

COARSE = ScanSettings(resolution_dpi=75)
FINE = ScanSettings(resolution_dpi=150)  # 2.2 MB, 66 buffers: 13 s with the longest delay
FEEDER = replace(COARSE, source="Automatic Document Feeder")
SLOW = ScannerText(slow_ms=200)
BEGUN_MAX_S = 30.0
PAUSE_S = 0.2
LET_GO_MAX_S = 10.0  # less than the rest of a FINE page takes
QUIET_MAX_S = 30.0
HUNG_S = 2.5  # longer than SLOW ever pauses


@pytest.fixture
def hands(tmp_path: Path) -> ScannerFolder:
    folder = ScannerFolder(tmp_path)
    folder.plug()
    return folder


def driver(hands: ScannerFolder, settings: ScanSettings = COARSE, quiet_max_s: float = QUIET_MAX_S) -> DocumentScannerDriver:
    return DocumentScannerDriver(SimulatedScanner(hands.directory, quiet_max_s=quiet_max_s), settings=settings)


def processes(hands: ScannerFolder) -> list[int]:
    mine = f"SANE_CONFIG_DIR={hands.configuration}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mine in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def limits_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/limits").read_text().splitlines()


def scan(hands: ScannerFolder, settings: ScanSettings = COARSE) -> Page:
    async def act() -> Page:
        async with driver(hands, settings) as one:
            return (await one.read()).data

    return asyncio.run(act())


async def collect(pages: AsyncIterator[Reading[Page]], take: Callable[[Reading[Page]], None]) -> None:
    async for reading in pages:
        take(reading)


@asynccontextmanager
async def under_way(one: DocumentScannerDriver) -> AsyncIterator[asyncio.Task[object]]:
    """A reading of which some lines are there; cancelled at the end if it still runs."""
    begun = asyncio.Event()

    def heard(_page: int, percent: float) -> None:
        if percent > 0:
            begun.set()

    async def read() -> object:
        async with one:
            return await one.read(heard)

    task = asyncio.create_task(read())
    try:
        async with asyncio.timeout(BEGUN_MAX_S):
            await begun.wait()
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=LET_GO_MAX_S)
        assert task.done()


def test_a_page_has_the_size_that_was_asked_for_and_its_digest(hands: ScannerFolder) -> None:
    page = scan(hands, ScanSettings(resolution_dpi=100, area_mm=(254, 127), picture="png", mode="Color"))
    assert (page.picture, page.width, page.height) == ("png", 1000, 500)
    assert page.content.startswith(b"\x89PNG")
    assert page.sha256 == hashlib.sha256(page.content).hexdigest()
    assert page.size == len(page.content)
    again = scan(hands, ScanSettings(resolution_dpi=100))
    assert (again.picture, again.content[:2]) == ("jpeg", b"\xff\xd8")
    assert not again.preview
    assert scan(hands, ScanSettings(resolution_dpi=None)).width == pytest.approx(620, abs=2)  # 75 dpi is its own choice


def test_nothing_of_a_page_shows_in_its_repr(hands: ScannerFolder) -> None:
    page = scan(hands)
    assert "content" not in repr(page)
    assert page.sha256 not in repr(page)


def test_a_preview_is_coarse_and_says_so(hands: ScannerFolder) -> None:
    async def act() -> None:
        async with driver(hands, FINE) as one:
            preview, whole = await one.preview(), await one.read()
        assert preview.data.preview
        assert preview.data.width * 2 == pytest.approx(whole.data.width, abs=2)

    asyncio.run(act())


def test_a_feeder_gives_its_pages_until_it_is_empty(hands: ScannerFolder) -> None:
    async def act(pages_max: int) -> int:
        heard: list[tuple[int, float]] = []
        async with driver(hands, FEEDER) as one, aclosing(one.pages(pages_max, lambda *at: heard.append(at))) as pages:
            ids = {reading.id async for reading in pages}
        assert heard == sorted(heard)
        assert {page for page, percent in heard if percent == 100} == set(range(1, len(ids) + 1))
        return len(ids)

    assert asyncio.run(act(50)) == 10  # as many as the test backend's feeder holds
    assert asyncio.run(act(3)) == 3


def test_the_feeder_is_found_by_itself_and_one_that_is_named_goes_before(hands: ScannerFolder) -> None:
    async def act(feeder: str) -> list[str]:
        wire = SimulatedScanner(hands.directory, quiet_max_s=QUIET_MAX_S)
        async with (DocumentScannerDriver(wire, settings=COARSE, feeder=feeder) as one,
                    aclosing(one.pages()) as pages):  # fmt: skip
            return [reading.data.sha256 async for reading in pages]

    assert len(asyncio.run(act(""))) == 10
    with pytest.raises(DeviceFault, match="不支持"):
        asyncio.run(act("ADF Duplex"))


def test_without_a_feeder_no_stack_is_begun(hands: ScannerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanners, "FEEDER_WORDS", ("conveyor",))

    async def act() -> None:
        async with driver(hands) as one, aclosing(one.pages()) as pages:
            with pytest.raises(CardRefused, match="没有自动进纸器"):
                await anext(pages)
            assert (await one.read()).data.size

    asyncio.run(act())


@pytest.mark.parametrize(("fault", "ends"), [("jam", PaperFault), ("io", DeviceUnavailable)])
def test_a_fault_in_the_middle_of_a_stack_leaves_the_pages_before_it_valid(
    hands: ScannerFolder, fault: str, ends: type[DeviceError]
) -> None:
    async def act() -> None:
        hands.plug(ScannerText(fault=fault, after=3))
        came: list[Reading[Page]] = []
        async with driver(hands) as one, aclosing(one.pages()) as pages, aclosing(one.pages()) as rest:
            with pytest.raises(ends):
                await collect(pages, came.append)
            hands.plug(ScannerText(fault="paper-out", after=2))
            await collect(rest, came.append)
        assert len({reading.id for reading in came}) == 5

    asyncio.run(act())


def test_a_scanner_unplugged_in_the_middle_of_a_stack_leaves_the_pages_before_it_valid(hands: ScannerFolder) -> None:
    async def act() -> None:
        hands.plug(ScannerText(slow_ms=20))
        came: list[Reading[Page]] = []

        def take(reading: Reading[Page]) -> None:
            came.append(reading)
            if len(came) == 2:
                hands.unplug()

        async with driver(hands) as one, aclosing(one.pages()) as pages:
            with pytest.raises(DeviceUnavailable):
                await collect(pages, take)
        assert len(came) in (2, 3)  # one more may have been whole by then
        assert processes(hands) == []

    asyncio.run(act())


def test_asking_for_the_feeder_of_a_scanner_that_hangs_ends_and_leaves_no_process(hands: ScannerFolder) -> None:
    async def act() -> None:
        async with driver(hands, quiet_max_s=0.3) as one, aclosing(one.pages()) as pages:
            hands.plug(ScannerText(hang=True))
            with pytest.raises(DeviceFault):
                await anext(pages)
            assert processes(hands) == []
            hands.plug()
        async with driver(hands) as one:
            hands.unplug()
            with pytest.raises(DeviceUnavailable):
                await anext(one.pages())

    asyncio.run(act())


def test_who_has_enough_after_one_page_stops_the_feeder(hands: ScannerFolder) -> None:
    async def act() -> None:
        async with driver(hands, FEEDER) as one:
            async with aclosing(one.pages(50)) as pages:
                async for _ in pages:
                    break
            assert processes(hands) == []
            assert (await one.read()).data.size

    asyncio.run(act())


@pytest.mark.parametrize(
    ("fault", "reason"), [("jam", "paperJammed"), ("paper-out", "paperOut"), ("cover-open", "coverOpen")]
)
def test_what_a_person_has_to_put_right_is_said_and_afterwards_all_is_well(
    hands: ScannerFolder, fault: str, reason: str
) -> None:
    async def act() -> None:
        async with driver(hands, FEEDER) as one:
            hands.plug(ScannerText(fault=fault))
            with pytest.raises(PaperFault) as refused:
                await one.read()
            assert refused.value.reasons == (reason,)
            assert refused.value.hint.endswith("。")
            hands.plug()
            assert (await one.read()).data.size

    asyncio.run(act())


@pytest.mark.parametrize("fault", ["io", "crash"])
def test_a_backend_that_fails_or_crashes_takes_only_itself_down(hands: ScannerFolder, fault: str) -> None:
    async def act() -> None:
        one = driver(hands)
        async with one:
            hands.plug(ScannerText(fault=fault))
            with pytest.raises(DeviceUnavailable):
                await one.read()
        if fault == "crash":
            assert (await one.probe()).state is DeviceState.OFFLINE
        hands.plug()
        assert (await one.probe()).state is DeviceState.ONLINE
        async with one:
            assert (await one.read()).data.size

    asyncio.run(act())


def test_settings_that_the_scanner_has_not_are_refused(hands: ScannerFolder) -> None:
    for settings in (replace(COARSE, mode="Lineart"), replace(COARSE, source="Transparency")):
        with pytest.raises(DeviceFault, match="不支持"):
            scan(hands, settings)


def test_a_scanner_that_stops_in_the_middle_of_a_page_is_given_up_and_its_process_ended(hands: ScannerFolder) -> None:
    async def act() -> None:
        hands.plug(SLOW)
        async with under_way(driver(hands, FINE, quiet_max_s=HUNG_S)) as reading:
            hands.plug(ScannerText(hang=True))
            await asyncio.wait([reading], timeout=BEGUN_MAX_S)
            assert isinstance(reading.exception(), DeviceFault)
        assert processes(hands) == []
        hands.plug()
        async with driver(hands) as one:
            assert (await one.read()).data.size

    asyncio.run(act())


def test_a_scanner_unplugged_in_the_middle_of_a_page_gives_no_half_page(hands: ScannerFolder) -> None:
    async def act() -> None:
        hands.plug(SLOW)
        async with under_way(driver(hands, FINE)) as reading:
            hands.unplug()
            await asyncio.wait([reading], timeout=BEGUN_MAX_S)
            assert isinstance(reading.exception(), DeviceUnavailable)

    asyncio.run(act())


def test_a_scanner_unplugged_after_it_was_taken_is_said_to_be_away(hands: ScannerFolder) -> None:
    async def act() -> None:
        async with driver(hands) as one:
            hands.unplug()
            with pytest.raises(DeviceUnavailable):
                await one.read()

    asyncio.run(act())


@pytest.mark.parametrize("hung", [False, True], ids=["scanning", "hung"])
def test_giving_up_ends_the_process_at_once_and_leaves_nothing_of_the_page(
    tmp_path: Path, hands: ScannerFolder, hung: bool
) -> None:
    async def act() -> None:
        hands.plug(SLOW)
        spool = tmp_path / "spool"
        spool.mkdir()
        wire = Scanimage(hands.configuration, spool=spool)
        async with under_way(DocumentScannerDriver(wire, settings=FINE)) as reading:
            assert len(list(spool.rglob("*.part"))) == 1
            assert {folder.stat().st_mode & 0o777 for folder in spool.iterdir()} == {0o700}
            if hung:
                hands.plug(ScannerText(hang=True))
            reading.cancel()
            await asyncio.wait([reading], timeout=LET_GO_MAX_S)
            assert reading.cancelled()
        assert processes(hands) == []
        assert list(spool.iterdir()) == []

    asyncio.run(act())


def test_a_run_may_leave_no_core_and_no_endless_file(hands: ScannerFolder) -> None:
    async def act() -> None:
        hands.plug(SLOW)
        async with under_way(driver(hands, FINE)):
            (limits,) = [limits_of(process) for process in processes(hands)]
        assert [line.split()[4:6] for line in limits if line.startswith("Max core file size")] == [["0", "0"]]
        (largest,) = [line.split()[3] for line in limits if line.startswith("Max file size")]
        assert int(largest) == scanimage.PAGE_MAX_BYTES

    asyncio.run(act())


def test_a_page_that_a_killed_process_left_is_removed_and_one_of_a_living_process_stays(
    tmp_path: Path, hands: ScannerFolder
) -> None:
    spool = tmp_path / "spool"
    for process in ("4194303", "1"):
        (spool / f"suozhan-scan-{process}-abc").mkdir(parents=True)
        (spool / f"suozhan-scan-{process}-abc" / "1.png.part").write_bytes(b"page")

    async def act() -> None:
        async with DocumentScannerDriver(Scanimage(hands.configuration, spool=spool), settings=COARSE) as one:
            await one.read()

    asyncio.run(act())
    assert [left.name for left in spool.iterdir()] == ["suozhan-scan-1-abc"]


def test_a_probe_of_a_scanner_at_work_asks_no_backend(hands: ScannerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        hands.plug(SLOW)
        one = driver(hands, FINE)
        async with under_way(one):
            started: list[object] = []
            monkeypatch.setattr(scanimage, "running", lambda *told: started.append(told))
            status = await one.probe()
            assert status.state is DeviceState.DEVICE_BUSY
            assert status.identity is not None
            assert started == []

    asyncio.run(act())


def test_a_page_is_not_begun_while_a_listing_looks_at_all_scanners(hands: ScannerFolder) -> None:
    async def act() -> None:
        one = driver(hands)
        async with one:
            hands.plug(ScannerText(hang=True))
            listing = asyncio.create_task(one.probe())
            async with asyncio.timeout(BEGUN_MAX_S):
                while not processes(hands):
                    await asyncio.sleep(PAUSE_S)
            reading = asyncio.create_task(one.read())
            await asyncio.sleep(PAUSE_S)
            assert len(processes(hands)) == 1
            hands.plug()
            assert (await listing).state is DeviceState.ONLINE
            assert (await reading).data.size

    asyncio.run(act())


def test_a_page_that_was_given_is_no_longer_in_the_folder(tmp_path: Path, hands: ScannerFolder) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()

    async def act() -> None:
        wire, given = Scanimage(hands.configuration, spool=spool), 0
        async with DocumentScannerDriver(wire, settings=FEEDER) as one, aclosing(one.pages(10)) as pages:
            async for _ in pages:
                given += 1
                assert list(spool.rglob(f"{given}.jpeg")) == []
        assert given == 10

    asyncio.run(act())


def test_a_second_caller_hears_that_it_is_busy(hands: ScannerFolder) -> None:
    async def act() -> None:
        wire = SimulatedScanner(hands.directory)
        async with DocumentScannerDriver(wire, settings=COARSE):
            with pytest.raises(DeviceUnavailable) as busy:
                async with DocumentScannerDriver(wire):
                    pytest.fail("it was taken twice")
        assert busy.value.state is DeviceState.DEVICE_BUSY
        async with DocumentScannerDriver(wire, settings=COARSE) as one:
            assert (await one.read()).simulated

    asyncio.run(act())


def test_a_listing_that_hangs_ends_by_itself(hands: ScannerFolder) -> None:
    async def act() -> None:
        hands.plug(ScannerText(hang=True))
        wire = SimulatedScanner(hands.directory, list_max_s=0.3)
        one = DocumentScannerDriver(wire, settings=COARSE)
        assert (await one.probe()).state is DeviceState.HARDWARE_ERROR
        assert processes(hands) == []
        hands.plug()
        wire._sane._list_max_s = QUIET_MAX_S
        assert (await one.probe()).state is DeviceState.ONLINE

    asyncio.run(act())


@pytest.mark.parametrize("ends", ["exec sleep 60", "kill -SEGV $$"])
def test_a_backend_that_hangs_or_crashes_in_letting_go_changes_nothing_of_what_came(
    hands: ScannerFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: str
) -> None:
    """SANE's own does it: one run in 250 that ends with a fault hangs for ever in the end of its thread."""
    real = shutil.which("scanimage")
    stand_in = tmp_path / "programs" / "scanimage"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\n{real} "$@" || code=$?\ncase "$*" in *--batch=*) {ends};; esac\nexit $code\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(stand_in.parent), prepend=os.pathsep)
    let_go = Run.let_go
    monkeypatch.setattr(Run, "let_go", lambda run, _: let_go(run, 0.3))

    async def act() -> None:
        async with driver(hands, FEEDER) as one:
            pages: list[Reading[Page]] = []
            await collect(one.pages(), pages.append)
            assert len(pages) == 10
            for fault, hint in (("paper-out", "没有纸"), ("jam", "卡纸")):
                hands.plug(ScannerText(fault=fault))
                with pytest.raises(PaperFault, match=hint):
                    await one.read()
        assert processes(hands) == []

    asyncio.run(act())


def test_a_machine_without_scanimage_says_what_to_install(
    hands: ScannerFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceFault, match="sane-utils"):
        scan(hands)


def test_the_output_of_a_backend_in_pieces_and_without_end_is_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0

    class EndOfLine:
        @staticmethod
        def split(data: bytes) -> list[bytes]:
            nonlocal longest
            longest = max(longest, len(data))
            return END_OF_LINE.split(data)

    monkeypatch.setattr(scanimage_run, "END_OF_LINE", EndOfLine)

    async def lines(chunks: list[bytes]) -> list[str]:
        class Process:
            stdout = asyncio.StreamReader()

        for chunk in chunks:
            Process.stdout.feed_data(chunk)
        Process.stdout.feed_eof()
        return [line async for line in Run(Process()).lines(QUIET_MAX_S)]  # type: ignore[arg-type]

    async def act() -> None:
        assert await lines([b"Progress: 1", b".0%\rProgress: 2.0%\r\n", b"1.p", b"ng\n", b"last"]) == [
            "Progress: 1.0%", "Progress: 2.0%", "1.png", "last",
        ]  # fmt: skip
        (flood,) = await lines([b"x" * 8_000_000])
        assert len(flood) == 4096
        assert longest <= 2 * 4096  # kept whole, it would be copied 2,000 times

    asyncio.run(act())


def test_the_serial_goes_before_a_name_that_may_be_anothers_by_now() -> None:
    old = Scanner("genesys:libusb:001:004", "Canon", "LiDE 300", "SN1")
    new = Scanner("genesys:libusb:001:007", "Canon", "LiDE 400", "SN2")
    assert chosen((old, new), "SN2") is new
    assert chosen((old, new), "genesys:libusb:001:007") is new
    assert chosen((old, new), "LiDE 400") is new
    assert chosen((old, new), "Canon LiDE 300") is old
    assert chosen((old, new), "") is old
    assert chosen((old, new), "LiDE 500") is None
    assert chosen((), "") is None
    confused = Scanner("SN2", "Canon", "SN2")
    assert chosen((confused, new), "SN2") is new


def test_the_serial_is_in_the_reading_and_in_the_identity(hands: ScannerFolder) -> None:
    async def act() -> None:
        hands.plug(ScannerText(serial="KKMD1"))
        one = DocumentScannerDriver(SimulatedScanner(hands.directory), "KKMD1", COARSE)
        status = await one.probe()
        assert status.identity is not None
        assert status.identity.serial == "KKMD1"
        async with one:
            reading = await one.read()
        assert (reading.serial, reading.device) == ("KKMD1", "KKMD1")
        hands.plug(ScannerText(serial="KKMD2"))  # another one in its place
        assert (await one.probe()).state is DeviceState.NO_DEVICE

    asyncio.run(act())


def test_a_script_that_says_nothing_sensible_leaves_the_scanner_unplugged(
    hands: ScannerFolder, caplog: pytest.LogCaptureFixture
) -> None:
    for wrong in ("falt = 'jam'", "fault = 'fire'", "slow_ms = 900", "after = -1", "="):
        (hands.directory / "scanner.toml").write_text(wrong)
        assert asyncio.run(driver(hands).probe()).state is DeviceState.NO_DEVICE
    assert "its file is wrong" in caplog.text


def test_no_page_and_no_error_is_an_error(hands: ScannerFolder) -> None:
    class Empty:
        scanner = Scanner("x", "", "")

        async def scan(self, *_told: object) -> AsyncIterator[bytes]:
            for content in self.contents:
                yield content

        contents: tuple[bytes, ...] = ()

    class Wire:
        async def scanners(self) -> tuple[Scanner, ...]:
            return (Empty.scanner,)

        @asynccontextmanager
        async def hold(self, _scanner: Scanner) -> AsyncIterator[Empty]:
            yield Empty()

    async def act() -> None:
        one: Callable[[], Awaitable[object]]
        async with DocumentScannerDriver(Wire()) as given:  # type: ignore[arg-type]
            one = given.read
            with pytest.raises(DeviceError):
                await one()
            Empty.contents = (b"\xff\xd8\xff half of one",)
            with pytest.raises(DeviceFault, match="不完整"):
                await one()
        with pytest.raises(DeviceUnavailable):
            await one()

    asyncio.run(act())
