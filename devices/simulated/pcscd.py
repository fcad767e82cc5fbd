"""Virtual readers behind a real, private pcscd: the whole path of a real card but for the reader's cable.

    with VirtualReaders(directory, ["Suozhan Virtual A"]) as virtual:
        subprocess.Popen(daemon, env={**os.environ, **virtual.environment})
        virtual.insert("Suozhan Virtual A", CardText(name="张三", id_number="11010519491231002X"))

The daemon is any other process, or this one when `virtual.environment` was put into os.environ before the first
PC/SC call. pcscd adds two numbers to each name ("Suozhan Virtual A 00 00"). Runs as an ordinary user, given /run/pcscd.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from devices.cards import SIMULATED_PREFIX
from devices.simulated.chip import ChipText
from devices.simulated.serials import made_up
from devices.simulated.slot import Slot, SlotSocket

SOURCE = Path(__file__).parent / "virtual_reader" / "ifd.c"
INCLUDE = Path("/usr/include/PCSC")
RUN = Path("/run/pcscd")  # where pcscd keeps its process id; the path is compiled in
START_MAX_S = 30.0
STOP_MAX_S = 3.0
POLL_S = 0.01
SOCKET_PATH_MAX_BYTES = 100
READERS_MAX = 16
PACKAGES = "install them with: apt install pcscd gcc libpcsclite-dev"


class VirtualReadersError(Exception):
    """The virtual readers cannot run here; the message says what to install or change."""


class VirtualReaders:
    """A private pcscd and its readers. Its threads serve the slots; the client may be any process."""

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        wrong = [name for name in names if not name.startswith(SIMULATED_PREFIX)]
        if wrong or len(set(names)) != len(names) or not 0 < len(names) <= READERS_MAX:
            raise ValueError(
                f"1 to {READERS_MAX} different names that begin with {SIMULATED_PREFIX!r}, please: {wrong}"
            )
        self._directory = directory
        self._sockets = {
            name: SlotSocket(directory / f"slot{i}", Slot(made_up(name))) for i, name in enumerate(names)
        }
        self._plugged = list(names)
        self._pcscd: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client process needs in its environment before its first PC/SC call."""
        return {"PCSCLITE_CSOCK_NAME": str(self._directory / "pcscd.comm")}

    @property
    def log(self) -> Path:
        """What pcscd said."""
        return self._directory / "pcscd.log"

    def insert(self, name: str, text: ChipText) -> None:
        """Put a card in; one that was in is pulled first. Seen by clients within about 0.1 s."""
        self._sockets[name].slot.insert(text)

    def pull(self, name: str) -> None:
        self._sockets[name].slot.pull()

    def settle(self) -> None:
        """Wait until pcscd has noticed every card that was pulled."""
        for name in self._plugged:
            self._wait(self._sockets[name].slot.settled, f"pcscd does not look at reader {name}")

    def hang(self, name: str) -> None:
        """The reader stops answering, in the middle of whatever it does."""
        self._sockets[name].slot.answering.clear()

    def unhang(self, name: str) -> None:
        self._sockets[name].slot.answering.set()

    def plug(self, name: str, serial: str | None = None) -> None:
        """Connect the reader again, or another one of the same model when a `serial` is given ("" for none).

        pcscd with libudev reads its configuration at the start only: it is restarted.
        """
        if name not in self._plugged:
            self.stop_service()
            if serial is not None:
                self._sockets[name].slot.serial = serial
            self._plugged = [one for one in self._sockets if one == name or one in self._plugged]
            self._sockets[name].plug()
            self.start_service()

    def unplug(self, name: str) -> None:
        """Take the reader away with its card in it: what runs there ends at once, then pcscd is restarted without."""
        if name in self._plugged:
            self._plugged.remove(name)
            self._sockets[name].unplug()
            self.restart()

    def stop_service(self) -> None:
        """End pcscd; the readers and the cards in them stay. A reader that hung no longer does."""
        if self._pcscd is None:
            return
        pcscd, self._pcscd = self._pcscd, None
        pcscd.terminate()
        try:
            pcscd.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:  # held by a reader that hangs
            pcscd.kill()
            pcscd.wait(START_MAX_S)
        Path(self.environment["PCSCLITE_CSOCK_NAME"]).unlink(missing_ok=True)
        for reader in self._sockets.values():
            reader.slot.answering.set()
            self._wait(reader.hung_up, "the slot did not notice the end of pcscd")

    def start_service(self) -> None:
        """Start pcscd and wait until it has taken every plugged reader."""
        self._write_configuration()
        self._pcscd = self._start_pcscd()
        for name in self._plugged:
            self._wait(self._sockets[name].connected.is_set, f"pcscd did not take reader {name}")

    def restart(self) -> None:
        """pcscd goes and comes again, as after an update or a crash."""
        self.stop_service()
        self.start_service()

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        if len(str(self._directory / "pcscd.comm").encode()) > SOCKET_PATH_MAX_BYTES or " " in str(self._directory):
            raise VirtualReadersError(f"choose a shorter directory without spaces than {self._directory}")
        build(self._directory)
        for reader in self._sockets.values():
            reader.plug()
        try:
            self.start_service()
        except BaseException:  # what was not entered is not left either
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_service()
        for reader in self._sockets.values():
            reader.unplug()

    def _write_configuration(self) -> None:
        folder = self._directory / "reader.conf.d"
        folder.mkdir(exist_ok=True)
        entries = [
            f'FRIENDLYNAME "{name}"\nDEVICENAME unix:{self._sockets[name].path}\n'
            f"LIBPATH {self._directory / 'ifd.so'}\nCHANNELID {number}\n"
            for number, name in enumerate(self._plugged)
        ]
        (folder / "readers").write_text("\n".join(entries))

    def _start_pcscd(self) -> subprocess.Popen[bytes]:
        """pcscd takes its listening socket as systemd would hand it over: fd 3, LISTEN_FDS, LISTEN_PID."""
        pcscd = shutil.which("pcscd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if pcscd is None:
            raise VirtualReadersError(f"pcscd is missing; {PACKAGES}")
        if not RUN.is_dir() and not os.access(RUN.parent, os.W_OK):
            raise VirtualReadersError(f"pcscd wants {RUN}; make it once as root: install -d {RUN}")
        path = Path(self.environment["PCSCLITE_CSOCK_NAME"])
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, self.log.open("ab") as log:
            listener.bind(str(path))
            listener.listen()
            hand_over = 'exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$1" -f -c "$2"'
            command = ["/bin/sh", "-c", hand_over, "sh", pcscd, str(self._directory / "reader.conf.d")]
            return subprocess.Popen(command, stdin=listener.fileno(), stdout=log, stderr=log)  # noqa: S603

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        last_look = time.monotonic() + START_MAX_S
        while not condition():
            if time.monotonic() > last_look or (self._pcscd is not None and self._pcscd.poll() is not None):
                raise VirtualReadersError(f"{otherwise}; see {self.log}")
            time.sleep(POLL_S)


def build(directory: Path) -> None:
    """Compile the reader's driver into `directory`/ifd.so."""
    gcc = shutil.which("gcc")
    if gcc is None or not (INCLUDE / "ifdhandler.h").exists():
        raise VirtualReadersError(f"gcc or {INCLUDE}/ifdhandler.h is missing; {PACKAGES}")
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared", "-pthread", f"-I{INCLUDE}"]
    made = subprocess.run(  # noqa: S603
        [gcc, *options, "-o", str(directory / "ifd.so"), str(SOURCE)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise VirtualReadersError(f"gcc could not build {SOURCE.name}: {made.stderr}; {PACKAGES}")
