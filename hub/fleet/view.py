"""Events of devices as a view of the feed."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.fleet.tables import device_events
from hub.projection.view import MeaninglessBody
from security.masking import mask_text
from security.record import Record

EVENTS = ("attached", "detached", "fault", "recovered", "replaced")
LOST = "device.events-lost"
HOW_MANY_LOST = "这台机器有{count}条设备事件没有记录下来：当时日志写不进。请技术人员检查该机的磁盘空间和日志配额。"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)


class _Identity(_Part):
    model: str = Field(max_length=256)
    serial: str = Field(max_length=256)


Body = TypeVar("Body", bound=_Part)


class DeviceEventBody(_Part):
    """What an edge says in the body of a device's event."""

    device: str = Field(min_length=1, max_length=128)
    kind: str = Field(max_length=32)
    state: str = Field(max_length=32)
    reasons: list[str] = Field(max_length=32)
    noticed_ms: int = Field(ge=0, lt=2**63)
    identity: _Identity | None = None
    before: _Identity | None = None
    mender: str = Field("", max_length=32)
    diagnosis: str = Field("", max_length=256)


class EventsLostBody(_Part):
    """What an edge says of events that its journal did not take for too long; of which devices nobody knows."""

    count: int = Field(ge=1, lt=2**63)
    noticed_ms: int = Field(ge=0, lt=2**63)


class DeviceEventView:
    """See `hub.projection.view.View`."""

    table = device_events
    parts = None
    kinds = (*(f"device.{event}" for event in EVENTS), LOST)

    def row(self, record: Record, data: bytes) -> dict[str, Any]:
        if record.kind == LOST:
            return _lost(_parsed(EventsLostBody, data))
        body = _parsed(DeviceEventBody, data)
        return {
            "event": record.kind.removeprefix("device."), "device": mask_text(body.device), "kind": mask_text(body.kind),
            "state": mask_text(body.state), "reasons": mask_text(" ".join(body.reasons)), "noticed_ms": body.noticed_ms,
            "model": mask_text(body.identity.model) if body.identity else "",
            "serial": body.identity.serial if body.identity else "",
            "serial_before": body.before.serial if body.before else "", "mender": mask_text(body.mender),
            "diagnosis": mask_text(body.diagnosis),
        }


def _lost(body: EventsLostBody) -> dict[str, Any]:
    none = dict.fromkeys(("device", "kind", "state", "reasons", "model", "serial", "serial_before"), "")
    return none | {"event": LOST.removeprefix("device."), "noticed_ms": body.noticed_ms, "mender": "technician",
                   "diagnosis": HOW_MANY_LOST.format(count=body.count)}


def _parsed(shape: type[Body], data: bytes) -> Body:
    try:
        return shape.model_validate_json(data)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, one["loc"])) or "body" for one in error.errors())
        raise MeaninglessBody(f"the body is no event of a device: {fields}") from error
