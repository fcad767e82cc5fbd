"""A log is read by many: what a function held in its hands when it failed is not for it (invariant 7)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging, structlog
from security.logs import configure_logs

configure_logs()

def fail(resident):
    token = "secret-" + "token"
    raise RuntimeError("it failed")

for log in (structlog.get_logger("edge.x"), logging.getLogger("uvicorn.error")):
    try:
        fail({"name": "王秀" + "英", "id": "1101051949123" + "1002X"})
    except RuntimeError:
        log.error("request failed", exc_info=True)
__import__("sys").stderr.write("it went on")
"""


def test_a_logged_exception_shows_where_and_not_whom() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.count("RuntimeError: it failed") == 2
    for secret in ("王秀英", "11010519491231002X", "secret-token"):
        assert secret not in done.stdout + done.stderr


def test_a_log_on_a_full_disk_stops_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=Path(__file__).parents[2], stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr.startswith("it went on")


def test_the_log_of_a_command_stands_beside_its_answer_and_a_service_takes_it_back() -> None:
    script = ("import structlog, sys; from security.logs import configure_logs\n"
              "configure_logs(sys.stderr); print('the answer'); structlog.get_logger('hub.x').warning('beside')\n"
              "configure_logs(); structlog.get_logger('hub.y').warning('served')")
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert [line.split("]")[-1].strip() for line in done.stdout.splitlines()] == ["the answer", "served"]
    assert "beside" in done.stderr
