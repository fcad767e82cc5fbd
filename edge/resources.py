"""What the hub has told this machine: signed resources in files, verified again at every start, swapped in memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import structlog
from google.protobuf.message import DecodeError

from proto import sync_pb2
from security.clock import Clock
from security.private_files import write_private
from security.statements import ForgedStatement, check_resource
from security.suites import Verifier

RESOURCE_MAX_BYTES = 1024 * 1024
ENVELOPE_MAX_BYTES = 4 * 1024  # key id, signature, audience, version around the content
ALL = "all"
NEVER = 0

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")

log = structlog.get_logger()
T = TypeVar("T")


class ResourceRefused(ValueError):
    """A resource that is not applied; the text is the reason that the hub is told."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Ordered by epoch, then number."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A resource that this program understands; `parse` raises ResourceRefused and nothing else."""

    name: str
    parse: Callable[[bytes], T]


@dataclass(frozen=True, slots=True)
class SignedResource:
    """As it came; `signature` is over exactly `payload`."""

    key_id: bytes
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What a payload says, believed only once its signature holds."""

    name: str
    audience: str
    version: Version
    expires_ms: int
    content: bytes


@dataclass(frozen=True, slots=True)
class _Held:
    signed: SignedResource
    claim: Claim
    value: object


def read_claim(payload: bytes) -> Claim:
    """Raises ResourceRefused for bytes that are no resource."""
    try:
        parsed = sync_pb2.ResourcePayload.FromString(payload)
    except DecodeError as error:
        raise ResourceRefused("the resource cannot be read; publish it again") from error
    version = Version(parsed.version.epoch, parsed.version.number)
    if not _NAME.fullmatch(parsed.version.name) or version.epoch == 0 or version.number == 0:
        raise ResourceRefused("the resource has no proper name and version; publish it again")
    return Claim(parsed.version.name, parsed.audience, version, parsed.expires_ms, parsed.content)


class ResourceStore:
    """Thread-safe. `load` once at start, then `apply` what comes; readers ask `current` each time they need it.

    `machines`: this one, and the identities that it had before, whose resources stay its own.
    """

    def __init__(self, folder: Path, machines: Collection[UUID], verifier: Verifier, clock: Clock,
                 kinds: Sequence[Kind[Any]]) -> None:
        self._folder = folder
        self._audiences = {ALL, *map(str, machines)}
        self._verifier = verifier
        self._clock = clock
        self._kinds: dict[str, Kind[Any]] = {kind.name: kind for kind in kinds}
        self._held: dict[str, _Held] = {}
        self._applying = threading.Lock()

    def current(self, kind: Kind[T]) -> T | None:
        """The newest value; None when nothing is held, or what is held has expired."""
        held = self._held.get(kind.name)
        return None if held is None or self._expired(held.claim) else cast(T, held.value)

    def versions(self) -> dict[str, Version]:
        """What is held, by name, expired or not."""
        return {name: held.claim.version for name, held in self._held.items()}

    def load(self) -> None:
        """Read the folder. A damaged file is kept aside and counts as not held: the hub sends the resource again."""
        for path in sorted(self._folder.glob("*.resource")):
            name = path.name.removesuffix(".resource")
            if name not in self._kinds:
                log.warning("resource unknown", name=name, next="update this program, or remove the file")
                continue
            try:
                self._held[name] = self._checked(name, _read_file(path))
            except (ResourceRefused, OSError) as error:
                log.warning("resource damaged", name=name, reason=str(error), next="the hub sends it again")
                _keep_aside(path)

    def apply(self, signed: SignedResource) -> Claim:
        """Durable on return and current at once; a repeat is success. Raises ResourceRefused, or OSError (disk)."""
        with self._applying:
            claim = read_claim(signed.payload)
            before = self._held.get(claim.name)
            held = self._checked(claim.name, signed)
            if self._expired(claim):
                raise ResourceRefused("the resource has expired; publish a new one, or set this machine's clock")
            if before is None or _supersedes(before, held):
                self._write(held)
                self._held[claim.name] = held
            return claim

    def _checked(self, name: str, signed: SignedResource) -> _Held:
        """All that does not depend on the time or on what is held."""
        if len(signed.payload) > RESOURCE_MAX_BYTES + ENVELOPE_MAX_BYTES:
            raise ResourceRefused(f"the resource is longer than {RESOURCE_MAX_BYTES} bytes; shorten it")
        self._check_signature(signed)
        claim = read_claim(signed.payload)
        if claim.audience not in self._audiences:
            raise ResourceRefused("the resource is meant for another machine; publish it for this one or for all")
        kind = self._kinds.get(claim.name)
        if kind is None or claim.name != name:
            raise ResourceRefused(f"this program knows no resource {claim.name!r} here; update it")
        return _Held(signed, claim, kind.parse(claim.content))

    def _check_signature(self, signed: SignedResource) -> None:
        if signed.key_id != self._verifier.key_id:
            raise ResourceRefused("the resource is signed with a key that this machine does not know; enrol it again")
        try:
            check_resource(self._verifier, signed.payload, signed.signature)
        except ForgedStatement as error:
            raise ResourceRefused(str(error)) from error

    def _expired(self, claim: Claim) -> bool:
        return claim.expires_ms != NEVER and claim.expires_ms <= self._clock.unix_ms()

    def _write(self, held: _Held) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_private(self._folder / f"{held.claim.name}.resource", _encode_file(held.signed))


def _supersedes(before: _Held, after: _Held) -> bool:
    """False for a repeat. Raises ResourceRefused for an older version, or another one under the same number."""
    old, new = before.claim.version, after.claim.version
    if new < old:
        raise ResourceRefused(f"version {new} is older than {old}, which is held; publish a newer one, never go back")
    if new == old and after.signed.payload != before.signed.payload:
        raise ResourceRefused(f"version {new} was something else before; the hub has to open a new epoch")
    return new > old


def _encode_file(signed: SignedResource) -> bytes:
    resource = sync_pb2.Resource(key_id=signed.key_id, payload=signed.payload, signature=signed.signature)
    return resource.SerializeToString()


def _read_file(path: Path) -> SignedResource:
    """Raises ResourceRefused, OSError."""
    if path.stat().st_size > RESOURCE_MAX_BYTES + 2 * ENVELOPE_MAX_BYTES:
        raise ResourceRefused("the file is too long for a resource")
    try:
        resource = sync_pb2.Resource.FromString(path.read_bytes())
    except DecodeError as error:
        raise ResourceRefused("the file cannot be read") from error
    return SignedResource(resource.key_id, resource.payload, resource.signature)


def _keep_aside(path: Path) -> None:
    """For a technician; only the newest damaged file of a name is kept."""
    try:
        path.replace(path.with_name(f"{path.name}.damaged"))
    except OSError as error:
        log.warning("damaged resource not kept aside", path=str(path), reason=str(error), next="check the disk")
