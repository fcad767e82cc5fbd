"""Pages of strangers in a real Chromium, before a real door on the same machine: they get nothing, and nothing changes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from devices.contract import DeviceState
from edge.door.pairing import make_code
from tests.acceptance.chromium import EVIL, Chromium, started
from tests.acceptance.site import Site, open_site
from tests.edge.door.test_door import Counter, open_door, transaction

# Each is told the door and a token, and says what it got: "" is nothing.
FETCHES = {
    "GET": "fetch(door + '/v1/state').then(a => a.text())",
    "GET with a token": "fetch(door + '/v1/state', {headers: {Authorization: 'Bearer ' + token}}).then(a => a.text())",
    "GET that claims to be the page's own": """fetch(door + '/v1/state', {headers: {
        'Sec-Fetch-Site': 'same-origin', Origin: door, Host: 'x', Authorization: 'Bearer ' + token}}).then(a => a.text())""",
    "GET without a referrer": "fetch(door + '/metrics', {referrerPolicy: 'no-referrer'}).then(a => a.text())",
    "GET without CORS": "fetch(door + '/metrics', {mode: 'no-cors'}).then(a => a.text())",
    "GET of the description": "fetch(door + '/openapi.json').then(a => a.text())",
    "GET of the page": "fetch(door + '/').then(a => a.text())",
    "GET by a redirect": """fetch('/to?' + door + '/v1/state', {headers: {Authorization: 'Bearer ' + token}})
        .then(a => a.text())""",
    "POST by a redirect": """fetch('/to?' + door + '/v1/transactions', {method: 'POST', body: said, mode: 'no-cors'})
        .then(a => a.text())""",
    "simple POST": "fetch(door + '/v1/transactions', {method: 'POST', body: said}).then(a => a.text())",
    "simple POST without CORS": """fetch(door + '/v1/transactions', {method: 'POST', body: said, mode: 'no-cors'})
        .then(a => a.text())""",
    "preflighted POST": """fetch(door + '/v1/transactions', {method: 'POST', body: said, headers: {
        'Content-Type': 'application/json', Authorization: 'Bearer ' + token}}).then(a => a.text())""",
    "command": """fetch(door + '/v1/devices/R1/commands/read', {method: 'POST', body: '{}', mode: 'no-cors'})
        .then(a => a.text())""",
    "print": """fetch(door + '/v1/devices/R1/pdf', {method: 'POST', body: new Blob(['%PDF-'], {type: 'application/pdf'})})
        .then(a => a.text())""",
    "print without CORS": """fetch(door + '/v1/devices/R1/pdf', {method: 'POST', body: '%PDF-', mode: 'no-cors'})
        .then(a => a.text())""",
    "beacon": """new Promise(end => {
        navigator.sendBeacon(door + '/v1/transactions', said);
        setTimeout(() => end(''), 50)})""",
    "events": """new Promise((end, fail) => {
        const one = new EventSource(door + '/v1/events');
        one.onerror = () => fail();
        one.onopen = () => end('open')})""",
    "WebSocket": """new Promise((end, fail) => {
        const one = new WebSocket(door.replace('http', 'ws') + '/v1/events');
        one.onclose = () => fail();
        one.onopen = () => one.send(JSON.stringify({type: 'hello', token, window: 'x'}));
        one.onmessage = heard => end(heard.data)})""",
    "code": """fetch(door + '/v1/pair', {method: 'POST', body: JSON.stringify({code}), headers: {
        'Content-Type': 'application/json'}}).then(a => a.text())""",
    "code in a simple POST": """fetch(door + '/v1/pair', {method: 'POST', body: JSON.stringify({code}), mode: 'no-cors'})
        .then(a => a.text())""",
    "service worker of the door": "navigator.serviceWorker.register(door + '/page/page.js').then(() => 'registered')",
    "worker of the door": """new Promise((end, fail) => {
        const one = new Worker(door + '/page/page.js', {type: 'module'});
        one.onerror = () => fail();
        one.onmessage = () => end('runs')})""",
    "module of the door": "import(door + '/page/door.js').then(one => Object.keys(one).join())",
    "sandboxed frame": """new Promise(end => {
        addEventListener('message', one => end(one.data));
        const frame = document.createElement('iframe');
        frame.sandbox = 'allow-scripts';
        frame.srcdoc = `<script>fetch('${door}/v1/state').then(a => a.text(), () => '')
            .then(a => parent.postMessage(a, '*'))</script>`;
        document.body.append(frame)})""",
}
NOBODY = "new Promise(end => setTimeout(() => end('nobody answers'), 15000))"
FRAMES = {"iframe", "object", "embed"}
EMBEDDED = [(tag, path) for tag in ("img", "script", "link", "iframe", "object", "embed", "video")
            for path in ("/", "/page/page.js", "/page/page.css", "/page/mark.svg", "/openapi.json", "/metrics", "/v1/state")]
EMBED = """([door, tag, path]) => new Promise(end => {
    const one = document.createElement(tag);
    if (tag === 'link') one.rel = 'stylesheet';
    one.onload = () => end('loaded');
    one.onerror = () => end('');
    one[{link: 'href', object: 'data'}[tag] ?? 'src'] = door + path;
    document.body.append(one);
    if (tag !== 'img' && tag !== 'script' && tag !== 'link') setTimeout(() => end(''), 300);
})"""
FORM = """([url, kind, body]) => {
    const form = document.createElement('form');
    Object.assign(form, {method: 'POST', action: url, enctype: kind});
    const [name, value] = body.split('=');
    const field = document.createElement('input');
    Object.assign(field, {name, value});
    form.append(field);
    document.body.append(form);
    form.submit();
}"""
ENCODINGS = ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with asyncio.Runner() as runner:
        starting = started()
        yield Chromium(runner, runner.run(starting.__aenter__()))
        runner.run(starting.__aexit__(None, None, None))


@asynccontextmanager
async def untouched(counter: Counter) -> AsyncIterator[None]:
    """Journal, pairings and devices are afterwards as they were, and nobody has used one meanwhile."""
    while any(view.state is not DeviceState.ONLINE for view in counter.equipment.views):  # else it comes to be so meanwhile
        await asyncio.sleep(0.01)
    before = _state(counter)
    used = []
    watching = asyncio.create_task(_users(counter, used))
    try:
        yield
    finally:
        watching.cancel()
    assert _state(counter) == before
    assert not used


async def _users(counter: Counter, used: list[str]) -> None:
    generation = 0
    while True:
        generation = await counter.equipment.changed(generation)
        used += [view.user for view in counter.equipment.views if view.user]


def _state(counter: Counter) -> tuple[Any, ...]:
    with closing(sqlite3.connect(counter.folder / "door.db")) as database:
        pairings = [database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in ("codes", "tokens")]
    return counter.journal.head.position, counter.journal.queued, pairings, counter.equipment.views


class Attack:
    """A page of a stranger, and the door before it."""

    def __init__(self, counter: Counter, site: Site, page: Page) -> None:
        self.counter, self.site, self.page = counter, site, page
        self.door = f"http://127.0.0.1:{counter.door.port}"

    async def code(self, origin: str) -> str:
        return await make_code(self.counter.folder / "door.db", "stolen", origin, self.counter.spine.clock)

    async def got(self, attempt: str, token: str = "", code: str = "", door: str | None = None) -> str:
        """What an attempt got; an error is nothing."""
        script = f"([door, token, code, said]) => Promise.race([{NOBODY}, (async () => {attempt})().catch(() => '')])"
        return str(await self.page.evaluate(script, [self.door if door is None else door, token, code, '{"id": "evil"}']))


@asynccontextmanager
async def attack(chromium: Chromium, folder: Path, host: str = EVIL) -> AsyncIterator[Attack]:
    async with open_door(folder) as counter, open_site() as site, chromium.profile() as profile:
        page = await profile.new_page()
        await page.goto(site.origin(host))
        yield Attack(counter, site, page)


@pytest.mark.parametrize("host", [EVIL, "127.0.0.1", "localhost"])
def test_a_foreign_page_gets_nothing_whatever_token_or_code_it_stole(chromium: Chromium, tmp_path: Path, host: str) -> None:
    async def visit() -> None:
        async with attack(chromium, tmp_path, host) as attacked:
            counter = attacked.counter
            stolen = [await counter.pair(), await counter.pair("http://counter.example"), await counter.pair(attacked.door)]
            code = await attacked.code("http://counter.example")
            async with untouched(counter):
                for name, attempt in FETCHES.items():
                    for token in stolen if "token" in attempt else [""]:
                        assert await attacked.got(attempt, token, code) == "", name
            paired = await counter.client.post("/v1/pair", json={"code": code}, headers={"Origin": "http://counter.example"})
            assert paired.status_code == 200, "the stolen code is still good for whom it was made"

    chromium.run(visit())


def test_nothing_of_the_door_can_be_embedded(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with attack(chromium, tmp_path) as attacked, untouched(attacked.counter):
            page = attacked.page
            got = await asyncio.gather(*[page.evaluate(EMBED, [attacked.door, tag, path]) for tag, path in EMBEDDED])
            loaded = {one for one, what in zip(EMBEDDED, got, strict=True) if what and one[0] not in FRAMES}
            assert not loaded
            for frame in page.frames[1:]:
                assert await frame.locator("main, pre").count() == 0, "a frame shows the browser's refusal alone"

    chromium.run(visit())


@pytest.mark.parametrize("kind", ENCODINGS)
def test_a_form_changes_nothing(chromium: Chromium, tmp_path: Path, kind: str) -> None:
    async def visit() -> None:
        async with attack(chromium, tmp_path) as attacked:
            code = await attacked.code("http://counter.example")
            async with untouched(attacked.counter):
                for path, body in (("/v1/transactions", '{"id":"evil","x":"=1"}'), ("/v1/readers/R1/read", "x=1"),
                                   ("/v1/devices/R1/commands/read", '{"window":"=x"}'),
                                   ("/v1/pair", f'{{"code":"{code}","x":"=1"}}')):
                    await attacked.page.goto(attacked.site.origin(EVIL))
                    async with attacked.page.expect_navigation(url=attacked.door + path) as going:
                        await attacked.page.evaluate(FORM, [attacked.door + path, kind, body])
                    answer = await going.value
                    assert answer
                    assert answer.status == 403

    chromium.run(visit())


def test_a_name_that_is_turned_to_this_machine_gets_nothing(chromium: Chromium, tmp_path: Path) -> None:
    """DNS rebinding: the stranger's page is of the door's own port, and its name leads to 127.0.0.1 now."""
    async def visit() -> None:
        async with attack(chromium, tmp_path) as attacked:
            counter = attacked.counter
            own = f"http://{EVIL}:{counter.door.port}"
            stolen = [await counter.pair(), await counter.pair(attacked.door), await counter.pair(own)]
            code = await attacked.code(own)
            await attacked.page.goto(f"{own}/rebound")  # the script's place: of its own origin all requests are now
            async with untouched(counter):
                for name, attempt in FETCHES.items():
                    if "redirect" not in name and "frame" not in name:
                        for token in stolen if "token" in attempt else [""]:
                            got = await attacked.got(attempt, token, code, door=own)
                            assert '"foreign-host"' in got if "a.text()" in attempt else got == "", name

    chromium.run(visit())


def test_a_stranger_who_opens_the_page_cannot_reach_into_it(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with attack(chromium, tmp_path) as attacked:
            context, counter = attacked.page.context, attacked.counter
            mine = await context.new_page()
            await mine.goto(f"{attacked.door}/#code={await attacked.code(attacked.door)}")
            await mine.wait_for_selector("li.device")
            async with untouched(counter):
                async with context.expect_page() as opening:
                    await attacked.page.evaluate("door => { window.victim = open(door + '/#code=0', 'victim') }", attacked.door)
                victim = await opening.value
                await victim.wait_for_selector("li.device")
                assert victim.url == f"{attacked.door}/"
                assert await victim.evaluate("[window.opener === null, window.name]") == [True, ""]
                await attacked.page.wait_for_function("victim.closed")  # nothing to send messages to, or to look at
                for script in ("victim.document.body.innerHTML", "victim.localStorage.length", "victim.location.href"):
                    assert await attacked.got(f"Promise.resolve().then(() => String({script}))") in {"", "about:blank", "null"}
            assert await mine.evaluate("localStorage.length") == 1

    chromium.run(visit())


def test_a_worker_of_its_own_helps_a_stranger_nothing(chromium: Chromium, tmp_path: Path) -> None:
    async def visit() -> None:
        async with attack(chromium, tmp_path, "127.0.0.1") as attacked:
            attacked.site.pages["/worker.js"] = ("addEventListener('fetch', event => event.respondWith("
                                                 "fetch(new URL(event.request.url).search.slice(1))))")
            async with untouched(attacked.counter):
                await attacked.page.evaluate("navigator.serviceWorker.register('/worker.js')")
                await attacked.page.evaluate("navigator.serviceWorker.ready.then(() => '')")
                await attacked.page.reload()
                assert await attacked.page.evaluate("!!navigator.serviceWorker.controller")
                for path in ("/v1/state", "/metrics", "/openapi.json", "/"):
                    assert await attacked.got(f"fetch('/?{attacked.door}{path}').then(a => a.ok ? a.text() : '')") == ""

    chromium.run(visit())


def test_a_paired_page_has_no_more_than_its_own_token_opens(chromium: Chromium, tmp_path: Path) -> None:
    """A token of another origin, of a program, of another machine's door; a code that was used; messages too large, or none."""
    async def visit() -> None:
        (tmp_path / "other").mkdir()
        async with open_door(tmp_path / "other") as other, attack(chromium, tmp_path, "counter.example") as attacked:
            counter, origin = attacked.counter, attacked.site.origin("counter.example")
            mine = await counter.pair(origin)
            foreign = [await counter.pair(), await counter.pair("https://elsewhere.example"), await counter.pair(attacked.door),
                       await other.pair(origin), "guess", ""]
            code = await attacked.code(origin)
            pairing = FETCHES["code"].replace("a.text()", "a.status")
            assert await attacked.got(pairing, code=code) == "200"
            status = FETCHES["GET with a token"].replace("a.text()", "a.status")
            async with untouched(counter):
                assert await attacked.got(pairing, code=code) == "403", "used"
                assert await attacked.got(status, mine) == "200"
                for token in foreign:
                    assert await attacked.got(status, token) == "401"
                    assert await attacked.got(FETCHES["WebSocket"], token) == ""
                assert '"welcome"' in await attacked.got(FETCHES["WebSocket"], mine)
                post = FETCHES["preflighted POST"].replace("a.text()", "a.status").replace("said", "%s")
                assert await attacked.got(post % "'x'.repeat(70000)", mine) == "413"
                for body in ("''", "'{'", "'[1]'", "'[['.repeat(9000)", "new Uint8Array([255, 254])"):
                    assert await attacked.got(post % body, mine) in {"400", "422"}, body
                shout = FETCHES["WebSocket"].replace("end(heard.data)", "one.send(%s)")
                for message in ("'x'.repeat(70000)", "'nonsense'", "new Uint8Array(4)", "'{\"type\": \"command\"}'"):
                    assert await attacked.got(shout % message, mine) == "", "closed"
            assert (await counter.client.post("/v1/transactions", json=transaction())).status_code == 201

    chromium.run(visit())
