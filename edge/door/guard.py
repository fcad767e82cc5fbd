"""Before any route: Host against DNS rebinding, Origin, token, size. Pages of strangers get nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devices.printer import PDF_MAX_BYTES
from edge.door import asyncapi, attachment_routes
from edge.door.errors import DAMAGED, answer
from edge.door.page_routes import FILES, PAGE
from edge.door.pairing import NATIVE, Pairing, PairingDamaged
from edge.door.print_routes import PLACE
from security.attachment import ATTACHMENT_MAX_BYTES

BODY_MAX_BYTES = 64 * 1024
BODY_MAX_S = 60.0
TOO_SLOW = "请求内容传输过慢，未受理。请重新提交。"
WITHOUT_TOKEN = frozenset({("POST", "/v1/pair"), ("GET", "/openapi.json"), ("GET", asyncapi.PATH), ("GET", "/metrics"),
                           ("GET", PAGE)})
TO_ALL = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY"),
          (b"cross-origin-resource-policy", b"same-origin"))


class Guard:
    """ASGI middleware. `port` is asked for at each request, because a port of 0 is chosen late."""

    def __init__(self, app: ASGIApp, pairing: Pairing, port: Callable[[], int]) -> None:
        self._app = app
        self._pairing = pairing
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._window(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers, send = Headers(scope=scope), _with_headers(send, TO_ALL)
        if not self._own_host(headers):
            await answer(403, "foreign-host", "请用 127.0.0.1 访问本机接口，请检查柜面程序的地址设置。")(scope, receive, send)
            return
        origin = _speaker(headers)
        try:
            known = await self._known(origin, headers)
            paired = _public(scope) or await self._paired(headers, origin)
        except (PairingDamaged, sqlite3.Error, OSError):
            await answer(503, "pairing-damaged", DAMAGED)(scope, receive, send)
            return
        if not known:
            await answer(403, "foreign-origin", "该网页未与本机配对，请由技术人员执行配对后再试。")(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await _preflight(send, origin)
            return
        if not paired:
            refusal = answer(401, "no-token", "柜面程序尚未与本机配对或令牌不符，请由技术人员重新配对。")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            await refusal(scope, receive, _with_headers(send, _cors(origin)))
            return
        await self._bounded(scope, receive, _with_headers(send, _cors(origin)), headers)

    def _own_host(self, headers: Headers) -> bool:
        return headers.getlist("host") in ([f"127.0.0.1:{self._port()}"], [f"localhost:{self._port()}"])

    async def _known(self, origin: str | None, headers: Headers) -> bool:
        """Raises PairingDamaged, sqlite3.Error, OSError."""
        return origin in (None, _own(headers)) or origin in await asyncio.to_thread(self._pairing.origins)

    async def _window(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A browser sends no token with a WebSocket: its first message brings one (windows.py)."""
        headers = Headers(scope=scope)
        try:
            admitted = self._own_host(headers) and await self._known(headers.get("origin"), headers)
        except (PairingDamaged, sqlite3.Error, OSError):
            admitted = False
        if admitted:
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403

    async def _paired(self, headers: Headers, origin: str | None) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return False
        return await asyncio.to_thread(self._pairing.origin_of, token) == (origin or NATIVE)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        most = _most(scope["method"], scope["path"])
        too_large = answer(413, "too-large", f"请求超过 {most // 1024} KiB，未受理。请减少内容后重新提交。")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            await too_large(scope, receive, send)
            return
        seen, late = 0, False
        end: float | None = asyncio.get_running_loop().time() + BODY_MAX_S

        async def limited() -> Message:
            nonlocal seen, late, end
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                late = True
                return {"type": "http.disconnect"}
            seen += len(message.get("body", b""))
            end = end if message.get("more_body") else None
            return message if seen <= most else {"type": "http.disconnect"}

        async def sending(message: Message) -> None:
            if seen <= most and not late:  # else nobody hears what the routes say of half a body
                await send(message)

        with suppress(ClientDisconnect):
            await self._app(scope, limited, sending)
        if seen > most:
            await too_large(scope, receive, send)
        elif late:
            await answer(408, "too-slow", TOO_SLOW)(scope, receive, send)


def _most(method: str, path: str) -> int:
    """Bytes of a body."""
    if method == "POST" and path == attachment_routes.PATH:
        return ATTACHMENT_MAX_BYTES
    if method == "POST" and PLACE.fullmatch(path):
        return PDF_MAX_BYTES
    return BODY_MAX_BYTES


def _public(scope: Scope) -> bool:
    """What holds no data."""
    method, path = scope["method"], scope["path"]
    return (method, path) in WITHOUT_TOKEN or (method == "GET" and path.startswith(FILES))


def _own(headers: Headers) -> str:
    """The origin of this door's own page. Host was checked before."""
    return f"http://{headers['host']}"


def _speaker(headers: Headers) -> str | None:
    """The origin of the page that asks; None for a program, and for somebody who opens a page.

    A page's GET of its own origin carries no Origin, nor does another site's picture, script or frame: Sec-Fetch-Site tells
    them apart, over all redirects, and no page can set it. What is no origin at all ("cross-site") is known to nobody.
    """
    if "origin" in headers:
        return headers["origin"]
    site = headers.get("sec-fetch-site", "none")
    if site == "none" or headers.get("sec-fetch-dest") == "document":
        return None
    return _own(headers) if site == "same-origin" else site


def _cors(origin: str | None) -> list[tuple[bytes, bytes]]:
    if origin is None:
        return []
    return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]


def _with_headers(send: Send, more: Iterable[tuple[bytes, bytes]]) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *more]
        await send(message)

    return sending


async def _preflight(send: Send, origin: str | None) -> None:
    headers = [
        *_cors(origin),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-allow-private-network", b"true"),
        (b"access-control-max-age", b"600"),
    ]
    status = HTTPStatus.NO_CONTENT if origin is not None else HTTPStatus.BAD_REQUEST
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": b""})
