"""`suozhan-hub import FILE`: what a machine without a line has exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from hub.attention.command import By, Reason, own_journal
from hub.database import open_engine
from hub.enrolment.authority import load_authority
from hub.imports.importing import Hub, import_file
from hub.imports.journal_import import Imported, Places, size
from hub.imports.order import Order
from hub.state import HubState
from security.certificates import pin_of
from security.clock import SystemClock

SHOWN_MAX = 20


def import_records(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `suozhan-edge export` wrote.")],
    by: By,
    reason: Reason,
    site: Annotated[str, typer.Option(help="Where the machine stands, if this hub came back from a backup that is older than the "
                                           "machine.")] = "",
) -> None:
    """Take the records of a machine's FILE into the ledger; the hub may run meanwhile. Safe to repeat. Exit code 2: something
    has to be decided or done before all of it can be taken."""
    state: HubState = context.obj
    config = state.config()
    hub = Hub(config.hub, pin_of(load_authority(state.ca).root), state.database, open_engine(state.database), own_journal(state),
              SystemClock())
    machine_file, imported = import_file(hub, Order(file, by, reason, site))
    for line in [*machine_file.words, *(line for one in imported for line in _told(one))]:
        typer.echo(line)
    if any(one.waits or one.too_long for one in imported):
        typer.echo("Not all of the file is taken: keep it, and change nothing at the machine.")
        raise typer.Exit(2)
    typer.echo("All of the file has arrived.")


def _told(one: Imported) -> Iterator[str]:
    yield f"Journal {one.journal} of machine {one.edge}, {_records(one.records)} in the file:"
    if one.waits:
        yield f"  NOT TAKEN: {one.waits}."
        return
    yield f"  {one.held} were held before, {size(one.appended)} were appended{_at(one.appended)}."
    if one.carried or one.carried_before:
        yield (f"  {size(one.carried)} could not be appended and were carried into the hub's own journal{_at(one.carried)}; "
               f"{one.carried_before} were carried before.")
    if one.forked is not None:
        yield (f"  Behind position {one.forked} the machine has another history than the hub: a cloned disk or a restored "
               "backup. Nothing is lost by that; a machine that goes on with it has to rejoin: suozhan-edge rejoin.")
    if one.unheld:
        yield f"  LOST: {_records(size(one.unheld))}{_at(one.unheld)} are neither in the file nor here."
    if one.without_key:
        yield f"  {_records(one.without_key)} cannot be opened: the key was in a record that is lost."
    if one.too_long:
        yield f"  NOT TAKEN: {_records(size(one.too_long))}{_at(one.too_long)}: too long to be carried; call the maker."


def _records(number: int) -> str:
    return f"{number} record{'' if number == 1 else 's'}"


def _at(places: Places) -> str:
    """Where, in brackets; "" for nowhere."""
    shown = [f"{first}" if first == last else f"{first} to {last}" for first, last in places[:SHOWN_MAX]]
    more = f" and {len(places) - SHOWN_MAX} more places" if len(places) > SHOWN_MAX else ""
    return f" (at {', '.join(shown)}{more})" if places else ""
