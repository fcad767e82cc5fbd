"""The shapes of the reading API's answers. Bytes are base64; times are Unix milliseconds."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class EntryAnswer(BaseModel):
    cursor: int
    edge: str
    journal: str
    position: int
    arrived_ms: int
    key_id: str
    payload: str
    signature: str
    digest: str
    leaf: str


class FeedPage(BaseModel):
    """Ask again with `after=next`; entries are in the ledger's one total order."""

    entries: list[EntryAnswer]
    next: int
    size: int


class ClearPart(BaseModel):
    id: str
    kind: str
    claimed_ms: int
    hub_signed_ms: int
    simulated: bool
    sealed: bool


class RecordAnswer(BaseModel):
    """What a record says in clear; its body stays sealed. `clear` is null for a record that cannot be read."""

    entry: EntryAnswer
    clear: ClearPart | None


class SiteAnswer(BaseModel):
    code: str
    name: str
    kind: str
    county: str


class LedgerRow(BaseModel):
    cursor: int
    day: str
    claimed_ms: int
    arrived_ms: int
    item: str
    channel: str
    operator: str
    operator_verified: bool
    resident: str
    id_number: str
    edge: str
    journal: str
    position: int
    record: str
    simulated: bool


class LedgerTotal(BaseModel):
    day: str
    item: str
    operator: str
    count: int


class LedgerPage(BaseModel):
    rows: list[LedgerRow]
    totals: list[LedgerTotal]
    next: int


class AttachmentAnswer(BaseModel):
    """One that a record names; `size` of its content, `arrived_ms` is null until its machine has delivered it."""

    number: int
    media_type: str
    size: int
    arrived_ms: int | None


class JournalAnswer(BaseModel):
    """`lag_records` is what the edge said it has beyond us; `skew_ms` how far its clock was ahead of ours when it last called."""

    journal: str
    name: str
    position: int
    edge_head: int
    lag_records: int
    backed_up: int
    last_arrival_ms: int
    silent_s: float
    skew_ms: int | None
    refusal: str


class ResourceAnswer(BaseModel):
    name: str
    version: str
    applied: bool
    reason: str


class EdgeAnswer(BaseModel):
    edge: str
    site: str
    machine: str
    enrolled_ms: int
    revoked: bool
    successor: str | None = Field(description="The machine that came in its place.")
    connected: bool
    last_heard_ms: int | None = Field(description="Now while it is connected; null for one that never called.")
    requests: list[int] = Field(description="What it waits for a decision about; /v1/attention has them.")
    devices_ailing: int = Field(description="Devices with which somebody has to do something.")
    condition: str = Field(description="connected where all is well; else the first of: waiting-for-approval, followed, revoked, "
                                       "cloned, refused, certificate-expired, never-heard, silent, resource-refused, devices")
    mender: str = Field(description="desk (a person at the hub), counter, technician, repair; empty for nobody.")
    diagnosis: str = Field(description="In Chinese: what is wrong with the machine as a whole, and the next step.")
    certificate_generation: int | None
    certificate_expires_ms: int | None
    journals: list[JournalAnswer]
    resources: list[ResourceAnswer]


class DeviceEvent(BaseModel):
    """What a machine told of one device. `state` is in XFS4IoT's terms; `diagnosis` is for people at the counter, in Chinese,
    with the next step ("" when all is well), `mender` who takes it: counter, technician, repair. `device` is "" for
    events-lost: the diagnosis says how many events the machine could not record.
    """

    cursor: int
    arrived_ms: int
    noticed_ms: int
    edge: str
    event: str
    device: str
    kind: str
    state: str
    reasons: list[str]
    model: str
    serial: str
    serial_before: str
    mender: str
    diagnosis: str
    simulated: bool


class DeviceEventPage(BaseModel):
    """Ask again with `after=next`."""

    events: list[DeviceEvent]
    next: int


class AlarmAnswer(BaseModel):
    """Open until a person clears it; `times` counts how often it was raised meanwhile."""

    id: int
    kind: str
    subject: str
    text: str
    raised_ms: int
    repeated_ms: int
    times: int


class RequestAnswer(BaseModel):
    """A request that waits for a person's decision."""

    id: int
    kind: str
    subject: str
    asked_ms: int
    body: dict[str, Any]


class AttentionAnswer(BaseModel):
    """What people must look at, and what they must decide."""

    alarms: list[AlarmAnswer]
    requests: list[RequestAnswer]
