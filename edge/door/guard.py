"""Before any route: Host against DNS rebinding, Origin, token, size. Pages of strangers get nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.door.errors import DAMAGED, answer
from edge.door.pairing import NATIVE, Pairing, PairingDamaged

BODY_MAX_BYTES = 64 * 1024
WITHOUT_TOKEN = frozenset({("POST", "/v1/pair"), ("GET", "/openapi.json"), ("GET", "/metrics")})


class Guard:
    """ASGI middleware. `port` is asked for at each request, because a port of 0 is chosen late."""

    def __init__(self, app: ASGIApp, pairing: Pairing, port: Callable[[], int]) -> None:
        self._app = app
        self._pairing = pairing
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # nothing but HTTP is served here
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if headers.getlist("host") not in ([f"127.0.0.1:{self._port()}"], [f"localhost:{self._port()}"]):
            await answer(403, "foreign-host", "请用 127.0.0.1 访问本机接口，请检查柜面程序的地址设置。")(scope, receive, send)
            return
        try:
            known = origin is None or origin in await asyncio.to_thread(self._pairing.origins)
            paired = (scope["method"], scope["path"]) in WITHOUT_TOKEN or await self._paired(headers, origin)
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
            await refusal(scope, receive, _with_cors(send, origin))
            return
        await self._bounded(scope, receive, _with_cors(send, origin), headers)

    async def _paired(self, headers: Headers, origin: str | None) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return False
        return await asyncio.to_thread(self._pairing.origin_of, token) == (origin or NATIVE)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        too_large = answer(413, "too-large", f"请求超过 {BODY_MAX_BYTES // 1024} KiB，未受理。请减少内容后重新提交。")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > BODY_MAX_BYTES:
            await too_large(scope, receive, send)
            return
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= BODY_MAX_BYTES else {"type": "http.disconnect"}

        async def sending(message: Message) -> None:
            if seen <= BODY_MAX_BYTES:  # else nobody hears what the routes say of half a body
                await send(message)

        with suppress(ClientDisconnect):
            await self._app(scope, limited, sending)
        if seen > BODY_MAX_BYTES:
            await too_large(scope, receive, send)


def _cors(origin: str | None) -> list[tuple[bytes, bytes]]:
    if origin is None:
        return []
    return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]


def _with_cors(send: Send, origin: str | None) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_cors(origin), (b"cache-control", b"no-store")]
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
