"""The hub's CA: its certificates verify up to the root, and it signs for no key that the machine does not hold."""

from __future__ import annotations

import datetime as dt
from ipaddress import ip_address
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given
from hypothesis import strategies as st

from security import certificates
from security.certificates import BadCertificate, edge_certificate, edge_of_uri, edge_uri, new_csr, new_key
from security.suites import sha256

HUB, EDGE, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ROOT = certificates.new_root(HUB, NOW)
INTERMEDIATE = certificates.new_intermediate(ROOT, HUB, NOW)
KEY = new_key()
CSR = new_csr(KEY, "counter-1")
LEAF = edge_certificate(INTERMEDIATE, CSR, HUB, EDGE, NOW)
P256_OID = bytes.fromhex("06082a8648ce3d030107")


def _policy(root: x509.Certificate = ROOT.certificate, at: dt.datetime = NOW) -> PolicyBuilder:
    return PolicyBuilder().store(Store([root])).time(at)


def _request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    algorithm = None if isinstance(key, Ed25519PrivateKey) else hashes.SHA256()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "counter")])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, algorithm).public_bytes(Encoding.DER)


# ---- the chain ----

def test_a_machines_certificate_verifies_to_the_root_and_names_the_machine() -> None:
    verified = _policy().build_client_verifier().verify(LEAF, [INTERMEDIATE.certificate])
    assert verified.chain == [LEAF, INTERMEDIATE.certificate, ROOT.certificate]
    assert verified.subjects == [x509.UniformResourceIdentifier(f"spiffe://{HUB}/edge/{EDGE}")]


@pytest.mark.parametrize("host", ["hub.example", "192.0.2.7", "2001:db8::7"])
def test_the_hubs_certificate_verifies_for_each_of_its_names(host: str) -> None:
    leaf = certificates.server_certificate(INTERMEDIATE, new_key(), ["hub.example", "192.0.2.7", "2001:db8::7"], NOW)
    name = x509.DNSName(host) if host == "hub.example" else x509.IPAddress(ip_address(host))
    chain = _policy().build_server_verifier(name).verify(leaf, [INTERMEDIATE.certificate])
    assert chain == [leaf, INTERMEDIATE.certificate, ROOT.certificate]
    with pytest.raises(VerificationError):
        _policy().build_server_verifier(x509.DNSName("other.example")).verify(leaf, [INTERMEDIATE.certificate])


def test_a_machine_cannot_pose_as_the_hub_nor_the_hub_as_a_machine() -> None:
    server = certificates.server_certificate(INTERMEDIATE, new_key(), ["hub.example"], NOW)
    with pytest.raises(VerificationError):
        _policy().build_client_verifier().verify(server, [INTERMEDIATE.certificate])
    with pytest.raises(VerificationError):
        _policy().build_server_verifier(x509.DNSName("hub.example")).verify(LEAF, [INTERMEDIATE.certificate])


def test_another_hubs_root_verifies_nothing_here_even_under_the_same_name() -> None:
    stranger = certificates.new_root(HUB, NOW)
    with pytest.raises(VerificationError):
        _policy(stranger.certificate).build_client_verifier().verify(LEAF, [INTERMEDIATE.certificate])
    with pytest.raises(InvalidSignature):
        INTERMEDIATE.certificate.verify_directly_issued_by(stranger.certificate)


def test_a_machine_cannot_issue_certificates() -> None:
    forged = edge_certificate(certificates.Authority(LEAF, KEY), new_csr(new_key(), "x"), HUB, OTHER, NOW)
    with pytest.raises(VerificationError):
        _policy().build_client_verifier().verify(forged, [LEAF, INTERMEDIATE.certificate])


def test_a_certificate_holds_from_an_hour_before_to_thirty_days_after() -> None:
    for at in (NOW - dt.timedelta(minutes=59), NOW + dt.timedelta(days=29, hours=23)):
        _policy(at=at).build_client_verifier().verify(LEAF, [INTERMEDIATE.certificate])
    for at in (NOW - dt.timedelta(minutes=61), NOW + dt.timedelta(days=30, seconds=1)):
        with pytest.raises(VerificationError):
            _policy(at=at).build_client_verifier().verify(LEAF, [INTERMEDIATE.certificate])


def test_the_pin_is_the_hash_of_the_public_key_and_survives_a_new_certificate() -> None:
    public = ROOT.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert certificates.pin_of(ROOT.certificate) == sha256(public)
    assert certificates.pin_of(ROOT.certificate) != certificates.pin_of(INTERMEDIATE.certificate)


