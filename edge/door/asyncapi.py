"""The WebSocket's description (AsyncAPI 3.0), made of the same models that check its messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from edge.door.device_messages import (
    Acknowledge,
    Cancel,
    Command,
    CommandEvent,
    Completion,
    EnrolledData,
    Hello,
    IdCardData,
    MatchData,
    PageData,
    PrintedData,
    PrinterData,
    ReadingAnswer,
    ScanData,
    SocialCardData,
    Unsolicited,
    Welcome,
)
from edge.equipment.actions import ACTIONS, Values

PATH = "/asyncapi.json"
SAID: tuple[type[BaseModel], ...] = (Hello, Command, Cancel)
HEARD: tuple[type[BaseModel], ...] = (Welcome, Acknowledge, CommandEvent, Completion, Unsolicited)
DATA: tuple[type[BaseModel], ...] = (SocialCardData, IdCardData, ScanData, EnrolledData, MatchData, PageData, PrinterData,
                                    PrintedData)
VALUES: tuple[type[Values], ...] = tuple({action.values: None for actions in ACTIONS.values() for action in actions.values()})
CHANNEL = {"$ref": "#/channels/events"}
ABOUT = ("Devices over WebSocket: command, acknowledge, event, completion, cancel. Closed with 1007: no message of ours, or "
         "an id in use; 1008: no hello with a token of this page within 5 seconds, or it was taken back; 1009: too large; "
         "1012: the agent stops; 1013: too many windows.")


def router() -> APIRouter:
    described = APIRouter()
    described.add_api_route(PATH, _answer, methods=["GET"], include_in_schema=False, response_class=JSONResponse)
    return described


async def _answer(request: Request) -> JSONResponse:
    return JSONResponse(describe(request.url.netloc))


def describe(host: str) -> dict[str, Any]:
    """The document, for a door at that host and port."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "所站网关柜面接口 Suozhan counter API", "version": "1", "description": ABOUT},
        "defaultContentType": "application/json",
        "servers": {"door": {"host": host, "protocol": "ws"}},
        "channels": {"events": {"address": "/v1/events", "bindings": {"ws": {"method": "GET"}},
                                "messages": {_name(one): _ref("messages", _name(one)) for one in (*SAID, *HEARD)}}},
        "operations": {
            "hello": _received(Hello, Welcome),
            "command": _received(Command, Acknowledge, CommandEvent, Completion),
            "cancel": _received(Cancel, Completion),
            "changed": {"action": "send", "channel": CHANNEL, "messages": _of_channel(Unsolicited)},
        },
        "components": {"messages": {_name(one): _message(one) for one in (*SAID, *HEARD)}, "schemas": _schemas()},
    }


def _name(message: type[BaseModel]) -> str:
    """As its `type` says."""
    (name,) = message.model_fields["type"].annotation.__args__  # type: ignore[union-attr]
    return str(name)


def _message(message: type[BaseModel]) -> dict[str, Any]:
    return {"name": _name(message), "summary": message.__doc__, "payload": _ref("schemas", message.__name__)}


def _ref(section: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{section}/{name}"}


def _of_channel(*messages: type[BaseModel]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/events/messages/{_name(one)}"} for one in messages]


def _received(said: type[BaseModel], *heard: type[BaseModel]) -> dict[str, Any]:
    return {"action": "receive", "channel": CHANNEL, "messages": _of_channel(said),
            "reply": {"channel": CHANNEL, "messages": _of_channel(*heard)}}


def _schemas() -> dict[str, Any]:
    """With the shapes that `values` and `data` have, which the models leave open: those depend on the command."""
    schemas = _schemas_of((*SAID, *VALUES), "validation") | _schemas_of((*HEARD, *DATA), "serialization")
    _one_of(schemas, Command, "values", VALUES)
    _one_of(schemas, ReadingAnswer, "data", DATA)
    return schemas


def _one_of(schemas: dict[str, Any], holder: type[BaseModel], field: str, shapes: Sequence[type[BaseModel]]) -> None:
    schemas[holder.__name__]["properties"][field] = {"anyOf": [_ref("schemas", one.__name__) for one in shapes]}


def _schemas_of(shapes: Sequence[type[BaseModel]], mode: Any) -> dict[str, Any]:
    _, document = models_json_schema([(one, mode) for one in shapes], ref_template="#/components/schemas/{model}")
    return dict(document["$defs"])
