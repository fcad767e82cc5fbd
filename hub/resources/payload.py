"""The signed bytes of a resource: made once at publication, never parsed and written again (invariant 4)."""

from __future__ import annotations

from hub.resources.versions import NamedVersion
from proto import sync_pb2


def encode_payload(subject: NamedVersion, audience: str, expires_ms: int, content: bytes) -> bytes:
    """A serialised ResourcePayload."""
    version = sync_pb2.ResourceVersion(name=subject.name, epoch=subject.version.epoch, number=subject.version.number)
    payload = sync_pb2.ResourcePayload(audience=audience, version=version, expires_ms=expires_ms, content=content)
    return payload.SerializeToString(deterministic=True)


def content_of(payload: bytes) -> bytes:
    """What was published, for publishing it once more under another version."""
    return sync_pb2.ResourcePayload.FromString(payload).content
