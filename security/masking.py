"""What people may see of a resident without a permission of their own."""

from __future__ import annotations

import re

# 18 places or the 15 of old cards, in digits of any width, with blanks or hyphens as people type them. Longer runs, too: a
# phone number typed right before an ID number must not carry it through. Three letters and 12 digits: a foreigner's card of 2017.
_ID_NUMBER = re.compile(r"(?:(?:\d[\s-]?){14,}|[A-Za-z]{3}[\s-]?(?:\d[\s-]?){11,})[\dXxＸｘ]")


def mask_id_number(number: str) -> str:
    """410725199001011234 → 410***********1234, H12345678 → H******78: more than half is hidden, of fewer than 8 all."""
    if len(number) < 8:
        return "*" * len(number)
    first, last = (3, 4) if len(number) >= 15 else (1, 2)
    return number[:first] + "*" * (len(number) - first - last) + number[-last:]


def mask_name(name: str) -> str:
    """张三丰 → 张**; a name of one character is hidden whole."""
    return name[:1] + "*" * (len(name) - 1) if len(name) > 1 else "*" * len(name)


def mask_text(text: str) -> str:
    """Free text with every resident ID number in it masked."""
    return _ID_NUMBER.sub(lambda match: mask_id_number(match.group()), text)
