"""Printing more than one message holds: a PDF as the raw body of a call, bounded, taken once the printer is the caller's."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

from fastapi import APIRouter, Query, Request

from devices.printer import PDF_BEGIN, PDF_MAX_BYTES
from edge.attachments.media_types import PDF
from edge.door.device_messages import ReadingAnswer, TimeoutS, Window
from edge.door.device_routes import HTTP_WINDOW, unless_gone
from edge.door.errors import DoorError, responses
from edge.door.given_readings import GivenReadings
from edge.equipment.actions import PRINT, DocumentName, PrintBody
from edge.equipment.commands import TIMEOUT_S, Commands, Order

PATH = "/v1/devices/{name}/pdf"
PLACE = re.compile(PATH.replace("{name}", "[^/]+"))
NO_PDF = "这里只接受 PDF 文件（application/pdf），且内容须与所称类型一致。请由柜面程序转换格式后重新打印。"
_BODY = {"requestBody": {"required": True, "content": {PDF: {"schema": {"type": "string", "format": "binary"}}}}}


class PrintRoutes:
    """A handler over the commands of the machine's devices."""

    def __init__(self, commands: Commands, given: GivenReadings) -> None:
        self._commands = commands
        self._given = given

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(PATH, self.print_pdf, methods=["POST"], openapi_extra=_BODY,
                             responses=responses(404, 408, 409, 413, 415, 422, 502),
                             summary=f"Print a PDF of up to {PDF_MAX_BYTES // 1024 ** 2} MiB; answered at its end")
        return router

    async def print_pdf(self, name: str, request: Request, window: Annotated[Window, Query()] = HTTP_WINDOW,
                        timeout_s: Annotated[TimeoutS, Query()] = TIMEOUT_S,
                        document: Annotated[DocumentName, Query()] = "Suozhan") -> ReadingAnswer:
        _require_pdf(request.headers.get("content-type", ""))
        body = _Body(request)
        order = Order(name, PRINT, window, timeout_s, values=PrintBody(document=body.whole, name=document))
        reading = await unless_gone(request, self._commands.run(order), body.came)
        assert reading is not None
        return await self._given.give(reading)


class _Body:
    """What the caller sends; `came` once all of it is here. The door's guard has set its bound."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.came = asyncio.Event()

    async def whole(self) -> bytes:
        """Raises DoorError when it is no PDF."""
        document = b"".join([part async for part in self._request.stream()])
        if not document.startswith(PDF_BEGIN):
            raise _no_pdf()
        self.came.set()
        return document


def _require_pdf(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() != PDF:
        raise _no_pdf()


def _no_pdf() -> DoorError:
    return DoorError(415, "no-media-type", NO_PDF)
