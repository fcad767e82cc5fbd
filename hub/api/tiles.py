"""The ledger's tree for other people's tools: C2SP tlog-tiles below the address of the API, for everybody.

It needs no token: hashes, positions and arrivals of records say nothing of a resident, and whoever watches a log should not
have to ask the one whom it watches.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import Annotated

from fastapi import FastAPI, Header, Request, Response
from pydantic import BaseModel

from hub.api.errors import ApiError
from hub.ledger.log_files import LogFiles, LogHalted
from hub.ledger.transparency import Published
from security.tile_files import BadTilePath, TilePath
from security.tiles import TileMissing

# Tiles, too: a hub that comes back from a backup has others under the same paths, and a cache does not look at the epoch.
FOR_SECONDS = {"Cache-Control": "public, max-age=1"}


class LogAnswer(BaseModel):
    """What a tool has to be told once: the log's name, the key that signs it, and where each of its epochs begins."""

    origin: str
    vkey: str
    epoch: int
    statements: list[str]


def add_tiles(app: FastAPI, files: LogFiles) -> None:
    """Routes at the root of the API: its address is the log's monitoring prefix."""

    @app.head("/checkpoint", include_in_schema=False)
    @app.get("/checkpoint", response_class=Response)
    async def checkpoint() -> Response:
        """The newest signed checkpoint."""
        return Response(_published(files).note, headers=FOR_SECONDS, media_type="text/plain; charset=utf-8")

    @app.head("/tile/{path:path}", include_in_schema=False)
    @app.get("/tile/{path:path}", response_class=Response)
    async def tile(request: Request, accept_encoding: Annotated[str, Header()] = "") -> Response:
        """Hashes, or below `entries` what the leaves are hashes of."""
        wanted = _parsed(request.scope["path"].removeprefix("/"))  # a route's parameter loses a newline at its end
        data = await asyncio.to_thread(_file, files, wanted)
        headers = dict(FOR_SECONDS)
        if wanted.level is None:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in accept_encoding:
                headers["Content-Encoding"] = "gzip"
                data = await asyncio.to_thread(gzip.compress, data, mtime=0)
        return Response(data, headers=headers, media_type="application/octet-stream")

    @app.head("/log", include_in_schema=False)
    @app.get("/log")
    async def log() -> LogAnswer:
        """Origin, key and epochs."""
        published = _published(files)
        return LogAnswer(origin=published.epoch.origin, vkey=str(files.key(published.epoch.origin)), epoch=published.epoch.number,
                         statements=await asyncio.to_thread(files.epochs))


def _published(files: LogFiles) -> Published:
    try:
        return files.checkpoint()
    except LogHalted as error:
        raise ApiError(503, "log-halted", str(error)) from error


def _parsed(path: str) -> TilePath:
    try:
        return TilePath.parse(path)
    except BadTilePath as error:
        raise ApiError(404, "no-tile", str(error)) from error


def _file(files: LogFiles, path: TilePath) -> bytes:
    try:
        data = files.file(path, _published(files).size)
    except TileMissing as error:
        raise ApiError(500, "damaged-record", str(error)) from error
    if data is None:
        raise ApiError(404, "no-tile", "the newest checkpoint does not cover this tile; GET /checkpoint says how far it goes")
    return data
