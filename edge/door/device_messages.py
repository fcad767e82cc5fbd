"""The shapes in which the door tells of devices, and takes commands to them, over HTTP and WebSocket (docs/counter-api.md)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.door.errors import ErrorBody, ErrorDetail
from edge.door.messages import Card
from edge.drafts import no_id_number
from edge.equipment.commands import TIMEOUT_MAX_S, TIMEOUT_S

Window = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[^\x00-\x1f]+$", examples=["窗口1"]),
                   AfterValidator(no_id_number)]
CommandId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$", examples=["7"])]
Values = Annotated[dict[str, Any], Field(max_length=16)]
TimeoutS = Annotated[float, Field(gt=0, le=TIMEOUT_MAX_S)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class DeviceAnswer(BaseModel):
    """One device. `state` is in XFS4IoT's terms."""

    name: str
    kind: str
    state: str = Field(description="online, offline, powerOff, noDevice, hardwareError, userError, deviceBusy, "
                                   "fraudAttempt, potentialFraud")
    since_ms: int = Field(description="Unix ms since when it has been so.")
    reasons: list[str] = Field(description="paperOut, paperJammed, tonerLow, …; the worst first.")
    model: str
    serial: str
    simulated: bool
    user: str = Field(description="Which window uses it; empty for nobody.")
    commands: list[str]
    diagnosis: str = Field(description="For the counter, in Chinese: what is wrong, and who can mend it. Empty when all is well.")


class CommandRequest(_Strict):
    """`values` are those of the command."""

    window: Window = "柜面程序"
    timeout_s: TimeoutS = TIMEOUT_S
    values: Values = {}


class SocialCardData(Card):
    authenticated: bool = Field(description="The card has proved that it is genuine: cards of generation 3.")


class IdCardData(BaseModel):
    """Codes as on the card. `kind` is resident, hong-kong-macao-taiwan, foreigner-2017 or foreigner-2023; `valid_to` is null for
    a card for good.
    """

    kind: str
    name: str
    sex: str
    birth: date
    id_number: str
    valid_from: date
    valid_to: date | None
    nation: str
    address: str
    newest_address: str | None
    authority: str
    foreign_name: str
    nationality: str
    pass_number: str
    issues: str


class ScanData(BaseModel):
    text: str
    symbology: str


class EnrolledData(BaseModel):
    """Nothing: the template stays on this machine, under the reading's `id`."""

    model_config = ConfigDict(extra="forbid")


class MatchData(BaseModel):
    """Of one finger with one template, for the request that was named."""

    request: UUID
    matched: bool


class PageData(BaseModel):
    """`preview` is a small picture, base64, where one was asked for. A page itself is an attachment by then, which a transaction
    may name by its id.
    """

    picture: str
    width: int
    height: int
    size: int
    preview: str | None
    attachment: UUID | None = None


class SupplyData(BaseModel):
    name: str
    kind: str
    level_percent: int | None


class PrinterData(BaseModel):
    accepts_jobs: bool
    queued: int
    reasons: list[str]
    supplies: list[SupplyData]


class PrintedData(BaseModel):
    job: int
    sides: int
    with_errors: bool


class ReadingAnswer(BaseModel):
    """What a device gave. `id` may be named in a transaction for ten minutes; `data` depends on `kind`."""

    id: UUID
    kind: str
    device: str
    serial: str
    observed_at: datetime
    simulated: bool
    data: dict[str, Any]


class StackAnswer(BaseModel):
    """All pages of a stack, in their order; each is an attachment."""

    pages: list[ReadingAnswer]


class CommandErrorBody(ErrorBody):
    """`pages` where a stack ended early: those that came are kept."""

    pages: list[ReadingAnswer] | None = None


# ---- WebSocket: what a window says ----


class Hello(_Strict):
    """The first message, and the only one without which nothing is answered."""

    type: Literal["hello"]
    token: Annotated[str, Field(max_length=64)]
    window: Window


class Command(_Strict):
    """`id` is the window's own, and distinguishes commands that are under way; one in use, said again, closes the window."""

    type: Literal["command"]
    id: CommandId
    device: Annotated[str, Field(max_length=128)]
    name: Annotated[str, Field(max_length=32)]
    timeout_s: TimeoutS = TIMEOUT_S
    values: Values = {}


class Cancel(_Strict):
    """Of the command with that id. Its completion says whether it was in time."""

    type: Literal["cancel"]
    id: CommandId


# ---- WebSocket: what a window hears ----


class Welcome(BaseModel):
    """Hello was right; what `unsolicited` messages change follows from here."""

    type: Literal["welcome"] = "welcome"
    devices: list[DeviceAnswer]


class Acknowledge(BaseModel):
    """The command is under way; exactly one completion follows. One that is refused at once has its completion alone."""

    type: Literal["acknowledge"] = "acknowledge"
    id: str


class CommandEvent(BaseModel):
    """Something on the way: `present` asks the person for a card, a code, a finger; `page` brings one of a stack, in `reading`.
    `hint` is for the counter.
    """

    type: Literal["event"] = "event"
    id: str
    name: str
    hint: str
    reading: ReadingAnswer | None = None


class Completion(BaseModel):
    """The end of a command. `pages` are those of a stack, in their order, however it ended."""

    type: Literal["completion"] = "completion"
    id: str
    status: Literal["success", "timeout", "cancelled", "refused", "unavailable", "fault"]
    reading: ReadingAnswer | None = None
    pages: list[ReadingAnswer] | None = None
    error: ErrorDetail | None = None


class Unsolicited(BaseModel):
    """A device has changed, or is gone from the list (`removed`)."""

    type: Literal["unsolicited"] = "unsolicited"
    name: Literal["device.changed", "device.removed"]
    device: DeviceAnswer
