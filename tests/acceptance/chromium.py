"""A real Chromium for the tests of a file: one process, a fresh profile for each visit, and no connection to the world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from playwright.async_api import Browser, BrowserContext, async_playwright, expect

T = TypeVar("T")

WAIT_MAX_MS = 30_000
# As root, without a screen, and without what Chromium looks up by itself at every start.
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")
EVIL = "evil.example"
NAMES = f"MAP {EVIL} 127.0.0.1, MAP counter.example 127.0.0.1, EXCLUDE 127.0.0.1, EXCLUDE localhost, MAP * ~NOTFOUND"


class Chromium:
    """`run` a visit on the loop that the browser lives in."""

    def __init__(self, runner: asyncio.Runner, browser: Browser) -> None:
        self._runner = runner
        self.browser = browser

    def run(self, visit: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(visit)

    @asynccontextmanager
    async def profile(self, **options: Any) -> AsyncIterator[BrowserContext]:
        """A person's browser: its own storage."""
        context = await self.browser.new_context(locale="zh-CN", **options)
        context.set_default_timeout(WAIT_MAX_MS)
        try:
            yield context
        finally:
            await context.close()


@asynccontextmanager
async def started(*flags: str, executable: str = "/usr/bin/chromium") -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        expect.set_options(timeout=WAIT_MAX_MS)
        browser = await playwright.chromium.launch(executable_path=executable, args=_args(flags))
        try:
            yield browser
        finally:
            await browser.close()


def _args(flags: Sequence[str]) -> list[str]:
    return [*FLAGS, f"--host-resolver-rules={NAMES}", *flags]
