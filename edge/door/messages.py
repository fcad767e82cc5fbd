"""The shapes of the door's requests and answers, as OpenAPI shows them."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from devices.id_card_layouts import NUMBERS, CardKind
from devices.id_number import id_check
from edge.drafts import no_id_number

ID_NUMBER_CHARS = 18
DETAILS_MAX_BYTES = 8 * 1024
READINGS_MAX = 8
ATTACHMENTS_MAX = 100


def check_id_number(number: str) -> str:
    """Resident ID number (GB 11643): 18 places, a real date of birth, check by ISO 7064 MOD 11-2. Those of Hong Kong, Macao
    and Taiwan residents and of foreigners from 2023 on are such, too; that of a foreigner's card of 2017 has no check.
    """
    if number.isascii() and re.fullmatch(NUMBERS[CardKind.FOREIGNER_2017], number.upper()):
        return number.upper()
    if len(number) != ID_NUMBER_CHARS or not number[:17].isascii() or not number[:17].isdecimal():
        raise ValueError("not an ID number")
    date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    if number[17:].upper() != id_check(number[:17]):
        raise ValueError("wrong check digit")
    return number.upper()


def _bounded(details: dict[str, Any]) -> dict[str, Any]:
    # Raises ValueError, too, for what is no JSON (NaN, Infinity) or no Unicode (half a surrogate pair).
    if len(json.dumps(details, ensure_ascii=False, allow_nan=False).encode()) > DETAILS_MAX_BYTES:
        raise ValueError("details are too long")
    return details


Text = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]*[^\x00-\x20\u3000][^\x00-\x1f]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Resident(_Strict):
    name: Text = Field(examples=["王秀英"])
    id_number: Annotated[str, Field(min_length=15, max_length=ID_NUMBER_CHARS, examples=["11010519491231002X"]),
                         AfterValidator(check_id_number)]
    card_number: Annotated[str, Field(pattern=r"^[A-Z0-9]{9}$", examples=["A12345678"])] | None = None


class Submission(_Strict):
    """One handling of a service item. `id` is chosen by the counter program and may be said again."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$", examples=["7d1c2f0e-20261121-0007"])]
    item: Annotated[str, Field(max_length=16, examples=["003-21"])]
    channel: Literal["counter", "kiosk"]
    operator: Annotated[Text, AfterValidator(no_id_number)] = Field(
        description="Name of the operator; unverified until accounts come.", examples=["李芳"])
    resident: Resident
    documents: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=16)] = Field(
        examples=[["resident-id-card", "eligibility-commitment"]])
    readings: Annotated[list[UUID], Field(max_length=READINGS_MAX)] = Field(
        [], description="Ids of readings that this door gave out in the last 10 minutes: cards, codes, fingers.")
    attachments: Annotated[list[UUID], Field(max_length=ATTACHMENTS_MAX)] = Field(
        [], description="Ids of scans that this door took in the last 10 minutes.")
    details: Annotated[dict[str, Any], AfterValidator(_bounded)] = Field({}, description="At most 8 KiB as JSON.")


class AttachmentAnswer(BaseModel):
    """A scan that is sealed and on this machine's disk; a transaction may name it by `id`."""

    id: UUID
    sha256: str
    size: int
    media_type: str


class TransactionState(BaseModel):
    """`state`: `queued` (durable on this machine) or `in-ledger` (held by the city's hub). `alarms` are to be shown."""

    id: str
    record: UUID
    position: int
    state: Literal["queued", "in-ledger"]
    alarms: list[str] = Field(description="What a technician must look at now, in Chinese; empty when all is well.")


class Reader(BaseModel):
    name: str
    state: str = Field(description="In XFS4IoT's terms: online, offline, hardwareError, …")
    card_present: bool


class Readers(BaseModel):
    service: str = Field(description="State of the card service itself.")
    readers: list[Reader]


class Card(BaseModel):
    # As POST /v1/readers/NAME/read has always answered: counter programs that check its shape get no field more.
    card_number: str
    id_number: str
    name: str
    sex: str
    nation: str
    birth: date
    birthplace: str
    issued: date
    expires: date | None
    generation: int


class CardReading(BaseModel):
    id: UUID
    kind: str
    device: str
    observed_at: datetime
    simulated: bool
    card: Card


class ServiceItem(BaseModel):
    code: str
    group: str
    name: str
    description: str
    channels: list[str]
    applicants: str
    documents: list[list[str]] = Field(description="Every inner list must be satisfied by one of its documents.")
    working_days: int = Field(description="0 = handled at once.")
    one_time_notice: str


class LineAnswer(BaseModel):
    state: Literal["connecting", "connected", "unreachable", "refused"]
    since_ms: int
    detail: str
    diagnosis: str = Field(description="Why it is so, in a word: docs/certificates.md lists them.")
    hint: str = Field(description="For the people at the counter, in Chinese: what is wrong and what to do.")


class AlarmAnswer(BaseModel):
    kind: str
    raised_ms: int
    text: str = Field(description="For a technician.")
    hint: str = Field(description="For the counter, in Chinese.")


class EventsAnswer(BaseModel):
    """The journal of what devices do, and of the agent's own notes."""

    queued: int = Field(description="Records that the hub does not hold.")
    stopped: str = Field(description="Why it takes nothing, for a technician; empty while it does. Transactions go on.")


class MachineState(BaseModel):
    queued: int
    oldest_queued_ms: int | None = Field(description="Unix ms, as claimed, of the oldest record that the hub does not hold.")
    head: int
    acknowledged: int
    line: LineAnswer
    catalogue: bool
    events: EventsAnswer | None = Field(description="Null for a machine that has no such journal, or none yet.")
    attachments: int = Field(description="Scans that the city's hub does not have safe yet.")
    certificate_ends_ms: int = Field(description="End of this machine's certificate, which renews at half of its life.")
    alarms: list[AlarmAnswer]


class PairRequest(_Strict):
    code: Annotated[str, Field(max_length=64)]


class PairAnswer(BaseModel):
    token: str
