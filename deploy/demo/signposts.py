"""Where to look next, as lines to paste."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.demo.city import Hub, Machine


def after_the_story(last: Machine) -> str:
    """For a city that has ended: its files are left."""
    return f"""
    Where to look next:
      the queue of a machine   .venv/bin/suozhan-edge --state build/demo/{last.site} status
      the ledger, checked      .venv/bin/suozhan-hub --state build/demo/hub verify
      logs                     build/demo/*.log
      how it works             ARCHITECTURE.md; the counter's API: docs/counter-api.md; the hub's: docs/hub-api.md"""


def while_it_stays(hub: Hub, machines: Sequence[Machine]) -> str:
    """For a running city: how to be one of its programs."""
    return "\n".join([
        f"""
    Running until Ctrl-C. In another terminal, from this folder, be an upstream system (docs/hub-api.md):
READER=$(.venv/bin/suozhan-hub --state build/demo/hub token create me --scope feed:read --scope ledger:read)
curl -sS --cacert build/demo/hub/ca/root.pem -H "Authorization: Bearer $READER" https://127.0.0.1:{hub.api_port}/v1/feed""",
        *[f"""
    or look at the devices of {one.site} {one.name}: open the link in a browser on this machine
.venv/bin/suozhan-edge --state build/demo/{one.site} pair --page
    or its counter program (docs/counter-api.md; all calls: {one.base}/openapi.json):
CODE=$(.venv/bin/suozhan-edge --state build/demo/{one.site} pair --name me)
TOKEN=$(curl -sS -H 'Content-Type: application/json' -d "{{\\"code\\":\\"$CODE\\"}}" {one.base}/v1/pair | cut -d'"' -f4)
curl -sS -H "Authorization: Bearer $TOKEN" {one.base}/v1/state""" for one in machines]])
