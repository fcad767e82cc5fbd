"""The hub's CA on disk: an intermediate that works online; the root's key leaves encrypted and stays offline."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography import x509

from security.certificates import (
    Authority,
    key_pem,
    load_key,
    new_intermediate,
    new_key,
    new_root,
    pem,
    server_certificate,
)
from security.private_files import read_private, write_private

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


def load_authority(folder: Path) -> HubAuthority:
    root = x509.load_pem_x509_certificate((folder / "root.pem").read_bytes())
    certificate = x509.load_pem_x509_certificate((folder / "intermediate.pem").read_bytes())
    return HubAuthority(root, Authority(certificate, load_key(read_private(folder / "intermediate.key"))))


def ensure_server_certificate(folder: Path, authority: HubAuthority, hosts: list[str], now: dt.datetime) -> ServerFiles:
    """The hub's server certificate: made at the first start, and again before it expires or when `hosts` changed."""
    server = ServerFiles(folder / "server.pem", folder / "server.key")
    if not server.certificate.exists() or _stale(server.certificate, authority, hosts, now):
        key = new_key()
        certificate = server_certificate(authority.intermediate, key, hosts, now)
        write_private(server.key, key_pem(key))
        write_private(server.certificate, pem(certificate, authority.intermediate.certificate))
    return server


def _stale(path: Path, authority: HubAuthority, hosts: list[str], now: dt.datetime) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    wanted = server_certificate(authority.intermediate, new_key(), hosts, now).extensions
    same = names == wanted.get_extension_for_class(x509.SubjectAlternativeName).value
    return not same or certificate.not_valid_after_utc - now < SERVER_RENEWAL
