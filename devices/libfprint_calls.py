"""The functions of libfprint 2 by ctypes, and its errors as exceptions.

Names and numbers are those of libfprint's fp-device.h and fp-print.h, GLib's gerror.h and gioenums.h, libgusb's gusb-device.h.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint32, c_ulong, c_void_p
from typing import Any

LIBRARY = "libfprint-2.so.2"  # GLib, GObject, GIO and libgusb are found through it
RETRIES = ("unclear", "too-short", "center-finger", "remove-finger")  # FpDeviceRetry
DEVICE_ERRORS = {4: "busy", 6: "template", 0x100: "removed", 0x101: "too-hot"}  # FpDeviceError
USB_ERRORS = {4: "removed", 9: "not-allowed", 10: "busy"}  # GUsbDeviceError
IO_ERRORS = {19: "cancelled"}  # GIOErrorEnum


class Failure(Exception):
    """No result. `reason` is a word of the line protocol (`devices.fingerprint_worker`), "cancelled", or one of RETRIES."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({detail})")
        self.reason = reason
        self.detail = detail


class GError(ctypes.Structure):
    """GLib's error."""

    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


class GPtrArray(ctypes.Structure):
    """GLib's array of pointers."""

    _fields_ = (("pdata", POINTER(c_void_p)), ("len", c_uint))


Error = POINTER(GError)
Progress = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p, c_void_p, Error)
Notified = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)
Tick = ctypes.CFUNCTYPE(c_int, c_void_p)

SIGNATURES: dict[str, tuple[Any, ...]] = {  # result, arguments
    "g_error_free": (None, Error),
    "g_free": (None, c_void_p),
    "g_io_error_quark": (c_uint32,),
    "g_usb_device_error_quark": (c_uint32,),
    "g_timeout_add": (c_uint, c_uint, Tick, c_void_p),
    "g_source_remove": (c_int, c_uint),
    "g_object_ref": (c_void_p, c_void_p),
    "g_object_ref_sink": (c_void_p, c_void_p),
    "g_object_unref": (None, c_void_p),
    "g_signal_connect_data": (c_ulong, c_void_p, c_char_p, Notified, c_void_p, c_void_p, c_int),
    "g_signal_handler_disconnect": (None, c_void_p, c_ulong),
    "g_cancellable_new": (c_void_p,),
    "g_cancellable_cancel": (None, c_void_p),
    "fp_context_new": (c_void_p,),
    "fp_context_get_devices": (POINTER(GPtrArray), c_void_p),
    "fp_device_error_quark": (c_uint32,),
    "fp_device_retry_quark": (c_uint32,),
    "fp_device_get_driver": (c_char_p, c_void_p),
    "fp_device_get_device_id": (c_char_p, c_void_p),
    "fp_device_get_name": (c_char_p, c_void_p),
    "fp_device_get_features": (c_uint, c_void_p),
    "fp_device_get_finger_status": (c_uint, c_void_p),
    "fp_device_get_nr_enroll_stages": (c_int, c_void_p),
    "fp_device_open_sync": (c_int, c_void_p, c_void_p, POINTER(Error)),
    "fp_device_close_sync": (c_int, c_void_p, c_void_p, POINTER(Error)),
    "fp_device_enroll_sync": (c_void_p, c_void_p, c_void_p, c_void_p, Progress, c_void_p, POINTER(Error)),
    "fp_device_verify_sync": (
        c_int,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        c_void_p,
        POINTER(c_int),
        POINTER(c_void_p),
        POINTER(Error),
    ),
    "fp_print_new": (c_void_p, c_void_p),
    "fp_print_compatible": (c_int, c_void_p, c_void_p),
    "fp_print_serialize": (c_int, c_void_p, POINTER(c_void_p), POINTER(c_size_t), POINTER(Error)),
    "fp_print_deserialize": (c_void_p, c_char_p, c_size_t, POINTER(Error)),
}


def load() -> Any:
    """The library; Failure("library") where it is not installed."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise Failure("library", str(error)) from error
    for name, (result, *arguments) in SIGNATURES.items():
        call = getattr(library, name)
        call.restype, call.argtypes = result, arguments
    return library


@contextmanager
def raising(library: Any) -> Iterator[Any]:
    """The place for a GError, raised as Failure when one was put there."""
    error = Error()
    yield byref(error)
    if error:
        failure = _failure(library, error.contents)
        library.g_error_free(error)
        raise failure


def _failure(library: Any, error: GError) -> Failure:
    words = {
        library.g_io_error_quark(): IO_ERRORS,
        library.g_usb_device_error_quark(): USB_ERRORS,
        library.fp_device_error_quark(): DEVICE_ERRORS,
        library.fp_device_retry_quark(): dict(enumerate(RETRIES)),
    }
    detail = (error.message or b"").decode("utf-8", "replace")
    return Failure(words.get(error.domain, {}).get(error.code, "device"), detail)
