"""A fingerprint reader without hardware: the real worker program over libfprint's virtual image sensor, and hands that press.

    FingerprintProcess(simulated_command(directory, "finger"))

What the hands do is in a file: see `devices.simulated.fingerprint_script`.
"""

import argparse
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devices.fingerprint_worker import Say, Worker, own_output, run, saying
from devices.libfprint import Sensor, sensors
from devices.libfprint_calls import RETRIES, load
from devices.simulated.finger import SIDE, press
from devices.simulated.fingerprint_script import FingerprintFolder, Script

LOOK_S = 0.05
SENSOR = "FP_VIRTUAL_IMAGE"  # where libfprint reads that it has such a sensor, and the socket at which it awaits images
RETRY, ERROR, FELT, REMOVED = -1, -2, -4, -5  # libfprint's virtual-image.c: what a negative width means
ERRORS = {"error": 5, "hot": 0x101}  # FP_DEVICE_ERROR_PROTO, FP_DEVICE_ERROR_TOO_HOT


def simulated_command(directory: Path, name: str) -> tuple[str, ...]:
    """The program for `devices.fingerprint_process.FingerprintProcess`."""
    return sys.executable, "-P", "-m", "devices.simulated.fingerprint_reader", str(directory), name


class Hand:
    """Presses when the sensor waits for a finger, and does worse when the script says so."""

    def __init__(self, folder: FingerprintFolder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._socket_path = f".{name}.socket"  # in the current directory: a socket's path is at most 107 bytes long
        self._socket: socket.socket | None = None
        self._seen = threading.Condition()
        self._awaited = False
        self._unanswered = False
        self._version = 0
        self._acts: list[str] = []
        self._script: Script | None = None
        self._pressed = 0
        self._pulled = False

    def plugged(self) -> None:
        """Make libfprint see what the file says. Before every look for sensors."""
        if self._folder.script(self._name) is None:
            os.environ.pop(SENSOR, None)
        else:
            os.environ[SENSOR] = self._socket_path

    def hear(self, said: dict[str, Any]) -> None:
        """What the worker says tells when a finger is awaited."""
        with self._seen:
            if said.get("event") == "finger":
                self._awaited = said["needed"] and not said["present"]
            elif said.get("event") in ("progress", "retry"):
                self._unanswered = False
            elif "end" in said:
                self._awaited = self._unanswered = False
            self._seen.notify()

    def run(self) -> None:
        while True:
            self._look()
            with self._seen:
                ready = self._awaited and not self._unanswered and bool(self._acts)
                if not ready:
                    self._seen.wait(LOOK_S)
                    continue
                self._unanswered = True
            self._do(self._acts.pop(0))

    def _look(self) -> None:
        if (version := self._folder.version(self._name)) != self._version:
            self._version, self._script = version, self._folder.script(self._name)
            self._acts = self._script.acts() if self._script else []
            self._pressed, self._pulled = 0, False
        if self._script is None:
            self._pulled = self._pulled or self._say(struct.pack("ii", REMOVED, 0))
        elif self._script.hang:
            os.kill(os.getpid(), signal.SIGSTOP)

    def _do(self, act: str) -> None:
        assert self._script is not None
        time.sleep(self._script.slow_ms / 1000)
        if not self._acts:
            self._forget("hang = true" if act == "hang" else "")
        if act == "press":
            self._say(struct.pack("ii", SIDE, SIDE) + press(self._script.finger, self._pressed))
            self._pressed += 1
        elif act == "unplug":
            self._folder.unplug(self._name)
        elif act == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif act in ERRORS:
            self._say(struct.pack("ii", ERROR, ERRORS[act]))
        elif act in RETRIES:
            self._say(struct.pack("6i", FELT, 1, RETRY, RETRIES.index(act), FELT, 0))

    def _forget(self, text: str) -> None:
        """What was done is not done again by the next program, should this one end; a newer text stays."""
        if self._folder.version(self._name) == self._version:
            self._folder.play(self._name, text)
            if not text:
                self._version = self._folder.version(self._name)

    def _say(self, message: bytes) -> bool:
        """To the sensor; False when none listens. One that was closed and opened again has a new socket."""
        return self._sent(message) or self._sent(message)

    def _sent(self, message: bytes) -> bool:
        ear = self._socket or socket.socket(socket.AF_UNIX)
        try:
            if self._socket is None:
                ear.connect(self._socket_path)
            ear.sendall(message)
        except OSError:
            ear.close()
            self._socket = None
            return False
        self._socket = ear
        return True


def listening(say: Say, hand: Hand) -> Say:
    """The worker's voice, heard by the hand, too."""

    def said(line: dict[str, Any]) -> None:
        say(line)
        hand.hear(line)

    return said


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("name")
    told = parser.parse_args(arguments)
    os.chdir(told.directory)
    hand = Hand(FingerprintFolder(Path()), told.name)
    library = load()

    def find() -> list[Sensor]:
        hand.plugged()
        return [sensor for sensor in sensors(library) if sensor.simulated]

    worker = Worker(library, listening(saying(own_output()), hand), find)
    threading.Thread(target=hand.run, name="hand", daemon=True).start()
    run(worker, sys.stdin)


if __name__ == "__main__":
    main()
