"""What people may see of a resident without a permission of their own."""

from __future__ import annotations

import re

# Longer runs, too: a phone number typed right before an ID number must not carry it through.
_ID_NUMBER = re.compile(r"\d{17,}[\dXx]")


def mask_id_number(number: str) -> str:
    """410725199001011234 → 410***********1234; anything shorter than 8 characters is hidden whole."""
    if len(number) < 8:
        return "*" * len(number)
    return number[:3] + "*" * (len(number) - 7) + number[-4:]


def mask_name(name: str) -> str:
    """张三丰 → 张**; a name of one character is hidden whole."""
    return name[:1] + "*" * (len(name) - 1) if len(name) > 1 else "*" * len(name)


def mask_text(text: str) -> str:
    """Free text with every resident ID number in it masked."""
    return _ID_NUMBER.sub(lambda match: mask_id_number(match.group()), text)
