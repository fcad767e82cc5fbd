"""How large a PNG (ISO/IEC 15948) or JPEG (ITU-T T.81) is, and whether all of it came. Decodes no pixel."""

import struct

PNG = b"\x89PNG\r\n\x1a\n"
PNG_FIRST = struct.Struct(">I4sII")  # length, type, width, height
PNG_LAST = b"\x00\x00\x00\x00IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff"
JPEG_LAST = b"\xff\xd9"
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start of frame; the three others are tables and a reserved one
SCAN = 0xDA
SIDE_MAX = 100_000


class NotAPicture(ValueError):
    """Cut short, damaged, or something else altogether."""


def size(content: bytes) -> tuple[str, int, int]:
    """Format ("png" or "jpeg"), width and height in pixels. Raises NotAPicture."""
    if content.startswith(PNG):
        found = "png", *_png(content)
    elif content.startswith(JPEG):
        found = "jpeg", *_jpeg(content)
    else:
        raise NotAPicture("neither PNG nor JPEG")
    if not (0 < found[1] <= SIDE_MAX and 0 < found[2] <= SIDE_MAX):
        raise NotAPicture("no such size")
    return found


def _png(content: bytes) -> tuple[int, int]:
    if len(content) < len(PNG) + PNG_FIRST.size or not content.endswith(PNG_LAST):
        raise NotAPicture("the PNG is cut short")
    _, kind, width, height = PNG_FIRST.unpack_from(content, len(PNG))
    if kind != b"IHDR":
        raise NotAPicture("the PNG does not begin with its header")
    return width, height


def _jpeg(content: bytes) -> tuple[int, int]:
    """From segment to segment up to the frame's, which stands before the first scan."""
    if not content.endswith(JPEG_LAST):
        raise NotAPicture("the JPEG is cut short")
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker, length = content[position + 1], int.from_bytes(content[position + 2 : position + 4], "big")
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in FRAMES and position + 9 <= len(content):
            height, width = struct.unpack_from(">HH", content, position + 5)
            return width, height
        elif marker == SCAN or length < 2:
            break
        else:
            position += 2 + length
    raise NotAPicture("the JPEG has no frame")
