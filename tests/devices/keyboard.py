"""The keys that a keyboard-wedge scanner presses for a text, as its maker means them."""

from devices.wedge_keys import PRESS, RELEASE, Key

SHIFT, CTRL, ALT, CAPS_LOCK, NUM_LOCK, ENTER = 42, 29, 56, 58, 69, 28
KEYPAD = dict(zip("0123456789+.", (82, 79, 80, 81, 75, 76, 77, 71, 72, 73, 78, 83), strict=True))
LETTERS = dict(
    zip("qwertyuiopasdfghjklzxcvbnm", (*range(16, 26), *range(30, 39), *range(44, 51)), strict=True),
)
SIGNS = dict(zip("1234567890-=[];'`\\,./ ", (*range(2, 14), 26, 27, 39, 40, 41, 43, 51, 52, 53, 57), strict=True))
WITH_SHIFT = dict(zip("!@#$%^&*()_+{}:\"~|<>?", "1234567890-=[];'`\\,./", strict=True))


def stroke(code: int) -> list[Key]:
    return [Key(code, PRESS), Key(code, RELEASE)]


def keys_of(text: str) -> list[Key]:
    """ASCII on the US layout."""
    return [key for sign in text for key in _sign(sign)]


def _sign(sign: str) -> list[Key]:
    plain = WITH_SHIFT.get(sign, sign.lower())
    keys = stroke((LETTERS | SIGNS)[plain])
    return [Key(SHIFT, PRESS), *keys, Key(SHIFT, RELEASE)] if plain != sign else keys


def alt_typed(number: str) -> list[Key]:
    digits = [key for digit in number for key in stroke(KEYPAD[digit] if digit in KEYPAD else LETTERS[digit.lower()])]
    return [Key(ALT, PRESS), *digits, Key(ALT, RELEASE)]


def gbk_typed(text: str) -> list[Key]:
    return [key for sign in text for key in alt_typed(str(int.from_bytes(sign.encode("gbk"), "big")))]


def unicode_typed(text: str) -> list[Key]:
    return [key for sign in text for key in alt_typed(str(ord(sign)))]
