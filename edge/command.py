"""`suozhan-edge`: enrol this machine, run its agent, look at its queue, pair a counter program."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from edge.alarms import Alarms, AlarmUnknown
from edge.config import BadConfig, EdgeConfig, load_config
from edge.drafts import CorruptJournal, ForeignJournal, JournalUnreadable
from edge.enrol import EnrolmentRefused, EnrolmentUnavailable
from edge.identity import NotEnrolled, load_identity
from edge.settlement import all_settled
from edge.signatory import ExportRefused
from edge.start import AlreadyRunning, PortTaken
from edge.state import StateFolder
from edge.succession import SuccessionRefused
from security.clock import SystemClock
from security.file_trouble import advised
from security.invitations import BadToken
from security.logs import configure_logs
from security.memory import leave_no_core, leave_start_alone
from security.signer import BadKey
from security.sqlite_connection import FileChanged
from security.until_signal import until_signal

PROGRESS_S = 1.0
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="The agent of one counter machine of Suozhan.")
alarms_app = typer.Typer(invoke_without_command=True, help="Open alarms of this machine, and clearing them.")
app.add_typer(alarms_app, name="alarms")


@app.callback()
def choose_state(
    context: typer.Context,
    state: Annotated[Path, typer.Option(help="Folder of this machine.", envvar="SUOZHAN_EDGE_STATE")] = Path(
        "/var/lib/suozhan-edge"
    ),
) -> None:
    context.obj = StateFolder(state)


@app.command()
def enrol(
    context: typer.Context,
    token: Annotated[str, typer.Argument(help="The line that `suozhan-hub invite` printed.")],
    machine: Annotated[str, typer.Option(help="Name of this machine, for people.")] = "",
) -> None:
    """Make this machine's keys and get its certificate. Safe to repeat."""
    from edge.enrol import enrol as enrol_machine  # noqa: PLC0415 - gRPC loads only where it is used

    identity = enrol_machine(context.obj, token, machine or socket.gethostname())
    typer.echo(f"Enrolled as {identity.edge} at {identity.site_name} ({identity.site}). "
               f"Next: suozhan-edge --state {context.obj.root} run")


@app.command()
def run(context: typer.Context) -> None:
    """Work until SIGTERM or Ctrl-C."""
    from edge.assembly import run_edge  # noqa: PLC0415 - the agent's libraries load only where they work

    configure_logs()
    leave_no_core()
    until_signal(run_edge(context.obj, SystemClock(), _ready))


def _ready() -> None:
    with suppress(OSError):  # where the log lies on a full disk
        typer.echo("edge ready")
    leave_start_alone()


@app.command()
def status(context: typer.Context) -> None:
    """What is queued, what the hub holds, who we are. Reads only; works beside a running agent. Exit code 2: an alarm is open."""
    from edge.status import describe  # noqa: PLC0415 - one command

    alarms = Alarms(context.obj.alarms, SystemClock()).open_alarms()
    typer.echo(asyncio.run(describe(context.obj, alarms)))
    if alarms:
        raise typer.Exit(2)


@alarms_app.callback()
def alarms_list(context: typer.Context) -> None:
    """Open alarms, oldest first."""
    if context.invoked_subcommand:
        return
    alarms = Alarms(context.obj.alarms, SystemClock()).open_alarms()
    for one in alarms:
        raised = datetime.fromtimestamp(one.raised_ms / 1000, UTC).isoformat(timespec="seconds")
        typer.echo(f"{one.kind}\t{raised}\t{one.text}\t{one.hint}")
    if not alarms:
        load_identity(context.obj.current.identity)  # a mistyped folder has none either
    typer.echo(f"{len(alarms)} open alarms." if alarms else "No open alarms.")


@alarms_app.command("clear")
def alarms_clear(context: typer.Context, kind: str) -> None:
    """Put an alarm away whose cause is settled; its file is kept."""
    Alarms(context.obj.alarms, SystemClock()).clear(kind)
    typer.echo(f"Alarm {kind} is cleared.")


@app.command()
def rejoin(
    context: typer.Context,
    token: Annotated[str, typer.Argument(help="An invitation; without one, somebody at the hub has to approve it.")] = "",
    reason: Annotated[str, typer.Option(help="Why, when its journal is in order, such as: keys may have leaked.")] = "",
) -> None:
    """Go on with new keys and a new journal: a copied disk, a restored backup, damage. Loses nothing. Safe to repeat."""
    from edge.rejoin_command import rejoin_machine  # noqa: PLC0415 - gRPC loads only where it is used

    typer.echo(rejoin_machine(context.obj, token, reason, SystemClock()))


@app.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A new file, such as on a USB stick.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the file.")] = "",
) -> None:
    """Save what this machine still holds into one signed FILE for `suozhan-hub import`: for a machine without a line, or a
    damaged one. Stop its agent first. Changes nothing here."""
    from edge.export import export_machine  # noqa: PLC0415 - one command

    typer.echo(export_machine(context.obj, file, SystemClock(), reason))


