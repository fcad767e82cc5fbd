"""The device list: what this machine has to look after, as the hub or edge.toml says it; checked whole before it counts."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal

from google.protobuf.message import DecodeError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from devices.printer_uri import http_url
from devices.scanners import OPTION_MAX_CHARS
from edge.config import BadConfig, EdgeConfig
from edge.equipment.events import Lister
from edge.resources import Kind, ResourceRefused
from proto import fleet_pb2

DEVICES_MAX = 64
TEXT_MAX_CHARS = 256

_PORT = re.compile(r"/dev/(serial/by-(id|path)/)?[A-Za-z0-9][A-Za-z0-9._:+-]*")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Text = Annotated[str, Field(min_length=1, max_length=TEXT_MAX_CHARS, pattern=r"^[^\x00-\x1f]+$")]
MaybeText = Annotated[str, Field(max_length=TEXT_MAX_CHARS, pattern=r"^[^\x00-\x1f]*$")]


def _startable(program: str) -> str:
    if program and not shlex.split(program):
        raise ValueError("it names no program")
    return program


def _printer_uri(uri: str) -> str:
    http_url(uri)
    return uri


class _Listed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name


class CardReader(_Listed):
    """A PC/SC reader, by its maker's serial; readers that are not listed are found all the same."""

    kind: Literal["social-card"]
    serial: Text


class IdCardReader(_Listed):
    """On a serial line; its speed is found out."""

    kind: Literal["id-card"]
    port: Text


class Scanner(_Listed):
    """On a serial line (`port`), or a keyboard wedge that is grabbed (`usb`, "vvvv:pppp" or its serial): one of the two."""

    kind: Literal["barcode"]
    port: Text | None = None
    usb: Text | None = None
    baud: Annotated[int, Field(ge=300, le=921_600)] = 9600
    prefix: Annotated[str, Field(max_length=16)] = ""
    suffix: Annotated[str, Field(max_length=16)] = ""
    encoding: Literal["auto", "utf-8", "gbk"] = "auto"
    aim: bool = False  # the scanner says the symbology before each code (ISO/IEC 15424)


class FingerprintReader(_Listed):
    """libfprint's, by serial ("" for the first one), or one that a vendor's `program` speaks to."""

    kind: Literal["fingerprint"]
    serial: MaybeText = ""
    program: Annotated[MaybeText, AfterValidator(_startable)] = ""


class DocumentScanner(_Listed):
    """A SANE scanner by serial, model or name; "" for the first one. `feeder`, as the scanner calls it; "" for its first one."""

    kind: Literal["document"]
    device: MaybeText = ""
    feeder: Annotated[str, Field(max_length=OPTION_MAX_CHARS, pattern=r"^[^\x00-\x1f]*$")] = ""


class Printer(_Listed):
    """By its IPP address."""

    kind: Literal["printer"]
    uri: Annotated[str, Field(max_length=TEXT_MAX_CHARS, pattern=r"^ipps?://[^\x00-\x20]+$"), AfterValidator(_printer_uri)]


class Inventory(_Listed):
    """What has no line to this machine: it is counted, and looked after by people."""

    kind: Literal["fax", "filing-cabinet", "display"]
    note: Annotated[str, Field(max_length=TEXT_MAX_CHARS)] = ""


ListedDevice = CardReader | IdCardReader | Scanner | FingerprintReader | DocumentScanner | Printer | Inventory
_device: TypeAdapter[ListedDevice] = TypeAdapter(Annotated[ListedDevice, Field(discriminator="kind")])


class DeviceListRefused(ResourceRefused):
    """A device list that is not applied; the text says which device and what to mend."""


def listed(devices: Iterable[Mapping[str, Any]]) -> tuple[ListedDevice, ...]:
    """From the tables of edge.toml, or what the hub said. Raises DeviceListRefused."""
    found = tuple(_checked(one) for one in devices)
    if len(found) > DEVICES_MAX:
        raise DeviceListRefused(f"{len(found)} devices; a machine has at most {DEVICES_MAX}")
    if doubles := sorted({one.name for one in found if sum(other.name == one.name for other in found) > 1}):
        raise DeviceListRefused(f"the name {', '.join(doubles)} stands twice; give each device its own")
    first: dict[object, str] = {}
    for one in found:
        if (address := address_of(one)) and first.setdefault(address, one.name) != one.name:
            raise DeviceListRefused(f"{first[address]!r} and {one.name!r} are the same device; list it once")
    return found


