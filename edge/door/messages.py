"""The shapes of the door's requests and answers, as OpenAPI shows them."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.drafts import ID_NUMBER

DETAILS_MAX_BYTES = 8 * 1024
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"


def check_id_number(number: str) -> str:
    """Resident ID number (GB 11643): 18 places, a real date of birth, check by ISO 7064 MOD 11-2."""
    if not number[:17].isascii() or not number[:17].isdecimal():
        raise ValueError("not an ID number")
    date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    if number[17:].upper() != _CHECK[total % 11]:
        raise ValueError("wrong check digit")
    return number.upper()


def _bounded(details: dict[str, Any]) -> dict[str, Any]:
    # Raises ValueError, too, for what is no JSON (NaN, Infinity) or no Unicode (half a surrogate pair).
    if len(json.dumps(details, ensure_ascii=False, allow_nan=False).encode()) > DETAILS_MAX_BYTES:
        raise ValueError("details are too long")
    return details


def _no_id_number(text: str) -> str:
    if ID_NUMBER.search(text):
        raise ValueError("holds an ID number")
    return text


Text = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]*[^\x00-\x20\u3000][^\x00-\x1f]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Resident(_Strict):
    name: Text = Field(examples=["王秀英"])
    id_number: Annotated[str, Field(min_length=18, max_length=18, examples=["11010519491231002X"]),
                         AfterValidator(check_id_number)]
    card_number: Annotated[str, Field(pattern=r"^[A-Z0-9]{9}$", examples=["A12345678"])] | None = None


class Submission(_Strict):
    """One handling of a service item. `id` is chosen by the counter program and may be said again."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$", examples=["7d1c2f0e-20261121-0007"])]
    item: Annotated[str, Field(max_length=16, examples=["003-21"])]
    channel: Literal["counter", "kiosk"]
    operator: Annotated[Text, AfterValidator(_no_id_number)] = Field(
        description="Name of the operator; unverified until accounts come.", examples=["李芳"])
    resident: Resident
    documents: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=16)] = Field(
        examples=[["resident-id-card", "eligibility-commitment"]])
    reading: UUID | None = Field(None, description="Id of a reading that this door gave out in the last 10 minutes.")
    details: Annotated[dict[str, Any], AfterValidator(_bounded)] = Field({}, description="At most 8 KiB as JSON.")


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


class MachineState(BaseModel):
    queued: int
    head: int
    acknowledged: int
    line: LineAnswer
    catalogue: bool
    certificate_ends_ms: int = Field(description="End of this machine's certificate, which renews at half of its life.")
    alarms: list[AlarmAnswer]


class PairRequest(_Strict):
    code: Annotated[str, Field(max_length=64)]


class PairAnswer(BaseModel):
    token: str
