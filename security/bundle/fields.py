"""The body of a part, read strictly: exactly the fields that it has, each of its type, written in the one way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from security import strict_base64
from security.bundle.lines import BadLine
from security.tree import HASH_BYTES

NUMBER_MAX = 2**53 - 1  # what every JSON reader keeps exactly (RFC 8785)
TEXT_MAX_CHARS = 500

Value = TypeVar("Value")
Body = dict[str, Any]


class Fields:
    """Of one JSON object. Each method raises BadLine when the field is not what it should be."""

    def __init__(self, body: object, needed: str, optional: str = "") -> None:
        if not isinstance(body, dict) or not set(needed.split()) <= set(body) <= {*needed.split(), *optional.split()}:
            raise BadLine(f"it has other fields than {needed} {optional}".rstrip() + "; get the bundle again")
        self._body = body

    def maybe(self, read: Callable[[str], Value], name: str) -> Value | None:
        """None when the field is left out."""
        return read(name) if name in self._body else None

    def number(self, name: str) -> int:
        """0 to NUMBER_MAX."""
        value = self._body[name]
        if type(value) is not int or not 0 <= value <= NUMBER_MAX:
            raise _bad(name)
        return value

    def place(self, name: str) -> int:
        """A position: 1 to NUMBER_MAX."""
        return self.number(name) or _refuse(name)

    def text(self, name: str) -> str:
        """Printable, so that it can be shown to a person as it is."""
        value = self.words(name)
        return value if is_text(value) else _refuse(name)

    def words(self, name: str) -> str:
        """Text of any length and form."""
        value = self._body[name]
        return value if isinstance(value, str) else _refuse(name)

    def uuid(self, name: str) -> UUID:
        try:
            value = UUID(self.words(name))
        except ValueError as error:
            raise _bad(name) from error
        return value if str(value) == self._body[name] else _refuse(name)

    def data(self, name: str) -> bytes:
        """Bytes, in base64."""
        return _bytes(name, self._body[name])

    def hash(self, name: str) -> bytes:
        """32 bytes."""
        value = self.data(name)
        return value if len(value) == HASH_BYTES else _refuse(name)

    def list(self, name: str) -> list[object]:
        value = self._body[name]
        return value if isinstance(value, list) else _refuse(name)

    def datas(self, name: str) -> tuple[bytes, ...]:
        """A list of bytes."""
        return tuple(_bytes(name, one) for one in self.list(name))


def is_text(value: str) -> bool:
    """Printable, and not longer than a person reads."""
    return value.isprintable() and len(value) <= TEXT_MAX_CHARS


def _bytes(name: str, value: object) -> bytes:
    try:
        return strict_base64.decode(value) if isinstance(value, str) else _refuse(name)
    except ValueError as error:
        raise _bad(name) from error


def _bad(name: str) -> BadLine:
    return BadLine(f"its field {name!r} is not what it should be; get the bundle again from whoever exported it")


def _refuse(name: str) -> NoReturn:
    raise _bad(name)


def without_none(body: Body) -> Body:
    """What is not there is left out."""
    return {name: value for name, value in body.items() if value is not None}
