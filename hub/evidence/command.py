"""`suozhan-hub export FILE`: evidence for somebody who has no hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from hub.attention.command import By, Reason
from hub.evidence.handing_out import Request, hand_out
from hub.evidence.selection import EvidenceRefused, Selection
from hub.state import HubState
from security.bundle.reader import verify_bundle
from security.bundle.report import Report
from security.clock import SystemClock


def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A new file.")],
    by: By,
    reason: Reason,
    journal: Annotated[UUID | None, typer.Option(help="Of this journal only.")] = None,
    first: Annotated[int, typer.Option("--from", help="Its first position.")] = 1,
    last: Annotated[int | None, typer.Option("--to", help="Its last position.")] = None,
    site: Annotated[str, typer.Option(help="Of the machines that were registered for this site only.")] = "",
    record: Annotated[str, typer.Option(help="JOURNAL/POSITION: one record.")] = "",
) -> None:
    """Write entries of the ledger with their proofs into FILE, which suozhan-verify checks without a hub."""
    state: HubState = context.obj
    if record and (journal is not None or site or last is not None or first != 1):
        raise EvidenceRefused("--record names it all; leave the other options out")
    selection = Selection.of_record(record) if record else Selection(journal, first, last, site)
    trust = hand_out(state, file, Request(selection, by, reason), SystemClock())
    typer.echo(f"{file} is written; now it is read back as whoever gets it will, some thousand entries a second.", err=True)
    _say(file, verify_bundle(file, trust))


def _say(file: Path, report: Report) -> None:
    if report.refusal is not None:
        typer.echo(f"Not all of it is proved. {report.refusal}", err=True)
        typer.echo("Run: suozhan-hub verify", err=True)
        raise typer.Exit(1)
    assert report.exporter is not None
    assert report.checkpoint is not None
    typer.echo(f"{file} holds {report.entries} entries, proved under the checkpoint of {report.checkpoint.size}; it reads back.")
    typer.echo("Whoever gets it runs: suozhan-verify FILE --pin PIN. Give the pin by another way than the file:")
    typer.echo(report.exporter.pin.hex())
