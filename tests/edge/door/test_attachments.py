"""Scans at the door: bounded, told by their content, bound into the record that names them, never plain on the disk."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from devices.scanners import PAGES_MAX
from edge.attachments.attachments import KEPT_MS
from edge.attachments.blob_folder import BlobFolder
from edge.door.messages import ATTACHMENTS_MAX, DETAILS_MAX_BYTES
from hub.transactions.body import parse_body
from security.attachment import ATTACHMENT_MAX_BYTES, AttachmentSeal, open_attachment
from security.record import SealedBody, WrappedKey, parse_record
from tests.attaching import MARK, scan
from tests.edge.door.test_door import Counter, at_the_door, code_of, transaction
from tests.spine import Spine

PDF = {"Content-Type": "application/pdf"}


async def _hand_over(counter: Counter, content: bytes, **headers: str) -> httpx.Response:
    return await counter.client.post("/v1/attachments", content=content, headers=PDF | headers)


def _bodies(spine: Spine, payloads: list[bytes]) -> list[dict[str, object]]:
    """Of the transactions, as the hub opens them."""
    records = [parse_record(one) for one in payloads]
    key = next(one.content for one in records if isinstance(one.content, WrappedKey))
    opened = spine.unsealer().unwrap(spine.edge_id, spine.journal_id, key)
    return [json.loads(opened.open(one.content, position=one.position, kind=one.kind))
            for one in records if isinstance(one.content, SealedBody)]


def _files_with(folder: Path, words: tuple[bytes, ...]) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and any(word in path.read_bytes() for word in words)]


def test_a_scan_is_named_by_a_transaction_whose_sealed_body_alone_has_its_key(tmp_path: Path) -> None:
    content = scan(300_000)

    async def visit(counter: Counter) -> None:
        answer = await _hand_over(counter, content)
        assert answer.status_code == 201
        said = answer.json()
        assert said == {"id": said["id"], "sha256": hashlib.sha256(content).hexdigest(), "size": len(content),
                        "media_type": "application/pdf"}
        named = transaction(attachments=[said["id"], said["id"]])
        first, again = [await counter.client.post("/v1/transactions", json=named) for _ in range(2)]
        assert (first.status_code, again.status_code) == (201, 200)
        other = await counter.client.post("/v1/transactions", json=transaction())
        assert other.status_code == 409
        run = await counter.journal.after(0, 10, 10**6)
        [body] = _bodies(counter.spine, list(run.payloads))
        [one] = body["attachments"]  # type: ignore[misc]
        seal = AttachmentSeal(*[bytes.fromhex(one[name]) for name in ("blob", "key", "sha256")], one["size"])
        blob = tmp_path / "attachments" / f"{one['blob']}.blob"
        assert open_attachment(seal, blob.read_bytes()) == content
        assert (one["id"], one["media_type"]) == (said["id"], "application/pdf")
        assert (await counter.client.get("/v1/state")).json()["attachments"] == 1
        figures = (await counter.client.get("/metrics")).text
        assert "suozhan_edge_attachments 1.0" in figures
        assert f"suozhan_edge_attachments_bytes {float(blob.stat().st_size)}" in figures
        plain = (MARK, seal.key, one["key"].encode())
        assert await asyncio.to_thread(_files_with, tmp_path, plain) == []

    at_the_door(tmp_path, visit)


def test_a_scan_that_is_unknown_or_too_old_is_told_with_all_else(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        said = (await _hand_over(counter, scan(1_000))).json()
        counter.spine.clock.up_ms += KEPT_MS + 1
        for named in ([said["id"]], ["7d444840-9dc0-11d1-b245-5ffdce74fad2"]):
            answer = await counter.client.post("/v1/transactions", json=transaction(attachments=named, documents=[]))
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not-acceptable")
            assert any("附件" in one for one in answer.json()["error"]["details"])
            assert len(answer.json()["error"]["details"]) > 1
        many = await counter.client.post("/v1/transactions", json=transaction(attachments=[said["id"]] * (ATTACHMENTS_MAX + 1)))
        assert (many.status_code, code_of(many)) == (422, "invalid-request")
        assert counter.journal.head.position == 0

    at_the_door(tmp_path, visit)


def test_one_transaction_names_all_pages_of_the_largest_stack(tmp_path: Path) -> None:
    assert PAGES_MAX <= ATTACHMENTS_MAX

    async def visit(counter: Counter) -> None:
        scans = [(await _hand_over(counter, scan(1_000 + number))).json() for number in range(ATTACHMENTS_MAX)]
        details = {"x": "言" * ((DETAILS_MAX_BYTES - 10) // 3)}
        named = transaction(attachments=[one["id"] for one in scans], details=details)
        answer = await counter.client.post("/v1/transactions", json=named)
        assert answer.status_code == 201
        run = await counter.journal.after(0, ATTACHMENTS_MAX, 10**6)
        [body] = _bodies(counter.spine, list(run.payloads))
        at_the_hub = parse_body(json.dumps(body).encode())
        assert [one.sha256 for one in at_the_hub.attachments] == [one["sha256"] for one in scans]

    at_the_door(tmp_path, visit)


def test_a_repeat_after_a_restart_needs_no_scan(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    said: dict[str, str] = {}

    async def first(counter: Counter) -> None:
        said.update((await _hand_over(counter, scan(1_000))).json())
        answer = await counter.client.post("/v1/transactions", json=transaction(attachments=[said["id"]]))
        assert answer.status_code == 201

    async def again(counter: Counter) -> None:
        answer = await counter.client.post("/v1/transactions", json=transaction(attachments=[said["id"]]))
        assert (answer.status_code, answer.json()["position"]) == (200, 2)
        assert (await counter.client.get("/v1/state")).json()["attachments"] == 1

    at_the_door(tmp_path, first, spine=spine)
    at_the_door(tmp_path, again, spine=spine)


@pytest.mark.parametrize(("content", "kind"), [
    (b"GIF89a", "image/gif"), (b"\xff\xd8\xff\xe0 a jpeg", "application/pdf"), (b"<html>", "application/octet-stream"),
    (b"", "image/png"), (b"%PDF-1.7", "text/html")])
def test_only_documents_are_taken_told_by_their_content(tmp_path: Path, content: bytes, kind: str) -> None:
    async def visit(counter: Counter) -> None:
        answer = await _hand_over(counter, content, **{"Content-Type": kind})
        assert (answer.status_code, code_of(answer)) == (415, "no-media-type")
        jpeg = await _hand_over(counter, b"\xff\xd8\xff\xe0 a jpeg", **{"Content-Type": "application/octet-stream"})
        assert jpeg.json()["media_type"] == "image/jpeg"

    at_the_door(tmp_path, visit)


def test_sixteen_mebibytes_are_taken_and_not_one_byte_more_there_or_elsewhere(tmp_path: Path) -> None:
    async def streamed(content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1024 * 1024):
            yield content[start:start + 1024 * 1024]

    async def visit(counter: Counter) -> None:
        most = scan(ATTACHMENT_MAX_BYTES)
        assert (await _hand_over(counter, most)).status_code == 201
        assert (await counter.client.post("/v1/attachments", content=streamed(most), headers=PDF)).status_code == 201
        for content in (most + b"x", streamed(most + b"x")):
            answer = await counter.client.post("/v1/attachments", content=content, headers=PDF)
            assert (answer.status_code, code_of(answer)) == (413, "too-large")
        for path in ("/v1/transactions", "/v1/attachments/"):
            answer = await counter.client.post(path, content=bytes(70_000), headers=PDF)
            assert (answer.status_code, code_of(answer)) == (413, "too-large")
        assert len(list((tmp_path / "attachments").iterdir())) == 2
        assert (await _hand_over(counter, most, Authorization="")).status_code == 401

    at_the_door(tmp_path, visit)


def test_a_full_disk_refuses_the_scan_and_takes_the_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    async def visit(counter: Counter) -> None:
        said = (await _hand_over(counter, scan(1_000))).json()
        monkeypatch.setattr("edge.attachments.blob_folder.BlobFile.write", full)
        answer = await _hand_over(counter, scan(1_000))
        assert (answer.status_code, code_of(answer)) == (503, "attachments-full")
        assert "不带附件" in answer.json()["error"]["message"]
        monkeypatch.setattr(BlobFolder, "name", full)
        named = await counter.client.post("/v1/transactions", json=transaction(attachments=[said["id"]]))
        assert (named.status_code, code_of(named)) == (503, "attachments-full")
        assert (await counter.client.post("/v1/transactions", json=transaction())).status_code == 201

    at_the_door(tmp_path, visit)


def test_a_sender_that_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", counter.door.port)
        writer.write(f"POST /v1/attachments HTTP/1.1\r\nHost: 127.0.0.1:{counter.door.port}\r\nContent-Length: 500000\r\n"
                     f"Authorization: {counter.client.headers['Authorization']}\r\n\r\n".encode() + scan(200_000))
        await writer.drain()
        folder = tmp_path / "attachments"
        while not list(folder.iterdir()):
            await asyncio.sleep(0.005)
        writer.close()
        while list(folder.iterdir()):
            await asyncio.sleep(0.005)

    at_the_door(tmp_path, visit)


def test_a_scan_of_a_simulated_scanner_marks_the_record(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        for simulated in (False, True):
            attached = await counter.attachments.put(scan(1_000), "application/pdf", simulated=simulated)
            named = transaction(id=f"t{simulated}", attachments=[str(attached.id)])
            assert (await counter.client.post("/v1/transactions", json=named)).status_code == 201
        run = await counter.journal.after(0, 10, 10**6)
        assert [parse_record(one).simulated for one in run.payloads] == [False, False, True]

    at_the_door(tmp_path, visit)
