"""Who calls while the database is in trouble hears that, and not that something went wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any, Never

import grpc
import pytest
import sqlalchemy as sa

from hub.ledger.runs import Damaged
from hub.sync_service import SyncService
from proto import sync_pb2

LOCKED = sqlite3.OperationalError("database is locked")


class _Aborted(Exception):
    pass


class _Wire:
    """What gRPC tells of a caller."""

    def peer_identities(self) -> tuple[bytes, ...]:
        return (b"",)

    def auth_context(self) -> dict[str, Any]:
        return {}

    async def abort(self, code: grpc.StatusCode, text: str) -> Never:
        raise _Aborted(code, text)


class _Callers:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def admit(self, *_: object) -> Never:
        raise self._error


def _ask(error: Exception) -> None:
    nothing: Any = None
    callers: Any = _Callers(error)
    wire: Any = _Wire()
    asyncio.run(SyncService(callers, nothing, nothing, nothing, nothing, nothing, nothing).Held(sync_pb2.HeldQuestion(), wire))


@pytest.mark.parametrize("error", [LOCKED, sa.exc.OperationalError("x", {}, LOCKED), Damaged("a row is not what it says")])
def test_an_alarm_that_cannot_be_noted_now_is_trouble_that_passes(error: Exception) -> None:
    with pytest.raises(_Aborted) as aborted:
        _ask(error)
    assert aborted.value.args[0] is grpc.StatusCode.UNAVAILABLE


def test_a_bug_of_ours_is_not_taken_for_trouble() -> None:
    with pytest.raises(sqlite3.IntegrityError):
        _ask(sqlite3.IntegrityError("UNIQUE constraint failed"))
