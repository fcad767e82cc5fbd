"""What each kind of device can be told to do, and what it needs for that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Base64Bytes, BaseModel, ConfigDict, Field

from devices.contract import CardRefused, Reading
from devices.document_scanner import DocumentScannerDriver
from devices.fingerprint import Feedback, FingerprintDriver, Template
from devices.printer import PrinterDriver
from devices.printers import JobProgress
from devices.scanners import PAGES_MAX
from devices.social_card import SocialCardDriver
from edge.drafts import no_id_number
from edge.equipment.test_page import test_page

PRINT = "print"
NO_TEMPLATE = "没有可比对的指纹采集结果，或已超过 10 分钟。请先重新采集指纹。"
NOT_SCANNED = "等待超时，这一页没有扫成。请检查扫描仪和材料，再扫一次。"
NOT_PRINTED = "等待超时，没有打完，余下的已取消。请看打印机是否缺纸、卡纸或有其他提示，处理后再打一次。"
NO_ANSWER = "等待超时，打印机没有应答。请检查打印机的电源和连接线，再试一次。"
FULL_STACK = f"一次最多扫 {PAGES_MAX} 页，已经扫满。进纸器里如还有材料，请再扫一次。"


@dataclass(frozen=True, slots=True)
class Event:
    """What happens on the way to the end of a command; `hint` is for the counter."""

    name: str
    hint: str = ""


Tell = Callable[[Event], None]
Take = Callable[[Reading[Any]], Awaitable[None]]
FindReading = Callable[[UUID], Reading[Any] | None]


def _a_pdf(data: bytes) -> bytes:
    if not data.startswith(b"%PDF-"):
        raise ValueError("it is no PDF")
    return data


class Values(BaseModel):
    """What a command may be given beside its name: nothing, where it says no more."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class VerifyValues(Values):
    """`reading` is that of an enrolment which this door gave out in the last ten minutes; `request` is the caller's own."""

    reading: UUID
    request: UUID


class PinValues(Values):
    """`last_try` has to be said where a wrong PIN would lock the card, or might: it did not say so of the last one."""

    pin: Annotated[str, Field(pattern=r"^[0-9]{4,12}$")]
    last_try: bool = False


DocumentName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$"), AfterValidator(no_id_number)]


class PrintValues(Values):
    """A PDF as base64, as large as a message may be. `name` shows on the printer and in its log: nobody's personal data."""

    pdf: Annotated[Base64Bytes, AfterValidator(_a_pdf)]
    name: DocumentName = "Suozhan"

    async def document(self) -> bytes:
        return self.pdf


class PrintBody(Values):
    """A PDF that is still to come, for whoever has the printer by then."""

    document: Callable[[], Awaitable[bytes]]
    name: DocumentName


@dataclass(frozen=True, slots=True)
class Given:
    """To an action: checked values, whom to tell, the readings of a moment ago; who takes the pages of a stack, each as it comes;
    and what to call when it went on, so that the command's time begins anew.
    """

    values: Any
    tell: Tell
    find: FindReading
    take: Take
    went_on: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Action:
    """`do` gives a reading, or None once all that came was taken. `hint` asks the person at the counter for what the command
    needs; "" where nothing has to be presented. `waits`: for a card to be put in, if none is. `late` is for whoever gave it too
    little time.
    """

    do: Callable[[Any, Given], Awaitable[Reading[Any] | None]]
    hint: str = ""
    values: type[Values] = Values
    waits: bool = True
    late: str = "等待超时，未读到内容。请重新开始。"


async def _read(driver: Any, _given: Given) -> Reading[Any]:
    reading: Reading[Any] = await driver.read()
    return reading


async def _enrol(driver: FingerprintDriver, given: Given) -> Reading[Any]:
    return await driver.enrol(_feedback(given.tell))


async def _verify(driver: FingerprintDriver, given: Given) -> Reading[Any]:
    enrolled = given.find(given.values.reading)
    if enrolled is None or not isinstance(enrolled.data, Template):
        raise CardRefused(NO_TEMPLATE)
    return await driver.verify(enrolled.data, given.values.request, _feedback(given.tell))


def _feedback(tell: Tell) -> Callable[[Feedback], None]:
    def told(feedback: Feedback) -> None:
        tell(Event(feedback.word, feedback.hint))

    return told


async def _preview(driver: DocumentScannerDriver, _given: Given) -> Reading[Any]:
    return await driver.preview()


async def _scan_stack(driver: DocumentScannerDriver, given: Given) -> None:
    count = 0
    async with aclosing(driver.pages()) as pages:
        async for page in pages:
            await given.take(page)
            given.went_on()
            count += 1
    if count == PAGES_MAX:
        given.tell(Event("attend", FULL_STACK))


async def _print(driver: PrinterDriver, given: Given) -> Reading[Any]:
    return await driver.print_pdf(await given.values.document(), given.values.name, _progress(given))


async def _print_test_page(driver: PrinterDriver, given: Given) -> Reading[Any]:
    return await driver.print_pdf(test_page(), "Suozhan test page", _progress(given))


def _progress(given: Given) -> Callable[[JobProgress], None]:
    def heard(progress: JobProgress) -> None:
        given.went_on()
        if progress.hint:
            given.tell(Event("attend", progress.hint))

    return heard


async def _pin(driver: SocialCardDriver, given: Given) -> Reading[Any]:
    pin = bytearray(given.values.pin.encode())
    await driver.verify_pin(pin, last_try=given.values.last_try)
    return await driver.read()


ACTIONS: dict[str, dict[str, Action]] = {
    # A PIN is of the card that was in when it was typed: it waits for no other.
    "social-card": {"read": Action(_read, "请插入社会保障卡。"), "read-with-pin": Action(_pin, values=PinValues, waits=False)},
    "id-card": {"read": Action(_read, "请将居民身份证放到读卡区。")},
    "fingerprint": {"enrol": Action(_enrol, "请按指纹。"), "verify": Action(_verify, "请按指纹。", VerifyValues)},
    "barcode": {"read": Action(_read, "请扫码。")},
    "document": {"scan": Action(_read, late=NOT_SCANNED), "scan-stack": Action(_scan_stack, late=NOT_SCANNED),
                 "preview": Action(_preview, late=NOT_SCANNED)},
    "printer": {"status": Action(_read, late=NO_ANSWER), PRINT: Action(_print, values=PrintValues, late=NOT_PRINTED),
                "test-page": Action(_print_test_page, late=NOT_PRINTED)},
}
