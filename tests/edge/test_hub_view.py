"""What a machine sees of the hub: over real TLS on loopback; only the answers are made up."""

from __future__ import annotations

import datetime as dt
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import hub_view
from edge.diagnosis import Reach, Validity
from edge.hub_view import view_hub
from edge.identity import Identity
from security.certificates import (
    Authority,
    edge_certificate,
    key_pem,
    new_csr,
    new_intermediate,
    new_key,
    new_root,
    pem,
    server_certificate,
    validity_ms,
)
from security.signer import Ed25519Signer
from security.statements import SignedTime, sign_time_answer
from tests.renewing import DAY_MS

HUB = uuid4()
NOW = dt.datetime.now(dt.UTC)
THEN_MS = 1_790_000_000_000
TIME = Ed25519Signer(Ed25519PrivateKey.generate())
NOBODY = "127.0.0.1:9"


class City:
    """A CA, and what a machine of it knows."""

    def __init__(self) -> None:
        self.root = new_root(HUB, NOW)
        self.intermediate = new_intermediate(self.root, HUB, NOW)
        key, edge = new_key(), uuid4()
        leaf = edge_certificate(self.intermediate, new_csr(key, "m"), HUB, edge, NOW)
        public = TIME.public_key.hex()
        self.identity = Identity(
            edge=str(edge), hub=str(HUB), site="A01", site_name="", site_kind="office", work_address="", enrol_address="",
            api_address="", root=pem(self.root.certificate).decode(), chain=pem(leaf).decode(), journal=str(uuid4()),
            hub_resource_key=public, hub_time_key=public, hub_sealing_key=public, hub_record_key=public, hub_log_key=public)


CITY = City()


@dataclass
class Answer:
    """What the stand-in says to /v1/time?nonce=: a body, or an honest answer by this signer for this nonce."""

    signer: Ed25519Signer = TIME
    nonce: bytes | None = None
    body: bytes | None = None

    def to(self, nonce: bytes) -> bytes:
        if self.body is not None:
            return self.body
        signature = sign_time_answer(self.signer, self.nonce or nonce, THEN_MS)
        return json.dumps({"unix_ms": THEN_MS, "signature": signature.hex()}).encode()


@contextmanager
def serving(folder: Path, answer: Answer, issuer: Authority = CITY.intermediate, at: dt.datetime = NOW) -> Iterator[str]:
    """host:port of an HTTPS server; `at` is when its certificate was made."""
    key = new_key()
    certificate = server_certificate(issuer, key, ["127.0.0.1"], at)
    path = folder / f"{uuid4()}.pem"
    path.write_bytes(key_pem(key) + pem(certificate, issuer.certificate))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonce = bytes.fromhex(parse_qs(urlparse(self.path).query)["nonce"][0])
            body = answer.to(nonce)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # who hung up

        def get_request(self) -> Any:
            plain, peer = super().get_request()
            return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), peer

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_honest_hub_tells_its_time_even_with_a_certificate_whose_dates_look_wrong(tmp_path: Path) -> None:
    """As a machine sees it whose clock is wrong by years, either way."""
    for at in (NOW - dt.timedelta(days=4000), NOW + dt.timedelta(days=4000)):
        with serving(tmp_path, Answer(), at=at) as hub:
            view = view_hub(CITY.identity, hub, hub)
        assert (view.reach, view.trusted, view.hub_ms) == (Reach.ANSWERS, True, THEN_MS)
        first_ms = validity_ms(server_certificate(CITY.intermediate, new_key(), ["x"], at))[0]
        assert view.server == Validity(first_ms, first_ms + 365 * DAY_MS + 3_600_000)


@pytest.mark.parametrize("answer", [
    Answer(signer=Ed25519Signer(Ed25519PrivateKey.generate())),
    Answer(nonce=bytes(32)),  # an old answer, played again
    Answer(body=json.dumps({"unix_ms": THEN_MS, "signature": SignedTime.sign(TIME, THEN_MS).signature.hex()}).encode()),
    Answer(body=json.dumps({"unix_ms": THEN_MS, "signature": ""}).encode()),
    Answer(body=json.dumps({"unix_ms": -1, "signature": "00"}).encode()),
])
def test_a_time_that_the_hub_did_not_sign_for_this_question_is_not_believed(tmp_path: Path, answer: Answer) -> None:
    with serving(tmp_path, answer) as hub:
        view = view_hub(CITY.identity, hub, hub)
    assert (view.reach, view.trusted, view.hub_ms) == (Reach.ANSWERS, False, None)


@pytest.mark.parametrize("body", [b"", b"[]", b"rubbish", b'{"unix_ms":"x","signature":""}', b'{"unix_ms":1,"signature":"xy"}',
                                  b"{" * 5000, b"[" * 5000])
def test_an_answer_that_is_none_tells_nothing_of_the_time(tmp_path: Path, body: bytes) -> None:
    with serving(tmp_path, Answer(body=body)) as hub:
        view = view_hub(CITY.identity, hub, hub)
    assert (view.reach, view.trusted, view.hub_ms) == (Reach.ANSWERS, True, None)


def test_another_hub_is_recognised_at_either_port(tmp_path: Path) -> None:
    with serving(tmp_path, Answer()) as ours, serving(tmp_path, Answer(), City().intermediate) as strange:
        assert view_hub(CITY.identity, strange, ours).trusted is False
        assert view_hub(CITY.identity, ours, strange).trusted is False
        assert view_hub(CITY.identity, ours, ours).trusted is True


def test_what_cannot_be_reached_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, Answer()) as hub:
        assert view_hub(CITY.identity, hub, NOBODY).hub_ms is None
        assert view_hub(CITY.identity, hub, NOBODY).trusted is True
    assert view_hub(CITY.identity, NOBODY, NOBODY).reach is Reach.CLOSED
    for address in ("", "hub", "hub:x", "a..b:1"):
        assert view_hub(CITY.identity, address, NOBODY).reach is Reach.NO_NAME
    monkeypatch.setattr(hub_view, "PROBE_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        view = view_hub(CITY.identity, f"127.0.0.1:{mute.getsockname()[1]}", NOBODY)
    assert (view.reach, view.trusted) == (Reach.ANSWERS, None)
