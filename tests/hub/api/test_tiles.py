"""The tree over HTTPS, read by a client that knows C2SP tlog-tiles and nothing of ours (invariant 6)."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import FastAPI

from hub.api.errors import add_handlers
from hub.api.server import ApiServer
from hub.api.tiles import add_tiles
from hub.backup import back_up
from hub.enrolment.authority import ensure_server_certificate, load_authority
from hub.ledger.log_files import LogFiles
from hub.ledger.store import Ledger
from hub.ledger.transparency import TransparencyLog
from hub.restore import Said, restore
from tests.hub.evidence.city import City
from tests.security import rfc6962

CEILING_S = 60.0
Get = Callable[..., httpx.Response]


def serve(city: City, log: TransparencyLog, visit: Callable[[str], None]) -> None:
    """Call `visit` with the address of a real server, whose certificate leads to the hub's root."""
    async def run() -> None:
        app = FastAPI()
        add_handlers(app)
        add_tiles(app, LogFiles(city.state.database, city.keys.log.public_key,
                                lambda: None if log.halted else log.published))
        authority, now = load_authority(city.state.ca), dt.datetime.now(dt.UTC)
        tls = ensure_server_certificate(city.state.tls, authority, ["127.0.0.1"], now)
        server = ApiServer(app, "127.0.0.1", 0, tls.certificate, tls.key, asyncio.Event())
        running = asyncio.create_task(server.run())
        async with asyncio.timeout(CEILING_S):
            await server.listening()
            try:
                await asyncio.to_thread(visit, f"https://127.0.0.1:{server.port}")
            finally:
                running.cancel()
                await asyncio.wait([running])

    asyncio.run(run())


def asked(city: City, log: TransparencyLog, visit: Callable[[Get], None]) -> None:
    context = ssl.create_default_context(cafile=str(city.state.ca / "root.pem"))

    def come(address: str) -> None:
        with httpx.Client(base_url=address, verify=context, headers={"Accept-Encoding": "identity"},
                          timeout=CEILING_S) as client:
            visit(client.get)

    serve(city, log, come)


def _number(n: int) -> str:
    """As tlog-tiles writes it."""
    groups = []
    while True:
        groups.insert(0, f"{n % 1000:03}")
        n //= 1000
        if not n:
            return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def _tile(get: Get, level: int | str, n: int, width: int) -> bytes:
    answer = get(f"/tile/{level}/{_number(n)}" + (f".p/{width}" if width < 256 else ""))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "public, max-age=1"
    return answer.content


def _entries(bundle: bytes) -> list[bytes]:
    found = []
    while bundle:
        end = 2 + int.from_bytes(bundle[:2], "big")
        found.append(bundle[2:end])
        bundle = bundle[end:]
    return found


def log_city(folder: Path, *batches: int) -> tuple[City, TransparencyLog]:
    city = City(folder)
    machine = city.machine()
    for count in batches:
        city.append(machine, count)
    log = city.log()
    assert log.begin() is not None
    return city, log