def address_of(one: ListedDevice) -> tuple[str, ...]:
    """Where the agent goes for it: two with the same address would be one device under two names. () for inventory."""
    match one:
        case IdCardReader(port=str(port)) | Scanner(port=str(port)):
            return ("port", port)
        case Scanner():
            return ("usb", (one.usb or "").lower())
        case FingerprintReader():
            return (one.kind, one.serial, one.program)
        case CardReader(serial=where) | DocumentScanner(device=where) | Printer(uri=where):
            return (one.kind, where)
        case Inventory():
            return ()


def parse_device_list(content: bytes) -> tuple[ListedDevice, ...]:
    """As the hub said it, who may name no program to run and no file but a device. Raises DeviceListRefused and nothing else."""
    try:
        parsed = fleet_pb2.DeviceList.FromString(content)
    except DecodeError as error:
        raise DeviceListRefused("the device list cannot be read; publish it again") from error
    devices = listed({**one.settings, "name": one.name, "kind": one.kind} for one in parsed.devices)
    for one in devices:
        if getattr(one, "program", ""):
            raise DeviceListRefused(f"device {one.name!r}: a program is named in the machine's edge.toml only; take it out")
        port = getattr(one, "port", None)
        if port is not None and not _PORT.fullmatch(port):
            raise DeviceListRefused(f"device {one.name!r}: {port!r} is no serial port below /dev; correct it")
    return devices


DEVICES = Kind("devices", parse_device_list)


def devices_of(config: EdgeConfig) -> tuple[ListedDevice, ...]:
    """What edge.toml lists. Raises BadConfig."""
    try:
        return listed(config.devices)
    except DeviceListRefused as error:
        raise BadConfig(f"edge.toml, devices: {error}") from error


class CurrentList:
    """What is to be looked after now: what edge.toml says, then what the hub says of other names and devices."""

    def __init__(self, local: tuple[ListedDevice, ...]) -> None:
        self._local = local
        self._of_hub: Callable[[], tuple[ListedDevice, ...] | None] = lambda: None
        self._known = asyncio.Event()

    def follow(self, of_hub: Callable[[], tuple[ListedDevice, ...] | None]) -> None:
        """From now on that is what the hub says."""
        self._of_hub = of_hub
        self._known.set()

    async def known(self) -> None:
        """Wait until it is known what the hub said last: before that a device might have another name for a moment."""
        await self._known.wait()

    def __call__(self) -> tuple[ListedDevice, ...]:
        names, addresses = {one.name for one in self._local}, {address_of(one) for one in self._local} - {()}
        return (*self._local, *(one for one in self._of_hub() or ()
                                if one.name not in names and address_of(one) not in addresses))

    def lister_of(self, name: str) -> Lister:
        if any(one.name == name for one in self._local):
            return Lister.MACHINE
        return Lister.HUB if any(one.name == name for one in self()) else Lister.NOBODY

    def known_whole(self) -> AbstractSet[Lister]:
        """Whose lists are. The hub's is not while its file is damaged, or before it has come: it names who knows what."""
        return {Lister.MACHINE} if self._of_hub() is None else {Lister.MACHINE, Lister.HUB}

    def reader_names(self) -> dict[str, str]:
        """Of card readers, by their serials."""
        return {one.serial: one.name for one in self() if isinstance(one, CardReader)}


def _checked(table: Mapping[str, Any]) -> ListedDevice:
    try:
        one = _device.validate_python(dict(table))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        name = str(table.get("name", "?"))[:32]
        wrong = first["msg"].removeprefix("Value error, ")
        raise DeviceListRefused(f"device {name!r}, {field or 'kind'}: {wrong}; correct it") from error
    if isinstance(one, Scanner) and (one.port is None) == (one.usb is None):
        raise DeviceListRefused(f"device {one.name!r}: a scanner has either a port or a usb address; correct it")
    return one
