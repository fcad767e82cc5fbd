"""What is asked of a print queue (RFC 8011), and what its refusals mean to the caller."""

from collections.abc import Mapping
from contextlib import suppress

from pyipp.enums import IppOperation, IppStatus

from devices.contract import DeviceError, DeviceFault, DeviceState, DeviceUnavailable
from devices.ipp_message import numbers
from devices.ipp_status import ASKED, PDF, status_of
from devices.printers import Answer, PrinterStatus, PrinterWire, Value

NAME_MAX_BYTES = 255  # IPP's name(MAX)
USER = "suozhan"
SUCCESS = range(0x0100)

AWAY = "打印机暂时不接受打印。请看打印机面板的提示，等它就绪后再试。"
BUSY = "打印机正在打印其他文件。请等它打完再试。"
NO_PDF = "这台打印机不能直接打印 PDF 文件。请维护人员通过打印服务（CUPS 队列）连接它。"
TOO_OLD = "这台打印机不支持所需的打印方式。请维护人员通过打印服务（CUPS 队列）连接它。"
NO_ENTRY = "打印机不允许本机打印。请维护人员在打印机上允许本机打印。"
FORGOTTEN = "打印中途连接断开，这份文件可能已经打出。请先看出纸口，没有打出再重打。"
REFUSED = "打印机拒绝了请求（IPP {:04X}）。请再试一次；仍不行请报修并告知此代码。"


class JobForgotten(DeviceUnavailable):
    """The printer knows nothing of this job (any more): it may have been printed."""


class PrintQueue:
    """Each method is one question. Raises DeviceUnavailable or DeviceFault as the wire does, and for what is refused."""

    def __init__(self, wire: PrinterWire) -> None:
        self._wire = wire

    async def status(self) -> PrinterStatus:
        answer = await self._ask(IppOperation.GET_PRINTER_ATTRIBUTES, {"requested-attributes": ASKED})
        return status_of(answer.printer)

    async def create(self, name: str) -> int:
        """A job without a document yet: its number is known before anything can be printed."""
        short = name.encode()[:NAME_MAX_BYTES].decode("utf-8", "ignore")
        answer = await self._ask(IppOperation.CREATE_JOB, {"job-name": short})
        job = next(iter(numbers(answer.job, "job-id")), 0)
        if job <= 0:
            raise DeviceFault(TOO_OLD)
        return job

    async def send(self, job: int, document: bytes) -> Answer:
        return await self._ask(
            IppOperation.SEND_DOCUMENT, {"job-id": job, "document-format": PDF, "last-document": True}, document
        )

    async def look(self, job: int) -> Answer:
        """How the job stands. Raises JobForgotten."""
        return await self._ask(IppOperation.GET_JOB_ATTRIBUTES, {"job-id": job})

    async def cancel(self, job: int) -> None:
        """As far as it can be: it may be done, or the printer away."""
        with suppress(DeviceError):
            await self._ask(IppOperation.CANCEL_JOB, {"job-id": job})

    async def _ask(
        self, operation: IppOperation, attributes: Mapping[str, Value | list[str]], document: bytes = b""
    ) -> Answer:
        target = {"job-id": attributes["job-id"]} if "job-id" in attributes else {}
        told = {**target, "requesting-user-name": USER, **attributes}  # the target goes before the user
        return _checked(await self._wire.ask(operation, told, document))


def _checked(answer: Answer) -> Answer:
    match answer.status:
        case status if status in SUCCESS:
            return answer
        case IppStatus.ERROR_NOT_FOUND | IppStatus.ERROR_GONE:
            raise JobForgotten(FORGOTTEN)
        case IppStatus.ERROR_BUSY | IppStatus.ERROR_TOO_MANY_JOBS:
            raise DeviceUnavailable(BUSY, DeviceState.DEVICE_BUSY)
        case IppStatus.ERROR_SERVICE_UNAVAILABLE | IppStatus.ERROR_TEMPORARY | IppStatus.ERROR_NOT_ACCEPTING_JOBS:
            raise DeviceUnavailable(AWAY)
        case IppStatus.ERROR_DOCUMENT_FORMAT_NOT_SUPPORTED | IppStatus.ERROR_DOCUMENT_FORMAT_ERROR:
            raise DeviceFault(NO_PDF)
        case IppStatus.ERROR_OPERATION_NOT_SUPPORTED | IppStatus.ERROR_VERSION_NOT_SUPPORTED:
            raise DeviceFault(TOO_OLD)
        case IppStatus.ERROR_FORBIDDEN | IppStatus.ERROR_NOT_AUTHENTICATED | IppStatus.ERROR_NOT_AUTHORIZED:
            raise DeviceFault(NO_ENTRY)
    raise DeviceFault(REFUSED.format(answer.status))
