"""No byte of a bundle can be changed: the line is named, and what it holds."""

from __future__ import annotations

import base64
import json
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from hub.evidence.selection import Selection
from security.bundle.exporter import sign_bundle
from security.bundle.lines import LINE_MAX_BYTES, LineSums
from security.bundle.reader import verify_bundle
from tests.hub.evidence.city import City
from tests.security.bundle.forger import forged, lines_of, refusal

SHARDS = 4
KIND_MAX_BYTES = 14


def _small(folder: Path) -> tuple[City, Path]:
    city = City(folder)
    machine = city.machine()
    city.append(machine, 2)
    city.publish()
    file, report = city.export("small.bundle", Selection(machine.journal, 1, 2))
    assert report.refusal is None
    return city, file


def _subject(lines: list[bytes], number: int) -> str:
    """What has to be named for a change in this line (from 1)."""
    if number in {1, len(lines)}:
        return "header" if number == 1 else "signature"
    kind, body = next(iter(json.loads(lines[number - 1]).items()))
    if kind in {"entry", "proof"}:
        return f"position {body['position']}"
    return kind


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_changed_byte_at_any_place_is_found_and_its_line_is_named(tmp_path: Path, shard: int) -> None:
    _, file = _small(tmp_path)
    honest, random, changed = file.read_bytes(), Random(shard), tmp_path / "changed.bundle"
    lines = honest.splitlines()
    for at in range(shard, len(honest), SHARDS):
        spoilt = bytearray(honest)
        spoilt[at] ^= random.randrange(1, 256)
        changed.write_bytes(spoilt)
        report = verify_bundle(changed)
        assert report.refusal is not None, at
        assert not report.signed, at
        number = honest.count(b"\n", 0, at) + 1
        assert report.refusal.line == number, at
        # A line whose very kind is gone is named by what stands before it, and one without an end runs into the next.
        start = honest.rfind(b"\n", 0, at) + 1
        if at - start >= KIND_MAX_BYTES and honest[at] != 10:
            assert _subject(lines, number) in report.refusal.subject, at


def _starts(honest: bytes) -> list[int]:
    return [0, *(at + 1 for at, byte in enumerate(honest[:-1]) if byte == 10)]


def test_in_a_large_bundle_the_first_entry_that_is_not_proved_is_named(tmp_path: Path) -> None:
    city = City(tmp_path)
    machine = city.machine()
    city.append(machine, 3_000)
    city.publish()
    file, report = city.export("large.bundle")
    assert report.refusal is None
    honest, random = file.read_bytes(), Random(1)
    places = [(at, json.loads(line)["entry"]["position"]) for at, line in _placed(honest) if line.startswith(b'{"entry"')][1:]
    changed = tmp_path / "changed.bundle"
    for _ in range(8):
        at, position = random.choice(places)
        spoilt = bytearray(honest)
        spoilt[at + random.randrange(20, 150)] ^= 1
        changed.write_bytes(spoilt)
        assert refusal(changed).subject == f"journal {machine.journal}, position {position}"


def test_a_large_bundle_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    city = City(tmp_path)
    machine = city.machine()
    city.append(machine, 2_000)
    city.publish()
    peaks = []
    for last in (100, 2_000):
        file, _ = city.export(f"{last}.bundle", Selection(machine.journal, 1, last))
        tracemalloc.start()
        assert verify_bundle(file).refusal is None
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 64 * 1024, peaks


