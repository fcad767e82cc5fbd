"""One window at the door: command → acknowledge → event → completion, cancel, and what changes by itself (XFS4IoT's manner)."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import structlog
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge.door.device_answers import device_answer
from edge.door.device_messages import (
    Acknowledge,
    Cancel,
    Command,
    CommandEvent,
    Completion,
    DeviceAnswer,
    ReadingAnswer,
    Unsolicited,
    Welcome,
)
from edge.door.errors import COMMAND_ERRORS, DoorError, ErrorDetail, refusal_of
from edge.door.given_readings import GivenReadings
from edge.door.stacks import Stack
from edge.equipment.actions import Event
from edge.equipment.commands import Commands, Order
from edge.equipment.equipment import Equipment

COMMANDS_MAX = 16  # under way in one window
UNSENT_MAX = 256  # messages; a window that does not read is let go

GOING_AWAY, BAD_MESSAGE = 1001, 1007

STATUSES = {"command-timeout": "timeout", "device-unavailable": "unavailable", "device-fault": "fault",
            "agent-fault": "fault"}  # others: refused
TOO_MANY = "同时进行的命令过多，请等待其中一个完成后再试。"

log = structlog.get_logger()
_said = TypeAdapter(Annotated[Command | Cancel, Field(discriminator="type")])


class Window:
    """One that has said hello, until it goes. `name` is what others read of it."""

    def __init__(self, socket: WebSocket, name: str, equipment: Equipment, commands: Commands, given: GivenReadings) -> None:
        self._socket = socket
        self._name = name
        self._equipment = equipment
        self._commands = commands
        self._given = given
        self._under_way: dict[str, asyncio.Task[Completion]] = {}
        self._unsent: asyncio.Queue[BaseModel] = asyncio.Queue(UNSENT_MAX)
        self._lags = asyncio.Event()

    async def run(self) -> None:
        """Until either side ends it; then its commands are cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send())
                tasks.create_task(self._keep_up())
                tasks.create_task(self._follow())
                tasks.create_task(self._listen(tasks))
        except* (WebSocketDisconnect, _TooSlow, _Misspoken) as ended:
            with suppress(RuntimeError, WebSocketDisconnect):  # it has gone already
                await self._socket.close(BAD_MESSAGE if ended.subgroup(_Misspoken) else GOING_AWAY)

    def _say(self, message: BaseModel) -> None:
        """Raises nothing: drivers and tasks at their end say things, too."""
        try:
            self._unsent.put_nowait(message)
        except asyncio.QueueFull:
            self._lags.set()

    async def _keep_up(self) -> None:
        await self._lags.wait()
        raise _TooSlow

    async def _send(self) -> None:
        while True:
            message = await self._unsent.get()
            try:
                await self._socket.send_text(message.model_dump_json(exclude_none=True))
            except RuntimeError as error:  # said by the server of a socket that has gone
                raise WebSocketDisconnect from error

    async def _follow(self) -> None:
        generation, told = self._equipment.generation, self._devices()
        self._say(Welcome(devices=list(told.values())))
        while True:
            generation = await self._equipment.changed(generation)
            now = self._devices()
            for name, device in told.items():
                if name not in now:
                    self._say(Unsolicited(name="device.removed", device=device))
            for name, device in now.items():
                if told.get(name) != device:
                    self._say(Unsolicited(name="device.changed", device=device))
            told = now

    def _devices(self) -> dict[str, DeviceAnswer]:
        return {view.name: device_answer(view, self._commands) for view in self._equipment.views}

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            match await self._heard():
                case Cancel(id=one):
                    if task := self._under_way.get(one):
                        task.cancel()
                case Command(id=one) if one in self._under_way:
                    raise _Misspoken  # a second completion under this id would be taken for that of the first command
                case Command() as command if len(self._under_way) < COMMANDS_MAX:
                    self._begin(command, tasks)
                case Command(id=one):
                    self._say(_completion(one, "refused", DoorError(429, "too-many-commands", TOO_MANY)))

    def _begin(self, command: Command, tasks: asyncio.TaskGroup) -> None:
        def page(reading: ReadingAnswer, hint: str) -> None:
            self._say(CommandEvent(id=command.id, name="page", hint=hint, reading=reading))

        stack = Stack(self._given, page)
        self._say(Acknowledge(id=command.id))
        task = self._under_way[command.id] = tasks.create_task(self._carried_out(command, stack))
        task.add_done_callback(partial(self._ended, command.id, stack))

    def _ended(self, command: str, stack: Stack, task: asyncio.Task[Completion]) -> None:
        """Called for each task: one that is cancelled before its first step runs no line of its own."""
        del self._under_way[command]
        if task.cancelled():
            self._say(_completion(command, "cancelled", stack.cancelled(), stack))
        elif task.exception() is None:
            self._say(task.result())

    async def _heard(self) -> Command | Cancel:
        try:
            return _said.validate_json(await self._socket.receive_text())
        except (ValidationError, KeyError, json.JSONDecodeError) as error:  # KeyError: bytes instead of text
            raise _Misspoken from error

    async def _carried_out(self, command: Command, stack: Stack) -> Completion:
        order = Order(command.device, command.name, self._name, command.timeout_s, values=command.values)

        def tell(event: Event) -> None:
            self._say(CommandEvent(id=command.id, name=event.name, hint=event.hint))

        try:
            reading = await self._commands.run(order, tell, stack.take)
            answer = await self._given.give(reading) if reading else None
        except COMMAND_ERRORS as error:
            return _not_done(command.id, error, stack)
        except Exception as error:  # a bug in one driver ends its command alone, and no other of this window
            log.exception("command failed", device=command.device, command=command.name, next="report it with this log")
            return _not_done(command.id, error, stack)
        return Completion(id=command.id, status="success", reading=answer, pages=stack.pages or None)


def _not_done(command: str, error: Exception, stack: Stack) -> Completion:
    refusal = stack.ended_by(refusal_of(error))
    return _completion(command, STATUSES.get(refusal.code, "refused"), refusal, stack)


def _completion(command: str, status: Any, refusal: DoorError | None, stack: Stack | None = None) -> Completion:
    error = ErrorDetail(code=refusal.code, message=refusal.message, details=refusal.details) if refusal else None
    return Completion(id=command, status=status, pages=stack.pages or None if stack else None, error=error)


class _TooSlow(Exception):
    """It does not read what it is told."""


class _Misspoken(Exception):
    """It says what is no message of ours."""
