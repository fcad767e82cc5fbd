"""The description of the HTTP calls: what FastAPI makes of the routes, and what it cannot know of the guard before them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from edge.door.guard import WITHOUT_TOKEN

BEARER = "bearer"
ABOUT = "The token that POST /v1/pair gives for a code. One of a page is good from the origin of that page only."


class DescribedApp(FastAPI):
    """Says of each call whether it needs a token."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["securitySchemes"] = {BEARER: {"type": "http", "scheme": "bearer", "description": ABOUT}}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                operation["security"] = [] if (method.upper(), path) in WITHOUT_TOKEN else [{BEARER: []}]
        return document
