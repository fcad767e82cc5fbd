"""The device page in a real Chromium, over a real door: used by keyboard, by touch, and while the agent goes and comes back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import ConsoleMessage, Page, expect

from devices.plugged import Plugged, PluggedKind
from devices.simulated.card import CardText
from devices.simulated.scanner_text import ScannerText
from edge.alarms import Alarms
from edge.door.pairing import make_code
from edge.equipment.device_list import listed
from tests.acceptance.chromium import Chromium, started
from tests.acceptance.site import open_site
from tests.edge.door.test_door import Beside, Counter, open_door, transaction
from tests.edge.door.test_stacks import FED, OneScanner

WANG = CardText(name="王秀英", id_number="11010519491231002X", card_number="A12345678")
DESK = {"viewport": {"width": 1366, "height": 768}}
UPRIGHT = {"viewport": {"width": 1080, "height": 1920}, "has_touch": True}
SCREENS = pytest.mark.parametrize("screen", [DESK, UPRIGHT], ids=["desk", "upright"])
LINE = Plugged(PluggedKind.SERIAL_PORT, "/dev/ttyUSB7", "A1", "Prolific Serial", "usb-0:1:1.0", "067b", "23a3", "00")
PAPER = Plugged(PluggedKind.SCANNER, "/dev/bus/usb/001/008", "", "Canon CanoScan", "usb-0:4", "04a9", "1913")
KEYBOARD = Plugged(PluggedKind.KEYBOARD, "/dev/input/event7", "", "Dell Keyboard", "usb-0:2:1.0", "413c", "2113", "00")
TARGET_MIN_PX = 48
ROUND_MS = 5500  # longer than the page takes to ask and to count on
MASK = (files("edge.page") / "mask.js").read_text(encoding="utf-8")
FOCUSED = "(one => one === document.body ? '' : one.textContent || one.id)(document.activeElement)"
RING = "(one => one.outlineStyle + one.outlineWidth)(getComputedStyle(document.activeElement))"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with asyncio.Runner() as runner:
        starting = started()
        yield Chromium(runner, runner.run(starting.__aenter__()))
        runner.run(starting.__aexit__(None, None, None))


class Visitor:
    """Somebody before the page of a counter."""

    def __init__(self, page: Page, counter: Counter, folder: Path) -> None:
        self.page, self.counter = page, counter
        self._folder = folder
        self.base = f"http://127.0.0.1:{counter.door.port}"
        self.reader = page.get_by_role("listitem").filter(has_text="社保卡读卡器")
        self.summary = page.locator("#summary")

    async def link(self) -> str:
        """As `suozhan-edge pair --page` prints it."""
        code = await make_code(self._folder / "door.db", "page", self.base, self.counter.spine.clock)
        return f"{self.base}/#code={code}"

    async def shoot(self, name: str) -> None:
        await self.page.screenshot(path=self._folder / f"{name}.png")

    async def focused(self) -> str:
        return str(await self.page.evaluate(FOCUSED))

    async def tab_to(self, text: str) -> None:
        for _ in range(20):
            if text in await self.focused():
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"no key leads to {text}")


@asynccontextmanager
async def before_the_page(chromium: Chromium, folder: Path, screen: dict[str, Any] = DESK, *,
                          paired: bool = True, **options: Any) -> AsyncIterator[Visitor]:
    async with open_door(folder, **options) as counter, chromium.profile(**screen) as profile:
        page = await profile.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if _complains(said) else None)
        visitor = Visitor(page, counter, folder)
        if paired:
            await page.goto(await visitor.link())
            await expect(visitor.reader).to_be_visible()
        yield visitor
        assert not complaints


SAY = "text => { document.querySelector('#summary span').textContent = text; }"
CONTRAST_MIN = 4.5  # WCAG 2.2, 1.4.3
CONTRAST = """() => {
    const light = color => {
        const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map(one => one / 255)
            .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = one => {
        const color = getComputedStyle(one).backgroundColor;
        return color === 'rgba(0, 0, 0, 0)' && one.parentElement ? ground(one.parentElement) : color;
    };
    const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const one = texts.currentNode.parentElement, text = texts.currentNode.textContent.trim();
        if (!text || !one.checkVisibility()) continue;
        const [dark, bright] = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => a - b);
        found.push([text, (bright + 0.05) / (dark + 0.05)]);
    }
    return found;
}"""


def _complains(said: ConsoleMessage) -> bool:
    """Of anything but an agent that is not there, or refuses."""
    refused = ("net::ERR", "Failed to load resource: the server responded",
               "closed before the connection is established")  # it gave a call up, and a new socket with it
    return said.type in {"error", "warning"} and not any(words in said.text for words in refused)


@SCREENS
def test_a_card_is_read_and_nobody_is_shown_in_full(chromium: Chromium, tmp_path: Path, screen: dict[str, Any]) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, screen) as visitor:
            await expect(visitor.reader).to_contain_text("模拟设备")
            await expect(visitor.reader).to_contain_text(re.compile(r"已 \d+ 天"))
            await visitor.shoot("list")
            await visitor.reader.get_by_role("button", name="试一试：读卡").click()
            await expect(visitor.reader).to_contain_text("请插入社会保障卡。")
            await expect(visitor.reader).to_contain_text("使用中")
            await expect(visitor.reader).to_contain_text("设备页")
            await visitor.shoot("waiting")
            visitor.counter.readers.insert("R1", WANG)
            await expect(visitor.reader).to_contain_text("读到了")
            said = await visitor.reader.inner_text()
            assert "110105********002X" in said
            assert "王*英" in said
            shown = await visitor.page.content()
            for whole in ("11010519491231002X", "19491231", "王秀英", "A12345678"):
                assert whole not in shown
            await visitor.shoot("read")

    chromium.run(visit())


@SCREENS
def test_every_target_is_large_and_nothing_runs_over_the_edge(chromium: Chromium, tmp_path: Path, screen: dict[str, Any]) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, screen) as visitor:
            for target in await visitor.page.locator("button:visible, input:visible, summary:visible, a:visible").all():
                box = await target.bounding_box()
                assert box
                assert min(box["width"], box["height"]) >= TARGET_MIN_PX
            wide = await visitor.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= screen["viewport"]["width"]
            assert await visitor.page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 18

    chromium.run(visit())


@pytest.mark.parametrize(("wide", "high"), [(768, 1366), (1024, 600)])
def test_the_title_stays_on_its_line_beside_a_long_sentence(chromium: Chromium, tmp_path: Path, wide: int, high: int) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, {"viewport": {"width": wide, "height": high}}) as visitor:
            title = visitor.page.get_by_role("heading", level=1)
            before = await title.bounding_box()
            await visitor.page.evaluate(SAY, "设备需要处理" * 12)
            after = await title.bounding_box()
            assert before
            assert after
            assert (after["width"], after["height"]) == (before["width"], before["height"])
            assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= wide

    chromium.run(visit())


def test_keys_alone_are_enough(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path) as visitor:
            await visitor.tab_to("试一试：读卡")
            assert await visitor.page.evaluate(RING) == "solid4px"
            await visitor.page.keyboard.press("Enter")
            await expect(visitor.reader).to_contain_text("请插入社会保障卡。")
            assert await visitor.focused() == "取消"
            await visitor.page.keyboard.press("Escape")
            await expect(visitor.reader).to_contain_text("已取消。")
            await expect(visitor.reader).to_contain_text("正常")
            assert await visitor.focused() == "试一试：读卡"
            await visitor.page.keyboard.press("Enter")
            await expect(visitor.reader).to_contain_text("请插入社会保障卡。")
            await visitor.page.keyboard.press("Space")  # on 取消
            await expect(visitor.reader).to_contain_text("已取消。")
            live = visitor.reader.locator("[aria-live=polite]")
            await expect(live).to_contain_text("已取消。")

    chromium.run(visit())


def test_a_finger_is_enough(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, UPRIGHT) as visitor:
            await visitor.reader.get_by_role("button", name="试一试：读卡").tap()
            await expect(visitor.reader).to_contain_text("请插入社会保障卡。")
            await visitor.reader.get_by_role("button", name="取消").tap()
            await expect(visitor.reader).to_contain_text("已取消。")

    chromium.run(visit())


@SCREENS
def test_what_is_unplugged_shows_at_once_with_what_to_do(chromium: Chromium, tmp_path: Path, screen: dict[str, Any]) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, screen) as visitor:
            visitor.counter.readers.insert("R1", WANG)
            await visitor.reader.get_by_role("button", name="试一试：读卡").click()
            await expect(visitor.reader).to_contain_text("设备可以使用")
            visitor.counter.readers.unplug("R1")
            at_once = 5000  # whoever only looks sees it after ten seconds
            await expect(visitor.reader).to_contain_text("没有连接", timeout=at_once)
            await expect(visitor.reader).to_contain_text("请检查连接线是否插好、电源是否打开。", timeout=at_once)
            await expect(visitor.summary).to_contain_text("1 台设备需要处理：社保卡读卡器", timeout=at_once)
            await expect(visitor.reader).not_to_contain_text("设备可以使用")
            await expect(visitor.reader.get_by_role("button", name="试一试：读卡")).to_have_attribute("aria-disabled", "true")
            await visitor.shoot("unplugged")
            visitor.counter.readers.plug("R1")
            await expect(visitor.reader).to_contain_text("正常")

    chromium.run(visit())


def test_an_agent_that_stops_is_told_and_comes_back_by_itself(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, UPRIGHT) as visitor:
            await visitor.reader.get_by_role("button", name="试一试：读卡").tap()
            await expect(visitor.reader).to_contain_text("请插入社会保障卡。")
            counter = visitor.counter
            counter.serving.cancel()
            await asyncio.wait([counter.serving])
            await expect(visitor.page.get_by_role("alert")).to_contain_text("请重启这台电脑")
            await visitor.shoot("stopped")
            counter.serving = asyncio.create_task(counter.door.run())
            try:
                await expect(visitor.page.locator("#unreachable")).to_be_hidden()
                await expect(visitor.reader).to_contain_text("这次没有完成")
                await expect(visitor.reader).to_contain_text("正常")
            finally:
                counter.serving.cancel()
                await asyncio.wait([counter.serving])

    chromium.run(visit())


def test_a_door_that_refuses_for_a_while_is_told_in_its_own_words(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path) as visitor:
            path, away = tmp_path / "door.db", tmp_path / "away.db"
            path.rename(away)
            path.mkdir()
            await expect(visitor.page.locator("#unreachable")).to_contain_text("本机配对记录暂时无法读取")
            path.rmdir()
            away.rename(path)
            await expect(visitor.page.locator("#unreachable")).to_be_hidden()
            await expect(visitor.reader.get_by_role("button", name="试一试：读卡")).to_be_visible()

    chromium.run(visit())


def test_another_tab_is_paired_and_unpaired_with_the_first(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, paired=False) as visitor:
            first, second = visitor.page, await visitor.page.context.new_page()
            await first.goto(visitor.base)
            await expect(first.locator("#pairing")).to_be_visible()
            await second.goto(await visitor.link())
            await expect(second.locator("#office")).to_be_visible()
            await expect(first.locator("#office")).to_be_visible()
            await second.evaluate("localStorage.clear()")
            await expect(first.locator("#pairing")).to_be_visible()
            await expect(visitor.summary).to_contain_text("需要技术人员配对")

    chromium.run(visit())


def test_the_queue_and_the_line_are_told(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path) as visitor:
            await expect(visitor.page.locator("#queue")).to_contain_text("没有等待上传的记录")
            await expect(visitor.page.locator("#line")).to_contain_text("正在连接市中心。")
            assert (await visitor.counter.client.post("/v1/transactions", json=transaction())).status_code == 201
            await expect(visitor.page.locator("#queue")).to_contain_text("2 条等待上传")
            await expect(visitor.page.locator("#queue")).to_contain_text(re.compile(r"最早一条：已 \d+ 天"))

    chromium.run(visit())


def test_an_alarm_says_what_to_do_and_has_a_part_for_technicians(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path) as visitor:
            alarms = visitor.page.locator("#alarms")
            await expect(alarms).to_be_hidden()
            raised = Alarms(tmp_path / "alarms", visitor.counter.spine.clock)
            raised.raise_alarm("history", "the log forked", "请立即联系市信息中心。")
            await expect(visitor.summary).to_contain_text("有警报")
            await expect(alarms).to_contain_text("请立即联系市信息中心。")
            await visitor.tab_to("给技术人员看")
            await visitor.page.keyboard.press("Enter")
            await expect(alarms.get_by_text("history: the log forked")).to_be_visible()
            await visitor.page.wait_for_timeout(ROUND_MS)
            await expect(alarms.get_by_text("history: the log forked")).to_be_visible()
            assert await visitor.focused() == "给技术人员看", "what is shown anew takes no focus away"

    chromium.run(visit())


def test_the_page_is_paired_by_its_link_once_and_keeps_its_token(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, paired=False) as visitor:
            page, pairing = visitor.page, visitor.page.locator("#pairing")
            await page.goto(visitor.base)
            await expect(pairing).to_contain_text("suozhan-edge pair --page")
            assert await visitor.focused() == "code"
            await visitor.shoot("unpaired")
            await page.keyboard.type("0000000000")
            await page.keyboard.press("Enter")
            await expect(pairing).to_contain_text("配对码不正确、已使用或已过期")
            link = await visitor.link()
            await page.goto(link)
            await expect(visitor.reader).to_be_visible()
            assert page.url == f"{visitor.base}/"
            await page.goto(link.replace("127.0.0.1", "localhost"))
            await expect(visitor.reader).to_be_visible()
            assert page.url == f"{visitor.base}/", "one origin, however it is opened"
            (tmp_path / "door.db").rename(tmp_path / "away.db")
            (tmp_path / "door.db-wal").unlink(missing_ok=True)
            await page.goto(f"{visitor.base}/#code=1111111111")
            await expect(pairing).to_be_visible()
            assert await page.evaluate("localStorage.length") == 0
            await page.fill("#code", (await visitor.link()).partition("code=")[2])
            await page.keyboard.press("Enter")
            await expect(visitor.reader).to_be_visible()

    chromium.run(visit())


def test_every_text_stands_out_from_its_ground(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path) as visitor:
            async def faint() -> list[str]:
                found = await visitor.page.evaluate(CONTRAST)
                assert len(found) > 8
                return [text for text, contrast in found if contrast < CONTRAST_MIN]

            assert await faint() == []
            await visitor.reader.get_by_role("button", name="试一试：读卡").click()
            await expect(visitor.reader).to_contain_text("请插入社会保障卡。")
            assert await faint() == []
            visitor.counter.readers.insert("R1", WANG)
            await expect(visitor.reader).to_contain_text("读到了")
            assert await faint() == []
            visitor.counter.readers.unplug("R1")
            await expect(visitor.reader).to_contain_text("没有连接")
            assert await faint() == []
            visitor.counter.serving.cancel()
            await expect(visitor.page.locator("#unreachable")).to_be_visible()
            assert await faint() == []

    chromium.run(visit())


def test_what_others_named_is_text_and_breaks_nothing(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, UPRIGHT) as visitor:
            wicked = "<img src=x onerror=alert(1)>&lt;b&gt;" + "长" * 100
            visitor.counter.readers.plug(wicked)
            device = visitor.page.get_by_role("listitem").filter(has_text="onerror")
            await expect(device).to_contain_text(wicked)
            assert await device.locator("img, b").count() == 0
            assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= UPRIGHT["viewport"]["width"]

    chromium.run(visit())


def test_names_and_numbers_are_masked(chromium: Chromium) -> None:
    expected = {
        "maskId": {"11010519491231002X": "110105********002X", "110105491231002": "110105*****1002", "1234": "****"},
        "maskName": {"王秀英": "王*英", "张三": "张*", "李": "*", "𠮷田一郎": "𠮷**郎", "阿卜杜拉·买买提": "阿******提"},
        "maskCard": {"A12345678": "A1****678", "A123": "****"},
        "maskText": {"姓名 王 11010519491231002x。": "姓名 王 110105********002x。",
                     "CAN110079010212,": "CAN110*****0212,",
                     "id=110105491231002&x=1": "id=110105******002&x=1",
                     "2026112100071234567890": "2026112100071234567890"},
    }

    async def visit() -> None:
        async with chromium.profile() as profile, open_site({"/mask.js": MASK}) as site:
            page = await profile.new_page()
            await page.goto(site.origin())
            for how, cases in expected.items():
                masked = "([how, all]) => import('/mask.js').then(mask => all.map(one => mask[how](one)))"
                assert await page.evaluate(masked, [how, list(cases)]) == list(cases.values())

    chromium.run(visit())


@SCREENS
def test_what_is_plugged_in_and_not_listed_is_shown(chromium: Chromium, tmp_path: Path, screen: dict[str, Any]) -> None:
    plugged: list[Plugged] = []

    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, screen, plugged=plugged) as visitor:
            shown = visitor.page.locator("#unlisted")
            await expect(visitor.page.locator("#queue")).to_contain_text("没有等待上传的记录")
            await expect(shown).to_be_hidden()
            plugged.append(KEYBOARD)
            await expect(shown).to_contain_text("是键盘的无须处理")
            await expect(visitor.summary).not_to_contain_text("没有登记")
            plugged.append(LINE)
            await expect(shown).to_contain_text("已接入但未登记：串口设备（Prolific Serial，/dev/ttyUSB7）。是读卡器")
            await expect(visitor.summary).not_to_contain_text("没有登记")
            plugged.append(PAPER)
            await expect(shown).to_contain_text("已接入但未登记：扫描仪（Canon CanoScan，04a9:1913）。请联系市信息中心登记")
            await expect(visitor.summary).to_contain_text("1 台已接入的设备没有登记")
            await visitor.shoot("unlisted")
            plugged.clear()
            await expect(shown).to_be_hidden()

    chromium.run(visit())


@SCREENS
def test_what_is_only_counted_is_shown_as_inventory(chromium: Chromium, tmp_path: Path, screen: dict[str, Any]) -> None:
    counted = listed([{"name": "fax-1", "kind": "fax", "note": "柜台后"}, {"name": "cabinet-1", "kind": "filing-cabinet"},
                      {"name": "screen-1", "kind": "display", "note": "大厅叫号屏"}])

    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, screen, listed=counted, plugged=[LINE, KEYBOARD]) as visitor:
            shown = visitor.page.locator("#inventory")
            for words in ("传真机", "fax-1", "柜台后", "档案柜", "cabinet-1", "显示屏", "大厅叫号屏"):
                await expect(shown).to_contain_text(words)
            await expect(visitor.page.locator("#devices > li")).to_have_count(1)
            await expect(shown.get_by_role("button")).to_have_count(0)
            await visitor.shoot("inventory")
            assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
            assert [text for text, contrast in await visitor.page.evaluate(CONTRAST) if contrast < CONTRAST_MIN] == []

    chromium.run(visit())


def test_events_that_wait_or_are_not_recorded_are_told(chromium: Chromium, tmp_path: Path) -> None:
    events = Beside(7)

    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, events=events) as visitor:
            queue = visitor.page.locator("#queue")
            await expect(queue).to_contain_text("另有 7 条设备事件等待上传，排在业务之后。")
            events.stopped = "its disk is full"
            await expect(queue).to_contain_text("设备事件日志暂不能写入，设备事件暂不记录，业务照常办理。")

    chromium.run(visit())


STACK = "试一试：整叠扫描"
SLOW = {"slow_ms": 8}  # some 0.6 s a page


@SCREENS
def test_a_stack_is_tried_with_its_pages_counted_and_a_sentence_at_its_end(
    chromium: Chromium, tmp_path: Path, screen: dict[str, Any]
) -> None:
    source = OneScanner(tmp_path)

    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, screen, sources=[source]) as visitor:
            scanner = visitor.page.get_by_role("listitem").filter(has_text="高拍仪（扫描仪）")
            await expect(scanner).to_contain_text("正常")
            await visitor.shoot("feeder")
            source.hands.plug(ScannerText(**SLOW))
            button = scanner.get_by_role("button", name=STACK)
            await (button.tap() if screen is UPRIGHT else button.click())
            await expect(scanner).to_contain_text(re.compile(r"第 [2-9] 页已扫成。"))
            await visitor.shoot("stack")
            await expect(scanner).to_contain_text(f"整叠扫完了，共 {FED} 页，设备可以使用。")
            await visitor.shoot("stacked")
            await expect(scanner).to_contain_text("正常")
            source.hands.plug(ScannerText(fault="jam", after=3))
            await button.click()
            await expect(scanner).to_contain_text("前 3 页已扫成并保留，不必重扫；接着扫时请从第 4 页放起。")
            await expect(scanner.locator(".outcome")).to_contain_text("卡纸")
            await visitor.shoot("jammed")
            assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
            assert [text for text, contrast in await visitor.page.evaluate(CONTRAST) if contrast < CONTRAST_MIN] == []
            box = await button.bounding_box()
            assert box
            assert min(box["width"], box["height"]) >= TARGET_MIN_PX

    chromium.run(visit())


def test_a_stack_is_begun_and_cancelled_by_keys_and_says_what_came(chromium: Chromium, tmp_path: Path) -> None:
    source = OneScanner(tmp_path)
    source.hands.plug(ScannerText(**SLOW))

    async def visit() -> None:
        async with before_the_page(chromium, tmp_path, sources=[source]) as visitor:
            scanner = visitor.page.get_by_role("listitem").filter(has_text="高拍仪（扫描仪）")
            await expect(scanner).to_contain_text("正常")
            await visitor.tab_to(STACK)
            await visitor.page.keyboard.press("Enter")
            await expect(scanner).to_contain_text(re.compile(r"第 [1-9] 页已扫成。"))
            assert await visitor.focused() == "取消"
            await visitor.page.keyboard.press("Escape")
            await expect(scanner.locator(".outcome")).to_contain_text(
                re.compile(r"前 \d+ 页已扫成并保留，不必重扫；接着扫时请从第 \d+ 页放起。扫描已取消。"))
            assert await visitor.focused() == STACK

    chromium.run(visit())
