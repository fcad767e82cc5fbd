"""The equipment of an office on one page: each kind over its real stack, tried out from the page, and nobody shown in full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

from devices.simulated.card import CardText
from devices.simulated.printer_text import PrinterText
from edge.door.pairing import make_code
from edge.equipment.equipment import Wanted
from tests.acceptance.chromium import started
from tests.devices.stands import document_scanner, fingerprint, id_card, printer, serial_scanner
from tests.edge.door.test_door import Counter, open_door

STANDS = {"窗口身份证": id_card, "窗口指纹": fingerprint, "窗口扫码": serial_scanner, "后台高拍": document_scanner,
          "前台打印": printer}


class Office:
    """All stands as a source of devices."""

    def __init__(self) -> None:
        self.stands: dict[str, Any] = {}

    def wanted(self) -> Sequence[Wanted]:
        return [Wanted(name, one.kind, one.driver, simulated=one.simulated) for name, one in self.stands.items()]

    async def changed(self, after: int) -> int:
        await asyncio.Event().wait()
        return after


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[Office]:
    opened = Office()
    async with AsyncExitStack() as stack:
        for number, (name, module) in enumerate(STANDS.items()):
            (folder / str(number)).mkdir()
            opened.stands[name] = await stack.enter_async_context(module.stand(folder / str(number)))
        yield opened


async def _try(page: Page, kind: str, word: str) -> Locator:
    """Press the button, and wait until the device asks for something or is done."""
    device = page.get_by_role("listitem").filter(has_text=kind)
    await expect(device).to_contain_text("正常")
    await device.get_by_role("button", name=f"试一试：{word}").click()
    return device


async def _visit(page: Page, counter: Counter, devices: Office, shots: Path) -> None:
    base = f"http://127.0.0.1:{counter.door.port}"
    await page.goto(f"{base}/#code={await make_code(counter.folder / 'door.db', 'page', base, counter.spine.clock)}")
    await expect(page.get_by_role("listitem")).to_have_count(1 + len(STANDS))
    counter.readers.insert("R1", CardText(name="王秀英", id_number="11010519491231002X"))
    device = await _try(page, "社保卡读卡器", "读卡")
    await expect(device).to_contain_text("王*英")
    device = await _try(page, "身份证读卡器", "读身份证")
    await expect(device).to_contain_text("请将居民身份证放到读卡区。")
    await devices.stands["窗口身份证"].present()
    await expect(device).to_contain_text("读到了")
    await expect(device).to_contain_text("********")
    device = await _try(page, "扫码枪", "扫码")
    await expect(device).to_contain_text("请扫码。")
    await devices.stands["窗口扫码"].present()
    await expect(device).to_contain_text("读到了")
    finger = devices.stands["窗口指纹"]
    device = await _try(page, "指纹仪", "比对指纹")
    await expect(device).to_contain_text("第 1 步，共 2 步：采集一个手指")
    await finger.present()
    await expect(device).to_contain_text("第 2 步，共 2 步：再按同一个手指")
    await page.screenshot(path=shots / "finger.png")
    await finger.present()
    await expect(device).to_contain_text("两次是同一个手指")
    device = await _try(page, "高拍仪", "拍一页")
    await expect(device).to_contain_text("拍到了")
    device = await _try(page, "打印机", "打印测试页")
    await expect(device).to_contain_text("测试页已打印")
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=shots / "done.png", full_page=True)
    shown = await page.content()
    for stand in devices.stands.values():
        for secret in stand.secrets:
            assert secret not in shown
    await devices.stands["前台打印"].be(PrinterText(paper=0))
    await expect(page.locator("#summary")).to_contain_text("1 台设备需要处理：打印机")
    await expect(page.get_by_role("listitem").filter(has_text="打印机")).to_contain_text("缺纸")
    await page.screenshot(path=shots / "paper.png", full_page=True)
    await page.set_viewport_size({"width": 1080, "height": 1920})
    await page.screenshot(path=shots / "upright.png", full_page=True)


def test_each_kind_of_device_is_tried_out_from_the_page(tmp_path: Path) -> None:
    async def visit() -> None:
        async with office(tmp_path) as devices, open_door(tmp_path, sources=[devices]) as counter, started() as browser:
            page = await browser.new_page(viewport={"width": 1366, "height": 768})
            await _visit(page, counter, devices, tmp_path)

    asyncio.run(visit())
