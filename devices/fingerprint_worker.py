"""The program that talks to libfprint, which may hang or crash: it runs in a process of its own, and takes only itself down.

    python -m devices.fingerprint_worker [SERIAL]

What it says on its pipes is the seam for makers' SDKs: any program that speaks it, in any language, is a fingerprint device
(give its command to `devices.fingerprint_process.FingerprintProcess`). One JSON object a line, UTF-8, at most 1 MiB.

The agent says on standard input, one call at a time, `request` a new text each time:

    {"request": "7", "call": "look"}        which reader is it? changes nothing
    {"request": "7", "call": "open"}        take it
    {"request": "7", "call": "enrol"}       make a template of a finger
    {"request": "7", "call": "verify", "template": "BASE64"}     compare a finger with that template, one to one
    {"request": "7", "call": "close"}       let it go
    {"request": "7", "call": "cancel"}      end the call of that request soon, unless it has ended; no answer of its own

The program answers on standard output. Every line names the request it belongs to. First, for enrol and verify, any number of

    {"request": "7", "event": "finger", "needed": true, "present": false}     waits for a finger; feels one
    {"request": "7", "event": "progress", "done": 2, "of": 5}                 so many presses of an enrolment are taken
    {"request": "7", "event": "retry", "reason": "too-short"}                 that press did not do; or "center-finger",
                                                                              "remove-finger", "unclear"
    {"request": "7", "event": "alive"}                                        at least every second, whatever else it says

then one last line:

    {"request": "7", "end": "done"}         with "model", "serial" ("" when it has none), "simulated" (of look and open),
                                            "template" (enrol; BASE64, at most 512 KiB), "match": true or false (verify)
    {"request": "7", "end": "cancelled"}
    {"request": "7", "end": "failed", "reason": "removed", "detail": "for operators"}
        no-device, removed, busy, not-open, not-allowed, too-hot, device, library, keeps-prints, template

A finger that does not match is no failure, and no reason to wait for another. `verify` waits on after a retry, and both wait
until cancelled. The program MUST NOT write a template or an image anywhere but to that pipe, nor name a person in `detail`. What
it writes to standard error is thrown away. When standard input ends, it lets the reader go and ends. It is killed when it keeps
silent or breaks these rules, and when its reader failed, and started again at the next use: it must be able to begin anew.
"""

import base64
import ctypes
import json
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TextIO

from devices.libfprint import Cancel, Sensor, sensors
from devices.libfprint_calls import RETRIES, Failure, load

END_MAX_S = 2.0  # letting go after the agent is gone
PR_SET_DUMPABLE = 4

Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """One call, with its own way out."""

    id: str
    call: str
    template: bytes
    cancel: Cancel


class Worker:
    """Serves one reader: the one with that serial, or the first. `find` lists all that are plugged in."""

    def __init__(self, library: Any, say: Say, find: Callable[[], list[Sensor]], serial: str = "") -> None:
        self._library = library
        self._say = say
        self._find = find
        self._serial = serial
        self._sensor: Sensor | None = None
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._cancels: dict[str, Cancel] = {}

    def hear(self, lines: Iterable[str]) -> None:
        """Take requests until they end. Runs beside `serve`, so that a cancel is heard in the middle of a call."""
        for line in lines:
            told = json.loads(line)
            if told["call"] != "cancel":
                cancel = self._cancels[told["request"]] = Cancel(self._library)
                template = base64.b64decode(told.get("template", ""), validate=True)
                self._requests.put(Request(told["request"], told["call"], template, cancel))
            elif cancelled := self._cancels.get(told["request"]):
                cancelled.now()
        for cancel in list(self._cancels.values()):
            cancel.now()
        self._requests.put(None)

    def serve(self) -> None:
        """Answer requests one after the other until there are no more; returns with the reader let go."""
        while (request := self._requests.get()) is not None:
            try:
                end = {"end": "done", **self._answer(request)}
            except Failure as failure:
                end = {"end": "failed", "reason": failure.reason, "detail": failure.detail}
                if failure.reason == "cancelled":
                    end = {"end": "cancelled"}
            del self._cancels[request.id]
            self._say({"request": request.id, **end})
        self._close()

    def _answer(self, request: Request) -> dict[str, Any]:
        def tell(event: dict[str, Any]) -> None:
            self._say({"request": request.id, **event})

        if request.call == "look":
            return _described(self._sensor or self._chosen())
        if request.call == "open":
            return self._open()
        if request.call == "enrol":
            template = self._opened().enrol(request.cancel, tell)
            return {"template": base64.b64encode(template).decode()}
        if request.call == "verify":
            return {"match": self._verify(request, tell)}
        if request.call == "close":
            self._close()
            return {}
        raise ValueError(request.call)

    def _chosen(self) -> Sensor:
        found = [sensor for sensor in self._find() if self._serial in ("", sensor.serial)]
        if not found:
            raise Failure("no-device")
        if found[0].keeps_prints:
            raise Failure("keeps-prints", found[0].model)
        return found[0]

    def _open(self) -> dict[str, Any]:
        self._close()
        sensor = self._chosen()
        sensor.open()
        self._sensor = sensor
        return _described(sensor)

    def _opened(self) -> Sensor:
        if self._sensor is None:
            raise Failure("not-open")
        return self._sensor

    def _verify(self, request: Request, tell: Say) -> bool:
        while True:
            try:
                return self._opened().verify(request.template, request.cancel, tell)
            except Failure as failure:
                if failure.reason not in RETRIES:
                    raise
                tell({"event": "retry", "reason": failure.reason})

    def _close(self) -> None:
        sensor, self._sensor = self._sensor, None
        if sensor is not None:
            with suppress(Failure):  # it was pulled out
                sensor.close()


def _described(sensor: Sensor) -> dict[str, Any]:
    return {"model": sensor.model, "serial": sensor.serial, "simulated": sensor.simulated}


def leave_no_core() -> None:
    """Whatever crashes this process, its memory, in which templates are, is not written to disk: neither as a file, which
    the limit stops, nor by a program that takes cores, which asks whether the process may be dumped."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def own_output() -> TextIO:
    """Standard output, for our lines only: what a library prints goes to standard error."""
    ours = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return ours


def run(worker: Worker, lines: Iterable[str]) -> None:
    """Serve until the lines end, then at most END_MAX_S longer."""
    leave_no_core()

    def listen() -> None:
        try:
            worker.hear(lines)
        except (ValueError, KeyError, TypeError):
            os._exit(2)  # not our protocol: whoever talks to us is not the agent
        last = threading.Timer(END_MAX_S, os._exit, [1])
        last.daemon = True
        last.start()

    threading.Thread(target=listen, name="requests", daemon=True).start()
    worker.serve()


def saying(output: TextIO) -> Say:
    """One line a call."""

    def say(line: dict[str, Any]) -> None:
        output.write(json.dumps(line) + "\n")
        output.flush()

    return say


def main() -> None:
    say = saying(own_output())
    serial = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        library = load()
    except Failure as failure:
        _without_library(say, failure)
    else:
        run(Worker(library, say, lambda: sensors(library), serial), sys.stdin)


def _without_library(say: Say, failure: Failure) -> None:
    for line in sys.stdin:
        say(
            {
                "request": json.loads(line)["request"],
                "end": "failed",
                "reason": failure.reason,
                "detail": failure.detail,
            }
        )


if __name__ == "__main__":
    main()
