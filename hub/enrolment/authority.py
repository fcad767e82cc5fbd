"""The hub's CA on disk: an intermediate that works online; the root's key leaves encrypted and stays offline."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from security.certificates import (
    BACKDATE,
    SERVER_LIFE,
    Authority,
    BadCertificate,
    key_pem,
    load_key,
    new_intermediate,
    new_key,
    new_root,
    pem,
    server_certificate,
    server_names,
)
from security.private_files import read_private, write_private
from security.signer import BadKey

PASSPHRASE_VARIABLE = "SUOZHAN_ROOT_PASSPHRASE"  # noqa: S105 - a variable's name
SERVER_RENEWAL = dt.timedelta(days=30)


@dataclass(frozen=True)
class HubAuthority:
    """Root certificate (its key is elsewhere) and the working intermediate."""

    root: x509.Certificate
    intermediate: Authority


@dataclass(frozen=True)
class ServerFiles:
    """PEM files of the hub's server certificate (with intermediate) and key."""

    certificate: Path
    key: Path


def create_authority(folder: Path, hub: UUID, now: dt.datetime) -> Authority:
    """Make root and intermediate. Returns the root, whose key is in no file yet."""
    root = new_root(hub, now)
    intermediate = new_intermediate(root, hub, now)
    write_private(folder / "root.pem", pem(root.certificate))
    write_private(folder / "intermediate.key", key_pem(intermediate.key))
    write_private(folder / "intermediate.pem", pem(intermediate.certificate))
    return root


def export_root_key(path: Path, root: Authority, hub: UUID, passphrase: str) -> None:
    """The root's key, encrypted, below a line that says whose it is (PEM readers skip it)."""
    write_private(path, _heading(hub) + key_pem(root.key, passphrase))


def is_root_key_of(path: Path, hub: UUID) -> bool:
    return path.is_file() and path.read_bytes().startswith(_heading(hub))


def _heading(hub: UUID) -> bytes:
    return f"Root key of Suozhan hub {hub}\n".encode()


def renew_intermediate(folder: Path, hub: UUID, root_key: Path, passphrase: str, now: dt.datetime) -> x509.Certificate:
    """A new certificate for the intermediate's own key; one file changes. Raises FileNotFoundError, BadKey, BadCertificate."""
    held = load_authority(folder)
    if not root_key.is_file():
        raise FileNotFoundError(f"there is no file {root_key}; give the root key that `init` wrote for hub {hub}")
    try:
        key = load_key(root_key.read_bytes(), passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{root_key} does not open with this passphrase, or is damaged; nothing was changed") from error
    if key.public_key() != held.root.public_key():
        raise BadKey(f"{root_key} is the root key of another hub; give the one of hub {hub}. Nothing was changed")
    renewed = new_intermediate(Authority(held.root, key), hub, now, held.intermediate.key).certificate
    write_private(folder / "intermediate.pem", pem(renewed))
    return renewed


def load_authority(folder: Path) -> HubAuthority:
    """Raises FileNotFoundError, ExposedSecret, BadKey, BadCertificate."""
    intermediate = Authority(_certificate(folder / "intermediate.pem"), _key(folder / "intermediate.key"))
    return HubAuthority(_certificate(folder / "root.pem"), intermediate)


def ensure_server_certificate(folder: Path, authority: HubAuthority, hosts: list[str], now: dt.datetime,
                              *, anew: bool = False) -> ServerFiles:
    """The hub's server certificate: made at the first start, and again with a new key whenever the old does not do, or
    when it is asked for (`anew`)."""
    server = ServerFiles(folder / "server.pem", folder / "server.key")
    with _alone(folder):
        if anew or not _serves(server, authority, hosts, now):
            key = new_key()
            certificate = server_certificate(authority.intermediate, key, hosts, now)
            write_private(server.key, key_pem(key))
            # A crash here leaves the new key beside the old certificate: `_serves` sees it.
            write_private(server.certificate, pem(certificate, authority.intermediate.certificate))
    return server


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The running hub and a command must not each write one half. The kernel lets go when we die."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _serves(server: ServerFiles, authority: HubAuthority, hosts: list[str], now: dt.datetime) -> bool:
    """Key, certificate and the intermediate's below it are whole and belong together, name these hosts, hold and last."""
    if not server.certificate.exists() or not server.key.exists():
        return False
    try:
        key, certificate = _key(server.key), _certificate(server.certificate)
    except (BadKey, BadCertificate):
        return False  # made anew, nothing depends on the old
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    whole = server.certificate.read_bytes() == pem(certificate, authority.intermediate.certificate)
    return names == server_names(hosts) and _holds(certificate, now) and whole and certificate.public_key() == key.public_key()


def _holds(certificate: x509.Certificate, now: dt.datetime) -> bool:
    """Also not one of the future: the hub's clock may have been wrong when it was made."""
    lasts = certificate.not_valid_after_utc - now
    return certificate.not_valid_before_utc <= now and SERVER_RENEWAL <= lasts <= SERVER_LIFE + BACKDATE


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        return load_key(read_private(path))
    except (ValueError, TypeError) as error:
        raise BadKey(f"{path} is damaged or no P-256 key; restore it from the backup") from error


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise BadCertificate(f"{path} is damaged; restore it from the backup") from error
