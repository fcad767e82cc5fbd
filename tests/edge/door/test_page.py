"""The device page's files at the door, and whom a request without an Origin comes from."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from edge.door.pairing import make_code
from tests.edge.door.test_door import Counter, at_the_door, code_of

NO_TOKEN = {"Authorization": ""}
OWN = {"Sec-Fetch-Site": "same-origin"}
NAMES = sorted(one.name for one in files("edge.page").iterdir() if one.name.endswith((".css", ".js", ".svg")))


def test_the_page_and_its_files_need_no_token_and_run_nothing_of_others(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        page = await counter.client.get("/", headers=NO_TOKEN)
        assert page.status_code == 200
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page.text), "nothing inline"
        answers = [page, *[await counter.client.get(f"/page/{name}", headers=NO_TOKEN | OWN) for name in NAMES]]
        for answer in answers:
            assert answer.status_code == 200
            policy = dict(one.split(" ", 1) for one in answer.headers["content-security-policy"].split("; "))
            assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
            assert policy["script-src"] == "'self'"
            assert policy["connect-src"] == f"'self' ws://127.0.0.1:{counter.door.port}"
            assert (answer.headers["x-frame-options"], answer.headers["x-content-type-options"]) == ("DENY", "nosniff")
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert answer.headers["cache-control"] == "no-store"
        assert (await counter.client.get("/page/page.js")).headers["content-type"] == "text/javascript; charset=utf-8"
        named = {name for answer in answers for name in re.findall(r"""["/]([a-z]+\.(?:css|js|svg))"\B""", answer.text)}
        assert named <= set(NAMES)

    at_the_door(tmp_path, visit)


@pytest.mark.parametrize("name", ["__init__.py", "none.js", "index.html.js", "..%2fcommand.py", "%2e%2e/door/guard.py", ".js"])
def test_nothing_else_is_served(tmp_path: Path, name: str) -> None:
    async def visit(counter: Counter) -> None:
        answer = await counter.client.get(f"/page/{name}")
        assert (answer.status_code, code_of(answer)) == (404, "not-found")

    at_the_door(tmp_path, visit)


def test_the_page_has_one_origin(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        port = counter.door.port
        other = await counter.client.get("/", headers={"Host": f"localhost:{port}"})
        assert (other.status_code, other.headers["location"]) == (307, f"http://127.0.0.1:{port}/")

    at_the_door(tmp_path, visit)


def test_the_token_of_the_page_works_on_the_page_alone(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        own = f"http://127.0.0.1:{counter.door.port}"
        page = {"Authorization": f"Bearer {await counter.pair(own)}"}
        program = {"Authorization": f"Bearer {await counter.pair()}"}

        async def status(headers: dict[str, str]) -> int:
            return (await counter.client.get("/v1/state", headers=headers)).status_code

        assert await status(page | OWN) == await status(page | {"Origin": own}) == 200
        assert await status(program) == await status(program | {"Sec-Fetch-Site": "none"}) == 200
        assert await status(page) == await status(page | {"Sec-Fetch-Site": "none"}) == 401
        assert await status(program | OWN) == await status(program | {"Origin": own}) == 401
        assert await status(page | OWN | {"Host": f"localhost:{counter.door.port}"}) == 401
        assert await status(page | OWN | {"Host": f"evil.example:{counter.door.port}"}) == 403
        for site in ("cross-site", "same-site", "https://counter.example"):
            assert await status(page | {"Sec-Fetch-Site": site}) == await status(program | {"Sec-Fetch-Site": site}) == 403
        assert await status(page | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}) == 401
        assert await status(program | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}) == 403

    at_the_door(tmp_path, visit)


def test_a_link_of_another_site_opens_the_page_but_loads_no_part_of_it(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        stranger = NO_TOKEN | {"Sec-Fetch-Site": "cross-site"}
        for path, destination, status in (("/", "document", 200), ("/", "iframe", 403), ("/page/page.js", "script", 403),
                                          ("/openapi.json", "empty", 403), ("/metrics", "image", 403)):
            answer = await counter.client.get(path, headers=stranger | {"Sec-Fetch-Dest": destination})
            assert answer.status_code == status, (path, destination)

    at_the_door(tmp_path, visit)


def test_a_code_of_the_page_is_worth_nothing_to_others(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        own = f"http://127.0.0.1:{counter.door.port}"
        code = await make_code(tmp_path / "door.db", "page", own, counter.spine.clock)
        for origin, status in (("", 403), ("https://evil.example", 403), (own, 200), (own, 403)):
            headers = NO_TOKEN | ({"Origin": origin} if origin else {})
            assert (await counter.client.post("/v1/pair", json={"code": code}, headers=headers)).status_code == status

    at_the_door(tmp_path, visit)
