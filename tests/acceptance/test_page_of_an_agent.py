"""The device page of a real agent, as a process behind a real hub: paired by the command's link, killed, and started again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from playwright.async_api import expect

from deploy.demo.city import Machine
from deploy.demo.processes import command
from devices.simulated.folder import ReaderFolder
from tests.acceptance.chromium import started

READER = "Suozhan Simulated 1"


def test_the_page_follows_an_agent_through_a_day(machine: Machine, tmp_path: Path) -> None:
    readers = ReaderFolder(tmp_path / "readers")
    readers.plug(READER)
    machine.service.start()
    link = command("edge", machine.state, "pair", "--page").strip()

    async def day() -> None:
        async with started() as browser:
            page = await browser.new_page(viewport={"width": 1366, "height": 768})
            await page.goto(link)
            reader = page.get_by_role("listitem").filter(has_text="社保卡读卡器")
            await expect(page.locator("#line")).to_contain_text("已连通")
            await expect(page.locator("#summary")).to_contain_text("设备和线路都正常")
            await reader.get_by_role("button", name="试一试：读卡").click()
            await expect(reader).to_contain_text("请插入社会保障卡。")
            readers.insert(READER, 'name = "王秀英"\nid_number = "11010519491231002X"\n')
            await expect(reader).to_contain_text("110105********002X")
            await page.screenshot(path=tmp_path / "read.png")
            machine.service.kill()
            await expect(page.locator("#unreachable")).to_contain_text("请重启这台电脑")
            await page.screenshot(path=tmp_path / "killed.png")
            await asyncio.to_thread(machine.service.start)
            await expect(page.locator("#unreachable")).to_be_hidden()
            await expect(page.locator("#line")).to_contain_text("已连通")
            readers.unplug(READER)
            await expect(page.locator("#summary")).to_contain_text("1 台设备需要处理")

    asyncio.run(day())
