"""`suozhan-hub` in this process: its commands say and refuse the same, without half a second of loading for each."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import hub.command
from deploy.demo.processes import CHECKOUT, DemoFailed
from tests.spine import CEILING_S


def command_here(state: Path, *arguments: str) -> str:
    """What it printed. Raises DemoFailed, as for a process (deploy/demo/processes.py)."""
    said, refused = io.StringIO(), io.StringIO()
    with (redirect_stdout(said), redirect_stderr(refused), patch.object(sys, "argv", _argv(state, arguments)),
          patch.object(hub.command, "configure_logs", lambda *_: None)):  # other tests share this process
        try:
            hub.command.main()
        except SystemExit as ended:
            if ended.code:
                text = refused.getvalue().strip() or said.getvalue().strip()
                raise DemoFailed(f"hub {' '.join(arguments[:2])} failed: {text}") from ended
    return said.getvalue().strip()


def _argv(state: Path, arguments: Sequence[str]) -> list[str]:
    return ["suozhan-hub", "--state", str(state), *arguments]


def ended_at(step: str, state: Path, *arguments: str) -> int:
    """The exit code of the command in a process of its own, which gets SIGTERM in place of that function ("module.name")."""
    module, _, name = step.rpartition(".")
    program = (f"import signal, {module}, hub.command\n{module}.{name} = lambda *_: signal.raise_signal(signal.SIGTERM)\n"
               "hub.command.main()")
    return subprocess.run([sys.executable, "-c", program, *_argv(state, arguments)[1:]], cwd=CHECKOUT, check=False,
                          timeout=CEILING_S).returncode
