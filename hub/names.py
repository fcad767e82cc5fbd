"""Names that people give: of sites, machines, tokens. They stand in lists, logs and on terminals as they were given."""

from __future__ import annotations

NAME_MAX_CHARS = 128


def name_fault(text: str) -> str:
    """What is wrong with a name, as the end of a sentence; "" if nothing is. Control characters could forge lines."""
    if len(text) > NAME_MAX_CHARS:
        return f"has more than {NAME_MAX_CHARS} characters; shorten it"
    if not text.isprintable():
        return "has control characters or line breaks; type it again without them"
    return ""
