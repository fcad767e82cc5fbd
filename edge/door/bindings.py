"""What binds a transaction to the readings that it names: the same person, and the devices that they came from. Pure."""

from __future__ import annotations

import base64
from typing import Any

from devices.contract import Reading
from devices.fingerprint import Match, Template
from devices.id_card_fields import IdCard
from devices.scan_text import ScanReading
from devices.social_card import SocialCard
from edge.door.messages import Resident


def problems(resident: Resident, reading: Reading[Any]) -> list[str]:
    """What a reading says of a person, and the counter program says otherwise; in Chinese. A record that names a reading says
    what the reading says.
    """
    match reading.data:
        case SocialCard() as card:
            return [
                *_other(card.id_number.upper() != resident.id_number, "读出的卡与填写的身份证号码不是同一人，请核对后重新读卡。"),
                *_other(card.name != resident.name, "读出的卡与填写的姓名不一致，请核对后重新读卡。"),
                *_other(resident.card_number not in (None, card.card_number), "读出的卡与填写的卡号不一致，请核对后重新读卡。"),
            ]
        case IdCard() as card:
            return [
                *_other(card.id_number.upper() != resident.id_number, "身份证与填写的身份证号码不是同一人，请核对后重新读证。"),
                *_other(card.name != resident.name, "身份证与填写的姓名不一致，请核对后重新读证。"),
            ]
        case Match() as match:
            return _other(not match.matched, "指纹比对没有通过，不能用于本笔业务。请重新比对，或改用其他方式核验。")
        case _:
            return []


def _other(differs: bool, text: str) -> list[str]:
    return [text] if differs else []


def bound(reading: Reading[Any]) -> dict[str, Any]:
    """What the record says of a reading: which one, of which device, when; sealed with it goes what nobody else may see."""
    said = {"id": str(reading.id), "kind": reading.kind, "device": reading.device, "serial": reading.serial,
            "observed_at": reading.observed_at.isoformat(), "simulated": reading.simulated}
    return said | _sealed(reading.data)


def _sealed(data: object) -> dict[str, Any]:
    match data:
        case IdCard():
            return {"photo": _text(data.photo), "fingerprints": [_text(one) for one in data.fingerprints]}
        case Template():
            return {"template": _text(data.data)}
        case Match():
            return {"request": str(data.request), "matched": data.matched}
        case SocialCard():
            return {"authenticated": data.authenticated}
        case ScanReading():
            return {"text": data.text}
        case _:
            return {}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
