"""Counter programs at the door: they say the same again until they are answered, and remember every answer."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.soak.world import World

ANSWER_MAX_S = 20.0
AGAIN_S = 0.01
STORED = (200, 201)


@dataclass(frozen=True, slots=True)
class Said:
    """A transaction that the door has acknowledged, and where it said that it stands."""

    caller: str
    position: int


class Counter:
    """Several programs at one door. Not answered is not lost: the same id is said again, after a restart, too."""

    def __init__(self, world: World, programs: int = 2, pause_s: float = 0.0, details_chars: int = 0) -> None:
        self._port, self._token = world.ports.door, world.template.token
        self._pause_s, self._details = pause_s, "x" * details_chars
        self._next = [0] * programs
        self._ending = threading.Event()
        self._attempted = 0
        self.open: list[str] = []
        self.said: list[Said] = []
        self.refused: Tally[str] = Tally()
        self.wrong: list[str] = []

    @contextmanager
    def working(self) -> Iterator[None]:
        """They submit without end while the block runs."""
        self._ending.clear()
        threads = [threading.Thread(target=self._work, args=(number, None), daemon=True) for number in range(len(self._next))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()

    def submit(self, count: int, patience_s: float = ANSWER_MAX_S) -> int:
        """So many by the first program, one after the other, each until it is answered. Returns how many were."""
        self._ending.clear()
        timer = threading.Timer(patience_s, self._ending.set)
        timer.start()
        before = len(self.said)
        self._work(0, count)
        timer.cancel()
        return len(self.said) - before

    def attempt(self, count: int) -> int:
        """So many new ones, each said once; what is refused waits in `open`. Returns how many were answered."""
        connection = self._connection()
        callers = [f"a-{self._attempted + number}" for number in range(count)]
        self._attempted += count
        self.open += [caller for caller in callers if not self._say(connection, caller)]
        connection.close()
        return count - sum(caller in self.open for caller in callers)

    def again(self) -> None:
        """Say once more what is open."""
        connection = self._connection()
        self.open = [caller for caller in self.open if not self._say(connection, caller)]
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_MAX_S)

    def _work(self, program: int, count: int | None) -> None:
        connection = self._connection()
        while not self._ending.is_set() and count != 0:
            if self._say(connection, f"p{program}-{self._next[program]}"):
                self._next[program] += 1
                count = None if count is None else count - 1
                time.sleep(self._pause_s)
            else:
                time.sleep(AGAIN_S)
        connection.close()

    def _say(self, connection: http.client.HTTPConnection, caller: str) -> bool:
        try:
            connection.request("POST", "/v1/transactions", _body(caller, self._details), {
                "Authorization": f"Bearer {self._token}", "Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()  # it opens again by itself
            self.refused["no answer"] += 1
            return False
        if response.status in STORED:
            self.said.append(Said(caller, answer["position"]))
            return True
        self.refused[answer["error"]["code"]] += 1
        if response.status != 503:
            self.wrong.append(f"{caller}: {response.status} {answer['error']['code']}")
        return False


def _body(caller: str, details: str) -> bytes:
    return json.dumps(transaction(caller) | {"details": {"number": caller, "more": details}}).encode()


def transaction(caller: str) -> dict[str, Any]:
    """As a counter says it; `caller` is its own id for it."""
    return {"id": caller, "item": "003-01", "channel": "counter", "operator": "李芳", "documents": ["resident-id-card"],
            "resident": {"name": "王秀英", "id_number": "11010519491231002X"}}
