"""`GET /v1/time`: what time it is, signed for whoever asks. A machine whose clock is wrong can check nothing else of ours."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import BaseModel

from security.clock import Clock
from security.signer import Signer
from security.statements import TIME_NONCE_BYTES, sign_time_answer

Nonce = Annotated[str, Query(pattern=f"^[0-9a-f]{{{2 * TIME_NONCE_BYTES}}}$", description="32 random bytes, hexadecimal.")]


class TimeAnswer(BaseModel):
    """`signature` (hexadecimal) by the hub's time key over "suozhan/time-answer/v1\\0", the nonce and the time (u64)."""

    unix_ms: int
    signature: str


def add_time(app: FastAPI, signer: Signer, clock: Clock) -> None:
    """Without a token: it tells nothing that is secret."""

    @app.get("/v1/time")
    async def time(nonce: Nonce) -> TimeAnswer:
        """The hub's time, signed together with the nonce."""
        now = clock.unix_ms()
        return TimeAnswer(unix_ms=now, signature=sign_time_answer(signer, bytes.fromhex(nonce), now).hex())
