"""All that the door knows of this machine's equipment, in one answer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from edge.door.device_messages import DeviceAnswer
from edge.equipment.device_list import Inventory
from edge.equipment.unlisted import Unlisted


class UnlistedAnswer(BaseModel):
    """What is plugged in and stands in no device list: it is not opened. `port` and `usb` are what a list would name it by."""

    kind: str = Field(description="serial-port, keyboard, camera, printer, scanner")
    model: str
    serial: str
    port: str
    usb: str = Field(description="vendor:product, hexadecimal.")
    certain: bool = Field(
        description="False for what may be none for a list: a keyboard, a camera, a modem or a UPS at a serial line.")
    diagnosis: str = Field(description="For the counter, in Chinese, with the next step.")


class InventoryAnswer(BaseModel):
    """What the device list counts and nothing here looks after."""

    name: str
    kind: str = Field(description="fax, filing-cabinet, display")
    state: Literal["inventory"] = "inventory"
    note: str = Field(description="As the list says it.")


class DevicesAnswer(BaseModel):
    """`devices` are looked after by this agent."""

    devices: list[DeviceAnswer]
    inventory: list[InventoryAnswer]
    unlisted: list[UnlistedAnswer]


def unlisted_answer(one: Unlisted) -> UnlistedAnswer:
    return UnlistedAnswer(kind=one.kind, model=one.model, serial=one.serial, port=one.port, usb=one.usb, certain=one.certain,
                          diagnosis=one.chinese)


def inventory_answer(one: Inventory) -> InventoryAnswer:
    return InventoryAnswer(name=one.name, kind=one.kind, note=one.note)
