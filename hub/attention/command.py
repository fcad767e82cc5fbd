"""`suozhan-hub alarms` and `suozhan-hub approvals`: what waits for a person, and the person's word."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated

import typer

from hub.attention.alarms import Alarms
from hub.attention.approvals import Approval, Approvals
from hub.database import open_engine
from hub.keys import load_keys
from hub.ledger.own_journal import OwnJournal
from hub.state import HubState
from security.clock import SystemClock

alarms_app = typer.Typer(invoke_without_command=True, help="Open alarms, and clearing them.")
approvals_app = typer.Typer(invoke_without_command=True, help="Requests that wait for a decision, and deciding them.")

By = Annotated[str, typer.Option(help="Your name; it stands in the ledger.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the ledger.")]


def own_journal(state: HubState) -> OwnJournal:
    """The hub's own journal for a command. Raises BadConfig, BadKey."""
    return OwnJournal(state.database, state.config().hub, load_keys(state.keys).record, SystemClock())


def _alarms(state: HubState) -> Alarms:
    return Alarms(open_engine(state.database), own_journal(state), SystemClock())


def _approvals(state: HubState) -> Approvals:
    return Approvals(open_engine(state.database), own_journal(state), SystemClock())


@alarms_app.callback()
def alarms_list(context: typer.Context) -> None:
    """Open alarms, oldest first."""
    if context.invoked_subcommand:
        return
    alarms = _alarms(context.obj).open_alarms()
    for one in alarms:
        typer.echo(f"{one.id}\t{utc(one.raised_ms)}\t{one.kind}\t{one.subject}\t{one.times} times\t{one.text}")
    typer.echo(f"{len(alarms)} open alarms." if alarms else "No open alarms.")


@alarms_app.command("clear")
def alarms_clear(context: typer.Context, alarm: int, by: By) -> None:
    """Close an alarm whose cause is settled."""
    cleared = _alarms(context.obj).clear(alarm, by)
    typer.echo(f"Alarm {alarm} ({cleared.kind}, {cleared.subject}) is cleared.")


@approvals_app.callback()
def approvals_list(context: typer.Context) -> None:
    """Requests that wait, oldest first."""
    if context.invoked_subcommand:
        return
    waiting = _approvals(context.obj).waiting()
    for one in waiting:
        said = json.dumps(one.body, ensure_ascii=False, sort_keys=True)
        typer.echo(f"{one.id}\t{utc(one.asked_ms)}\t{one.kind}\t{one.subject}\t{said}")
    typer.echo("Decide with: suozhan-hub approvals approve|refuse ID --by NAME --reason TEXT" if waiting
               else "Nothing waits for a decision.")


@approvals_app.command("approve")
def approve(context: typer.Context, request: int, by: By, reason: Reason) -> None:
    """Let it happen; whoever asked takes it up by itself."""
    _say(_approvals(context.obj).decide(request, by, reason, approved=True))


@approvals_app.command("refuse")
def refuse(context: typer.Context, request: int, by: By, reason: Reason) -> None:
    """Do not let it happen."""
    _say(_approvals(context.obj).decide(request, by, reason, approved=False))


def _say(decided: Approval) -> None:
    typer.echo(f"Request {decided.id} ({decided.kind}, {decided.subject}) is {decided.state} by {decided.decided_by}.")


def utc(unix_ms: int) -> str:
    """As lists of commands say it."""
    return dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC).isoformat(sep=" ", timespec="seconds")