@app.command()
def verify(
    context: typer.Context,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last one was interrupted.")] = False,
) -> None:
    """Check the journal, every signature, identity and keys. Reads only; works beside a running agent. Exit code 1: findings,
    other than in an identity that is settled: all of it that could be saved is in a later journal."""
    from edge.verify import Verification  # noqa: PLC0415 - one command

    identities = context.obj.identities()
    open_findings = 0
    for number, folder in enumerate(identities, 1):
        settled = number < len(identities) and all_settled(folder, identities[number])
        if len(identities) > 1:
            typer.echo(f"Identity {number} of {len(identities)}{', followed by the next and settled' if settled else ''}:")
        verification = Verification(folder, _progress_line(), resume=resume)
        found = 0
        try:
            with _ended_as_by_hand(), closing(verification.findings()) as findings:
                for finding in findings:
                    found += 1
                    typer.echo(str(finding))
        except KeyboardInterrupt as interrupt:
            typer.echo(f"\nStopped. Go on with: suozhan-edge --state {context.obj.root} verify --resume", err=True)
            raise typer.Exit(130) from interrupt
        earlier = f" (and {verification.earlier} before the interruption)" if verification.earlier else ""
        typer.echo(f"{verification.checked} positions checked, {found} findings{earlier}.")
        if settled and found:
            typer.echo("What could be saved of it is in a later journal: nothing is to be done here, and the exit code is not 1 "
                       "for it.")
        open_findings += 0 if settled else found + verification.earlier
    if open_findings:
        typer.echo("What each means and what to do: docs/damage.md.")
        raise typer.Exit(1)


@contextmanager
def _ended_as_by_hand() -> Iterator[None]:
    """SIGTERM, from a system that shuts down, leaves the place to go on from as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _progress_line() -> Callable[[int, int], None]:
    """On standard error, about once a second; a terminal gets one line that changes."""
    told_s = 0.0

    def tell(checked: int, end: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s > PROGRESS_S or checked >= end:
            told_s = time.monotonic()
            typer.echo(f"\r{checked} of {end} positions", err=True, nl=checked >= end or not sys.stderr.isatty())

    return tell


@app.command()
def doctor(context: typer.Context) -> None:
    """Look at all of this machine, from its disk to its devices, and say in Chinese what is wrong and who mends it: each morning
    before the doors open, and after each update of the browser. Exit code 2: something is wrong; a hint is not."""
    from edge.doctor import examine, told  # noqa: PLC0415 - one command

    findings = asyncio.run(examine(context.obj, SystemClock()))
    typer.echo(told(findings))
    if not all(one.well for one in findings):
        raise typer.Exit(2)


@app.command()
def pair(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Which counter program this is for.")] = "",
    origin: Annotated[str, typer.Option(help="Origin of its pages, such as https://counter.example; none for a program.")] = "",
    page: Annotated[bool, typer.Option("--page", help="For the device page of this machine: print a link to open once.")] = False,
) -> None:
    """Print a one-time code with which a counter program gets its token; it ends after 10 minutes."""
    from edge.door.pairing import make_code  # noqa: PLC0415 - one command

    load_identity(context.obj.current.identity)
    if page:
        if origin:
            raise BadConfig("--page is for the page of this machine itself; leave --origin out")
        own = _own_page(load_config(context.obj.config))
        code = asyncio.run(make_code(context.obj.door, name or "device page", own, SystemClock()))
        typer.echo(f"{own}/#code={code}")
        return
    if not name:
        raise BadConfig("say which counter program this is for: --name NAME; or --page, for the device page")
    if origin and not _ORIGIN.fullmatch(origin.rstrip("/")):
        raise BadConfig(f"{origin!r} is no origin of a page; write it as a browser does: https://counter.example[:port], "
                        "a Chinese name in its xn-- form")
    typer.echo(asyncio.run(make_code(context.obj.door, name, origin, SystemClock())))


@app.command()
def unpair(context: typer.Context, name: Annotated[str, typer.Option(help="Which counter program; all are listed without.")] = "",
           ) -> None:
    """Take back the tokens of a counter program, as when its machine or its makers are trusted no more. Open windows close."""
    from edge.unpair_command import unpair_program  # noqa: PLC0415 - one command

    load_identity(context.obj.current.identity)
    typer.echo(unpair_program(context.obj.door, name, SystemClock()))


def _own_page(config: EdgeConfig) -> str:
    """Its origin. Raises BadConfig."""
    if not config.door_port:
        raise BadConfig("door_port in edge.toml is 0, so the page has another address at every start; give it a number")
    return f"http://127.0.0.1:{config.door_port}"


def main() -> None:
    """Errors that a person can mend are one line, not a traceback."""
    mendable = (AlarmUnknown, AlreadyRunning, BadConfig, BadKey, BadToken, CorruptJournal, EnrolmentRefused, EnrolmentUnavailable,
                ExportRefused, FileChanged, ForeignJournal, JournalUnreadable, NotEnrolled, PortTaken, SuccessionRefused, OSError)
    try:
        app()
    except mendable as error:
        typer.echo(f"suozhan-edge: {advised(error)}", err=True)
        raise SystemExit(1) from error
    except sqlite3.Error as error:
        typer.echo(f"suozhan-edge: {error}; make room on the disk of this machine's state folder if it is full; else look after "
                   "that disk", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
