"""A stack of paper as one command, through the door, over the real SANE stack: nothing is lost, and nothing doubled."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from devices.contract import DeviceState
from devices.document_scanner import DocumentScannerDriver
from devices.scanners import ScanSettings
from devices.simulated.document_scanner import SimulatedScanner
from devices.simulated.scanner_text import ScannerFolder, ScannerText
from edge.attachments.room import AttachmentsFull
from edge.door.device_messages import CommandErrorBody, Completion, StackAnswer
from edge.equipment import actions
from edge.equipment.equipment import Wanted
from tests.edge.door.test_door import Counter, at_the_door, transaction
from tests.edge.door.test_windows import Window, open_window
from tests.loop_clock import let_pass
from tests.spine import CEILING_S

COARSE = ScanSettings(resolution_dpi=50)
STACK = {"type": "command", "id": "1", "device": "doc-1", "name": "scan-stack"}
FED = 10  # sheets, by SANE's test backend
UNHURRIED = ScannerText(slow_ms=4)  # some 0.3 s a page


class OneScanner:
    """A `DeviceSource`."""

    def __init__(self, folder: Path) -> None:
        self.hands = ScannerFolder(folder / "document")
        self.hands.directory.mkdir()
        self.hands.plug()
        make = partial(DocumentScannerDriver, SimulatedScanner(self.hands.directory), settings=COARSE)
        self._wanted = Wanted("doc-1", "document", make, simulated=True)

    def wanted(self) -> Sequence[Wanted]:
        return [self._wanted]

    async def changed(self, after: int) -> int:
        await asyncio.Event().wait()
        return after


class Paper:
    """A counter, a window of it, and hands at its scanner."""

    def __init__(self, counter: Counter, window: Window, hands: ScannerFolder) -> None:
        self.counter, self.window, self.hands = counter, window, hands

    async def scan(self, after_pages: float = math.inf, then: Callable[[], Awaitable[None]] | None = None,
                   **changes: Any) -> tuple[list[dict[str, Any]], Completion]:
        """All events, and the end; `then` is done once so many pages came."""
        await self.window.say(**(STACK | changes))
        assert (await self.window.hear("acknowledge", "completion"))["type"] == "acknowledge"
        events: list[dict[str, Any]] = []
        while (heard := await self.window.hear("event", "completion"))["type"] == "event":
            events.append(heard)
            if len(events) == after_pages and then is not None:
                await then()
        return events, Completion.model_validate(heard)

    async def over_http(self) -> httpx.Response:
        return await self.counter.client.post("/v1/devices/doc-1/commands/scan-stack", json={"timeout_s": 30}, timeout=30)

    async def attach(self, pages: list[Any]) -> int:
        """The status of a transaction that names all of these."""
        named = transaction(attachments=[one.data["attachment"] for one in pages])
        return (await self.counter.client.post("/v1/transactions", json=named)).status_code

    async def free_again(self) -> None:
        while self.counter.equipment.device("doc-1").view.state is not DeviceState.ONLINE:
            await asyncio.sleep(0.02)

    def kept(self) -> int:
        """Attachments on the disk."""
        return len(list((self.counter.folder / "attachments").iterdir()))


def with_paper(folder: Path, act: Callable[[Paper], Awaitable[None]], ceiling_s: float = CEILING_S) -> None:
    source = OneScanner(folder)

    async def visit(counter: Counter) -> None:
        async with open_window(counter) as window:
            await act(Paper(counter, window, source.hands))

    at_the_door(folder, visit, sources=[source], ceiling_s=ceiling_s)


def one_after_the_other(events: list[dict[str, Any]], ended: Completion) -> list[Any]:
    """The pages that were told, which are those that the end names: in their order, each once."""
    pages = ended.pages or []
    told = [one for one in events if one["name"] == "page"]
    assert [one["reading"] for one in told] == [page.model_dump(mode="json", exclude_none=True) for page in pages]
    assert [one["hint"] for one in told] == [f"第 {number} 页已扫成。" for number in range(1, len(pages) + 1)]
    for ids in ([page.id for page in pages], [page.data["attachment"] for page in pages]):
        assert len(set(ids)) == len(pages)
    return pages


def test_all_pages_of_the_feeder_come_one_by_one_and_the_end_names_them(tmp_path: Path) -> None:
    async def act(paper: Paper) -> None:
        events, ended = await paper.scan()
        pages = one_after_the_other(events, ended)
        assert (ended.status, len(pages), paper.kept()) == ("success", FED, FED)
        assert (ended.reading, ended.error) == (None, None)
        assert await paper.attach(pages) == 201

    with_paper(tmp_path, act)


def test_over_http_the_answer_names_all_pages(tmp_path: Path) -> None:
    async def act(paper: Paper) -> None:
        answer = await paper.over_http()
        assert answer.status_code == 200
        pages = StackAnswer.model_validate(answer.json()).pages
        assert (len(pages), paper.kept()) == (FED, FED)
        assert await paper.attach(pages) == 201

    with_paper(tmp_path, act)


@pytest.mark.parametrize(("fault", "status", "says"), [("jam", "fault", "卡纸"), ("cover-open", "fault", "盖子"),
                                                       ("io", "unavailable", "连接线")])
def test_a_jam_in_the_middle_keeps_the_pages_that_came_and_says_where_to_go_on(
        tmp_path: Path, fault: str, status: str, says: str) -> None:
    async def act(paper: Paper) -> None:
        paper.hands.plug(ScannerText(fault=fault, after=3))
        events, ended = await paper.scan()
        pages = one_after_the_other(events, ended)
        assert (ended.status, len(pages)) == (status, 3)
        assert ended.error is not None
        assert ended.error.message.startswith("前 3 页已扫成并保留，不必重扫；接着扫时请从第 4 页放起。")
        assert says in ended.error.message
        paper.hands.plug(ScannerText(fault="paper-out", after=2))  # what is left is put in
        await paper.free_again()
        rest, ended = await paper.scan()
        assert ended.status == "success"
        pages += one_after_the_other(rest, ended)
        assert len({page.id for page in pages}) == paper.kept() == 5
        assert await paper.attach(pages) == 201

    with_paper(tmp_path, act)


def test_over_http_a_jam_names_the_pages_that_came(tmp_path: Path) -> None:
    async def act(paper: Paper) -> None:
        paper.hands.plug(ScannerText(fault="jam", after=2))
        answer = await paper.over_http()
        assert answer.status_code == 502
        body = CommandErrorBody.model_validate(answer.json())
        assert body.error.code == "device-fault"
        assert "请从第 3 页放起" in body.error.message
        assert body.pages is not None
        assert len(body.pages) == paper.kept() == 2
        assert await paper.attach(body.pages) == 201

    with_paper(tmp_path, act)


def test_an_empty_feeder_is_said_as_it_is(tmp_path: Path) -> None:
    async def act(paper: Paper) -> None:
        paper.hands.plug(ScannerText(fault="paper-out"))
        events, ended = await paper.scan()
        assert (events, ended.status, ended.pages) == ([], "fault", None)
        assert ended.error is not None
        assert ended.error.message.startswith("进纸器里没有纸。")
        await paper.free_again()
        assert "pages" not in (await paper.over_http()).json()

    with_paper(tmp_path, act)


def test_a_stack_that_is_cancelled_keeps_what_came_and_the_scanner_is_free_again(tmp_path: Path) -> None:
    async def act(paper: Paper) -> None:
        paper.hands.plug(UNHURRIED)

        async def cancel() -> None:
            await paper.window.say(type="cancel", id="1")

        events, ended = await paper.scan(after_pages=2, then=cancel)
        pages = one_after_the_other(events, ended)
        assert ended.status == "cancelled"
        assert 2 <= len(pages) < FED
        assert paper.kept() == len(pages), "what nobody was told of is not kept"
        assert ended.error is not None
        assert f"前 {len(pages)} 页已扫成并保留" in ended.error.message
        assert f"请从第 {len(pages) + 1} 页放起" in ended.error.message
        assert ended.error.message.endswith("扫描已取消。")
        assert await paper.attach(pages) == 201
        paper.hands.plug()
        _, again = await paper.scan()
        assert again.status == "success"

    with_paper(tmp_path, act)


def test_a_scanner_unplugged_in_the_middle_of_a_stack_keeps_what_came(tmp_path: Path) -> None:
    async def act(paper: Paper) -> None:
        paper.hands.plug(UNHURRIED)

        async def unplug() -> None:
            paper.hands.unplug()

        events, ended = await paper.scan(after_pages=2, then=unplug)
        pages = one_after_the_other(events, ended)
        assert ended.status == "unavailable"
        assert len(pages) == paper.kept()
        assert await paper.attach(pages) == 201

    with_paper(tmp_path, act)


def test_a_page_that_cannot_be_kept_ends_the_stack_and_those_before_it_stay(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(paper: Paper) -> None:
        take, taken = paper.counter.attachments.put, []

        async def third_is_too_much(*args: Any, **named: Any) -> Any:
            taken.append(args)
            if len(taken) == 3:
                raise AttachmentsFull("quota")
            return await take(*args, **named)

        monkeypatch.setattr(paper.counter.attachments, "put", third_is_too_much)
        events, ended = await paper.scan()
        pages = one_after_the_other(events, ended)
        assert (ended.status, len(pages), len(taken)) == ("refused", 2, 3)
        assert ended.error is not None
        assert ended.error.code == "attachments-full"
        assert "请从第 3 页放起" in ended.error.message
        assert await paper.attach(pages) == 201

    with_paper(tmp_path, act)


def test_the_time_of_a_stack_begins_anew_with_each_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(paper: Paper) -> None:
        keep, page_s = paper.counter.attachments.put, 2.0

        async def slow(*args: Any, **named: Any) -> Any:
            let_pass(page_s)
            return await keep(*args, **named)

        with monkeypatch.context() as slowly:  # all of them take longer than the limit
            slowly.setattr(paper.counter.attachments, "put", slow)
            events, ended = await paper.scan(timeout_s=7 * page_s)
        assert (ended.status, len(one_after_the_other(events, ended))) == ("success", FED)
        paper.hands.plug(UNHURRIED)

        async def hang() -> None:
            paper.hands.plug(ScannerText(hang=True))
            let_pass(7 * page_s)

        await paper.free_again()
        events, ended = await paper.scan(after_pages=1, then=hang, timeout_s=7 * page_s)
        assert ended.status == "timeout"
        assert len(one_after_the_other(events, ended)) == paper.kept() - FED
        assert ended.error is not None
        assert "不必重扫" in ended.error.message

    with_paper(tmp_path, act, 4 * CEILING_S)


def test_a_stack_ends_at_its_limit_and_says_that_there_may_be_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "PAGES_MAX", FED)

    async def act(paper: Paper) -> None:
        events, ended = await paper.scan()
        assert (ended.status, len(ended.pages or [])) == ("success", FED)
        assert (events[-1]["name"], events[-1]["hint"]) == ("attend", actions.FULL_STACK)

    with_paper(tmp_path, act)


def test_whoever_else_wants_the_scanner_hears_whose_stack_it_is(tmp_path: Path) -> None:
    async def act(paper: Paper) -> None:
        paper.hands.plug(UNHURRIED)

        async def ask() -> None:
            answer = await paper.over_http()
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "device-busy")
            assert "窗口1" in answer.json()["error"]["message"]

        _, ended = await paper.scan(after_pages=1, then=ask)
        assert (ended.status, len(ended.pages or [])) == ("success", FED)

    with_paper(tmp_path, act)
