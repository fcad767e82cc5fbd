"""Ports that cannot be had, whichever server wants them."""

from __future__ import annotations

import socket


class PortTaken(OSError):
    """Another program listens there; the text says what to change."""


def require_free(host: str, *ports: int) -> None:
    """Look before any server is made, while a refusal is still one line. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in ports:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise PortTaken(f"cannot listen on {host}:{port} ({error.strerror}); stop the other program or change "
                                "hub.toml") from error
