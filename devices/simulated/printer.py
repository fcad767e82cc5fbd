"""A virtual printer: CUPS' own ippeveprinter, with a private bus, spool and port, played from a file (printer_text).

    async with SimulatedPrinter(folder) as printer:
        driver = PrinterDriver(IppWire(printer.uri), "打印机")

Nothing that is printed is kept: the spool lies in memory, and the engine shreds a document before it does anything.
"""

import asyncio
import logging
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from devices.cards import SIMULATED_PREFIX
from devices.memory_folder import memory_folder
from devices.simulated import print_engine
from devices.simulated.printer_text import PrinterFolder, PrinterText

LOOK_S = 0.1
START_MAX_S = 30.0
STOP_MAX_S = 30.0
POLL_S = 0.02
FORM_MAX_S = 20.0
PATH = "/usr/sbin:/sbin"  # where ippeveprinter is on Debian
MAKER, MODEL = SIMULATED_PREFIX.split()
TRAY, BYPASS = 1, 3  # ippeveprinter's numbers of them
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={path}</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
</policy></busconfig>
"""

log = logging.getLogger(__name__)


class VirtualPrinterError(Exception):
    """The virtual printer cannot run here; the message says what to install or change."""


class SimulatedPrinter:
    """It follows its folder, looked at every LOOK_S; `settle` does it now. Its address stays when it is switched off."""

    def __init__(self, folder: PrinterFolder) -> None:
        self._folder = folder
        self._port = 0
        self._private = Path()
        self._kept = ExitStack()
        self._bus: asyncio.subprocess.Process | None = None
        self._printer: asyncio.subprocess.Process | None = None
        self._text: PrinterText | None = None
        self._following: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def uri(self) -> str:
        return f"ipp://127.0.0.1:{self._port}/ipp/print"

    async def __aenter__(self) -> Self:
        missing = [name for name in ("ippeveprinter", "dbus-daemon") if _program(name) is None]
        if missing:
            raise VirtualPrinterError(f"{', '.join(missing)}: install with: apt install cups-ipp-utils dbus")
        self._port = _free_port()
        self._private = self._kept.enter_context(memory_folder("printer"))
        try:
            self._bus = await self._start_bus()
            self._write_engine()
            await self.settle()
        except BaseException:  # what was not entered is not left either
            await self._close()
            raise
        self._following = asyncio.create_task(self._follow(), name="virtual printer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        await self._close()

    async def settle(self) -> None:
        """Be as the folder says."""
        async with self._one_at_a_time:
            text = self._wanted()
            if self._printer is not None and self._printer.returncode is not None:
                self._printer = self._text = None
            if text is None:
                await self._stop(self._printer)
                self._printer = None
            elif text != self._text:
                self._printer = self._printer or await self._start_printer()
                self._printer.send_signal(signal.SIGCONT)
                await self._fill(text)
                if text.hang:
                    self._printer.send_signal(signal.SIGSTOP)
            self._text = text

    def _wanted(self) -> PrinterText | None:
        try:
            return self._folder.text()
        except ValueError as error:
            log.warning("virtual printer is switched off, its file is wrong: %s", error)
            return None

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.settle()
            except (aiohttp.ClientError, TimeoutError, VirtualPrinterError, ProcessLookupError) as error:
                log.warning("virtual printer does not follow its file, tried again in %.1f s: %s", LOOK_S, error)

    async def _start_bus(self) -> asyncio.subprocess.Process:
        """ippeveprinter does not start without a system bus; nothing is ever said on this one."""
        bus, configuration = self._private / "bus", self._private / "bus.conf"
        configuration.write_text(BUS.format(path=bus), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            "dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        await self._until(bus.exists, process)
        return process

    def _write_engine(self) -> None:
        engine = self._private / "engine"
        call = shlex.join([sys.executable, print_engine.__file__, str(self._folder.directory)])
        engine.write_text(f'#!/bin/sh\nexec {call} "$1"\n', encoding="utf-8")
        engine.chmod(0o700)
        (self._private / "spool").mkdir(mode=0o700)

    async def _start_printer(self) -> asyncio.subprocess.Process:
        """On loopback only: "localhost" is the one name for which it takes both addresses there (it insists on IPv6)."""
        process = await asyncio.create_subprocess_exec(
            _program("ippeveprinter") or "ippeveprinter", "-r", "off", "-n", "localhost", "-p", str(self._port),
            "-M", MAKER, "-m", f"{MODEL} Printer", "-f", "application/pdf", "-D", "file:///dev/null",
            "-d", str(self._private / "spool"), "-c", str(self._private / "engine"), f"{SIMULATED_PREFIX} Printer",
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self._private / 'bus'}"},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        await self._until(self._listens, process)
        return process

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    async def _fill(self, text: PrinterText) -> None:
        """Paper and toner by the printer's own web forms; jams and covers are the engine's."""
        size = "iso_a4_210x297mm"
        forms: dict[str, dict[str, str | int]] = {
            "media": {f"size{TRAY}": size, f"level{TRAY}": text.paper, f"size{BYPASS}": size, f"level{BYPASS}": 25},
            "supplies": {"supply0": text.waste, "supply1": text.toner},
        }
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(FORM_MAX_S)) as session:
            for form, values in forms.items():
                async with session.get(f"http://127.0.0.1:{self._port}/{form}", params=values) as response:
                    response.raise_for_status()
                    await response.read()  # the printer answers before it takes what the form says

    async def _until(self, condition: Callable[[], bool], process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(START_MAX_S):
                while not condition():
                    if process.returncode is not None:
                        raise VirtualPrinterError(
                            "ippeveprinter or dbus-daemon ended at once; it needs IPv6 on loopback"
                        )
                    await asyncio.sleep(POLL_S)
        except BaseException:  # it would outlive us
            await self._stop(process)
            raise

    async def _stop(self, process: asyncio.subprocess.Process | None) -> None:
        """With what it started: an engine that waits for paper."""
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.wait_for(process.wait(), STOP_MAX_S)

    async def _close(self) -> None:
        for process in (self._printer, self._bus):
            await self._stop(process)
        self._kept.close()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{PATH}")


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])