def test_a_stranger_rebuilds_the_root_from_what_everybody_may_fetch(tmp_path: Path) -> None:
    city, log = log_city(tmp_path, 1, 300, 254, 30, 1_000)

    def visit(get: Get) -> None:
        answer = get("/checkpoint")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=1"
        text, _, below = answer.text.partition("\n\n")
        origin, size, root = text.split("\n")
        about = get("/log").json()
        name, key_id, key = about["vkey"].split("+", 2)
        assert (name, origin, about["epoch"], len(about["statements"])) == (origin, about["origin"], 1, 1)
        signed = base64.b64decode(below.split(" ")[2])
        assert signed[:4].hex() == key_id
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(signed[4:], f"{text}\n".encode())
        leaves: list[bytes] = []
        for n in range(-(-int(size) // 256)):
            width = min(int(size) - 256 * n, 256)
            entries = _entries(_tile(get, "entries", n, width))
            hashes = [hashlib.sha256(b"\0" + entry).digest() for entry in entries]
            assert b"".join(hashes) == _tile(get, 0, n, width)
            leaves += hashes
        assert len(leaves) == int(size) == 1586
        assert rfc6962.root(leaves) == base64.b64decode(root)
        assert _tile(get, 1, 0, 6) == b"".join(rfc6962.root(leaves[at:at + 256]) for at in range(0, 1536, 256))

    asked(city, log, visit)


def test_the_entries_are_those_of_the_ledger_and_hold_nothing_sealed(tmp_path: Path) -> None:
    city, log = log_city(tmp_path, 3)

    def visit(get: Get) -> None:
        entries = _entries(_tile(get, "entries", 0, 4))
        with Ledger(city.state.database) as ledger:
            held = ledger.feed(0, 10)
        for entry, ours in zip(entries, held, strict=True):
            place = ours.position.to_bytes(8, "big") + ours.digest + hashlib.sha256(ours.signature).digest()
            assert entry == b"suozhan/leaf/v1\0" + ours.key_id + ours.journal.bytes + place + ours.arrived_ms.to_bytes(8, "big")

    asked(city, log, visit)


def test_a_tile_of_any_width_that_a_checkpoint_ever_had_is_there_and_nothing_beyond(tmp_path: Path) -> None:
    city, log = log_city(tmp_path, 299)
    city.append(city.machine("B02"), 5)  # in the ledger, and in no checkpoint yet

    def visit(get: Get) -> None:
        whole = _tile(get, 0, 0, 256)
        for width in (1, 7, 255):
            assert _tile(get, 0, 0, width) == whole[:32 * width]
        _tile(get, 0, 1, 44)
        _tile(get, "entries", 1, 44)
        _tile(get, 1, 0, 1)
        for path in ("tile/0/001.p/45", "tile/entries/001.p/45", "tile/0/001", "tile/entries/001", "tile/0/002.p/1",
                     "tile/1/000.p/2", "tile/1/000", "tile/2/000.p/1", "tile/8/000.p/1", "tile/63/000.p/1"):
            answer = get(f"/{path}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no-tile"), path
            assert "cache-control" not in answer.headers

    asked(city, log, visit)


def test_there_is_one_name_for_a_tile(tmp_path: Path) -> None:
    city, log = log_city(tmp_path, 3)

    def visit(get: Get) -> None:
        for path in ("tile/0/0", "tile/00/000.p/1", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/64/000",
                     "tile/0/x000/000.p/1", "tile/-1/000", "tile/0/000.p/1/", "tile/0//000.p/1", "tile/", "tile/entries",
                     "tile/0/000.P/1", "tile/0/000.p/%0a1", "tile/0/٠٠٠.p/1", "tile/0/000.p/1%0a"):
            assert get(f"/{path}").status_code == 404, path
        assert get("/tile/0/000.p/1").status_code == 200

    asked(city, log, visit)


def test_entries_travel_compressed_to_whoever_takes_that(tmp_path: Path) -> None:
    city, log = log_city(tmp_path, 300)

    def visit(get: Get) -> None:
        plain = get("/tile/entries/000")
        packed = get("/tile/entries/000", headers={"Accept-Encoding": "gzip, deflate"})
        assert packed.content == plain.content
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])

    asked(city, log, visit)


def test_a_log_that_is_halted_publishes_nothing(tmp_path: Path) -> None:
    city, log = log_city(tmp_path, 3)
    log.halt("the database was put back")

    def visit(get: Get) -> None:
        for path in ("/checkpoint", "/tile/0/000.p/1", "/log"):
            answer = get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "log-halted")

    asked(city, log, visit)


def test_no_cache_keeps_a_tile_beyond_a_restore(tmp_path: Path) -> None:
    """Behind it another tile lies at the same address: a tool that got the old one would call the hub a liar."""
    city, log = log_city(tmp_path, 3)
    backup = tmp_path / "backup.db"
    back_up(city.state.database, backup)
    city.append(city.machine("B02"), 4)
    log.advance()
    before, after, kept = list[bytes](), list[bytes](), list[str]()

    def visit(get: Get, to: list[bytes]) -> None:
        size = int(get("/checkpoint").text.split("\n")[1])
        answer = get(f"/tile/0/000.p/{min(size, 6)}")
        kept.append(answer.headers["cache-control"])
        to.append(answer.content[:6 * 32])

    asked(city, log, lambda get: visit(get, before))
    restore(city.state, backup, city.clock, Said("周敏", "disk failure"))
    city.append(city.machine("C03"), 4)
    log = city.log()
    assert log.begin() is not None
    asked(city, log, lambda get: visit(get, after))
    assert before != after
    assert kept == ["public, max-age=1"] * 2


def test_head_says_what_get_would_and_sends_nothing(tmp_path: Path) -> None:
    city, log = log_city(tmp_path, 3)
    context = ssl.create_default_context(cafile=str(city.state.ca / "root.pem"))

    def come(address: str) -> None:
        with httpx.Client(base_url=address, verify=context, timeout=CEILING_S) as client:
            for path in ("/checkpoint", "/tile/0/000.p/1", "/tile/entries/000.p/1", "/log"):
                told, sent = client.head(path), client.get(path)
                assert (told.status_code, told.content) == (200, b""), path
                names = ("content-type", "content-length", "cache-control")
                assert [told.headers.get(name) for name in names] == [sent.headers.get(name) for name in names]
            assert client.head("/tile/0/999").status_code == 404
            refused = client.post("/checkpoint")
            assert (refused.status_code, "GET" in refused.headers["allow"]) == (405, True)

    serve(city, log, come)
