"""One shape for every refusal: a code for programs, a Chinese sentence that says what to do for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from devices.contract import DeviceError, DeviceUnavailable
from edge.drafts import CallerIdConflict, JournalBusy, JournalFull, JournalRefused, JournalStopped
from edge.equipment.commands import BadValues, CommandTimedOut, UnknownCommand
from edge.equipment.device import DeviceBusy
from edge.equipment.equipment import NoSuchDevice

RETRY_AFTER_S = 30
DAMAGED = "本机配对记录暂时无法读取（磁盘已满时请先由技术人员腾出空间），请稍后再试；仍不行时请由技术人员重新配对。"
AGENT_FAULT = "本机程序出错，本次操作没有完成。请再试一次（业务请用同一流水号）；仍不行请联系市信息中心。"


class ErrorDetail(BaseModel):
    code: str
    message: str
    details: list[str] = []


class ErrorBody(BaseModel):
    error: ErrorDetail


def responses(*codes: int, body: type[ErrorBody] = ErrorBody) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of a route that may refuse with these, in this shape; whatever else it refuses with has no other."""
    return {401: {"model": ErrorBody}, 403: {"model": ErrorBody}, **{code: {"model": body} for code in codes},
            "default": {"model": ErrorBody, "description": "Any other refusal"}}


class DoorError(Exception):
    """Answered as `status` with `code` and `message`; `pages` are those of a stack that came before."""

    def __init__(self, status: int, code: str, message: str, details: Sequence[str] = (),
                 pages: Sequence[BaseModel] = ()) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.details = list(details)
        self.pages = list(pages)


COMMAND_ERRORS = (DoorError, DeviceError, UnknownCommand, BadValues, CommandTimedOut)


def refusal_of(error: Exception) -> DoorError:
    """How a command that ended with one of COMMAND_ERRORS is answered. Anything else is a bug, of which the log has more."""
    match error:
        case DoorError():
            return error
        case NoSuchDevice():
            return DoorError(404, "no-device", error.hint)
        case DeviceBusy():
            return DoorError(409, "device-busy", error.hint)
        case DeviceUnavailable():
            return DoorError(409, "device-unavailable", error.hint)
        case DeviceError():
            return DoorError(502, "device-fault", error.hint)
        case UnknownCommand():
            return DoorError(404, "no-command", "该设备没有此功能，请按接口文档调用。", error.names)
        case BadValues():
            return DoorError(422, "bad-values", "命令的内容不符合接口要求。请按 details 中的字段更正后重新提交。", error.fields)
        case CommandTimedOut():
            return DoorError(408, "command-timeout", error.hint)
        case _:
            return DoorError(500, "agent-fault", AGENT_FAULT)


def answer(status: int, code: str, message: str, details: Sequence[str] = (), pages: Sequence[BaseModel] = ()) -> JSONResponse:
    """An error as JSON; 503 says when to try again."""
    body = ErrorBody(error=ErrorDetail(code=code, message=message, details=list(details))).model_dump()
    if pages:
        body["pages"] = [page.model_dump(mode="json") for page in pages]
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return JSONResponse(body, status_code=status, headers=headers)


def add_handlers(app: FastAPI) -> None:
    for one in (*COMMAND_ERRORS, Exception):
        app.add_exception_handler(one, _refused)
    app.add_exception_handler(JournalRefused, _journal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    said = refusal_of(error)
    return answer(said.status, said.code, said.message, said.details, said.pages)


async def _journal(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, JournalRefused)
    match error:
        case CallerIdConflict():
            return answer(409, "caller-id-conflict", error.hint)
        case JournalFull():
            return answer(503, "journal-full", error.hint)
        case JournalBusy():
            return answer(503, "journal-busy", error.hint)
        case JournalStopped():
            return answer(503, "journal-stopped", error.hint)
        case _:
            return answer(422, "bad-caller-id", error.hint)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Names the fields, never repeats their values: they may be a resident's."""
    assert isinstance(error, RequestValidationError)
    fields = [f"{'.'.join(str(part) for part in one['loc'][1:]) or '请求体'}：{one['type']}" for one in error.errors()]
    return answer(422, "invalid-request", "请求内容不符合接口要求，本笔未受理。请按 details 中的字段更正后重新提交。", fields)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        return answer(400, "not-json", "请求内容不是 UTF-8 编码的 JSON，本笔未受理。请由柜面程序更正后重新提交。")
    if error.status_code == 405:
        refused = answer(405, "method-not-allowed", "该地址不支持此方法，请按接口文档调用。")
        refused.headers.update(error.headers or {})  # Allow: RFC 9110 wants it named
        return refused
    return answer(error.status_code, "not-found", "没有这个地址，请按接口文档核对后再试。")
