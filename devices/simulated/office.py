"""The equipment of an office without hardware, each device over its real stack: `python -m devices.simulated.office FOLDER`.

Plays until it is ended. FOLDER/devices.toml, written once all of it is there, is its device list, for an agent with
SANE_CONFIG_DIR=FOLDER/document/sane in its environment. What is done to the devices stands in files, as the modules of their
wires say: FOLDER/id/id-1.toml, scan/scan-1.toml, finger/finger-1.toml, document/scanner.toml, printer/printer.toml.
"""

import argparse
import asyncio
import json
import shlex
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devices.simulated.fingerprint_reader import simulated_command
from devices.simulated.fingerprint_script import FingerprintFolder
from devices.simulated.id_readers import IdReaderFolder, SimulatedIdReaders
from devices.simulated.played_file import say
from devices.simulated.printer import SimulatedPrinter
from devices.simulated.printer_text import PrinterFolder
from devices.simulated.scanner_text import ScannerFolder as DocumentFolder
from devices.simulated.serial_scanner import ScannerFolder, SimulatedScanners

ID_READER, SCANNER, FINGER, DOCUMENT, PRINTER = "id-1", "scan-1", "finger-1", "document-1", "printer-1"
LIST = "devices.toml"
SCANNER_BAUD = 9600


@dataclass(frozen=True)
class OfficeFolder:
    """The hands of an office, for any process."""

    root: Path

    @property
    def id_cards(self) -> IdReaderFolder:
        return IdReaderFolder(self.root / "id")

    @property
    def codes(self) -> ScannerFolder:
        return ScannerFolder(self.root / "scan")

    @property
    def fingers(self) -> FingerprintFolder:
        return FingerprintFolder(self.root / "finger")

    @property
    def documents(self) -> DocumentFolder:
        return DocumentFolder(self.root / "document")

    @property
    def printer(self) -> PrinterFolder:
        return PrinterFolder(self.root / "printer")

    @property
    def list(self) -> Path:
        return self.root / LIST

    def plug_all(self) -> None:
        """Everything there, with nothing presented."""
        for one in ("id", "scan", "finger", "document", "printer"):
            (self.root / one).mkdir(parents=True, exist_ok=True)
        self.id_cards.plug(ID_READER)
        self.codes.plug(SCANNER)
        self.fingers.plug(FINGER)
        self.documents.plug()
        self.printer.plug()


async def play(folder: OfficeFolder) -> None:
    """Until cancelled. Raises VirtualPrinterError where this machine lacks a printer to play with."""
    folder.plug_all()
    async with (SimulatedIdReaders(folder.id_cards.directory), SimulatedScanners(folder.codes.directory),
                SimulatedPrinter(folder.printer) as printer):  # fmt: skip
        while not (folder.id_cards.line(ID_READER).exists() and folder.codes.line(SCANNER).exists()):
            await asyncio.sleep(0.01)
        say(folder.list, _device_list(folder, printer.uri))
        await asyncio.Event().wait()


def _device_list(folder: OfficeFolder, printer: str) -> str:
    program = shlex.join(simulated_command(folder.fingers.directory, FINGER))
    return "".join(
        [
            _table(ID_READER, "id-card", port=str(folder.id_cards.line(ID_READER))),
            _table(SCANNER, "barcode", port=str(folder.codes.line(SCANNER)), baud=SCANNER_BAUD),
            _table(FINGER, "fingerprint", program=program),
            _table(DOCUMENT, "document"),
            _table(PRINTER, "printer", uri=printer),
        ]
    )


def _table(name: str, kind: str, **settings: str | int) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": name, "kind": kind, **settings}.items()]
    return "\n".join(["[[devices]]", *lines, ""]) + "\n"


async def _until_ended(folder: OfficeFolder) -> None:
    playing = asyncio.create_task(play(folder))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Once: Ctrl-C reaches a whole group, and whoever leads it ends its members as well. Letting go is not cut short.
        loop.add_signal_handler(number, lambda: playing.cancelling() or playing.cancel())
    with suppress(asyncio.CancelledError):
        await playing


def main() -> None:
    parser = argparse.ArgumentParser(description="Plays the equipment of an office.")
    parser.add_argument("folder", type=Path)
    asyncio.run(_until_ended(OfficeFolder(parser.parse_args().folder.absolute())))


if __name__ == "__main__":
    main()
