"""Fingerprint readers as libfprint 2 sees them: what enrols and compares a finger. Only a worker process loads it."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import byref, c_int, c_size_t, c_void_p
from enum import IntFlag
from hashlib import sha256
from typing import Any

from devices.libfprint_calls import RETRIES, Failure, Notified, Progress, Tick, raising

VIRTUAL = "virtual_"  # libfprint's own prefix for drivers without hardware
NO_SERIAL = "0"  # the id of a device whose driver asks it for none
BEAT_MS = 500
CHECK_BYTES = 8

Tell = Callable[[dict[str, Any]], None]


class Feature(IntFlag):
    """FpDeviceFeature: those that matter here."""

    VERIFY = 1 << 2
    STORAGE = 1 << 3


class FingerStatus(IntFlag):
    """FpFingerStatusFlags."""

    NEEDED = 1 << 0
    PRESENT = 1 << 1


def checked(template: bytes) -> bytes:
    """With its check sum before it: libfprint aborts the process when it is given one that was cut short."""
    return sha256(template).digest()[:CHECK_BYTES] + template


class Cancel:
    """One request's way out: `now` may come from any thread, before, during and after the call it ends."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.pointer = library.g_cancellable_new()

    def now(self) -> None:
        self._library.g_cancellable_cancel(self.pointer)

    def __del__(self) -> None:
        self._library.g_object_unref(self.pointer)


class Context:
    """One look at what is plugged in. The USB library goes with it, so it has to outlive every sensor found by it."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.pointer = library.fp_context_new()

    def __del__(self) -> None:
        self._library.g_object_unref(self.pointer)


class Sensor:
    """One fingerprint reader, as libfprint found it. All calls but `Cancel.now` belong to one thread."""

    def __init__(self, library: Any, context: Context, device: int) -> None:
        self._library = library
        self._context = context
        self._device = library.g_object_ref(device)
        driver, number = library.fp_device_get_driver(device).decode(), library.fp_device_get_device_id(device).decode()
        features = Feature(library.fp_device_get_features(device) & (Feature.VERIFY | Feature.STORAGE))
        self.model: str = library.fp_device_get_name(device).decode()
        self.serial = "" if number == NO_SERIAL else number
        self.simulated = driver.startswith(VIRTUAL)
        self.keeps_prints = Feature.STORAGE in features
        self.compares = Feature.VERIFY in features

    def __del__(self) -> None:
        self._library.g_object_unref(self._device)

    def open(self) -> None:
        with raising(self._library) as error:
            self._library.fp_device_open_sync(self._device, None, error)

    def close(self) -> None:
        with raising(self._library) as error:
            self._library.fp_device_close_sync(self._device, None, error)

    def enrol(self, cancel: Cancel, tell: Tell) -> bytes:
        """The template of the finger that is pressed again and again until libfprint has enough of it."""
        stages = self._library.fp_device_get_nr_enroll_stages(self._device)

        def progress(_device: int, done: int, _scan: int, _data: int, error: Any) -> None:
            retry = {"event": "retry", "reason": RETRIES[error.contents.code]} if error else None
            tell(retry or {"event": "progress", "done": done, "of": stages})

        empty = self._library.fp_print_new(self._device)
        with self._watched(tell), raising(self._library) as error:
            enrolled = self._library.fp_device_enroll_sync(
                self._device, empty, cancel.pointer, Progress(progress), None, error
            )
        try:
            return self._serialised(enrolled)
        finally:
            self._library.g_object_unref(enrolled)

    def verify(self, template: bytes, cancel: Cancel, tell: Tell) -> bool:
        """Whether the finger that is pressed is that of the template. Raises Failure with one of RETRIES: once more."""
        enrolled = self._deserialised(template)
        match, scan = c_int(), c_void_p()
        try:
            if not self._library.fp_print_compatible(enrolled, self._device):
                raise Failure("template", "made with another kind of reader")
            with self._watched(tell), raising(self._library) as error:
                self._library.fp_device_verify_sync(
                    self._device, enrolled, cancel.pointer, None, None, byref(match), byref(scan), error
                )
        finally:
            self._library.g_object_unref(enrolled)
            if scan:
                self._library.g_object_unref(scan)
        return bool(match.value)

    def _serialised(self, enrolled: int) -> bytes:
        data, length = c_void_p(), c_size_t()
        with raising(self._library) as error:
            self._library.fp_print_serialize(enrolled, byref(data), byref(length), error)
        try:
            return checked(ctypes.string_at(data.value or 0, length.value))
        finally:
            self._library.g_free(data)

    def _deserialised(self, template: bytes) -> int:
        if checked(kept := template[CHECK_BYTES:]) != template:
            raise Failure("template", "damaged, or not from here")
        try:
            with raising(self._library) as error:
                found: int = self._library.fp_print_deserialize(kept, len(kept), error)
        except Failure as failure:
            raise Failure("template", failure.detail) from failure
        return found

    @contextmanager
    def _watched(self, tell: Tell) -> Iterator[None]:
        """Says when a finger is needed or felt, and that libfprint's main loop is alive."""

        def status(*_: int) -> None:
            finger = FingerStatus(self._library.fp_device_get_finger_status(self._device))
            tell(
                {"event": "finger", "needed": FingerStatus.NEEDED in finger, "present": FingerStatus.PRESENT in finger}
            )

        def beat(_data: int) -> int:
            tell({"event": "alive"})
            return 1

        on_status, on_beat = Notified(status), Tick(beat)
        signal = self._library.g_signal_connect_data(self._device, b"notify::finger-status", on_status, None, None, 0)
        timer = self._library.g_timeout_add(BEAT_MS, on_beat, None)
        try:
            yield
        finally:
            self._library.g_source_remove(timer)
            self._library.g_signal_handler_disconnect(self._device, signal)


def sensors(library: Any) -> list[Sensor]:
    """All readers that are plugged in now."""
    context = Context(library)
    found = library.fp_context_get_devices(context.pointer).contents
    return [Sensor(library, context, found.pdata[i]) for i in range(found.len)]
