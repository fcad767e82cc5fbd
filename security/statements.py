"""What the hub signs for its edges beside records: resources and the time. Each has its own key and context."""

from __future__ import annotations

from dataclasses import dataclass

from security.signer import Signer
from security.suites import Verifier

RESOURCE_CONTEXT = b"suozhan/resource/v1\0"
TIME_CONTEXT = b"suozhan/time/v1\0"
TIME_ANSWER_CONTEXT = b"suozhan/time-answer/v1\0"
TIME_NONCE_BYTES = 32


class ForgedStatement(ValueError):
    """A statement that the hub's key did not sign."""


def sign_resource(signer: Signer, payload: bytes) -> bytes:
    """Signature over a serialised ResourcePayload."""
    return signer.sign(RESOURCE_CONTEXT + payload)


def check_resource(verifier: Verifier, payload: bytes, signature: bytes) -> None:
    """Raises ForgedStatement."""
    if not verifier.valid(signature, RESOURCE_CONTEXT + payload):
        raise ForgedStatement("the resource is not signed by this hub's resource key; ask the city's IT desk")


@dataclass(frozen=True, slots=True)
class SignedTime:
    """The hub's word for what time it is, Unix milliseconds."""

    unix_ms: int
    signature: bytes

    @classmethod
    def sign(cls, signer: Signer, unix_ms: int) -> SignedTime:
        return cls(unix_ms, signer.sign(TIME_CONTEXT + unix_ms.to_bytes(8, "big")))

    def check(self, verifier: Verifier) -> int:
        """The time. Raises ForgedStatement."""
        if not verifier.valid(self.signature, TIME_CONTEXT + self.unix_ms.to_bytes(8, "big")):
            raise ForgedStatement("the time is not signed by this hub's time key; ask the city's IT desk")
        return self.unix_ms


def sign_time_answer(signer: Signer, nonce: bytes, unix_ms: int) -> bytes:
    """The time for one who asked just now and cannot tell an old answer from a new one but by the nonce."""
    return signer.sign(_time_answer(nonce, unix_ms))


def check_time_answer(verifier: Verifier, nonce: bytes, unix_ms: int, signature: bytes) -> None:
    """Raises ForgedStatement."""
    if not 0 <= unix_ms < 2**64 or not verifier.valid(signature, _time_answer(nonce, unix_ms)):
        raise ForgedStatement("the time is not signed by this hub's time key for this question; ask the city's IT desk")


def _time_answer(nonce: bytes, unix_ms: int) -> bytes:
    assert len(nonce) == TIME_NONCE_BYTES
    return TIME_ANSWER_CONTEXT + nonce + unix_ms.to_bytes(8, "big")
