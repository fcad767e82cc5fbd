"""Whether a caller says the same thing again under an id: a keyed digest of what was said, kept beside the record."""

from __future__ import annotations

import hmac
import os

from edge.drafts import Draft

TAG_BYTES = 16


class SaidTags:
    """Of one run of the agent. The key stays in memory: a tag on disk tells nothing about what was said."""

    def __init__(self, started_at: int) -> None:
        self._started_at = started_at
        self._key = os.urandom(32)

    def tag(self, kind: str, said: bytes) -> bytes:
        return hmac.digest(self._key, kind.encode() + b"\0" + said, "sha256")[:TAG_BYTES]

    def tag_of(self, draft: Draft) -> bytes:
        if draft.carried is not None:
            return self.tag(draft.kind, draft.carried.payload)
        return self.tag(draft.kind, draft.body if draft.said is None else draft.said)

    def is_repeat(self, position: int, stored: bytes | None, tag: bytes) -> bool:
        """Of an id that stands at that position with that tag. Tags of an earlier start were keyed with a key that is gone: then
        the id alone decides.
        """
        return position <= self._started_at or (stored is not None and hmac.compare_digest(stored, tag))
