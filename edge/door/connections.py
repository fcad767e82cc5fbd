"""Connections to the door: few, and none that says nothing for long, so that nobody without a token stops a counter."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

CONNECTIONS_MAX = 200  # windows among them; the usual limit of a process is 1,024 files
BACKLOG = 64  # are accepted at once, before any of them is counted
HEAD_MAX_S = 10.0


class Connection(H11Protocol):
    """HTTP. Where there are too many, the one goes that has said nothing whole for longest, and whoever asks comes in."""

    _idle_since = 0.0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._time_head()
        if len(self.connections) > CONNECTIONS_MAX:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._time_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._time_head()

    def _time_head(self) -> None:
        """From the end of one request to the end of the next one's head, whatever is said meanwhile."""
        if self._idle and self._patience is None:
            self._idle_since = self.loop.time()
            self._patience = self.loop.call_later(HEAD_MAX_S, self.transport.abort)
        elif not self._idle and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    @property
    def _idle(self) -> bool:
        """Neither asking, nor gone, nor a window by now."""
        asking = self.cycle is not None and not self.cycle.response_complete
        return self in self.connections and not asking

    def _make_room(self) -> None:
        """This one itself goes, where all others are at work."""
        closing = [one for one in self.connections if isinstance(one, WebSocketsSansIOProtocol) and one.close_sent]
        idle = [one for one in self.connections if isinstance(one, Connection) and one._idle and not one.transport.is_closing()]
        one = closing[0] if closing else min(idle, key=lambda one: one._idle_since)
        one.transport.abort()
