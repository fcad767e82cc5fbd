"""The slot of a virtual reader: which card is in it, and the socket over which pcscd's driver asks."""

import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

from devices.simulated.chip import ChipText, VirtualChip

HEAD = struct.Struct(">BH")  # command or status, length of what follows
DONE, NO_CARD, MUTE = 0, 1, 2
STOP_MAX_S = 30.0
ABSENCES = 3  # pcscd's event thread looks once a round, and once more before it powers a card up or down; then it tells


class Slot:
    """Which card is in. As in a real reader a swap is never missed: a card that was pulled stays absent until seen."""

    def __init__(self, serial: str = "") -> None:
        self.serial = serial
        self._lock = threading.Lock()
        self._card: VirtualChip | None = None
        self._absences = 0  # looks that still have to find the slot empty
        self.answering = threading.Event()
        self.answering.set()

    def insert(self, text: ChipText) -> None:
        """Put a card in, unpowered; one that was in is pulled first."""
        with self._lock:
            self._take_out()
            self._card = VirtualChip(text)

    def pull(self) -> None:
        with self._lock:
            self._take_out()

    def settled(self) -> bool:
        """Whether every absence was seen."""
        return self._absences == 0

    def present(self, *, seen: bool) -> bool:
        """Whether a card is in; `seen` by the one who tells everybody, so that an absence is over."""
        with self._lock:
            absent = self._card is None or self._absences > 0
            if seen and self._absences > 0:
                self._absences -= 1
            return not absent

    def answer(self, command: str, data: bytes) -> tuple[int, bytes]:
        """(status, data) for one request of the driver; see virtual_reader/ifd.c."""
        if command in "PE":
            return (DONE if self.present(seen=command == "E") else NO_CARD), b""
        if command == "I":
            return DONE, self.serial.encode("ascii")
        card = self._card
        if card is None:
            return NO_CARD, b""
        if command == "D":
            card.power_down()
            return DONE, b""
        if command == "U":
            atr = card.power_up()
            return (MUTE, b"") if atr is None else (DONE, atr)
        return self._exchange(card, data)

    def _take_out(self) -> None:
        if self._card is not None:
            self._card, self._absences = None, ABSENCES

    def _exchange(self, card: VirtualChip, data: bytes) -> tuple[int, bytes]:
        time.sleep(card.text.slow_ms / 1000)
        if card.pulled and card is self._card:
            self.pull()
        answer = card.exchange(data) if card is self._card else None
        return (MUTE, b"") if answer is None or card is not self._card else (DONE, answer)


class SlotSocket:
    """Serves one slot at a UNIX socket while it is plugged in. Unplugged, nothing listens there."""

    def __init__(self, path: Path, slot: Slot) -> None:
        self.path = path
        self.slot = slot
        self.connected = threading.Event()
        self._listener: socket.socket | None = None
        self._connection: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def hung_up(self) -> bool:
        """Whether no pcscd is connected."""
        return not self.connected.is_set()

    def plug(self) -> None:
        """Listen; pcscd dials when it next looks."""
        listener = self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.path))
        listener.listen(1)
        self._thread = threading.Thread(
            target=self._serve, args=(listener,), name=f"slot {self.path.name}", daemon=True
        )
        self._thread.start()

    def unplug(self) -> None:
        """Stop listening and hang up: what pcscd was asking ends with "no such device"."""
        listener, self._listener = self._listener, None
        if listener is None or self._thread is None:
            return
        self.path.unlink(missing_ok=True)
        self.slot.answering.set()
        for end in (listener, self._connection):
            if end is not None:
                with suppress(OSError):  # already hung up by the other side
                    end.shutdown(socket.SHUT_RDWR)
        self._thread.join(STOP_MAX_S)
        listener.close()
        self.slot.pull()

    def _serve(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                self._connection, _ = listener.accept()
            except OSError:  # unplugged
                return
            self.connected.set()
            with self._connection as connection, suppress(OSError, EOFError):  # pcscd hung up, or we did
                while True:
                    self._answer_one(connection)
            self.connected.clear()

    def _answer_one(self, connection: socket.socket) -> None:
        command, length = HEAD.unpack(_exactly(connection, HEAD.size))
        data = _exactly(connection, length)
        self.slot.answering.wait()
        status, answer = self.slot.answer(chr(command), data)
        self.slot.answering.wait()
        connection.sendall(HEAD.pack(status, len(answer)) + answer)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        got = connection.recv(length - len(data))
        if not got:
            raise EOFError
        data += got
    return data
