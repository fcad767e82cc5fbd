"""What a machine signs to renew: nothing in it can be exchanged."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from security.certificates import edge_certificate, new_csr, new_intermediate, new_key, new_root
from security.renewal import rejoin_proof_name, rejoin_statement, renewal_holds, renewal_statement, sign_renewal
from security.suites import sha256

HUB, EDGE, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KEY = new_key()
CERTIFICATE = edge_certificate(new_intermediate(new_root(HUB, NOW), HUB, NOW), new_csr(KEY, "m"), HUB, EDGE, NOW)
NONCE, CSR = bytes(32), b"request"
STATEMENT = renewal_statement(HUB, EDGE, NONCE, CSR)


def test_the_present_key_renews_and_no_other() -> None:
    assert renewal_holds(CERTIFICATE, sign_renewal(KEY, STATEMENT), STATEMENT)
    assert not renewal_holds(CERTIFICATE, sign_renewal(new_key(), STATEMENT), STATEMENT)
    for broken in (b"", bytes(70), sign_renewal(KEY, STATEMENT)[:-1]):
        assert not renewal_holds(CERTIFICATE, broken, STATEMENT)


@pytest.mark.parametrize("other", [
    renewal_statement(OTHER, EDGE, NONCE, CSR), renewal_statement(HUB, OTHER, NONCE, CSR),
    renewal_statement(HUB, EDGE, bytes([1]) * 32, CSR), renewal_statement(HUB, EDGE, NONCE, b"another request"),
])
def test_the_signature_is_bound_to_hub_machine_nonce_and_request(other: bytes) -> None:
    assert not renewal_holds(CERTIFICATE, sign_renewal(KEY, other), STATEMENT)


def test_the_same_words_without_their_context_renew_nothing() -> None:
    """The key signs TLS handshakes, too: what it signs elsewhere must not serve here."""
    bare = HUB.bytes + EDGE.bytes + NONCE + sha256(CSR)
    assert b"suozhan/renew/v1\0" + bare == STATEMENT
    assert not renewal_holds(CERTIFICATE, KEY.sign(bare, ec.ECDSA(hashes.SHA256())), STATEMENT)


def test_what_a_machine_signs_to_begin_anew_is_written_as_specified() -> None:
    """Bound to hub, old machine, nonce, request, new machine and its journal; and no renewal, whoever shows it as one."""
    statement = rejoin_statement(HUB, EDGE, NONCE, CSR, OTHER, [UUID(int=4)])
    assert statement == (b"suozhan/rejoin/v1\0" + HUB.bytes + EDGE.bytes + NONCE + sha256(CSR) + OTHER.bytes + UUID(int=4).bytes)
    assert not renewal_holds(CERTIFICATE, sign_renewal(KEY, statement), STATEMENT)
    assert rejoin_proof_name(EDGE) == f"rejoin:{EDGE}"


def test_a_statement_is_written_as_specified() -> None:
    assert renewal_statement(HUB, EDGE, NONCE, CSR) == b"suozhan/renew/v1\0" + HUB.bytes + EDGE.bytes + NONCE + sha256(CSR)
