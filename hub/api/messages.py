"""The shapes of the reading API's answers. Bytes are base64; times are Unix milliseconds."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


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
    certificate_generation: int | None
    certificate_expires_ms: int | None
    journals: list[JournalAnswer]
    resources: list[ResourceAnswer]


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
