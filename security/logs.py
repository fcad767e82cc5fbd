"""Logs of a process: one line an event, of ours and of libraries alike."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

OURS = ("devices", "edge", "hub", "security")


def configure_logs(stream: TextIO | None = None) -> None:
    """Ours from INFO on, libraries from WARNING on. A log that cannot be written, on a full disk say, stops nothing.

    On standard output, as a service has it; a command, which has its answer there, gives another stream.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False), structlog.stdlib.add_log_level]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.processors.StackInfoRenderer(),
                    structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(), cache_logger_on_first_use=True,
    )
    stream = stream or sys.stdout
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processor=structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            exception_formatter=structlog.dev.plain_traceback)))  # the default prints local variables: residents, tokens
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.raiseExceptions = False
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
