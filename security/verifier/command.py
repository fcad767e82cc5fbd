"""`suozhan-verify FILE`: exit code 0 when all of a bundle is proved, 1 when not."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from security.bundle.check import Trust
from security.bundle.reader import verify_bundle
from security.note import BadNoteKey, NoteKey
from security.tree import HASH_BYTES
from security.verifier.report_json import json_of
from security.verifier.report_text import text_of

PIN_HELP = "SHA-256 of the key of the hub's root, as the hub's office gave it to you by another way."
LOG_KEY_HELP = "Key of the hub's log: name+id+base64."

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _pin(text: str) -> bytes:
    try:
        pin = bytes.fromhex(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text[:80]!r} is not hexadecimal; copy the whole pin") from error
    if len(pin) != HASH_BYTES:
        raise typer.BadParameter(f"a pin has {2 * HASH_BYTES} hexadecimal digits; copy the whole pin")
    return pin


def _log_key(text: str) -> NoteKey:
    try:
        return NoteKey.parse(text)
    except BadNoteKey as error:
        raise typer.BadParameter(str(error)) from error


def _show(parts: int) -> None:
    typer.echo(f"\r{parts} lines checked", err=True, nl=False)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A bundle.")],
    pin: Annotated[bytes | None, typer.Option(parser=_pin, metavar="HEX", help=PIN_HELP)] = None,
    log_key: Annotated[NoteKey | None, typer.Option(parser=_log_key, metavar="VKEY", help=LOG_KEY_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs; complete.")] = False,
) -> None:
    """Say what the bundle FILE proves, and by whom. Needs no hub, no network, and no trust in whoever brought the file."""
    report = verify_bundle(file, Trust(pin, log_key), _show if sys.stderr.isatty() else lambda _: None)
    if as_json:
        typer.echo(json.dumps(json_of(report), ensure_ascii=False, indent=1))
    else:
        for line in text_of(report, time.time_ns() // 1_000_000):
            typer.echo(line)
    if report.refusal is not None:
        raise typer.Exit(1)


def main() -> None:
    """Errors that a person can mend are one line, not a traceback."""
    try:
        app()
    except OSError as error:
        typer.echo(f"suozhan-verify: {error}; check the file's name", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