def _placed(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    for line in data.splitlines(keepends=True):
        found.append((at, line))
        at += len(line)
    return found


def test_a_bundle_that_is_cut_anywhere_is_not_whole(tmp_path: Path) -> None:
    _, file = _small(tmp_path)
    honest, cut = file.read_bytes(), tmp_path / "cut.bundle"
    for end in [*range(0, len(honest), 97), *range(len(honest) - 110, len(honest)), *_starts(honest)[1:]]:
        cut.write_bytes(honest[:end])
        assert verify_bundle(cut).refusal is not None, end
    cut.write_bytes(honest + b"\n")
    assert refusal(cut).subject.endswith(("position 2", "signature"))


def test_two_bundles_joined_are_told_apart_from_a_changed_byte(tmp_path: Path) -> None:
    _, file = _small(tmp_path)
    joined = tmp_path / "joined.bundle"
    joined.write_bytes(file.read_bytes() * 2)
    refused = refusal(joined)
    assert refused.subject == "signature"
    assert refused.line == len(file.read_bytes().splitlines())
    assert "files were joined" in refused.reason


def test_a_byte_that_no_entry_covers_is_still_covered_by_the_signature(tmp_path: Path) -> None:
    """With sums made anew, the header alone is left to be found by the signature: it is the exporter's word."""
    _, file = _small(tmp_path)

    def other_reason(lines: list[tuple[str, dict[str, object]]]) -> None:
        lines[0][1]["reason"] = "case 2026-119"

    refused = refusal(forged(file, other_reason))
    assert refused.subject == "signature"
    assert "header" in refused.reason


@pytest.mark.parametrize("bytes_", [b" ", b"\t", b"\r"])
def test_there_is_one_way_to_write_a_line(tmp_path: Path, bytes_: bytes) -> None:
    """Even by the exporter: two files that say the same have the same bytes."""
    _, file = _small(tmp_path)
    line = file.read_bytes().splitlines()[3]
    body = line[:line.index(b',"sum"')]
    suites = (b'"suite":1.0', b'"suite":1,"suite":1', b'"suite":true', b'"suite":"1"')
    for other in (body.replace(b",", b"," + bytes_, 1), body.replace(b"hub", b"h\\u0075b"),
                  *(body.replace(b'"suite":1', suite) for suite in suites)):
        assert other != body
        whole = _resealed(file.read_bytes().splitlines()[:-1], 3, other)
        spoilt = tmp_path / "spoilt.bundle"
        spoilt.write_bytes(whole)
        assert refusal(spoilt).line == 4, other


def _resealed(lines: list[bytes], at: int, head: bytes) -> bytes:
    """All sums made anew, with another text in one line, which need not be JSON."""
    sums, whole = LineSums(), b""
    for number, line in enumerate(lines):
        text = head if number == at else line[:line.rindex(b',"sum"')]
        whole += text + b',"sum":"' + sums._next(text) + b'"}\n'
    return whole + b'{"signature":""}\n'


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    _, file = _small(tmp_path)
    endless = tmp_path / "endless.bundle"
    first = file.read_bytes().splitlines(keepends=True)[0]
    endless.write_bytes(first + b'{"entry":{"payload":"' + b"A" * (4 * LINE_MAX_BYTES))
    assert refusal(endless).line == 2


@pytest.mark.parametrize("text", [b"", b"\n", b"{}\n", b"null\n{}\n", b"[" * 200_000 + b"\n\n", b"\xff\xfe\n\n",
                                  b"PK\x03\x04" * 100, b'{"header":{}}\n{"signature":""}\n'])
def test_what_is_no_bundle_is_refused_at_its_header(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "no.bundle"
    file.write_bytes(text)
    report = verify_bundle(file)
    assert report.refusal is not None
    assert (report.refusal.subject, report.header, report.signed) == ("header", None, False)


def test_the_other_signature_that_ecdsa_allows_is_not_taken(tmp_path: Path) -> None:
    """r and n - s verify as well: a bundle has one signature and no twin."""
    _, file = _small(tmp_path)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = generate_private_key(SECP256R1())
    for _ in range(20):
        assert int.from_bytes(sign_bundle(key, bytes(32))[32:], "big") <= order // 2
    lines = file.read_bytes().splitlines(keepends=True)
    signature = base64.b64decode(json.loads(lines[-1])["signature"])
    twin = signature[:32] + (order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    spoilt = tmp_path / "twin.bundle"
    spoilt.write_bytes(b"".join(lines[:-1]) + b'{"signature":"%s"}\n' % base64.b64encode(twin))
    assert refusal(spoilt).subject == "signature"


def test_lines_are_in_the_order_that_the_format_says(tmp_path: Path) -> None:
    _, file = _small(tmp_path)
    assert [kind for kind, _ in lines_of(file)] == [
        "header", "epoch", "checkpoint", "journal", "range", "entry", "proof", "journal", "range", "entry", "proof", "entry",
        "proof"]