# ---- what a machine's certificate says ----

def test_the_hub_chooses_every_name_itself() -> None:
    assert LEAF.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(EDGE)),
                                      x509.NameAttribute(NameOID.DN_QUALIFIER, "0")])
    names = LEAF.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(edge_uri(HUB, EDGE))]


@pytest.mark.parametrize(("machine", "name"), [
    ("counter-1", "counter-1"), ("", "machine"), ("x" * 64, "x" * 64), ("x" * 65, "x" * 64), ("站" * 30, "站" * 21)])
def test_a_request_carries_as_much_of_the_machines_name_as_a_certificate_takes(machine: str, name: str) -> None:
    request = x509.load_der_x509_csr(new_csr(KEY, machine))
    assert request.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def test_certificates_are_written_one_after_the_other() -> None:
    text = certificates.pem(LEAF, INTERMEDIATE.certificate)
    assert x509.load_pem_x509_certificates(text) == [LEAF, INTERMEDIATE.certificate]
    assert text == b"".join(one.public_bytes(Encoding.PEM) for one in (LEAF, INTERMEDIATE.certificate))


def test_a_machines_certificate_says_its_generation_and_how_long_it_holds() -> None:
    hour = dt.timedelta(hours=1)
    leaf = edge_certificate(INTERMEDIATE, CSR, HUB, EDGE, NOW, hour, 7)
    assert certificates.edge_of(HUB, leaf) == (EDGE, 7)
    now_ms = int(NOW.timestamp() * 1000)
    assert certificates.validity_ms(leaf) == (now_ms - 3_600_000, now_ms + 3_600_000)
    with pytest.raises(BadCertificate):
        certificates.edge_of(OTHER, leaf)
    for other in (ROOT.certificate, certificates.server_certificate(INTERMEDIATE, KEY, ["hub.example"], NOW)):
        with pytest.raises(BadCertificate, match="names no machine"):
            certificates.edge_of(HUB, other)


def test_a_machines_certificate_is_a_client_leaf_for_the_key_of_its_request() -> None:
    extensions = LEAF.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign is False
    assert LEAF.public_key() == KEY.public_key()


def test_the_spiffe_id_leads_back_to_the_machine() -> None:
    assert edge_of_uri(HUB, edge_uri(HUB, EDGE)) == EDGE


@pytest.mark.parametrize("uri", [
    "", f"spiffe://{OTHER}/edge/{EDGE}", f"spiffe://{HUB}/edge/", f"spiffe://{HUB}/edge/counter-1",
    f"spiffe://{HUB}/hub/{EDGE}", f"https://{HUB}/edge/{EDGE}", f"spiffe://{HUB}/edge/{EDGE}/more", str(EDGE), EDGE.hex,
])
def test_a_foreign_or_broken_spiffe_id_names_no_machine(uri: str) -> None:
    with pytest.raises(BadCertificate, match="enrol the machine here"):
        edge_of_uri(HUB, uri)


# ---- the profile (RFC 5280, 4.2.1) ----

@pytest.mark.parametrize(("kind", "path_length"), [("root", 1), ("intermediate", 0), ("leaf", None), ("server", None)])
def test_each_certificate_may_do_what_it_is_for_and_nothing_else(kind: str, path_length: int | None) -> None:
    """A CA signs certificates and no more below it than there are; a leaf signs handshakes."""
    root = certificates.new_root(HUB, NOW)
    intermediate = certificates.new_intermediate(root, HUB, NOW)
    certificate = {"root": root.certificate, "intermediate": intermediate.certificate,
                   "leaf": edge_certificate(intermediate, CSR, HUB, EDGE, NOW),
                   "server": certificates.server_certificate(intermediate, KEY, ["hub.example"], NOW)}[kind]
    ca = kind in {"root", "intermediate"}
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(ca, path_length))
    assert (usage.critical, usage.value) == (True, x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False))
    assert [one.oid for one in certificate.extensions if one.critical] == [constraints.oid, usage.oid]


