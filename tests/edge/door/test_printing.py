"""Large documents at the door, to the end of a real IPP job: bounded, told by their content, for whoever has the printer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import httpx
import pytest
from pyipp.enums import IppJobState, IppOperation

from devices.contract import DeviceState
from devices.ipp import IppWire
from devices.printer import PDF_MAX_BYTES, PrinterDriver
from devices.printers import Answer, PrinterWire, Value
from devices.simulated.printer import SimulatedPrinter
from devices.simulated.printer_text import PrinterFolder, PrinterText
from edge.door import device_routes
from edge.door.guard import BODY_MAX_BYTES, BODY_MAX_S
from edge.equipment.equipment import Wanted
from edge.equipment.test_page import test_page as one_page
from tests.edge.door.test_door import Counter, code_of, open_door
from tests.loop_clock import let_pass
from tests.spine import CEILING_S

PDF = {"Content-Type": "application/pdf"}
URL = "/v1/devices/printer-1/pdf"
PART_BYTES = 1024 * 1024
SIDE_S = 2.0


class Weighing:
    """A wire that notes the sizes of the documents that it sends."""

    def __init__(self, wire: PrinterWire) -> None:
        self._wire = wire
        self.sent: list[int] = []

    async def ask(self, operation: int, attributes: Mapping[str, Value | list[str]], document: bytes = b"") -> Answer:
        self.sent.extend([len(document)] if document else [])
        return await self._wire.ask(operation, attributes, document)


class SlowPrinter:
    """A wire to a printer that takes a while for each of its sides; a printer of its own prints one side only."""

    def __init__(self, sides: int, stuck_at: int) -> None:
        self._sides, self._stuck_at, self._done = sides, stuck_at, 0

    async def ask(self, operation: int, attributes: Mapping[str, Value | list[str]], document: bytes = b"") -> Answer:
        if operation == IppOperation.GET_PRINTER_ATTRIBUTES:
            return Answer(0, {"printer-state": [3], "document-format-supported": ["application/pdf"]}, {})
        if operation != IppOperation.GET_JOB_ATTRIBUTES:
            return Answer(0, {}, {"job-id": [1], "job-state": [IppJobState.PROCESSING]})
        let_pass(SIDE_S)
        self._done = min(self._done + 1, self._stuck_at)
        state = IppJobState.COMPLETED if self._done == self._sides else IppJobState.PROCESSING
        return Answer(0, {}, {"job-state": [state], "job-impressions-completed": [self._done]})


class OnePrinter:
    """A `DeviceSource`."""

    def __init__(self, wire: PrinterWire) -> None:
        make = partial(PrinterDriver, wire, "printer-1", follow_s=0.05)
        self._wanted = Wanted("printer-1", "printer", make, simulated=True)

    def wanted(self) -> Sequence[Wanted]:
        return [self._wanted]

    async def changed(self, after: int) -> int:
        await asyncio.Event().wait()
        return after


class Desk:
    """A counter with a printer."""

    def __init__(self, counter: Counter, hands: PrinterFolder, printer: SimulatedPrinter, sent: list[int]) -> None:
        self.counter, self.hands, self.printer, self.sent = counter, hands, printer, sent

    async def print(self, content: bytes | AsyncIterator[bytes], url: str = URL, **headers: str) -> httpx.Response:
        return await self.counter.client.post(url, content=content, headers=PDF | headers, timeout=60)

    def head(self, size: int) -> bytes:
        """Of a call whose body is as large as that."""
        return (f"POST {URL} HTTP/1.1\r\nHost: 127.0.0.1:{self.counter.door.port}\r\nContent-Type: application/pdf\r\n"
                f"Authorization: {self.counter.client.headers['Authorization']}\r\nContent-Length: {size}\r\n\r\n").encode()

    async def be(self, text: PrinterText) -> None:
        self.hands.plug(text)
        await self.printer.settle()

    async def is_(self, state: DeviceState) -> None:
        while self.counter.equipment.device("printer-1").view.state is not state:
            await asyncio.sleep(0.02)


def at_a_desk(folder: Path, act: Callable[[Desk], Awaitable[None]]) -> None:
    async def come() -> None:
        hands = PrinterFolder(folder / "printer")
        hands.directory.mkdir()
        hands.plug()
        async with SimulatedPrinter(hands) as printer:
            wire = Weighing(IppWire(printer.uri))
            async with open_door(folder, sources=[OnePrinter(wire)]) as counter:
                desk = Desk(counter, hands, printer, wire.sent)
                await desk.is_(DeviceState.ONLINE)
                await act(desk)

    asyncio.run(come())


def pdf(size: int) -> bytes:
    """A page, and a comment that makes it as large as that."""
    page = one_page()
    return page + b"%" * (size - len(page))


async def in_parts(content: bytes) -> AsyncIterator[bytes]:
    """Without a length beforehand."""
    for start in range(0, len(content), PART_BYTES):
        yield content[start:start + PART_BYTES]


def test_a_document_that_no_message_holds_is_printed_whole(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        large = pdf(5 * PART_BYTES + 1)
        for content in (large, in_parts(large), one_page()):
            answer = await desk.print(content, f"{URL}?window=窗口1&document=回执&timeout_s=30")
            assert answer.status_code == 200, answer.text
            said = answer.json()
            assert (said["kind"], said["device"], said["data"]["sides"]) == ("printer", "printer-1", 1)
        assert desk.sent == [len(large), len(large), len(one_page())]

    at_a_desk(tmp_path, act)


def test_the_largest_document_is_printed_and_not_one_byte_more(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        most = pdf(PDF_MAX_BYTES)
        assert (await desk.print(most)).status_code == 200
        for content in (most + b"%", in_parts(most + b"%")):
            answer = await desk.print(content)
            assert (answer.status_code, code_of(answer)) == (413, "too-large")
            assert str(PDF_MAX_BYTES // 1024) in answer.json()["error"]["message"]
        assert desk.sent == [PDF_MAX_BYTES]
        await desk.is_(DeviceState.ONLINE)
        assert (await desk.print(one_page())).status_code == 200

    at_a_desk(tmp_path, act)


def test_only_that_call_takes_more_than_a_message(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        for path in ("printer-1/commands/print", "printer-1/commands/pdf", "a/b/pdf", "pdf", "printer-1/pdf/"):
            answer = await desk.print(pdf(BODY_MAX_BYTES + 1), f"/v1/devices/{path}")
            assert (answer.status_code, code_of(answer)) == (413, "too-large")

    at_a_desk(tmp_path, act)


def test_what_is_no_pdf_or_not_said_to_be_one_is_not_sent(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        for content, kind in (
                (b"<html>" + bytes(PART_BYTES), "application/pdf"), (b"%PD", "application/pdf"), (b"", "application/pdf"),
                (b"%PDX-" + bytes(PART_BYTES), "application/pdf; charset=binary"), (pdf(PART_BYTES), "application/octet-stream"),
                (pdf(PART_BYTES), "application/json"), (pdf(PART_BYTES), "")):
            for body in (content, in_parts(content)):
                answer = await desk.print(body, **{"Content-Type": kind})
                assert (answer.status_code, code_of(answer)) == (415, "no-media-type")
        assert desk.sent == []
        answer = await desk.print(one_page(), **{"Content-Type": "Application/PDF; x=1"})
        assert answer.status_code == 200

    at_a_desk(tmp_path, act)


def test_a_stranger_prints_nothing(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        for headers, refused in (({"Authorization": ""}, 401), ({"Authorization": "Bearer guess"}, 401),
                                 ({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example"}, 403),
                                 ({"Sec-Fetch-Site": "cross-site"}, 403)):
            assert (await desk.print(one_page(), **headers)).status_code == refused
        assert desk.sent == []

    at_a_desk(tmp_path, act)


def test_what_shows_on_a_printer_is_checked(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        for query in ("document=11010519491231002X", "window=11010519491231002X", "timeout_s=0", "timeout_s=601",
                      "document=" + "x" * 65):
            answer = await desk.print(pdf(PART_BYTES), f"{URL}?{query}")
            assert (answer.status_code, code_of(answer)) == (422, "invalid-request")
            assert "11010519491231002X" not in answer.text
        assert desk.sent == []

    at_a_desk(tmp_path, act)


def test_other_devices_and_unknown_ones_print_nothing(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        for device, code in (("R1", "no-command"), ("printer-9", "no-device")):
            answer = await desk.print(pdf(PART_BYTES), f"/v1/devices/{device}/pdf")
            assert (answer.status_code, code_of(answer)) == (404, code)

    at_a_desk(tmp_path, act)


def test_whoever_else_prints_hears_who_has_the_printer_while_the_document_still_comes_in(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        going_on = asyncio.Event()

        async def unhurried() -> AsyncIterator[bytes]:
            yield one_page()
            await going_on.wait()
            yield b"%" * PART_BYTES

        first = asyncio.create_task(desk.print(unhurried(), f"{URL}?window=窗口1"))
        await desk.is_(DeviceState.DEVICE_BUSY)
        answer = await desk.print(pdf(5 * PART_BYTES), f"{URL}?window=窗口2")
        assert (answer.status_code, code_of(answer)) == (409, "device-busy")
        assert "窗口1" in answer.json()["error"]["message"]
        going_on.set()
        assert (await first).status_code == 200
        assert desk.sent == [len(one_page()) + PART_BYTES]

    at_a_desk(tmp_path, act)


def test_looking_whether_the_caller_is_gone_takes_nothing_of_what_it_sends(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_routes, "GONE_LOOK_S", 0)

    async def act(desk: Desk) -> None:
        large = pdf(20 * PART_BYTES)
        assert (await desk.print(in_parts(large))).status_code == 200
        assert desk.sent == [len(large)]

    at_a_desk(tmp_path, act)


def test_a_caller_that_is_still_sending_when_it_is_refused_hears_why(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.counter.door.port)
        writer.write(desk.head(20 * PART_BYTES).replace(b"application/pdf", b"text/html"))
        await asyncio.sleep(0.3)
        for _ in range(20):
            writer.write(bytes(PART_BYTES))
            await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 415 ")
        writer.close()

    at_a_desk(tmp_path, act)


def test_a_caller_that_is_refused_and_neither_sends_nor_goes_is_answered_soon(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.counter.door.port)
        writer.write(desk.head(PART_BYTES).replace(b"application/pdf", b"text/html"))
        async with asyncio.timeout(BODY_MAX_S / 4):  # far from the time that half a body has
            assert (await reader.readline()).startswith(b"HTTP/1.1 415 ")
        writer.close()

    at_a_desk(tmp_path, act)


def test_a_caller_that_hangs_up_while_it_sends_or_while_it_prints_sets_the_printer_free(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        await desk.be(PrinterText(paper=0))
        page = one_page()
        for missing in (1, 0):
            await desk.is_(DeviceState.ONLINE)
            _, writer = await asyncio.open_connection("127.0.0.1", desk.counter.door.port)
            writer.write(desk.head(len(page) + missing) + page)
            await desk.is_(DeviceState.DEVICE_BUSY)
            while not (missing or desk.sent):
                await asyncio.sleep(0.02)
            writer.close()
            while desk.counter.equipment.device("printer-1").view.user:
                await asyncio.sleep(0.02)
        assert desk.sent == [len(page)]

    at_a_desk(tmp_path, act)


def test_a_caller_that_sends_nothing_more_has_its_time_only(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.counter.door.port)
        page = one_page()
        writer.write(desk.head(len(page) + 1).replace(URL.encode(), f"{URL}?timeout_s=0.3".encode()) + page)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"command-timeout" in await reader.readuntil(b"}")
        writer.close()
        assert desk.sent == []

    at_a_desk(tmp_path, act)


@pytest.mark.parametrize(("stuck_at", "status"), [(9, 200), (3, 408)])
def test_the_time_of_a_command_begins_anew_with_each_printed_side(tmp_path: Path, stuck_at: int, status: int) -> None:
    async def come() -> None:
        async with open_door(tmp_path, sources=[OnePrinter(SlowPrinter(8, stuck_at))], ceiling_s=4 * CEILING_S) as counter:
            while counter.equipment.device("printer-1").view.state is not DeviceState.ONLINE:
                await asyncio.sleep(0.02)
            answer = await counter.client.post(f"{URL}?timeout_s={7 * SIDE_S}", content=one_page(), headers=PDF)
            assert answer.status_code == status
            if status == 408:
                assert "打" in answer.json()["error"]["message"]
                assert "读" not in answer.json()["error"]["message"]

    asyncio.run(come())


def test_the_call_is_described(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        described = (await desk.counter.client.get("/openapi.json")).json()["paths"]["/v1/devices/{name}/pdf"]["post"]
        assert described["requestBody"]["content"].keys() == {"application/pdf"}
        assert {one["name"] for one in described["parameters"]} == {"name", "window", "timeout_s", "document"}
        assert "64 MiB" in described["summary"]
        assert "PrintBody" not in json.dumps((await desk.counter.client.get("/asyncapi.json")).json())

    at_a_desk(tmp_path, act)
