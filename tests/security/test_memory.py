"""What connections leave is collected soon, however much was loaded before; threads share their heaps."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from security.memory import ARENAS_MAX, few_arenas

LEFT = """
import gc, sys, weakref
from security.memory import leave_start_alone

class Connection:
    def __init__(self):
        self.me = self

loaded = [[] for _ in range(1_000_000)]
gc.collect()
if "ready" in sys.argv:
    leave_start_alone()
left, most = weakref.WeakSet(), 0
open_ones = []
for number in range(600_000):
    open_ones.append(Connection())  # as old as the collector knows, when it is closed
    left.add(open_ones[-1])
    if len(open_ones) > 200:
        open_ones.pop(0)
    if number % 1_000 == 0:
        most = max(most, len(left) - len(open_ones))
print(most)
"""


ARENAS = """
import ctypes, sys, threading
from security.memory import few_arenas

if "few" in sys.argv:
    few_arenas()
all_at_once = threading.Barrier(8)

def work():
    all_at_once.wait()
    kept = [bytes(2_000) for _ in range(1_000)]
    all_at_once.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
told = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, told)
libc.fclose(told)
"""


def run(program: str, *said: str) -> str:
    return subprocess.run([sys.executable, "-c", program, *said], capture_output=True, check=True, text=True, timeout=60).stdout


def most_left(*said: str) -> int:
    return int(run(LEFT, *said))


def arenas(file: Path, *said: str) -> int:
    run(ARENAS, str(file), *said)
    return file.read_text().count("<heap nr=")


def test_what_connections_leave_is_collected_soon_after_a_start_that_loaded_much() -> None:
    assert most_left("ready") < most_left() / 2


def test_threads_share_their_heaps(tmp_path: Path) -> None:
    assert arenas(tmp_path / "few", "few") <= ARENAS_MAX < arenas(tmp_path / "many")


def test_another_c_library_keeps_its_own_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    few_arenas()
