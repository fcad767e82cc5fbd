"""One shape for every refusal: a code for programs, a Chinese sentence that says what to do for people."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from devices.contract import DeviceError, DeviceUnavailable
from edge.drafts import CallerIdConflict, JournalBusy, JournalFull, JournalRefused, JournalStopped

RETRY_AFTER_S = 30
DAMAGED = "本机配对记录暂时无法读取（磁盘已满时请先由技术人员腾出空间），请稍后再试；仍不行时请由技术人员重新配对。"


class ErrorDetail(BaseModel):
    code: str
    message: str
    details: list[str] = []


class ErrorBody(BaseModel):
    error: ErrorDetail


class DoorError(Exception):
    """Answered as `status` with `code` and `message`."""

    def __init__(self, status: int, code: str, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.details = list(details)


def answer(status: int, code: str, message: str, details: Sequence[str] = ()) -> JSONResponse:
    """An error as JSON; 503 says when to try again."""
    body = ErrorBody(error=ErrorDetail(code=code, message=message, details=list(details)))
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return JSONResponse(body.model_dump(), status_code=status, headers=headers)


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(DoorError, _door)
    app.add_exception_handler(JournalRefused, _journal)
    app.add_exception_handler(DeviceError, _device)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _door(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DoorError)
    return answer(error.status, error.code, error.message, error.details)


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


async def _device(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DeviceError)
    if isinstance(error, DeviceUnavailable):
        return answer(409, "device-unavailable", error.hint)
    return answer(502, "device-fault", error.hint)


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
        return answer(405, "method-not-allowed", "该地址不支持此方法，请按接口文档调用。")
    return answer(error.status_code, "not-found", "没有这个地址，请按接口文档核对后再试。")
