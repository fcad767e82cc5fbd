"""Sites and invitations, as the commands make them."""

from __future__ import annotations

import os
import re
from uuid import UUID, uuid4

import sqlalchemy as sa

from hub.enrolment.tables import edges, invitations, sites
from hub.names import NAME_MAX_CHARS, name_fault
from security.invitations import SECRET_BYTES, Invitation
from security.suites import sha256

INVITATION_LIFE_MS = 24 * 3600 * 1000
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,31}")


class SiteRefused(ValueError):
    """A site or invitation that cannot be made; the text says why and what to do."""


def add_site(engine: sa.Engine, code: str, name: str, kind: str, county: str) -> None:
    """`kind` is "office" or "station". Raises SiteRefused."""
    if not _CODE.fullmatch(code):
        raise SiteRefused(f"{code!r} is no site code; use 2 to 32 letters, digits and hyphens, such as A01")
    if kind not in {"office", "station"}:
        raise SiteRefused(f"{kind!r} is no kind of site; use office (服务所) or station (服务站)")
    if not name.strip():
        raise SiteRefused("a site needs a name; give it with --name")
    for text in (name, county):
        if fault := name_fault(text):
            raise SiteRefused(f"{text[:NAME_MAX_CHARS]!r} {fault}")
    try:
        with engine.begin() as connection:
            connection.execute(sites.insert().values(code=code, name=name, kind=kind, county=county))
    except sa.exc.IntegrityError as error:
        raise SiteRefused(f"site {code} exists already; list them with: suozhan-hub site list") from error


def list_sites(engine: sa.Engine) -> list[sa.RowMapping]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(sites).order_by(sites.c.code)).mappings())


def invite(engine: sa.Engine, site: str, address: str, pin: bytes, now_ms: int, replaces: UUID | None = None) -> Invitation:
    """A one-time token for one machine of one site, valid for 24 hours; only a hash of its secret stays here.

    It is for a new machine, or to come in the place of one that is named, and never for both. Raises SiteRefused.
    """
    secret = os.urandom(SECRET_BYTES)
    invitation = Invitation(address, str(uuid4()), secret, pin)
    with engine.begin() as connection:
        if connection.execute(sa.select(sites.c.code).where(sites.c.code == site)).first() is None:
            raise SiteRefused(f"there is no site {site}; add it with: suozhan-hub site add {site} --name NAME --kind KIND")
        if replaces is not None:
            _require_site(connection, replaces, site)
        connection.execute(invitations.insert().values(
            id=invitation.id, site=site, secret_hash=sha256(secret), created_ms=now_ms,
            expires_ms=now_ms + INVITATION_LIFE_MS, replaces=str(replaces) if replaces else None,
        ))
    return invitation


def is_known(engine: sa.Engine, edge: UUID) -> bool:
    with engine.connect() as connection:
        return connection.execute(sa.select(edges.c.edge).where(edges.c.edge == str(edge))).first() is not None


def _require_site(connection: sa.Connection, edge: UUID, site: str) -> None:
    """A machine that is not known may be one that this hub forgot when it was restored: whoever invites it says where it is."""
    row = connection.execute(sa.select(edges.c.site).where(edges.c.edge == str(edge))).one_or_none()
    if row is not None and row.site != site:
        raise SiteRefused(f"machine {edge} is of site {row.site}; give: suozhan-hub invite {row.site} --replaces {edge}")
