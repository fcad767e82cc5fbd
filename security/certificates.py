"""The hub's CA and the certificates of machines: offline root, online intermediate, P-256 leaves."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from security.suites import sha256

ROOT_LIFE = dt.timedelta(days=365 * 20)
INTERMEDIATE_LIFE = dt.timedelta(days=365 * 5)
SERVER_LIFE = dt.timedelta(days=365)
EDGE_LIFE = dt.timedelta(days=30)
# A counter PC whose clock is a little behind must not find its new certificate "not yet valid".
BACKDATE = dt.timedelta(hours=1)
# What a flipped bit in a key, request or certificate raises: cryptography has more than one word for "this is none".
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)


class BadCertificate(ValueError):
    """A certificate, request or key that is not what it should be."""


@dataclass(frozen=True)
class Authority:
    """A CA certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    """P-256: an Ed25519 leaf fails gRPC's handshake."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: str | None = None) -> bytes:
    """PKCS #8 PEM, encrypted when a passphrase is given."""
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def load_key(pem: bytes, passphrase: str | None = None) -> ec.EllipticCurvePrivateKey:
    """Raises BadCertificate for another kind of key, or for what is none."""
    try:
        key = load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except UNREADABLE as error:
        raise BadCertificate(f"the TLS key cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise BadCertificate("the TLS key must be P-256; make a new one")
    return key


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey,
             now: dt.datetime, life: dt.timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )


def new_root(hub: UUID, now: dt.datetime) -> Authority:
    """Self-signed; its key leaves the hub encrypted and stays offline."""
    key = new_key()
    name = _name(f"Suozhan root {hub}")
    certificate = (
        _builder(name, name, key.public_key(), now, ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def new_intermediate(root: Authority, hub: UUID, now: dt.datetime, key: ec.EllipticCurvePrivateKey | None = None) -> Authority:
    """The CA that works online. Renewed with its own `key`, all that it has issued stands under the new certificate as well."""
    key = key or new_key()
    certificate = (
        _builder(_name(f"Suozhan intermediate {hub}"), root.certificate.subject, key.public_key(), now, INTERMEDIATE_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(_authority_id(root), critical=False)
        .sign(root.key, hashes.SHA256())
    )
    return Authority(certificate, key)


def _authority_id(issuer: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _leaf(issuer: Authority, subject: x509.Name, public_key: ec.EllipticCurvePublicKey,
          names: x509.SubjectAlternativeName, usage: x509.ObjectIdentifier, now: dt.datetime,
          life: dt.timedelta) -> x509.Certificate:
    return (
        _builder(subject, issuer.certificate.subject, public_key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(_authority_id(issuer), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def server_certificate(issuer: Authority, key: ec.EllipticCurvePrivateKey, hosts: list[str],
                       now: dt.datetime) -> x509.Certificate:
    """For the host names and IP addresses by which edges reach the hub."""
    return _leaf(issuer, _name("Suozhan hub"), key.public_key(), server_names(hosts),
                 ExtendedKeyUsageOID.SERVER_AUTH, now, SERVER_LIFE)


def server_names(hosts: list[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(host) for host in hosts])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def edge_uri(hub: UUID, edge: UUID) -> str:
    """SPIFFE id of a machine."""
    return f"spiffe://{hub}/edge/{edge}"


def edge_of_uri(hub: UUID, uri: str) -> UUID:
    """The machine that a SPIFFE id of this hub names. Raises BadCertificate."""
    prefix = f"spiffe://{hub}/edge/"
    try:
        return UUID(uri.removeprefix(prefix)) if uri.startswith(prefix) else _not_an_edge(uri)
    except ValueError as error:
        raise BadCertificate(f"{uri!r} names no machine of this hub; enrol the machine here") from error


def _not_an_edge(uri: str) -> UUID:
    raise BadCertificate(f"{uri!r} names no machine of this hub; enrol the machine here")


def new_csr(key: ec.EllipticCurvePrivateKey, machine: str) -> bytes:
    """PKCS #10 DER; its own signature proves possession of the TLS key. The hub chooses every name itself."""
    name = machine.encode()[:64].decode(errors="ignore") or "machine"  # 64 bytes are the most a common name takes
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(name)).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.DER)


def edge_certificate(issuer: Authority, csr_der: bytes, hub: UUID, edge: UUID, now: dt.datetime,
                     life: dt.timedelta = EDGE_LIFE, generation: int = 0) -> x509.Certificate:
    """`generation` counts a machine's renewals; a certificate says it, so that a hub restored from a backup can tell what
    it has issued since. Raises BadCertificate when the request is broken, not signed by its own key, or not P-256."""
    try:
        csr = x509.load_der_x509_csr(csr_der)
        public_key = csr.public_key()
        holds = csr.is_signature_valid and csr_der[-len(csr.signature) - 1] == 0  # X.690: the unsigned byte, unused bits
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise BadCertificate("the certificate request cannot be read; enrol again") from error
    if not holds or not isinstance(public_key, ec.EllipticCurvePublicKey) or public_key.curve.name != "secp256r1":
        raise BadCertificate("the certificate request must be signed by its own P-256 key; enrol again")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(edge)),
                         x509.NameAttribute(NameOID.DN_QUALIFIER, str(generation))])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(edge_uri(hub, edge))])
    return _leaf(issuer, subject, public_key, names, ExtendedKeyUsageOID.CLIENT_AUTH, now, life)


def edge_of(hub: UUID, certificate: x509.Certificate) -> tuple[UUID, int]:
    """Machine and generation that a machine's certificate names. Raises BadCertificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        qualifiers = certificate.subject.get_attributes_for_oid(NameOID.DN_QUALIFIER)
        generation = int(qualifiers[0].value) if qualifiers else 0  # the first certificates did not say it
    except (ValueError, x509.ExtensionNotFound) as error:
        raise BadCertificate("the certificate names no machine; enrol the machine again") from error
    return edge_of_uri(hub, uris[0] if len(uris) == 1 else ""), generation


def validity_ms(certificate: x509.Certificate) -> tuple[int, int]:
    """First and last moment, Unix milliseconds."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return int(first.timestamp() * 1000), int(last.timestamp() * 1000)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def pin_of(certificate: x509.Certificate) -> bytes:
    """32 bytes: SHA-256 of the SubjectPublicKeyInfo (as in RFC 7469)."""
    return sha256(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
