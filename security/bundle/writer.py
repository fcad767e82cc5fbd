"""Writes a bundle, part after part, and signs it. The file appears under its name when it is whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.asymmetric import ec

from security import strict_base64
from security.bundle.entries import Entry
from security.bundle.exporter import sign_bundle
from security.bundle.header import Header
from security.bundle.lines import SIGNATURE_KIND, LineSums, encoded
from security.bundle.parts import Part, kind_name
from security.private_files import sync_folder


class BundleExists(FileExistsError):
    """Evidence is never overwritten."""


class BundleWriter:
    """`with BundleWriter(path, key) as bundle`: the key of the header's first certificate. A clean exit makes the file, any other
    leaves nothing behind. Synchronous. Raises OSError.
    """

    def __init__(self, path: Path, key: ec.EllipticCurvePrivateKey) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.new")
        self._key = key
        self._sums = LineSums()
        self._hash = hashlib.sha256()
        self._digest = b""
        self._begun = False
        self.entries = 0

    def __enter__(self) -> BundleWriter:
        if self._path.exists():
            raise BundleExists(f"{self._path} exists already; name a new file")
        if not self._path.parent.is_dir():
            raise NotADirectoryError(f"there is no folder {self._path.parent}; make it, or mount its disk, and try again")
        self._temporary.unlink(missing_ok=True)
        self._file = os.fdopen(os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.finish()
                # A crash before this line leaves a hidden file that the next try removes.
                self._temporary.replace(self._path)
                sync_folder(self._path.parent)
        finally:
            self._temporary.unlink(missing_ok=True)
            self._file.close()  # on a full disk this fails, too: what it had not written yet goes nowhere

    def write(self, part: Part) -> None:
        """The first one is the header. Raises BadLine for a part that is too long."""
        assert isinstance(part, Header) == (not self._begun), "the header comes first, and once"
        self._begun = True
        self._put(self._sums.sealed(kind_name(part), part.body()))
        self.entries += isinstance(part, Entry)

    def finish(self) -> bytes:
        """Sign, and make it durable. SHA-256 of the whole file, to be noted before the file gets its name."""
        if not self._digest:
            signature = sign_bundle(self._key, self._hash.digest())
            self._put(encoded({SIGNATURE_KIND: strict_base64.encode(signature)}) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._digest = self._hash.digest()
        return self._digest

    def _put(self, line: bytes) -> None:
        self._file.write(line)
        self._hash.update(line)
