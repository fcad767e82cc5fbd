"""`suozhan-hub revoke` and `suozhan-hub certificate`: the end of a machine, and the certificates of hub and machines."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Annotated

import typer

from hub.attention.command import own_journal
from hub.database import open_engine
from hub.enrolment.authority import PASSPHRASE_VARIABLE, ensure_server_certificate, load_authority, renew_intermediate
from hub.enrolment.newest import newest_certificates
from hub.enrolment.revocation import revoke
from hub.state import HubState
from security.clock import SystemClock

certificate_app = typer.Typer(no_args_is_help=True, help="Certificates of the hub and of machines.")


def revoke_machine(
    context: typer.Context,
    edge: Annotated[str, typer.Argument(help="Id of the machine, as suozhan-edge status shows it.")],
    by: Annotated[str, typer.Option(help="Your name; it stands in the ledger.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")],
) -> None:
    """End a machine for good: its streams end within seconds, nothing is renewed for it."""
    state: HubState = context.obj
    new = revoke(open_engine(state.database), own_journal(state), edge, by, reason, SystemClock().unix_ms())
    typer.echo(f"Machine {edge} is revoked." if new else f"Machine {edge} was revoked before.")


@certificate_app.command("renew")
def renew(context: typer.Context) -> None:
    """Make a new key and certificate for the hub's servers; a running hub takes them within seconds, open streams go on."""
    state: HubState = context.obj
    config, now = state.config(), dt.datetime.fromtimestamp(SystemClock().unix_ms() / 1000, dt.UTC)
    files = ensure_server_certificate(state.tls, load_authority(state.ca), config.hosts, now, anew=True)
    typer.echo(f"{files.certificate} is new; a running hub takes it within seconds.")


@certificate_app.command("renew-authority")
def renew_authority(
    context: typer.Context,
    root_key: Annotated[Path, typer.Option(help="The root's encrypted key, as init wrote it.")],
) -> None:
    """Renew the certificate of the CA that works online, for five years: its key stays, so no machine notices. The root key's
    passphrase is taken from SUOZHAN_ROOT_PASSPHRASE, or asked for."""
    state: HubState = context.obj
    passphrase = os.environ.get(PASSPHRASE_VARIABLE) or typer.prompt("Passphrase of the root key", hide_input=True)
    now = dt.datetime.fromtimestamp(SystemClock().unix_ms() / 1000, dt.UTC)
    renewed = renew_intermediate(state.ca, state.config().hub, root_key, passphrase, now)
    typer.echo(f"The CA's certificate now ends {renewed.not_valid_after_utc:%Y-%m-%d}. Restart the hub, and take the root key "
               "away again; machines get it with their next certificate.")


@certificate_app.command("list")
def list_certificates(context: typer.Context) -> None:
    """The newest certificate of each machine: generation, end, whether it is in use."""
    state: HubState = context.obj
    state.config()
    for one in newest_certificates(open_engine(state.database)):
        end = dt.datetime.fromtimestamp(one.not_after_ms / 1000, dt.UTC).isoformat(sep=" ", timespec="minutes")
        standing = "revoked" if one.revoked else "in use" if one.used else "not used yet"
        typer.echo(f"{one.edge}\t{one.site}\t{one.generation}\tends {end}\t{standing}")
