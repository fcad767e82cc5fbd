"""A line that can be cut: a TCP relay on loopback, in threads of its own."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

CHUNK_BYTES = 64 * 1024
SLOW_STEP_S = 0.05


class Line:
    """Relays connections to `target` while it is up; cutting it breaks those that are open and takes no new ones."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._chunk = CHUNK_BYTES
        self._pause_s = 0.0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._up = True
        self._flowing = threading.Event()
        self._flowing.set()
        self.bytes_relayed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._up = False
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """As a pulled cable: nothing comes through, and nobody is told."""
        self._flowing.clear()

    def slow_down(self, bytes_a_second: int) -> None:
        """Carry no more than this in each direction of each connection, from now on."""
        self._chunk, self._pause_s = max(int(bytes_a_second * SLOW_STEP_S), 1), SLOW_STEP_S

    def restore(self) -> None:
        self._flowing.set()
        with self._lock:
            self._up = True

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            with self._lock:
                up = self._up
            if not up:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(self._chunk):
                self._flowing.wait()
                if self._pause_s:
                    time.sleep(self._pause_s)
                sink.sendall(data)
                with self._lock:
                    self.bytes_relayed += len(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source}
        source.close()
