"""How dictionary 1 was trained: `python -m security.dictionaries.train FILE` makes it again from made-up transactions.

Nothing here is a real person's. The benchmark measures bodies with other names, places and fields.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from uuid import UUID

import zstandard

SEED = 3
SAMPLES = 6_000
DICTIONARY_BYTES = 8 * 1024

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂玉梅建华国志文春红"
_REGIONS = ("140830", "140802", "140821", "140881", "140823", "140824")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_DOCUMENTS = ("resident-id-card", "social-security-card", "household-register", "eligibility-commitment")
_FIELDS = {
    "联系电话": ("phone",),
    "缴费档次": ("200元", "300元", "500元", "1000元", "3000元", "5000元"),
    "户籍地址": ("芮城县古魏镇", "芮城县陌南镇", "芮城县风陵渡镇", "芮城县阳城镇"),
    "备注": ("本人办理", "家属代办", "补缴", "信息变更", "首次办理"),
    "求职意向": ("保洁", "厨师", "电工", "保安", "家政服务", "缝纫工"),
    "期望月薪": ("2500", "3000", "4000", "5000"),
    "就业类型": ("灵活就业", "固定工", "零工"),
    "银行": ("农村信用社", "邮政储蓄银行", "农业银行", "工商银行"),
    "办理结果": ("已受理", "已办结", "已上报"),
    "文化程度": ("小学", "初中", "高中", "大专", "本科"),
}


def _id_number(random: Random) -> str:
    body = f"{random.choice(_REGIONS)}{random.randint(1935, 2006)}{random.randint(1, 12):02}{random.randint(1, 28):02}"
    body += f"{random.randint(0, 999):03}"
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True)) % 11]


def _name(random: Random) -> str:
    return random.choice(_SURNAMES) + "".join(random.choices(_GIVEN, k=random.choice((1, 2, 2))))


def _phone(random: Random) -> str:
    return f"1{random.choice((30, 35, 36, 38, 39, 50, 51, 58, 59, 77, 82, 86, 87, 89))}{random.randint(0, 99_999_999):08}"


def sample(random: Random) -> bytes:
    """One made-up transaction body, as the counter's door writes it."""
    resident = {"name": _name(random), "id_number": _id_number(random)}
    body: dict[str, object] = {
        "item": f"003-{random.randint(1, 40):02}",
        "channel": random.choice(("counter", "counter", "counter", "kiosk")),
        "operator": {"name": _name(random), "verified": False},
        "resident": resident,
        "documents": sorted(random.sample(_DOCUMENTS, random.randint(1, 2))),
        "caller_id": str(UUID(int=random.getrandbits(128), version=4)),
    }
    if random.random() < 0.6:
        resident["card_number"] = f"{random.choice('ABCDEK')}{random.randint(0, 99_999_999):08}"
        body["reading"] = {
            "id": str(UUID(int=random.getrandbits(128), version=4)), "kind": "social-card",
            "device": f"Generic Smart Card Reader {random.randint(0, 3):02} 00",
        }
    fields = random.sample(sorted(_FIELDS), random.randint(0, 4))
    body["details"] = {
        name: _phone(random) if _FIELDS[name] == ("phone",) else random.choice(_FIELDS[name]) for name in fields
    }
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def train() -> bytes:
    """The dictionary's bytes; the same at every run with the same zstd."""
    random = Random(SEED)
    samples: list[bytes | bytearray | memoryview[int]] = [sample(random) for _ in range(SAMPLES)]
    return zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=9).as_bytes()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(train())
