"""The morning canary: through the door as a counter program goes, from the page to each device."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from edge.door.pairing import NATIVE, Pairing, PairingDamaged
from edge.finding import Finding
from edge.state import StateFolder
from security.clock import Clock

DOOR_MAX_S = 20.0
NAME = "suozhan-edge doctor"
_LOADED = re.compile(r'(?:src|href)="(/page/[^"]+)"')

NO_DOOR = "柜面接口没有应答（{error}）。请重启代理程序；仍不行请联系技术人员。"
UNPAIRED = "配对数据已损坏，原文件另存为 {file}.damaged。请为每个柜面程序重新配对：suozhan-edge pair。"
NO_PAIRING = "配对数据 {file} 现在不能使用（{error}），未能检查设备。请重启代理程序后再检查；仍不行请联系技术人员。"
NO_PAGE = "设备页面打不开（{error}）。请更新或重新安装本程序。"
NO_EVENTS = "柜面事件通道没有应答（{error}）。请重启代理程序；仍不行请联系技术人员。"
EVENTS_ENDED = "设备事件日志暂不能写入，设备事件暂不记录，业务照常办理。请联系市信息中心。"
NOBODY = "没有发现任何设备。请检查读卡器等设备的连接线和电源。"


async def through_the_door(state: StateFolder, port: int, clock: Clock) -> list[Finding]:
    """As a counter program sees it: the page, the event channel, each device looked at anew."""
    with closing(Pairing(state.door, clock)) as pairing:
        token, findings = await asyncio.to_thread(_token, pairing, state.door.name)
        if not token:
            return [*findings, await asyncio.to_thread(_page, port)]
        try:
            return [*findings, *[finding async for finding in _asked(port, token)]]
        finally:
            with suppress(PairingDamaged, sqlite3.Error):  # nobody else has it
                await asyncio.to_thread(pairing.forget, token)


def _token(pairing: Pairing, file: str) -> tuple[str, list[Finding]]:
    """For this examination; "" where none is to be had. What is wrong with pairing."""
    try:
        return _paired(pairing), []
    except PairingDamaged:  # it was set aside, and a new one is begun
        return _paired(pairing), [Finding("配对", False, UNPAIRED.format(file=file))]
    except (sqlite3.Error, OSError) as error:
        return "", [Finding("配对", False, NO_PAIRING.format(file=file, error=error))]


def _paired(pairing: Pairing) -> str:
    return pairing.redeem(pairing.make_code(NAME, NATIVE), NATIVE)


async def _asked(port: int, token: str) -> AsyncIterator[Finding]:
    try:
        state = await asyncio.to_thread(_answer, port, token, "GET", "/v1/state")
        equipment = await asyncio.to_thread(_answer, port, token, "GET", "/v1/devices")
    except (OSError, HTTPException, ValueError) as error:
        yield Finding("柜面接口", False, NO_DOOR.format(error=error))
        return
    yield _line(state)
    yield Finding("待上传", True, f"{state['queued']} 笔")
    if events := state["events"]:
        said = EVENTS_ENDED if events["stopped"] else f"待上传 {events['queued']} 条"
        yield Finding("设备事件日志", not events["stopped"], said)
    yield await asyncio.to_thread(_page, port)
    yield await _events(port, token)
    if not equipment["devices"]:
        yield Finding("设备", False, NOBODY)
    for device in equipment["devices"]:
        yield await asyncio.to_thread(_device, port, token, device["name"])
    for one in equipment["unlisted"]:
        yield Finding("未登记设备", not one["certain"], one["diagnosis"], look=True)


def _line(state: dict[str, Any]) -> Finding:
    return Finding("线路", state["line"]["state"] == "connected", state["line"]["hint"])


def _page(port: int) -> Finding:
    """The device page, and all that it loads by itself."""
    try:
        parts = {"/"} | set(_LOADED.findall(_fetched(port, "/")))
        for part in parts - {"/"}:
            _fetched(port, part)
    except (OSError, HTTPException, ValueError) as error:
        return Finding("设备页面", False, NO_PAGE.format(error=error))
    return Finding("设备页面", True, f"http://127.0.0.1:{port}/")


def _fetched(port: int, path: str) -> str:
    with closing(HTTPConnection("127.0.0.1", port, timeout=DOOR_MAX_S)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"{path}: HTTP {answer.status}")
        return answer.read().decode()


async def _events(port: int, token: str) -> Finding:
    try:
        async with asyncio.timeout(DOOR_MAX_S), connect(f"ws://127.0.0.1:{port}/v1/events", proxy=None) as socket:
            await socket.send(json.dumps({"type": "hello", "token": token, "window": NAME}))
            well = json.loads(await socket.recv())["type"] == "welcome"
    except (TimeoutError, OSError, WebSocketException, ValueError, KeyError) as error:
        return Finding("事件通道", False, NO_EVENTS.format(error=error))
    return Finding("事件通道", well, "正常" if well else NO_EVENTS.format(error="hello"))


def _device(port: int, token: str, name: str) -> Finding:
    try:
        device = _answer(port, token, "POST", f"/v1/devices/{quote(name)}/check")
    except (OSError, HTTPException, ValueError) as error:
        return Finding(name, False, NO_DOOR.format(error=error))
    well = device["state"] in ("online", "deviceBusy") and not device["diagnosis"]
    return Finding(f"{name}", well, device["diagnosis"] or "正常")


def _answer(port: int, token: str, method: str, path: str) -> Any:
    """JSON of the door. Raises OSError, HTTPException, ValueError."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=DOOR_MAX_S)) as connection:
        connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        return json.loads(answer.read())
