"""The two commands as processes, and their HTTP interfaces as a program would call them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

READY_MAX_S = 60.0
STOP_MAX_S = 30.0
CALL_MAX_S = 20.0
PORTS_TRIED_MAX = 40
LOG_SHOWN_MAX = 2_000
CHECKOUT = Path(__file__).resolve().parents[2]


class DemoFailed(RuntimeError):
    """A step did not do what it should; the text names the log to read."""


# Below the ports that a kernel gives to outgoing connections: one of those, from any program here, would otherwise
# take the port of a server that is down for a moment. Each process has a block of its own.
_ports = itertools.count(10_000 + os.getpid() % 100 * 200)


def free_port() -> int:
    """A port that nobody listens on and that this process gives out once."""
    for port in itertools.islice(_ports, PORTS_TRIED_MAX):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise DemoFailed(f"no free port among {PORTS_TRIED_MAX}; stop other programs on 127.0.0.1")


def command(module: str, state: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run `suozhan-hub` or `suozhan-edge` once and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"{module}.command", "--state", str(state), *arguments], cwd=CHECKOUT, check=False,
        capture_output=True, text=True, env={**os.environ, **(environment or {})}, timeout=60,
    )
    if done.returncode:
        raise DemoFailed(f"{module} {' '.join(arguments[:2])} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def verified(bundle: Path) -> tuple[bool, str]:
    """What `suozhan-verify` says of a file: whether it is proved, and its report."""
    done = subprocess.run([sys.executable, "-m", "security.verifier", str(bundle)], capture_output=True, text=True,
                          cwd=CHECKOUT, timeout=60, check=False)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


class Service:
    """A running `suozhan-hub run` or `suozhan-edge run`."""

    def __init__(self, module: str, state: Path, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._arguments = [sys.executable, "-m", f"{module}.command", "--state", str(state), "run"]
        self._ready = f"{module} ready"
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Returns the seconds until it said that it is ready."""
        began = time.monotonic()
        offset = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._arguments, cwd=CHECKOUT, stdout=log, stderr=log,
                                             env=self._environment)
        while self._ready not in self._log.read_bytes()[offset:].decode("utf-8", "replace").splitlines():
            if self._process.poll() is not None or time.monotonic() - began > READY_MAX_S:
                said = self._log.read_bytes()[offset:].decode("utf-8", "replace")[-LOG_SHOWN_MAX:]
                raise DemoFailed(f"{self._ready.split()[0]} did not start (exit code {self._process.poll()} after "
                                 f"{time.monotonic() - began:.1f} s); {self._log} ends with:\n{said}")
            time.sleep(0.02)
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL: as if somebody had pulled the plug."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(STOP_MAX_S)

    def stop(self) -> int:
        """SIGTERM, then wait. Returns the exit code; 0 when it never ran. Raises TimeoutExpired, and has killed it then."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None


class Caller:
    """An HTTP client with a bearer token. Answers are (status, JSON)."""

    def __init__(self, base: str, token: str = "", root: Path | None = None) -> None:
        self._base = base
        self._token = token
        self._tls = ssl.create_default_context(cafile=str(root)) if root else None

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        # No proxy from the environment: everything here is on loopback.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=self._tls)] if self._tls else []))
        try:
            with opener.open(request, timeout=CALL_MAX_S) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
