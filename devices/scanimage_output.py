"""What `scanimage` (SANE 1.2) prints, and what its ending means. Messages are those of sane_strstatus in the C locale."""

import re
from dataclasses import dataclass
from pathlib import Path

from devices.contract import DeviceError, DeviceFault, DeviceState, DeviceUnavailable
from devices.paper import COVER_OPEN, PAPER_JAMMED, PAPER_OUT, PaperFault
from devices.scanners import Scanner

LIST_FORMAT = "%d\t%v\t%m\t%t%n"
USB = re.compile(r"libusb:(\d{3}):(\d{3})")
IN_NAME = re.compile(r"[?&]serial=([\w.-]+)")
PROGRESS = re.compile(r"Progress: (\d{1,3}(?:\.\d)?)%")
SOURCES = re.compile(r"\s+--source ([^\[\]]+?)(?: \[[^\]]*\])*")
FILE = re.compile(r"(\d+)\.(?:png|jpeg)")
SYSFS = Path("/sys/bus/usb/devices")

ABSENT = "没有找到扫描仪。请检查扫描仪的电源和连接线，重新插好。"
AWAY = "扫描仪连接中断，这一页没有扫成。请检查连接线并重新插好，再扫一次。"
BUSY = "扫描仪正在使用中。请等它扫完，或关闭正在使用它的程序，再试。"
CRASHED = "扫描程序意外退出，这一页没有扫成。请再扫一次；仍不行请拔下扫描仪重新插上。"
JAMMED = "扫描仪卡纸。请打开扫描仪取出卡住的纸，整理好重新放入，从没有扫成的那一页接着扫。"
EMPTY = "进纸器里没有纸。请把要扫描的材料放入进纸器，再扫一次。"
COVER = "扫描仪的盖子没有合好。请合上盖子，再扫一次。"
DENIED = "本机不允许使用这台扫描仪。请维护人员检查扫描仪的访问权限（scanner 用户组）。"
SETTINGS = "扫描仪不支持所选的颜色、分辨率或进纸方式。请改用扫描仪支持的设置。"
TOO_LARGE = "扫描的图像太大，内存或空间不够。请降低分辨率再扫。"
STRANGE = "扫描仪出错，这一页没有扫成。请再扫一次；仍不行请关闭扫描仪电源再打开，或报修。"

EMPTY_STATUS = 7
STATUSES = {
    "Operation was canceled": 2, "Operation was cancelled": 2, "Device busy": 3, "Document feeder jammed": 6,
    "Document feeder out of documents": EMPTY_STATUS, "Scanner cover is open": 8,
    "Error during device I/O": 9, "Out of memory": 10, "Access to resource has been denied": 11,
}  # fmt: skip


@dataclass(frozen=True)
class PageProgress:
    percent: float


@dataclass(frozen=True)
class PageFile:
    """That page is written and closed."""

    name: str


@dataclass(frozen=True)
class BatchEnd:
    """Nothing more is scanned; what is left is to let go of the scanner."""


@dataclass(frozen=True)
class Complaint:
    """The program's own words, without its name."""

    words: str


def line_of(line: str) -> PageProgress | PageFile | BatchEnd | Complaint | None:
    """What one line says; None when it says nothing of use. Backends print lines of their own among them."""
    if found := PROGRESS.fullmatch(line):
        return PageProgress(min(float(found[1]), 100.0))
    if FILE.fullmatch(line):
        return PageFile(line)
    if line.startswith("Batch terminated, "):
        return BatchEnd()
    if line.startswith("scanimage: "):
        return Complaint(line.removeprefix("scanimage: "))
    return None


def complaints(lines: list[str]) -> list[str]:
    """Its own words, of all that it said."""
    return [said.words for said in map(line_of, lines) if isinstance(said, Complaint)]


def sources_of(lines: list[str]) -> tuple[str, ...]:
    """Of `--all-options`, whose line is like "    --source Flatbed|ADF Duplex [Flatbed]"; none where there is no such line."""
    found = [match[1] for line in lines if (match := SOURCES.fullmatch(line))]
    return tuple(found[0].split("|")) if found else ()


def scanners_of(output: str, usb: Path = SYSFS) -> tuple[Scanner, ...]:
    """The listing in LIST_FORMAT; lines of another shape are backends' noise."""
    rows = [line.split("\t") for line in output.splitlines()]
    return tuple(
        Scanner(row[0], row[1], row[2], serial_of(row[0], usb), "test" in row[0].split(":"))
        for row in rows
        if len(row) == 4 and row[0]
    )


def serial_of(name: str, usb: Path = SYSFS) -> str:
    """The maker's serial: from the name where a backend puts it there, otherwise what the kernel read of the USB device.

    SANE's names of USB scanners hold bus and device number, which are others after each plugging.
    """
    if found := IN_NAME.search(name):
        return found[1]
    if found := USB.search(name):
        place = int(found[1]), int(found[2])
        for device in usb.glob("[0-9]*-*"):
            if (_number(device / "busnum"), _number(device / "devnum")) == place:
                return _text(device / "serial")
    return ""


def ending(status: int | None, words: list[str], pages: int) -> DeviceError | None:
    """How a run ended that gave `pages`: None when all is well. `status` as of a Python subprocess, or None where only letting go
    of the scanner failed; `words` the complaints.

    A feeder that runs empty after a page is the good end of a stack.
    """
    if status is not None and status < 0:
        return DeviceUnavailable(CRASHED)
    said = [number for word in words for message, number in STATUSES.items() if word.endswith(message)]
    number = said[-1] if said else status
    if pages and number in (None, 0, EMPTY_STATUS):
        return None
    if not said and any(word.startswith("open of device") for word in words):
        return DeviceUnavailable(ABSENT, DeviceState.NO_DEVICE)
    if not said and any("option" in word for word in words):
        return DeviceFault(SETTINGS)
    return _meaning(number)


def _meaning(status: int | None) -> DeviceError:
    match status:
        case 2 | 9:
            return DeviceUnavailable(AWAY)
        case 3:
            return DeviceUnavailable(BUSY, DeviceState.DEVICE_BUSY)
        case 6:
            return PaperFault(JAMMED, (PAPER_JAMMED,))
        case 7:
            return PaperFault(EMPTY, (PAPER_OUT,), DeviceState.USER_ERROR)
        case 8:
            return PaperFault(COVER, (COVER_OPEN,), DeviceState.USER_ERROR)
        case 10:
            return DeviceFault(TOO_LARGE)
        case 11:
            return DeviceFault(DENIED)
    return DeviceFault(STRANGE)


def _number(file: Path) -> int:
    text = _text(file)
    return int(text) if text.isdecimal() else -1


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # unplugged meanwhile, or it has none
        return ""
