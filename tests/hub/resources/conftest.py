"""A hub database made by its migrations, a resource key and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.database import open_engine
from hub.migrate import create
from security.signer import Ed25519Signer
from tests.still_clock import StillClock


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def signer() -> Ed25519Signer:
    return Ed25519Signer(Ed25519PrivateKey.generate())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "hub.db"
    create(path)
    return path


@pytest.fixture
def engine(database: Path) -> Iterator[sa.Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()
