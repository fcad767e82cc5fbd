"""The example client of the documentation, as it is, in a real Chromium on a page of another, paired origin."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from devices.ipp import IppWire
from devices.simulated.card import CardText
from devices.simulated.printer import SimulatedPrinter
from devices.simulated.printer_text import PrinterFolder
from edge.door.pairing import make_code
from edge.equipment.test_page import test_page as one_page
from tests.acceptance.chromium import started
from tests.acceptance.site import Site, open_site
from tests.edge.door.test_door import Counter, open_door, transaction
from tests.edge.door.test_printing import OnePrinter, Weighing

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "docs/examples/counter.js").read_text(encoding="utf-8")
POLICY = json.loads((ROOT / "deploy/chromium/suozhan.json").read_text(encoding="utf-8"))
WANG = CardText(name="王秀英", id_number="11010519491231002X")
HOST = "counter.example"
ANSWER_MAX_S = 60.0

BEGIN = """async ([door, code]) => {
    const { Counter } = await import('/counter.js');
    window.counter = new Counter({ door });
    await counter.pair(code);
    window.changes = [];
    const devices = await counter.open('窗口1', { changed: device => changes.push(device.state) });
    return devices.map(device => device.name);
}"""
READ = "() => { window.reading = counter.command('R1', 'read', { told: event => { window.hint = event.hint; } }); }"
AT_ONCE = """async () => {
    const commands = Array.from({ length: 8 }, () => { const one = counter.command('R1', 'read'); one.cancel(); return one; });
    return (await Promise.all(commands.map(one => one.ended))).map(end => end.status);
}"""
SUBMIT = "said => counter.submit(said).catch(({ code, details, message }) => ({ code, details, message }))"

PRINT = """page => counter.print('printer-1', new Blob([page, '%'.repeat(3000000)], { type: 'application/pdf' }))
    .catch(({ code, status }) => ({ code, status }))"""


async def begin(page: Page, site: Site, counter: Counter) -> Any:
    """Names of the devices that the page hears of. Raises playwright's Error."""
    origin = site.origin(HOST)
    code = await make_code(counter.folder / "door.db", "example", origin, counter.spine.clock)
    await page.goto(origin)
    return await page.evaluate(BEGIN, [f"http://127.0.0.1:{counter.door.port}", code])


async def read(page: Page, counter: Counter) -> Any:
    await page.evaluate(READ)
    await page.wait_for_function("window.hint === '请插入社会保障卡。'")
    counter.readers.insert("R1", WANG)
    return await page.evaluate("reading.ended")


def test_the_example_reads_a_card_cancels_and_submits(tmp_path: Path) -> None:
    async def visit() -> None:
        async with open_door(tmp_path) as counter, open_site({"/counter.js": EXAMPLE}) as site, started() as browser:
            page = await browser.new_page()
            assert await begin(page, site, counter) == ["R1"]
            ended = await read(page, counter)
            assert (ended["status"], ended["reading"]["data"]["name"]) == ("success", "王秀英")
            assert "deviceBusy" in await page.evaluate("changes")
            said = transaction(readings=[ended["reading"]["id"]])
            stored = await page.evaluate(SUBMIT, said)
            assert (stored["state"], stored["position"]) == ("queued", 2)
            assert await page.evaluate(SUBMIT, said) == stored
            refused = await page.evaluate(SUBMIT, said | {"id": "t2", "documents": []})
            assert (refused["code"], bool(refused["details"])) == ("not-acceptable", True)
            counter.readers.pull("R1")
            ends = await page.evaluate(AT_ONCE)
            assert (ends[0], set(ends) <= {"cancelled", "refused"}) == ("cancelled", True)  # refused: the one before lets go
            await page.evaluate("() => { window.hint = ''; }")
            await page.evaluate(READ)
            await page.wait_for_function("window.hint")
            await page.evaluate("reading.cancel()")
            assert (await page.evaluate("reading.ended"))["status"] == "cancelled"
            await page.evaluate(READ)
            counter.serving.cancel()
            assert "went away" in await page.evaluate("reading.ended.catch(error => error.message)")
            await page.evaluate(READ)  # a closed WebSocket takes it without a word: nobody waits for ever
            async with asyncio.timeout(ANSWER_MAX_S):
                assert "no window is open" in await page.evaluate("reading.ended.catch(error => error.message)")

    asyncio.run(visit())


def test_the_example_prints_what_no_message_holds(tmp_path: Path) -> None:
    async def visit() -> None:
        hands = PrinterFolder(tmp_path)
        hands.plug()
        async with SimulatedPrinter(hands) as printer:
            wire = Weighing(IppWire(printer.uri))
            async with (open_door(tmp_path, sources=[OnePrinter(wire)]) as counter,
                        open_site({"/counter.js": EXAMPLE}) as site, started() as browser):
                page = await browser.new_page()
                assert "printer-1" in await begin(page, site, counter)
                printed = await page.evaluate(PRINT, one_page().decode())
                assert printed["data"]["sides"] == 1
                assert wire.sent == [len(one_page()) + 3_000_000]
                refused = await page.evaluate(PRINT, "no PDF")
                assert (refused["code"], refused["status"]) == ("no-media-type", 415)

    asyncio.run(visit())


@asynccontextmanager
async def managed(folder: Path, site: Site, policy: dict[str, list[str]]) -> AsyncIterator[Browser]:
    """A Chromium that takes that site for one of the internet, with this policy in a private /etc/chromium."""
    policies = folder / "etc" / "policies" / "managed"
    policies.mkdir(parents=True)
    (policies / "suozhan.json").write_text(json.dumps(policy), encoding="utf-8")
    launcher = folder / "chromium"
    mounted = "mount --bind \"$0\" /etc/chromium && exec /usr/bin/chromium \"$@\""
    launcher.write_text(f"#!/bin/sh\nexec unshare --mount sh -c '{mounted}' {folder / 'etc'} \"$@\"\n", encoding="utf-8")
    launcher.chmod(0o755)
    async with started(f"--ip-address-space-overrides=127.0.0.1:{site.port}=public",
                       f"--unsafely-treat-insecure-origin-as-secure={site.origin(HOST)}", executable=str(launcher)) as browser:
        yield browser


@pytest.mark.skipif(subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
                    reason="a mount namespace, in which Chromium reads a policy file of ours, needs root and no chroot around it")
@pytest.mark.parametrize("names", [[], *[[name] for name in POLICY]], ids=["none", *POLICY])
def test_a_page_of_the_internet_reaches_the_door_where_the_policy_file_names_it(tmp_path: Path, names: list[str]) -> None:
    """Chromium asks before a public page may reach this machine (Local Network Access); at a counter nobody is asked."""
    async def visit() -> None:
        async with open_door(tmp_path) as counter, open_site({"/counter.js": EXAMPLE}) as site:
            policy = {name: [site.origin(HOST)] for name in names}
            async with managed(tmp_path, site, policy) as browser:
                page = await browser.new_page()
                refusals: list[str] = []
                page.on("console", lambda said: refusals.append(said.text))
                if names:
                    assert await begin(page, site, counter) == ["R1"]
                    assert (await read(page, counter))["status"] == "success"
                else:
                    with pytest.raises(Exception, match="Failed to fetch"):
                        await begin(page, site, counter)
                    assert "`loopback` address space" in refusals[0]

    asyncio.run(visit())


def test_the_policy_file_names_origins_and_no_pattern_for_all() -> None:
    assert POLICY
    for origins in POLICY.values():
        assert origins
        assert all(origin.startswith("https://") and "*" not in origin for origin in origins)
