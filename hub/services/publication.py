"""Publishing the catalogue to every edge."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from hub.resources.store import publish
from hub.resources.versions import SignedResource
from hub.services.items import load_catalogue
from hub.services.wire import encode_catalogue
from security.clock import Clock
from security.signer import Signer

CATALOGUE = "catalogue"


def publish_catalogue(engine: sa.Engine, signer: Signer, clock: Clock, path: Path | None = None) -> SignedResource:
    """Validate the file (by default the one that the hub brings) and publish it. Raises CatalogueInvalid, OSError."""
    return publish(engine, signer, clock, CATALOGUE, encode_catalogue(load_catalogue(path)))
