"""The device page at the door. Its files hold no data and need no token; what they show comes through the API."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from edge.door.errors import DoorError

PAGE = "/"
FILES = "/page/"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".svg": "image/svg+xml"}
ONE_NAME = "127.0.0.1"


class PageRoutes:
    """Handlers for the page and its files."""

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(PAGE, self.page, methods=["GET"], include_in_schema=False, response_class=Response)
        router.add_api_route(FILES + "{name}", self.file, methods=["GET"], include_in_schema=False, response_class=Response)
        return router

    async def page(self, request: Request) -> Response:
        """Under one name only: a token is bound to an origin, and localhost is another one. The fragment comes along."""
        if request.url.hostname != ONE_NAME:
            return RedirectResponse(f"http://{ONE_NAME}:{request.url.port}{PAGE}")
        return _served("index.html", request.url.netloc)

    async def file(self, name: str, request: Request) -> Response:
        return _served(name, request.url.netloc)


def _served(name: str, host: str) -> Response:
    found = {one.name: one for one in files("edge.page").iterdir()}.get(name)
    kind = TYPES.get(name[name.rfind("."):])
    if found is None or kind is None:
        raise DoorError(404, "not-found", "本机没有这个页面文件，请刷新页面。")
    return Response(found.read_bytes(), media_type=kind, headers=_headers(host))


def _headers(host: str) -> dict[str, str]:
    policy = ("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
              f"connect-src 'self' ws://{host}",  # older browsers do not count a WebSocket as 'self'
              "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
              "require-trusted-types-for 'script'", "trusted-types 'none'")
    return {"Content-Security-Policy": "; ".join(policy), "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer"}
