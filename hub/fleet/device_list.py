"""A machine's device list: from TOML to what its agent gets. The agent knows the kinds, checks all of it, and reports why not."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import sqlalchemy as sa

from hub.resources.store import ALL, publish
from hub.resources.versions import SignedResource
from proto import fleet_pb2
from security.clock import Clock
from security.signer import Signer

DEVICES = "devices"
DEVICES_MAX = 64
KINDS = ("social-card", "id-card", "barcode", "fingerprint", "document", "printer", "fax", "filing-cabinet", "display")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_URI = re.compile(r"ipps?://[^\x00-\x20@?#]+")


class DeviceListInvalid(ValueError):
    """A device list that must not be published; the text names the device and what to correct."""


def publish_devices(engine: sa.Engine, signer: Signer, clock: Clock, path: Path, machine: UUID | None) -> SignedResource:
    """For one machine, or for all. Raises DeviceListInvalid, OSError."""
    return publish(engine, signer, clock, DEVICES, encode_device_list(path.read_bytes()), machine or ALL)


def encode_device_list(data: bytes) -> bytes:
    """TOML with a table [[devices]] each: name, kind and what its kind needs. Raises DeviceListInvalid."""
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:
        raise DeviceListInvalid(f"the device list is not TOML in UTF-8: {error}; correct the file") from error
    devices = raw.pop("devices", [])
    if raw or not isinstance(devices, list) or len(devices) > DEVICES_MAX:
        raise DeviceListInvalid(f"a device list is a file of at most {DEVICES_MAX} tables [[devices]], and nothing else")
    encoded = [_device(number, one) for number, one in enumerate(devices, 1)]
    if len({one.name for one in encoded}) != len(encoded):
        raise DeviceListInvalid("a name stands twice; give each device its own")
    if doubles := [where for where, count in Counter(map(_where, encoded)).items() if where and count > 1]:
        raise DeviceListInvalid(f"{' '.join(doubles[0])} stands twice: it would be one device under two names; list it once")
    return fleet_pb2.DeviceList(devices=encoded).SerializeToString(deterministic=True)


def _where(device: fleet_pb2.ListedDevice) -> tuple[str, ...]:
    """What tells a device from the others of its machine, as far as its entry says that."""
    if port := device.settings.get("port"):
        return "port", port
    said = (device.settings.get(key, "") for key in ("serial", "usb", "device", "uri"))
    return next(((device.kind, one) for one in said if one), ())


def _device(number: int, table: Any) -> fleet_pb2.ListedDevice:
    if not isinstance(table, dict) or not _NAME.fullmatch(str(table.get("name", ""))):
        raise DeviceListInvalid(f"device number {number}: it needs a name of a-z, 0-9 and hyphens, at most 32")
    name, kind = str(table["name"]), table.get("kind")
    if kind not in KINDS:
        raise DeviceListInvalid(f"device {name!r}: its kind is one of {', '.join(KINDS)}")
    settings = {key: value for key, value in table.items() if key not in ("name", "kind")}
    if wrong := [key for key, value in settings.items() if not isinstance(value, str | int) or isinstance(value, bool)]:
        raise DeviceListInvalid(f"device {name!r}, {', '.join(wrong)}: a setting is a text or a whole number")
    if kind == "printer" and not _is_printer_uri(str(settings.get("uri", ""))):
        raise DeviceListInvalid(f"device {name!r}: a printer's uri is like ipp://10.0.0.9/ipp/print; correct it")
    return fleet_pb2.ListedDevice(name=name, kind=kind, settings={key: str(value) for key, value in settings.items()})


def _is_printer_uri(uri: str) -> bool:
    """By the rules of `devices.printer_uri`, so that a slip of the pen shows here and not at each machine."""
    try:
        url = urlsplit(uri)
        host, _ = url.hostname or "", url.port
        return bool(_URI.fullmatch(uri) and host and (":" in host or host.encode("idna")))
    except ValueError:
        return False
