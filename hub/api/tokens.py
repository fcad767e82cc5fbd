"""Bearer tokens of the reading API: made by a command, shown once, hashed at rest, ended by date or by hand."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from enum import StrEnum
from uuid import uuid4

import sqlalchemy as sa

from hub.api.tables import api_tokens
from hub.ledger.own_journal import OwnJournal
from hub.names import name_fault
from security.suites import sha256

PREFIX = "szhub"


class Scope(StrEnum):
    FEED = "feed:read"
    RECORDS = "records:read"
    LEDGER = "ledger:read"
    EDGES = "edges:read"
    METRICS = "metrics:read"
    ALARMS = "alarms:read"
    ATTACHMENTS = "attachments:read"


class TokenRefused(ValueError):
    """A token that cannot be made or ended; the text says why."""


def make_token(engine: sa.Engine, name: str, scopes: Sequence[str], now_ms: int, expires_ms: int | None) -> str:
    """The token's text, which nobody can read again. Raises TokenRefused."""
    unknown = sorted(set(scopes) - {scope.value for scope in Scope})
    if unknown or not scopes:
        raise TokenRefused(f"no scope {', '.join(unknown) or 'given'}; choose of {', '.join(Scope)}")
    if fault := name_fault(name):
        raise TokenRefused(f"the token's name {fault}")
    token_id, secret = uuid4().hex[:12], secrets.token_urlsafe(32)
    with engine.begin() as connection:
        connection.execute(api_tokens.insert().values(
            id=token_id, name=name, secret_hash=sha256(secret.encode()), scopes=" ".join(sorted(set(scopes))),
            created_ms=now_ms, expires_ms=expires_ms,
        ))
    return f"{PREFIX}.{token_id}.{secret}"


def revoke_token(engine: sa.Engine, own_journal: OwnJournal, token_id: str, now_ms: int) -> None:
    """From the next request on. Raises TokenRefused."""
    with engine.connect() as connection:
        known = connection.execute(sa.select(api_tokens.c.id).where(api_tokens.c.id == token_id)).first()
    if known is None:
        raise TokenRefused(f"there is no token {token_id}; list them with: suozhan-hub token list")
    # The record first, so that no restore makes it good again: a crash behind it leaves a decision that can be given again.
    own_journal.note("token.revoked", {"token": token_id})
    with engine.begin() as connection:
        connection.execute(api_tokens.update().where(api_tokens.c.id == token_id).values(revoked_ms=now_ms))


def list_tokens(engine: sa.Engine) -> list[sa.RowMapping]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(api_tokens).order_by(api_tokens.c.created_ms)).mappings())


def token_id(text: str) -> str:
    """By which people know a token whose scopes are known; it is no secret."""
    return text.split(".")[1]


def scopes_of(engine: sa.Engine, text: str, now_ms: int) -> frozenset[str] | None:
    """What a token may read; None when it is unknown, ended or revoked."""
    prefix, _, rest = text.partition(".")
    token_id, _, secret = rest.partition(".")
    if prefix != PREFIX:
        return None
    with engine.connect() as connection:
        row = connection.execute(sa.select(api_tokens).where(api_tokens.c.id == token_id)).one_or_none()
    if row is None or not hmac.compare_digest(row.secret_hash, sha256(secret.encode())):
        return None
    if row.revoked_ms is not None or (row.expires_ms is not None and row.expires_ms <= now_ms):
        return None
    return frozenset(row.scopes.split())