def test_the_first_certificate_of_a_machine_is_of_generation_0_whether_it_says_so_or_not() -> None:
    leaf = edge_certificate(INTERMEDIATE, CSR, HUB, EDGE, NOW)
    assert certificates.edge_of(HUB, leaf) == (EDGE, 0)
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == str(EDGE)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(edge_uri(HUB, EDGE))])
    plain = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).public_key(KEY.public_key())
             .serial_number(1).not_valid_before(NOW).not_valid_after(NOW + dt.timedelta(1)).add_extension(names, critical=True)
             .sign(KEY, hashes.SHA256()))
    assert certificates.edge_of(HUB, plain) == (EDGE, 0)


def test_a_long_name_is_cut_between_characters_and_an_empty_one_replaced() -> None:
    for name, written in (("窗" * 30, "窗" * 21), ("a" * 65, "a" * 64), ("", "machine")):
        subject = x509.load_der_x509_csr(new_csr(KEY, name)).subject
        assert [one.value for one in subject] == [written]


# ---- requests that are refused ----

@pytest.mark.parametrize("key", [
    Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256K1()),
    rsa.generate_private_key(65537, 2048),
], ids=["Ed25519", "P-384", "secp256k1", "RSA"])
def test_a_request_for_another_kind_of_key_is_refused(
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey) -> None:
    with pytest.raises(BadCertificate, match="P-256"):
        edge_certificate(INTERMEDIATE, _request(key), HUB, EDGE, NOW)


def test_a_request_with_somebody_elses_public_key_is_refused() -> None:
    foreign = CSR.replace(_point(KEY), _point(new_key()))
    assert foreign != CSR
    with pytest.raises(BadCertificate, match="signed by its own"):
        edge_certificate(INTERMEDIATE, foreign, HUB, EDGE, NOW)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.mark.parametrize("curve", ["06082a8648ce3d030102", "06082a8648ce3d030177"])
def test_a_request_on_a_curve_that_nobody_knows_is_refused(curve: str) -> None:
    with pytest.raises(BadCertificate):
        edge_certificate(INTERMEDIATE, CSR.replace(P256_OID, bytes.fromhex(curve)), HUB, EDGE, NOW)


def test_a_request_of_another_version_is_refused() -> None:
    with pytest.raises(BadCertificate, match="enrol again"):
        edge_certificate(INTERMEDIATE, CSR.replace(b"\x02\x01\x00", b"\x02\x01\x01", 1), HUB, EDGE, NOW)


def test_a_request_whose_signature_is_said_to_end_in_unused_bits_is_refused() -> None:
    """The one byte that no signature covers: with a last bit of 0 it could be changed."""
    while (request := new_csr(KEY, "counter-1"))[-1] & 1:
        pass
    changed = bytearray(request)
    changed[-len(x509.load_der_x509_csr(request).signature) - 1] = 1
    assert x509.load_der_x509_csr(bytes(changed)).is_signature_valid
    with pytest.raises(BadCertificate, match="enrol again"):
        edge_certificate(INTERMEDIATE, bytes(changed), HUB, EDGE, NOW)


@given(st.data())
def test_a_request_with_any_changed_byte_is_refused(data: st.DataObject) -> None:
    broken = bytearray(CSR)
    broken[data.draw(st.integers(0, len(CSR) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadCertificate, match="enrol again"):
        edge_certificate(INTERMEDIATE, bytes(broken), HUB, EDGE, NOW)


@given(st.one_of(st.binary(max_size=100), st.integers(0, len(CSR) - 1).map(lambda end: CSR[:end])))
def test_bytes_that_are_no_request_are_refused(request: bytes) -> None:
    with pytest.raises(BadCertificate, match="enrol again"):
        edge_certificate(INTERMEDIATE, request, HUB, EDGE, NOW)


@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_a_machine_of_any_name_can_make_a_request(machine: str) -> None:
    edge_certificate(INTERMEDIATE, new_csr(KEY, machine), HUB, EDGE, NOW)


# ---- keys ----

def test_a_key_reads_back_with_its_passphrase_only() -> None:
    sealed = certificates.key_pem(KEY, "correct horse")
    assert b"ENCRYPTED" in sealed
    assert certificates.load_key(sealed, "correct horse").private_numbers() == KEY.private_numbers()
    with pytest.raises(ValueError, match=r"(?i)password|decrypt"):
        certificates.load_key(sealed, "wrong horse")
    assert certificates.load_key(certificates.key_pem(KEY)).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize("key", [Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())],
                         ids=["Ed25519", "P-384"])
def test_a_tls_key_of_another_kind_is_not_loaded(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(BadCertificate, match="P-256"):
        certificates.load_key(pem)
