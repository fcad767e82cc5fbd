"""The layouts of ID cards, field by field, as their issuers publish them.

256 bytes each, told apart by the character at FLAG_AT: resident ID card (GA/T 467), residence permit of Hong Kong, Macao
and Taiwan residents (J), permanent residence card of foreigners of 2017 (I) and of 2023 (Y). "" is reserved space.
"""

from enum import StrEnum

from devices.id_card_frames import ADDRESS_BYTES

FLAG_AT = 248


class CardKind(StrEnum):
    """Which of the cards that these readers read."""

    RESIDENT = "resident"
    HONG_KONG_MACAO_TAIWAN = "hong-kong-macao-taiwan"
    FOREIGNER_2017 = "foreigner-2017"
    FOREIGNER_2023 = "foreigner-2023"


KINDS = {
    "": CardKind.RESIDENT,
    "J": CardKind.HONG_KONG_MACAO_TAIWAN,
    "I": CardKind.FOREIGNER_2017,
    "Y": CardKind.FOREIGNER_2023,
}
PERSON = (("name", 30), ("sex", 2), ("nation", 4), ("birth", 16), ("address", ADDRESS_BYTES), ("id_number", 36))
VALIDITY = (("valid_from", 16), ("valid_to", 16))
LAYOUTS = {
    CardKind.RESIDENT: (*PERSON, ("authority", 30), *VALIDITY, ("", 36)),
    CardKind.HONG_KONG_MACAO_TAIWAN: (
        *(*PERSON, ("authority", 30), *VALIDITY),
        *(("pass_number", 18), ("issues", 4), ("", 6), ("flag", 2), ("", 6)),
    ),
    CardKind.FOREIGNER_2017: (
        *(("foreign_name", 120), ("sex", 2), ("id_number", 30), ("nationality", 6), ("name", 30)),
        *(*VALIDITY, ("birth", 16), ("version", 4), ("authority", 8), ("flag", 2), ("", 6)),
    ),
    CardKind.FOREIGNER_2023: (
        *(("name", 30), ("sex", 2), ("issues", 4), ("birth", 16), ("foreign_name", 70), ("id_number", 36)),
        *(("", 30), *VALIDITY, ("foreign_name_rest", 22), ("nationality", 6), ("flag", 2), ("", 6)),
    ),
}
CITIZEN_NUMBER = r"[0-9]{17}[0-9X]"
NUMBERS = {
    CardKind.RESIDENT: CITIZEN_NUMBER,
    CardKind.HONG_KONG_MACAO_TAIWAN: CITIZEN_NUMBER,
    CardKind.FOREIGNER_2017: r"[A-Z]{3}[0-9]{12}",
    CardKind.FOREIGNER_2023: r"9[0-9]{16}[0-9X]",
}
FORMS = {
    "sex": r"[0129]",  # GB/T 2261.1
    "nation": r"[0-9]{2}",  # GB/T 3304
    "nationality": r"[A-Z]{3}|[0-9]{3}",  # GB/T 2659
    "pass_number": r"[A-Z0-9]{0,9}",
    "issues": r"[0-9]{0,2}",
}
LABELS = {
    "name": "姓名",
    "foreign_name": "外文姓名",
    "foreign_name_rest": "外文姓名",
    "sex": "性别",
    "nation": "民族",
    "nationality": "国籍",
    "birth": "出生日期",
    "address": "住址",
    "newest_address": "最新住址",
    "id_number": "证件号码",
    "authority": "签发机关",
    "valid_from": "有效期",
    "valid_to": "有效期",
    "pass_number": "通行证号码",
    "issues": "签发次数",
    "version": "证件版本",
    "photo": "相片",
    "fingerprints": "指纹",
    "text": "文字信息",
}
