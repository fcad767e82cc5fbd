"""From an entry of the device list to a device that is looked after: the driver of its kind on its wire."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from functools import partial

from devices.discovery import Discovery
from devices.document_scanner import DocumentScannerDriver
from devices.evdev_keyboard import EvdevKeyboard
from devices.fingerprint import FingerprintDriver
from devices.fingerprint_process import WORKER, FingerprintProcess
from devices.id_card import IdCardDriver
from devices.id_card_line import Bauds
from devices.ipp import IppWire
from devices.listed import listed_keyboard, serial_identity
from devices.printer import PrinterDriver
from devices.scan_text import Encoding, ScanSettings
from devices.scanimage import Scanimage
from devices.serial_port import SerialPort
from devices.serial_scanner import SerialScannerDriver
from devices.wedge_scanner import WedgeScannerDriver
from edge.equipment.device_list import (
    DocumentScanner,
    FingerprintReader,
    IdCardReader,
    ListedDevice,
    Printer,
    Scanner,
)
from edge.equipment.equipment import Wanted
from edge.equipment.kept_open import KeptOpen


def wanted_of(one: ListedDevice, discovery: Discovery, told: Callable[[], None], *, simulated: bool) -> Wanted:
    """`told` is called when the device has changed by itself."""
    match one:
        case IdCardReader():
            return Wanted(one.name, one.kind, partial(IdCardDriver, one.name, partial(SerialPort, one.port), Bauds()), one,
                          simulated=simulated)
        case Scanner():
            kept = KeptOpen(one.kind, partial(_scanner, one, discovery), told)
            return Wanted(one.name, one.kind, lambda: kept, one, kept.run, simulated=simulated)
        case FingerprintReader():
            process = FingerprintProcess(_program(one))
            return Wanted(one.name, one.kind, partial(FingerprintDriver, process, one.name), one, partial(_held, process),
                          simulated=simulated)
        case DocumentScanner():
            make = partial(DocumentScannerDriver, Scanimage(), one.device, feeder=one.feeder, name=one.name)
            return Wanted(one.name, one.kind, make, one, simulated=simulated)
        case Printer():
            return Wanted(one.name, one.kind, partial(PrinterDriver, IppWire(one.uri), one.name), one, simulated=simulated)
        case _:
            raise ValueError(f"{one.kind} has no driver")


def _scanner(one: Scanner, discovery: Discovery) -> SerialScannerDriver | WedgeScannerDriver:
    """The newest that udev knows of it: a scanner has another path after each plugging."""
    settings = ScanSettings(one.prefix, one.suffix, Encoding(one.encoding), one.aim)
    if one.usb is not None:
        return WedgeScannerDriver(one.name, partial(_keyboard, discovery, one.usb), settings)
    port = one.port or ""
    return SerialScannerDriver(one.name, partial(SerialPort, port, one.baud), serial_identity(discovery.plugged, port), settings)


def _keyboard(discovery: Discovery, usb: str) -> EvdevKeyboard:
    return listed_keyboard(discovery.plugged, usb)


def _program(one: FingerprintReader) -> tuple[str, ...]:
    if one.program:
        return tuple(shlex.split(one.program))
    return (*WORKER, one.serial) if one.serial else WORKER


async def _held(process: FingerprintProcess) -> None:
    """The reader's program may run for as long as the reader is wanted."""
    async with process:
        await asyncio.Event().wait()
