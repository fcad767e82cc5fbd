"""What an edge keeps of the hub's resources: verified, never rolled back, kept through restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.resources import RESOURCE_MAX_BYTES, Kind, ResourceRefused, ResourceStore, SignedResource, Version
from proto import sync_pb2
from security.signer import Ed25519Signer
from security.statements import sign_resource
from security.suites import Verifier
from tests.still_clock import StillClock

EDGE, OTHER, BEFORE = UUID(int=1), UUID(int=2), UUID(int=3)
HUB = Ed25519Signer(Ed25519PrivateKey.generate())
STRANGER = Ed25519Signer(Ed25519PrivateKey.generate())


def parse_text(content: bytes) -> str:
    if not content.isascii():
        raise ResourceRefused("the text is not ASCII; correct it")
    return content.decode("ascii")


TEXT = Kind("text", parse_text)


def signed(content: bytes = b"one", number: int = 1, epoch: int = 1, *, name: str = "text", audience: str = "all",
           expires_ms: int = 0, signer: Ed25519Signer = HUB) -> SignedResource:
    version = sync_pb2.ResourceVersion(name=name, epoch=epoch, number=number)
    payload = sync_pb2.ResourcePayload(audience=audience, version=version, expires_ms=expires_ms, content=content)
    data = payload.SerializeToString()
    return SignedResource(signer.key_id, data, sign_resource(signer, data))


def opened(folder: Path, clock: StillClock | None = None) -> ResourceStore:
    """A store as it stands after a start."""
    verifier = Verifier(HUB.suite, HUB.public_key)
    store = ResourceStore(folder / "resources", [EDGE, BEFORE], verifier, clock or StillClock(), [TEXT])
    store.load()
    return store


def test_what_is_applied_is_current_at_once_and_after_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.current(TEXT) is None
    store.apply(signed())
    store.apply(signed(b"two", 2, audience=str(EDGE)))
    assert store.current(TEXT) == opened(tmp_path).current(TEXT) == "two"
    assert opened(tmp_path).versions() == {"text": Version(1, 2)}


def test_what_was_meant_for_an_earlier_identity_is_meant_for_this_one(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.apply(signed(audience=str(BEFORE)))
    assert store.current(TEXT) == opened(tmp_path).current(TEXT) == "one"


def test_the_signed_bytes_are_the_kept_bytes(tmp_path: Path) -> None:
    """Invariant 4."""
    resource = signed()
    opened(tmp_path).apply(resource)
    kept = sync_pb2.Resource.FromString((tmp_path / "resources/text.resource").read_bytes())
    assert (kept.key_id, kept.payload, kept.signature) == (resource.key_id, resource.payload, resource.signature)


@pytest.mark.parametrize(("epoch", "number"), [(2, 4), (2, 1), (1, 9)])
def test_a_rollback_is_refused_with_the_reason_also_after_a_restart(tmp_path: Path, epoch: int, number: int) -> None:
    opened(tmp_path).apply(signed(b"held", 5, 2))
    store = opened(tmp_path)
    with pytest.raises(ResourceRefused, match=rf"version {epoch}\.{number} is older than 2\.5"):
        store.apply(signed(b"old", number, epoch))
    assert store.current(TEXT) == opened(tmp_path).current(TEXT) == "held"


@pytest.mark.parametrize(("epoch", "number"), [(2, 6), (3, 1)])
def test_a_higher_number_or_epoch_is_newer(tmp_path: Path, epoch: int, number: int) -> None:
    store = opened(tmp_path)
    store.apply(signed(b"held", 5, 2))
    store.apply(signed(b"new", number, epoch))
    assert store.current(TEXT) == "new"


def test_a_repeat_is_success_and_other_content_under_the_same_version_a_conflict(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.apply(signed())
    store.apply(signed())
    with pytest.raises(ResourceRefused, match="something else before"):
        store.apply(signed(b"other"))
    assert store.current(TEXT) == "one"


@pytest.mark.parametrize(("resource", "reason"), [
    (replace(signed(), signature=bytes(64)), "not signed by this hub's resource key"),
    (replace(signed(), payload=signed(b"other").payload), "not signed by this hub's resource key"),
    (replace(signed(), signature=b""), "not signed by this hub's resource key"),
    (replace(signed(signer=STRANGER), key_id=HUB.key_id), "not signed by this hub's resource key"),
    (signed(signer=STRANGER), "a key that this machine does not know"),
    (signed(audience=str(OTHER)), "meant for another machine"),
    (signed(audience=""), "meant for another machine"),
    (signed(expires_ms=StillClock().now_ms), "has expired"),
    (signed(name="roster"), "knows no resource 'roster'"),
    (signed(name="../text"), "no proper name and version"),
    (signed(number=0), "no proper name and version"),
    (signed("一".encode()), "not ASCII"),
    (signed(bytes(RESOURCE_MAX_BYTES + 5000)), "longer than"),
    (SignedResource(HUB.key_id, b"\xff", sign_resource(HUB, b"\xff")), "cannot be read"),
])
def test_what_is_not_right_is_refused_and_changes_nothing(tmp_path: Path, resource: SignedResource,
                                                          reason: str) -> None:
    store = opened(tmp_path)
    with pytest.raises(ResourceRefused, match=reason):
        store.apply(resource)
    assert store.versions() == {}
    assert not (tmp_path / "resources").exists()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_changed_byte_anywhere_in_a_signed_resource_is_refused(tmp_path: Path, place: int, flip: int) -> None:
    resource = signed()
    payload = bytearray(resource.payload)
    payload[place % len(payload)] ^= flip
    with pytest.raises(ResourceRefused):
        opened(tmp_path).apply(replace(resource, payload=bytes(payload)))


def test_what_has_expired_is_no_longer_current_but_still_guards_against_rollback(tmp_path: Path) -> None:
    clock = StillClock()
    opened(tmp_path, clock).apply(signed(b"short", 2, expires_ms=clock.now_ms + 1))
    clock.now_ms += 1
    store = opened(tmp_path, clock)
    assert store.current(TEXT) is None
    with pytest.raises(ResourceRefused, match="older than"):
        store.apply(signed(b"old", 1))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_flipped_bit_in_a_file_never_stops_the_agent(tmp_path: Path, place: int, flip: int) -> None:
    """Kept aside, counted as not held, and mended by what the hub sends again."""
    opened(tmp_path).apply(signed())
    path = tmp_path / "resources/text.resource"
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= flip
    path.write_bytes(data)
    store = opened(tmp_path)
    assert store.versions() == {}
    assert not path.exists()
    assert path.with_name("text.resource.damaged").read_bytes() == data
    store.apply(signed())
    assert opened(tmp_path).current(TEXT) == "one"


def test_a_truncated_empty_or_swollen_file_never_stops_the_agent(tmp_path: Path) -> None:
    opened(tmp_path).apply(signed())
    path = tmp_path / "resources/text.resource"
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:10], bytes(2 * RESOURCE_MAX_BYTES)):
        path.write_bytes(damaged)
        assert opened(tmp_path).versions() == {}


def test_a_file_under_another_name_does_not_count(tmp_path: Path) -> None:
    """Else an old file, renamed, would stand in for another resource."""
    store = ResourceStore(tmp_path / "resources", [EDGE], Verifier(HUB.suite, HUB.public_key), StillClock(),
                          [TEXT, Kind("roster", parse_text)])
    store.apply(signed())
    (tmp_path / "resources/text.resource").rename(tmp_path / "resources/roster.resource")
    store.load()
    assert not (tmp_path / "resources/roster.resource").exists()


def test_a_file_of_a_resource_that_this_program_does_not_know_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "resources").mkdir()
    unknown = tmp_path / "resources/roster.resource"
    unknown.write_bytes(b"of a newer program")
    assert opened(tmp_path).versions() == {}
    assert unknown.exists()
