"""A hub that is asked to stop, in the middle of what others ask of it."""

from __future__ import annotations

import threading
import time
from typing import Any

from deploy.demo.city import Hub

STOP_MAX_S = 2.5  # the reading API alone would wait 3 s for a reader that does not go


def test_a_reader_who_waits_for_news_gets_his_page_when_the_hub_stops(hub: Hub) -> None:
    hub.service.start()
    reader = hub.reader()
    answers: list[tuple[int, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(reader.call("GET", "/v1/feed?after=999&wait_s=15")))
    waiting.start()
    time.sleep(1)
    began = time.monotonic()
    assert hub.service.stop() == 0
    assert time.monotonic() - began < STOP_MAX_S
    waiting.join()
    assert [(status, page["entries"]) for status, page in answers] == [(200, [])]
    assert "Traceback" not in hub.log.read_text()
