"""Devices at the door, over HTTP: their states, and single commands that are answered at their end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocket

from devices.cards import CardReaders, ReaderState
from devices.contract import Reading
from devices.social_card import KIND, SocialCard
from edge.door.device_answers import device_answer
from edge.door.device_messages import CommandErrorBody, CommandRequest, DeviceAnswer, ReadingAnswer, StackAnswer
from edge.door.devices_answer import DevicesAnswer, inventory_answer, unlisted_answer
from edge.door.errors import COMMAND_ERRORS, DoorError, refusal_of, responses
from edge.door.given_readings import GivenReadings
from edge.door.messages import Card, CardReading, Reader, Readers
from edge.door.readings import RecentReadings
from edge.door.stacks import Stack
from edge.door.windows import Windows
from edge.equipment.commands import Commands, Order
from edge.equipment.device import DeviceView
from edge.equipment.equipment import Equipment
from edge.equipment.unlisted import Unattended

HTTP_WINDOW = "柜面程序"
GONE_LOOK_S = 0.2

T = TypeVar("T")


class DeviceRoutes:
    """Handlers over the equipment of the machine."""

    def __init__(self, equipment: Equipment, unattended: Unattended, commands: Commands, readers: CardReaders,
                 readings: RecentReadings, windows: Windows, given: GivenReadings) -> None:
        self._equipment = equipment
        self._unattended = unattended
        self._commands = commands
        self._readers = readers
        self._readings = readings
        self._windows = windows
        self._given = given

    def router(self) -> APIRouter:
        router = APIRouter()
        add = router.add_api_route
        add("/v1/devices", self.devices, methods=["GET"], responses=responses(),
            summary="Devices and their state, inventory, and what is plugged in and not listed")
        add("/v1/devices/{name:path}/commands/{command}", self.command, methods=["POST"],
            responses=responses(404, 408, 409, 413, 415, 422, 502, 503, body=CommandErrorBody),
            summary="Have a device do something; answered at its end")
        add("/v1/devices/{name:path}/check", self.check, methods=["POST"], responses=responses(404),
            summary="Look at a device now; it is not used for that")
        add("/v1/devices/{name:path}", self.device, methods=["GET"], responses=responses(404), summary="One device")
        add("/v1/readers", self.readers, methods=["GET"], responses=responses(), summary="Card readers and their state")
        add("/v1/readers/{name:path}/read", self.read, methods=["POST"], responses=responses(404, 409, 502),
            summary="Read the card that is in")
        router.add_api_websocket_route("/v1/events", self.window)
        return router

    async def devices(self) -> DevicesAnswer:
        views = self._equipment.views
        return DevicesAnswer(devices=[self._answer(view) for view in views],
                             inventory=[inventory_answer(one) for one in self._unattended.inventory],
                             unlisted=[unlisted_answer(one) for one in self._unattended.unlisted(views)])

    async def device(self, name: str) -> DeviceAnswer:
        return self._answer(self._equipment.device(name).view)

    async def check(self, name: str) -> DeviceAnswer:
        return self._answer(await self._equipment.device(name).checked())

    async def command(self, name: str, command: str, body: CommandRequest, request: Request) -> ReadingAnswer | StackAnswer:
        order = Order(name, command, body.window, body.timeout_s, values=body.values)
        stack = Stack(self._given)
        try:
            reading = await unless_gone(request, self._commands.run(order, take=stack.take))
        except COMMAND_ERRORS as error:
            raise stack.ended_by(refusal_of(error)) from error
        return await self._given.give(reading) if reading else StackAnswer(pages=stack.pages)

    async def window(self, socket: WebSocket) -> None:
        await self._windows.serve(socket)

    async def readers(self) -> Readers:
        states = [Reader(name=one.name, state=one.state, card_present=one.card_present) for one in self._readers.states]
        return Readers(service=self._readers.service, readers=states)

    async def read(self, name: str) -> CardReading:
        reader = next((one for one in self._readers.states if one.name == name), None)
        if reader is None:
            raise DoorError(404, "no-reader", "没有这个读卡器，请检查连接线，或从读卡器列表中重新选择。")
        reading = await self._commands.run(Order(self._device_of(reader), "read", HTTP_WINDOW, wait=False))
        assert reading is not None
        self._readings.keep(reading)
        return _card_reading(reading)

    def _device_of(self, reader: ReaderState) -> str:
        """Its name: the reader's own one, else what the device list calls it by its serial."""
        serials = {view.name: view.status.identity.serial if view.status.identity else ""
                   for view in self._equipment.views if view.kind == KIND}
        if reader.name in serials or reader.identity is None or not reader.identity.serial:
            return reader.name
        return next((name for name, serial in serials.items() if serial == reader.identity.serial), reader.name)

    def _answer(self, view: DeviceView) -> DeviceAnswer:
        return device_answer(view, self._commands)


async def unless_gone(request: Request, command: Coroutine[Any, Any, T], came: asyncio.Event | None = None) -> T:
    """A caller that hangs up cancels its command: the device is free for others. Until `came`, whoever reads what the caller
    sends notices that. Raises ClientDisconnect then.
    """
    running = asyncio.ensure_future(command)
    try:
        while not (await asyncio.wait([running], timeout=GONE_LOOK_S))[0]:
            if (came is None or came.is_set()) and await request.is_disconnected():
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                raise ClientDisconnect
        return running.result()
    finally:
        running.cancel()
        await asyncio.wait([running])


def _card_reading(reading: Reading[SocialCard]) -> CardReading:
    card = reading.data
    fields = {name: getattr(card, name) for name in Card.model_fields}
    return CardReading(id=reading.id, kind=reading.kind, device=reading.device, observed_at=reading.observed_at,
                       simulated=reading.simulated, card=Card(**fields))
