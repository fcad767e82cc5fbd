"""A hub that is asked to stop, in the middle of what others ask of it."""

from __future__ import annotations

import json
import ssl
from contextlib import closing
from http.client import HTTPSConnection

from deploy.demo.city import Hub

CALL_MAX_S = 60


def test_a_reader_who_waits_for_news_gets_his_page_when_the_hub_stops(hub: Hub) -> None:
    hub.service.start()
    reader = hub.reader()
    trusted = ssl.create_default_context(cafile=str(hub.state / "ca" / "root.pem"))
    with closing(HTTPSConnection("127.0.0.1", hub.api_port, timeout=CALL_MAX_S, context=trusted)) as waiting:
        waiting.request("GET", "/v1/feed?after=999&wait_s=30", headers={"Authorization": f"Bearer {reader._token}"})
        assert reader.call("GET", "/v1/edges")[0] == 200  # who came before is waiting by now
        assert hub.service.stop() == 0
        answer = waiting.getresponse()  # after its grace the server would cut off a reader who does not go
        assert (answer.status, json.loads(answer.read())["entries"]) == (200, [])
    assert "Traceback" not in hub.log.read_text()
