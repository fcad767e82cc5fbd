"""tlog-scales, a reader of C2SP logs that shares no code with ours, reads a hub's ledger from its API."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tlog_scales.backend import HttpBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey

from hub.ledger.store import Ledger
from tests.hub.api.test_tiles import log_city, serve


def test_it_verifies_root_entries_and_proofs_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    city, log = log_city(tmp_path, 300, 700, 1)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(city.state.ca / "root.pem"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def visit(address: str) -> None:
        backend = HttpBackend(address)
        with backend.session:
            reader = TilesReader(backend)
            checkpoint = reader.get_checkpoint()
            checkpoint.verify(Vkey.from_string(backend.session.get(f"{address}/log").json()["vkey"]))
            assert checkpoint.size == 1002
            assert reader.calculate_root_hash() == checkpoint.root_hash
            with Ledger(city.state.database) as ledger:
                leaves = [entry.leaf for entry in ledger.feed(0, 2_000)]
            for index in (0, 1, 255, 256, 700, 1001):
                reader.get_inclusion_proof(index, checkpoint.size).check(leaves[index], checkpoint.root_hash)
                assert hashlib.sha256(b"\0" + reader.get_entry(index)).digest() == leaves[index]
            reader.get_consistency_proof(301, checkpoint.size)

    serve(city, log, visit)
