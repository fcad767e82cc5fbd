"""Devices and readings as the door tells of them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic import BaseModel

from devices.contract import Reading
from devices.fingerprint import Match, Template
from devices.id_card_fields import IdCard
from devices.printers import Printed, PrinterStatus
from devices.scan_text import ScanReading
from devices.scanners import Page
from devices.social_card import SocialCard
from edge.door.device_messages import (
    DeviceAnswer,
    EnrolledData,
    IdCardData,
    MatchData,
    PageData,
    PrintedData,
    PrinterData,
    ReadingAnswer,
    ScanData,
    SocialCardData,
    SupplyData,
)
from edge.equipment.commands import Commands
from edge.equipment.device import DeviceView
from edge.equipment.diagnosis import diagnose


def device_answer(view: DeviceView, commands: Commands) -> DeviceAnswer:
    identity = view.status.identity
    return DeviceAnswer(
        name=view.name, kind=view.kind, state=view.state.value, since_ms=view.since_ms, reasons=list(view.status.reasons),
        model=identity.model if identity else "", serial=identity.serial if identity else "", simulated=view.simulated,
        user=view.user, commands=list(commands.names(view.kind)), diagnosis=diagnose(view.kind, view.status).chinese)


def reading_answer(reading: Reading[Any], attachment: str | None = None) -> ReadingAnswer:
    """`attachment`: the id of the one that it has become."""
    data = ANSWERS[type(reading.data)](reading.data) | ({"attachment": attachment} if attachment else {})
    return ReadingAnswer(id=reading.id, kind=reading.kind, device=reading.device, serial=reading.serial,
                         observed_at=reading.observed_at, simulated=reading.simulated, data=data)


def _page(data: Page) -> dict[str, Any]:
    return PageData(picture=data.picture, width=data.width, height=data.height, size=data.size,
                    preview=base64.b64encode(data.content).decode() if data.preview else None).model_dump(mode="json")


def _printer(data: PrinterStatus) -> dict[str, Any]:
    return PrinterData(accepts_jobs=data.accepts_jobs, queued=data.queued, reasons=list(data.reasons),
                       supplies=[SupplyData(name=one.name, kind=one.kind, level_percent=one.level_percent)
                                 for one in data.supplies]).model_dump(mode="json")


def _fields(shape: type[BaseModel], data: object) -> dict[str, Any]:
    return shape(**{name: getattr(data, name) for name in shape.model_fields}).model_dump(mode="json")


# As a counter program shows it. What must not leave this machine unsealed is not in it: photo, fingerprints, templates.
ANSWERS: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    SocialCard: partial(_fields, SocialCardData),
    IdCard: partial(_fields, IdCardData),
    ScanReading: partial(_fields, ScanData),
    Template: partial(_fields, EnrolledData),
    Match: partial(_fields, MatchData),
    Page: _page,
    PrinterStatus: _printer,
    Printed: partial(_fields, PrintedData),
}
