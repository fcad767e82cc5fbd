"""Write docs/vectors/attachment-v1.json from fixed keys and contents: python -m tests.security.make_attachment_vectors

The bytes come from our own code; tests/security/test_attachment.py computes them again without it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

from security.attachment import seal_attachment

VECTORS = Path(__file__).parents[2] / "docs" / "vectors" / "attachment-v1.json"
SIZES = (0, 5, 65_535, 65_536, 65_537, 131_072, 200_000)


def content_of(size: int) -> bytes:
    """Byte i is 7 i + 1, modulo 251."""
    return bytes((7 * index + 1) % 251 for index in range(size))


def vector(number: int, size: int) -> dict[str, Any]:
    key = bytes(range(number, number + 32))
    with patch("os.urandom", lambda _size: key):
        sealed, seal = seal_attachment(content_of(size))
    return {"size": size, "key": key.hex(), "sha256": seal.sha256.hex(), "sealed_size": len(sealed),
            "sealed_begins": sealed[:32].hex(), "sealed_ends": sealed[-32:].hex(), "blob": seal.address.hex()}


def main() -> None:
    vectors = {"content": "byte i is (7 i + 1) mod 251", "attachments": [vector(*one) for one in enumerate(SIZES)]}
    VECTORS.write_text(json.dumps(vectors, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
