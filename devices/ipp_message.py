"""IPP messages (RFC 8010): requests by pyipp; answers by a reader of our own.

pyipp 0.17.2 takes the lengths in an answer as signed numbers: a damaged answer of 18 bytes turns its reader round and
round for ever, and a number that its enumerations lack (every new operation) costs the whole answer.
"""

from collections.abc import Iterator, Mapping

from pyipp.enums import IppOperation
from pyipp.serializer import encode_dict

from devices.printers import Answer, Attributes, Value

VERSION = (2, 0)
HEAD_BYTES = 8
JOB, END, PRINTER = 0x02, 0x03, 0x04
FIRST_VALUE_TAG = 0x10  # below: delimiters of groups
INTEGER, BOOLEAN, ENUM, OCTETS = 0x21, 0x22, 0x23, 0x30
COLLECTION, TEXT_LANGUAGE, NAME_LANGUAGE, COLLECTION_END = 0x34, 0x35, 0x36, 0x37
CHARACTERS = range(0x40, 0x4A)  # text, name, keyword, uri, charset, language, media type
DEPTH_MAX = 16


class NotIpp(ValueError):
    """Cut short, damaged, or not IPP at all."""


def request(operation: int, uri: str, attributes: Mapping[str, Value | list[str]], document: bytes = b"") -> bytes:
    """Operation attributes in the order that RFC 8011 (4.1.5) wants: charset, language, target, the rest."""
    return bytes(
        encode_dict(
            {
                "version": VERSION,
                "operation": IppOperation(operation),
                "operation-attributes-tag": {
                    "attributes-charset": "utf-8",
                    "attributes-natural-language": "zh-cn",
                    "printer-uri": uri,
                    **attributes,
                },
                "data": document,
            }
        )
    )


def answer(body: bytes) -> Answer:
    """Raises NotIpp. Of several jobs the first."""
    if len(body) < HEAD_BYTES or body[0] not in (1, 2):
        raise NotIpp("no IPP head")
    printer: dict[str, list[Value]] = {}
    job: dict[str, list[Value]] = {}
    jobs = 0
    for group, name, value in _values(body):
        if not name:
            jobs += group == JOB
        elif group == PRINTER:
            printer.setdefault(name, []).append(value)
        elif group == JOB and jobs == 1:
            job.setdefault(name, []).append(value)
    return Answer(int.from_bytes(body[2:4], "big"), printer, job)


def _values(body: bytes) -> Iterator[tuple[int, str, Value]]:
    """(group, attribute, value), and (group, "", 0) where a group begins. What is in a collection is passed over."""
    position, group, name, depth = HEAD_BYTES, 0, "", 0
    while True:
        tag = _bytes(body, position, 1)[0]
        position += 1
        if tag < FIRST_VALUE_TAG:
            if depth:
                raise NotIpp("a group ends within a collection")
            if tag == END:
                return
            group, name = tag, ""
            yield group, "", 0
            continue
        said, position = _string(body, position)
        content, position = _string(body, position)
        depth += (tag == COLLECTION) - (tag == COLLECTION_END)
        if not 0 <= depth <= DEPTH_MAX:
            raise NotIpp("collections that do not close")
        if depth == 0 and tag != COLLECTION_END:
            name = said.decode("utf-8", "replace") or name
            value = _value(tag, content)
            if name and value is not None:
                yield group, name, value
        elif depth == 1 and tag == COLLECTION:
            name = said.decode("utf-8", "replace") or name


def _value(tag: int, content: bytes) -> Value | None:
    if tag in (INTEGER, ENUM):
        return int.from_bytes(_exactly(content, 4), "big", signed=True)
    if tag == BOOLEAN:
        return _exactly(content, 1) != b"\0"
    if tag in (TEXT_LANGUAGE, NAME_LANGUAGE):
        _, position = _string(content, 0)
        text, _ = _string(content, position)
        return text.decode("utf-8", "replace")
    if tag in CHARACTERS or tag == OCTETS:
        return content.decode("utf-8", "replace")
    return None


def _string(body: bytes, position: int) -> tuple[bytes, int]:
    length = int.from_bytes(_bytes(body, position, 2), "big")
    return _bytes(body, position + 2, length), position + 2 + length


def _bytes(body: bytes, position: int, length: int) -> bytes:
    return _exactly(body[position : position + length], length)


def _exactly(content: bytes, length: int) -> bytes:
    if len(content) != length:
        raise NotIpp("cut short, or a value of another size than its type has")
    return content


def first(attributes: Attributes, name: str) -> Value | None:
    """The only or first value."""
    return next(iter(attributes.get(name, ())), None)


def texts(attributes: Attributes, name: str) -> list[str]:
    return [value for value in attributes.get(name, ()) if isinstance(value, str)]


def numbers(attributes: Attributes, name: str) -> list[int]:
    return [value for value in attributes.get(name, ()) if isinstance(value, int)]
