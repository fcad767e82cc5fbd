"""A bundle as lines: one part each, in the one way of writing it, with a running digest that tells which line was changed."""

from __future__ import annotations

import json

from security.suites import sha256

LINE_MAX_BYTES = 256 * 1024
SUM_CHARS = 32
SIGNATURE_KIND = "signature"

_SUM = b',"sum":"'
_END = b'"}\n'
_TAIL_BYTES = len(_SUM) + SUM_CHARS + len(_END)


class BadLine(ValueError):
    """A line that no writer of ours has written like that."""


def encoded(value: object) -> bytes:
    """RFC 8785: keys sorted, no blanks, UTF-8. Parts hold no fractions, and no numbers of 2^53 or more."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def decoded(text: bytes) -> tuple[str, object]:
    """Kind and body of what `encoded` writes for one of them. Raises BadLine for any other bytes."""
    try:
        value = json.loads(text)
        same = encoded(value) == text
    except (ValueError, RecursionError) as error:
        raise BadLine("it is no JSON; get the bundle again from whoever exported it") from error
    if not same or not isinstance(value, dict) or len(value) != 1:
        raise BadLine("it is not written as a bundle's lines are; get the bundle again from whoever exported it")
    return next(iter(value.items()))


class LineSums:
    """What joins the lines. It protects nothing by itself: whoever changes a line can make the sums anew, the signature not."""

    def __init__(self) -> None:
        self._digest = bytes(32)

    def sealed(self, kind: str, body: object) -> bytes:
        """The next line of a bundle. Raises BadLine when it gets too long."""
        head = encoded({kind: body})[:-1]
        line = head + _SUM + self._next(head) + _END
        if len(line) > LINE_MAX_BYTES:
            raise BadLine(f"a line of {len(line)} bytes is too long; write what it lists in several")
        return line

    def opened(self, line: bytes) -> tuple[str, object]:
        """Kind and body of the next line. Raises BadLine."""
        head, tail = line[:-_TAIL_BYTES], line[-_TAIL_BYTES:]
        if len(line) > LINE_MAX_BYTES or tail != _SUM + self._next(head) + _END:
            raise BadLine("it was changed, or lines before it were left out or moved; get the bundle again")
        return decoded(head + b"}")

    def _next(self, head: bytes) -> bytes:
        self._digest = sha256(self._digest + head)
        return self._digest.hex()[:SUM_CHARS].encode()


def kind_of(line: bytes) -> str:
    """What a line seems to be, however damaged the rest of it is; "" when that cannot be told."""
    name = line[2:line.find(b'"', 2)] if line.startswith(b'{"') else b""
    return name.decode() if name.isalpha() and name.isascii() else ""
