"""The size of a picture, and that half of one is refused."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.picture import NotAPicture, size


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def jpeg(width: int, height: int, before: bytes = b"", frame: int = 0xC0) -> bytes:
    return (
        b"\xff\xd8\xff\xe0\x00\x07JFIF\x00" + before
        + bytes([0xFF, frame]) + struct.pack(">HBHHB", 8, 8, height, width, 1)
        + b"\xff\xda\x00\x02picture\xff\xd9"
    )  # fmt: skip


SIDE = st.integers(1, 60_000)


@given(SIDE, SIDE)
def test_a_png_says_its_size(width: int, height: int) -> None:
    assert size(png(width, height)) == ("png", width, height)


@given(SIDE, SIDE, st.binary(max_size=64), st.sampled_from([0xC0, 0xC1, 0xC2]), st.integers(0, 3))
def test_a_jpeg_says_its_size_behind_any_other_segments(
    width: int, height: int, comment: bytes, frame: int, fill: int
) -> None:
    before = b"\xff\xc4\x00\x05abc" + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + b"\xff" * fill
    assert size(jpeg(width, height, before, frame)) == ("jpeg", width, height)


@pytest.mark.parametrize("whole", [png(30, 40), jpeg(30, 40)], ids=["png", "jpeg"])
def test_no_beginning_of_a_picture_is_one(whole: bytes) -> None:
    for length in range(len(whole)):
        with pytest.raises(NotAPicture):
            size(whole[:length])


@pytest.mark.parametrize("empty", [png(0, 5), png(5, 0), jpeg(0, 5), png(2**31, 5)])
def test_a_size_of_nothing_or_of_a_football_field_is_damage(empty: bytes) -> None:
    with pytest.raises(NotAPicture):
        size(empty)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"]))
def test_noise_is_no_picture_or_has_a_size(noise: bytes, begin: bytes) -> None:
    try:
        kind, width, height = size(begin + noise)
    except NotAPicture:
        return
    assert kind in ("png", "jpeg")
    assert width > 0
    assert height > 0
