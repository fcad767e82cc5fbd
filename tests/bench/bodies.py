"""Realistic transaction bodies of about 300 bytes; names, places and fields are not those the dictionary was trained on."""

from __future__ import annotations

import json
from random import Random

from devices.id_number import id_check

_SURNAMES = "冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆"
_GIVEN = "凤莲荣珍贞莉桂娣叶璧璐娅琦晶妍茜秋珊莎锦黛青倩婷姣婉娴瑾颖露瑶怡婵雁蓓"
_REGIONS = ("410725", "410702", "410711", "320102", "610103")
_DETAILS = {
    "手机号": lambda r: f"1{r.choice((31, 33, 37, 52, 55, 80, 88, 99))}{r.randint(0, 99_999_999):08}",
    "申请档次": lambda r: f"{r.choice((100, 400, 600, 800, 1500, 2000))}元/年",
    "居住地": lambda r: f"新乡市红旗区{r.choice('洪关东西')}门街道{r.randint(1, 300)}号",
    "办理方式": lambda r: r.choice(("现场", "代为办理", "上门")),
}
BODY_BYTES = 300


def body(random: Random) -> bytes:
    """One body, padded or cut by its free text to within a few bytes of BODY_BYTES."""
    first = f"{random.choice(_REGIONS)}{random.randint(1938, 2004)}{random.randint(1, 12):02}{random.randint(1, 28):02}"
    first += f"{random.randint(0, 999):03}"
    fields: dict[str, object] = {
        "caller_id": f"ck{random.randint(1, 9)}-{random.randint(20260101, 20261231)}-{random.randint(0, 9999):04}",
        "item": f"003-{random.randint(1, 40):02}", "channel": random.choice(("counter", "kiosk")),
        "operator": {"name": _name(random), "verified": False},
        "resident": {"name": _name(random), "id_number": first + id_check(first)},
        "documents": random.choice((["resident-id-card"], ["social-security-card"],
                                    ["household-register", "resident-id-card"])),
    }
    details: dict[str, str] = {}
    for name in random.sample(sorted(_DETAILS), len(_DETAILS)):
        details[name] = _DETAILS[name](random)
        fields["details"] = details
        if len(_encoded(fields)) > BODY_BYTES:
            del details[name]
    return _encoded(fields)


def _name(random: Random) -> str:
    return random.choice(_SURNAMES) + "".join(random.choices(_GIVEN, k=random.choice((1, 2, 2, 2))))


def _encoded(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
