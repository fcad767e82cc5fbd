"""One shape for every refusal of the reading API; its readers are programs and the people who write them."""

from __future__ import annotations

import sqlite3

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from hub.ledger.runs import Damaged
from hub.outage import trouble

log = structlog.get_logger()


class ErrorDetail(BaseModel):
    code: str
    message: str
    details: list[str] = []


class ErrorBody(BaseModel):
    error: ErrorDetail


class ApiError(Exception):
    """Answered as `status` with `code` and `message`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


def _answer(status: int, code: str, message: str, details: list[str] | None = None, allow: str = "") -> JSONResponse:
    body = ErrorBody(error=ErrorDetail(code=code, message=message, details=details or []))
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Allow": allow} if allow else {}
    return JSONResponse(body.model_dump(), status_code=status, headers=headers)


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(ApiError, _api)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Damaged, _damaged)
    app.add_exception_handler(sqlite3.DatabaseError, _database)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(Exception, _unexpected)  # the server raises it again, for its log


async def _api(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return _answer(error.status, error.code, error.message)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    details = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    return _answer(422, "invalid-request", "a parameter is not what /openapi.json says; correct it", details)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, "not-found" if error.status_code == 404 else "refused",
                   f"{error.detail}; see /openapi.json", allow=(error.headers or {}).get("Allow", ""))


async def _damaged(request: Request, error: Exception) -> JSONResponse:
    log.error("damaged record", path=request.url.path, error=str(error))
    return _answer(500, "damaged-record", f"{error}; at the hub, run: suozhan-hub verify")


async def _database(request: Request, error: Exception) -> JSONResponse:
    text = trouble(error)
    if not text:
        log.error("request failed", path=request.url.path, exc_info=error)
        return await _unexpected(request, error)
    log.error("trouble with the database", path=request.url.path, error=text)
    return _answer(503, "database-trouble", text)


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    return _answer(500, "internal-error", "the hub could not answer this; its log says why: send it to the IT desk")
