"""What the hub says of a machine that it admits, checked before any of it is saved: damage here would stop each start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cryptography import x509

from edge.identity import Identity
from edge.tls_pair import checked_chain
from security.certificates import UNREADABLE, BadCertificate, edge_of


def admitted(identity: Identity, chain_der: Sequence[bytes], csr_der: bytes) -> Identity:
    """With its certificate, which leads to the root that this machine trusts and is of this identity and the key in `csr_der`.

    Raises ValueError.
    """
    chain = checked_chain(identity, chain_der)
    leaf = x509.load_pem_x509_certificate(chain)
    try:
        same = leaf.public_key() == x509.load_der_x509_csr(csr_der).public_key()
    except UNREADABLE:
        same = False
    if not same:
        raise BadCertificate("the hub answered with a certificate of another key; call the city's IT desk")
    if edge_of(identity.hub_id, leaf)[0] != identity.edge_id:
        raise BadCertificate("the hub answered with the certificate of another machine; call the city's IT desk")
    identity.check()
    return replace(identity, chain=chain.decode())
