"""The WebSocket's description says all that windows say and hear; the examples of the document are such messages."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from devices.contract import Reading
from devices.fingerprint import Template
from edge.door import device_answers, device_messages, window, windows
from edge.door.asyncapi import DATA, HEARD, SAID, VALUES, describe
from edge.equipment.actions import ACTIONS
from tests.edge.door.test_door import Counter, at_the_door
from tests.edge.door.test_windows import READ, ZHANG, open_window

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = describe("127.0.0.1:8471")


def _messages() -> set[type[BaseModel]]:
    """All shapes with a `type`: what passes over the WebSocket."""
    shapes = [one for one in vars(device_messages).values() if isinstance(one, type) and issubclass(one, BaseModel)]
    return {one for one in shapes if "type" in one.model_fields}


def _named_in(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def test_every_message_is_described() -> None:
    assert _messages() == {*SAID, *HEARD}
    named = {name for part in (window, windows) for name in _named_in(Path(part.__file__).read_text(encoding="utf-8"))}
    assert {one.__name__ for one in (*SAID, *HEARD)} <= named, "described, but not spoken"
    assert DOCUMENT["channels"]["events"]["messages"].keys() == DOCUMENT["components"]["messages"].keys()
    in_operations = json.dumps(DOCUMENT["operations"])
    for name in DOCUMENT["components"]["messages"]:
        assert f'"#/channels/events/messages/{name}"' in in_operations


def test_every_reference_leads_somewhere() -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    found = set(references(DOCUMENT))
    assert found
    for reference in found:
        node: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


@pytest.mark.parametrize("message", [*SAID, *HEARD], ids=lambda one: one.__name__)
def test_a_description_names_all_fields_and_which_are_needed(message: type[BaseModel]) -> None:
    schema = DOCUMENT["components"]["schemas"][message.__name__]
    assert schema["properties"].keys() == message.model_fields.keys()
    assert schema["description"]
    if message in SAID:
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) == {name for name, field in message.model_fields.items() if field.is_required()}


def test_what_each_device_gives_and_takes_is_described() -> None:
    told = Path(device_answers.__file__).read_text(encoding="utf-8")
    assert {one.__name__ for one in DATA} == {name for name in _named_in(told) if name.endswith("Data")} - {"SupplyData"}
    schemas = DOCUMENT["components"]["schemas"]
    assert len(schemas["ReadingAnswer"]["properties"]["data"]["anyOf"]) == len(DATA)
    assert {one["$ref"].rpartition("/")[2] for one in schemas["Command"]["properties"]["values"]["anyOf"]} == {
        one.__name__ for one in VALUES}
    assert {one.__name__ for one in (*DATA, *VALUES)} <= schemas.keys()


def test_what_an_enrolment_gives_is_as_described() -> None:
    """The template is not in it, and what is left is a shape of its own."""
    template = Reading("finger-1", "fingerprint", Template(b"not to be seen"), simulated=False)
    data = device_answers.reading_answer(template).data
    schemas = DOCUMENT["components"]["schemas"]
    shapes = [schemas[one["$ref"].rpartition("/")[2]] for one in schemas["ReadingAnswer"]["properties"]["data"]["anyOf"]]
    fitting = [one["title"] for one in shapes if set(one.get("required", ())) <= data.keys() <= one["properties"].keys()]
    assert fitting == ["EnrolledData"]
    assert schemas["EnrolledData"]["additionalProperties"] is False


def test_the_document_names_every_command_and_its_values() -> None:
    text = (ROOT / "docs/counter-api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| `([a-z-]+)` \| (.*) \|$", text, re.MULTILINE)
    table = {(kind, name): row for kind, name, row in rows}
    assert table.keys() == {(kind, name) for kind, actions in ACTIONS.items() for name in actions}
    for (kind, name), row in table.items():
        fields = ACTIONS[kind][name].values.model_fields
        assert all(f"`{field}`" in row.partition("|")[0] for field in fields), (kind, name)


def test_it_is_served_without_a_token_and_names_its_own_door(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        answer = await counter.client.get("/asyncapi.json", headers={"Authorization": ""})
        assert answer.json() == describe(f"127.0.0.1:{counter.door.port}")

    at_the_door(tmp_path, visit)


def test_what_a_window_hears_is_as_described(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        async with open_window(counter) as window:
            await window.say(**READ)
            await window.hear("event")
            counter.readers.insert("R1", ZHANG)
            heard = [await window.hear("acknowledge", "event", "unsolicited", "completion")]
            while heard[-1]["type"] != "completion":
                heard.append(await window.hear("acknowledge", "event", "unsolicited", "completion"))
            by_type = {one.model_fields["type"].default: one for one in HEARD}
            for message in heard:
                _is(by_type[message["type"]], message)

    at_the_door(tmp_path, visit)


def _examples(mark: str) -> list[dict[str, Any]]:
    text = (ROOT / "docs/counter-api.md").read_text(encoding="utf-8")
    return [json.loads(line) for line in re.findall(rf"^{mark} (\{{.*\}})$", text, re.MULTILINE)]


@pytest.mark.parametrize(("mark", "shapes"), [("→", SAID), ("←", HEARD)])
def test_the_document_shows_one_of_each_as_it_is(mark: str, shapes: tuple[type[BaseModel], ...]) -> None:
    by_type = {one.model_fields["type"].annotation.__args__[0]: one for one in shapes}  # type: ignore[union-attr]
    examples = _examples(mark)
    assert {one["type"] for one in examples} == by_type.keys()
    for one in examples:
        _is(by_type[one["type"]], one)


def _is(shape: type[BaseModel], said: dict[str, Any]) -> None:
    """Nothing that the shape does not know, at any depth."""
    assert json.loads(shape.model_validate(said).model_dump_json(exclude_unset=True)) == said
