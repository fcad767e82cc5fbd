"""Somebody who changes bundles: sums are made anew, so that only what is proved can stand in the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from security import strict_base64
from security.bundle.check import Trust
from security.bundle.exporter import sign_bundle
from security.bundle.lines import LineSums
from security.bundle.reader import verify_bundle
from security.bundle.report import BundleRefused, Report

Line = tuple[str, dict[str, Any]]
Change = Callable[[list[Line]], list[Line] | None]


def lines_of(file: Path) -> list[Line]:
    """Kinds and bodies, without the signature."""
    return [next(iter(json.loads(line).items())) for line in file.read_bytes().splitlines()[:-1]]


def forged(file: Path, change: Change, key: ec.EllipticCurvePrivateKey | None = None) -> Path:
    """A copy with other lines: signed by `key`, as a lying exporter would, or below the old signature."""
    lines = lines_of(file)
    changed = change(lines) or lines
    sums = LineSums()
    whole = b"".join(sums.sealed(kind, body) for kind, body in changed)
    old = file.read_bytes().splitlines(keepends=True)[-1]
    signature = strict_base64.encode(sign_bundle(key, sha256(whole).digest())) if key else ""
    copy = file.with_suffix(".forged")
    copy.write_bytes(whole + (b'{"signature":"%s"}\n' % signature.encode() if key else old))
    return copy


def refusal(file: Path, trust: Trust | None = None) -> BundleRefused:
    """Why it is not proved."""
    report = verify_bundle(file, trust)
    assert report.refusal is not None, "the forgery was taken"
    return report.refusal


def numbers(lines: list[Line], kind: str) -> list[int]:
    """Where the lines of a kind stand."""
    return [at for at, line in enumerate(lines) if line[0] == kind]


def proved(report: Report) -> list[str]:
    """What is proved of each journal's records, range by range, in a short form."""
    return [" ".join(f"{one.first}-{one.last}:{one.how}" + (f">{one.to}" if one.to else "") for one in covered)
            for journal in report.journals for covered in journal.ranges]
