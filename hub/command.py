"""`suozhan-hub`: make a hub, name its sites, invite machines, publish, back up, verify, serve."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import sqlalchemy as sa
import typer
from sqlalchemy.exc import DBAPIError

from hub.alone import beside_others
from hub.attention.alarms import AttentionRefused
from hub.attention.command import By, Reason, alarms_app, approvals_app, own_journal
from hub.audit.command import findings
from hub.backup import BackupFailed, back_up
from hub.database import open_engine
from hub.enrolment.authority import PASSPHRASE_VARIABLE, load_authority
from hub.enrolment.command import certificate_app, revoke_machine
from hub.enrolment.revocation import RevocationRefused
from hub.enrolment.sites import SiteRefused, add_site, invite, is_known, list_sites
from hub.evidence.command import export
from hub.evidence.selection import EvidenceRefused
from hub.founding import found_hub
from hub.imports.check import ImportRefused
from hub.imports.command import import_records
from hub.keys import load_keys
from hub.ledger.tile_mending import MendingRefused
from hub.ledger.transparency import LogBehind
from hub.ledger.verify_command import verify
from hub.migrate import DatabaseNewer
from hub.outage import trouble
from hub.restore import Back, RestoreRefused, Said, lost_decisions, reopen, restore
from hub.state import BadConfig, HubState, checked_config
from security.certificates import BadCertificate, pin_of
from security.clock import SystemClock
from security.file_trouble import advised
from security.logs import configure_logs
from security.memory import leave_no_core, leave_start_alone
from security.signer import BadKey
from security.sigterm import cleared_away
from security.until_signal import until_signal

PASSPHRASE_MAX_BYTES = 1_023  # of OpenSSL
DAYS_MAX = 36_500
ALONE = {"init", "run", "restore", "reopen"}  # they see to it themselves that nobody works beside them
YEAR_10000_MS = 253_402_300_800_000  # dates end before it

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="The city's hub of Suozhan.")
site_app = typer.Typer(no_args_is_help=True, help="Service points: offices and stations.")
token_app = typer.Typer(no_args_is_help=True, help="Bearer tokens of the reading API.")
devices_app = typer.Typer(no_args_is_help=True, help="The equipment that machines have to look after.")
catalogue_app = typer.Typer(no_args_is_help=True, help="The service catalogue that every machine works from.")
app.add_typer(site_app, name="site")
app.add_typer(token_app, name="token")
app.add_typer(catalogue_app, name="catalogue")
app.add_typer(devices_app, name="devices")
app.add_typer(certificate_app, name="certificate")
app.command("revoke")(revoke_machine)
app.add_typer(alarms_app, name="alarms")
app.add_typer(approvals_app, name="approvals")
app.command("findings")(findings)
app.command("export")(export)
app.command("import")(import_records)


@app.callback()
def choose_state(
    context: typer.Context,
    state: Annotated[Path, typer.Option(help="Folder of this hub.", envvar="SUOZHAN_HUB_STATE")] = Path(
        "/var/lib/suozhan-hub"
    ),
) -> None:
    context.obj = HubState(state)
    if context.invoked_subcommand not in ALONE and context.obj.keys.is_dir():
        context.with_resource(beside_others(context.obj))


@app.command()
def init(
    context: typer.Context,
    host: Annotated[list[str], typer.Option(help="Name or address by which edges reach this hub; may be repeated.")],
    root_key_out: Annotated[Path, typer.Option(help="Where the root's encrypted key goes; then take it offline.")],
    listen: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 - see HubConfig
    work_port: int = 7443,
    enrol_port: int = 7444,
    api_port: int = 7445,
) -> None:
    """Make the CA, the hub's keys and its database. The root key's passphrase is taken from SUOZHAN_ROOT_PASSPHRASE, or
    made and printed once. Safe to repeat after a crash."""
    state: HubState = context.obj
    config = checked_config({"hub": uuid4(), "hosts": host, "listen": listen, "work_port": work_port,
                             "enrol_port": enrol_port, "api_port": api_port})
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if len(os.fsencode(given or "")) > PASSPHRASE_MAX_BYTES or not (given or "").isprintable():
        raise BadConfig(f"{PASSPHRASE_VARIABLE} must be printable UTF-8 of at most "
                        f"{PASSPHRASE_MAX_BYTES} bytes; nothing was made")
    passphrase = given or secrets.token_urlsafe(24)

    def show() -> None:
        if not given:
            typer.echo(f"Passphrase of the root key of hub {config.hub}, shown this once: {passphrase}")  # echo flushes

    found_hub(state, config, root_key_out, passphrase, show, SystemClock())
    typer.echo(f"Hub {config.hub} is ready in {state.root}.")
    typer.echo(f"Root key: {root_key_out}, encrypted. Move it offline now; this hub does not need it to run.")
    typer.echo(f"Next: suozhan-hub --state {state.root} site add CODE --name NAME --kind office|station")


def _engine(state: HubState) -> sa.Engine:
    """The database of a hub that is there: not of one whose `init` was killed. Raises BadConfig, DatabaseMissing."""
    state.config()
    return open_engine(state.database)


@app.command()
def run(context: typer.Context) -> None:
    """Serve edges and the reading API until SIGTERM or Ctrl-C."""
    from hub.assembly import run_hub  # noqa: PLC0415 - the servers' libraries load only where they serve

    configure_logs()
    leave_no_core()
    try:
        until_signal(run_hub(context.obj, SystemClock(), _ready))
    except (sqlite3.DatabaseError, DBAPIError) as error:
        if not trouble(error):
            raise
        typer.echo(f"suozhan-hub: {context.obj.database}: {trouble(error)}", err=True)
        raise typer.Exit(1) from error


def _ready() -> None:
    with suppress(OSError):  # where the log lies on a full disk
        typer.echo("hub ready")
    leave_start_alone()


@site_app.command("add")
def site_add(
    context: typer.Context,
    code: str,
    name: Annotated[str, typer.Option(help="Such as 古魏镇服务所.")],
    kind: Annotated[str, typer.Option(help="office (dedicated line) or station (VPN).")],
    county: Annotated[str, typer.Option(help="County or district.")] = "",
) -> None:
    """Name a service point."""
    add_site(_engine(context.obj), code, name, kind, county)
    typer.echo(f"Site {code} {name} added. Next: suozhan-hub --state {context.obj.root} invite {code}")


@site_app.command("list")
def site_list(context: typer.Context) -> None:
    """All service points."""
    for site in list_sites(_engine(context.obj)):
        typer.echo(f"{site['code']}\t{site['kind']}\t{site['name']}\t{site['county']}")


@app.command("invite")
def invite_machine(
    context: typer.Context,
    site: str,
    replaces: Annotated[UUID | None, typer.Option(help="Id of the machine in whose place another one comes, by: suozhan-edge "
                                                       "rejoin TOKEN")] = None,
) -> None:
    """Print a one-time token for one machine of SITE; it ends after 24 hours."""
    state: HubState = context.obj
    config = state.config()
    pin = pin_of(load_authority(state.ca).root)
    invitation = invite(_engine(state), site, config.address(config.enrol_port), pin, SystemClock().unix_ms(), replaces)
    typer.echo(invitation.token())
    if replaces is not None and not is_known(_engine(state), replaces):
        typer.echo(f"Machine {replaces} is not known here. Hand the token over only if this hub came back from a backup that is "
                   "older than that machine.", err=True)


@catalogue_app.command("publish")
def catalogue_publish(context: typer.Context, file: Annotated[Path | None, typer.Argument()] = None) -> None:
    """Sign and publish the catalogue in FILE (TOML), or the 40 items that come with the program."""
    from hub.services.publication import publish_catalogue  # noqa: PLC0415 - pydantic models of one command

    state: HubState = context.obj
    resource = publish_catalogue(_engine(state), load_keys(state.keys).resource, SystemClock(), file)
    typer.echo(f"Published {resource.subject.name} {resource.subject.version}; edges apply it as they connect.")


@devices_app.command("publish")
def devices_publish(
    context: typer.Context,
    file: Path,
    machine: Annotated[UUID | None, typer.Option(help="Id of one machine; without it, for all. The newest that a machine may "
                                                      "have counts.")] = None,
) -> None:
    """Sign and publish the device list in FILE (TOML): what a machine has to look after."""
    from hub.fleet.device_list import publish_devices  # noqa: PLC0415 - one command

    state: HubState = context.obj
    if machine is not None and not is_known(_engine(state), machine):
        typer.echo(f"Machine {machine} is not known here; its id stands in its own: suozhan-edge status", err=True)
        raise typer.Exit(1)
    resource = publish_devices(_engine(state), load_keys(state.keys).resource, SystemClock(), file, machine)
    typer.echo(f"Published {resource.subject.name} {resource.subject.version}; machines apply it as they connect, or say why not")


@token_app.command("create")
def token_create(
    context: typer.Context,
    name: str,
    scope: Annotated[list[str], typer.Option(help="feed:read, records:read, ledger:read, edges:read, metrics:read, alarms:read, "
                                           "attachments:read")],
    days: Annotated[int, typer.Option(help="Life in days; 0 = no end.", min=0, max=DAYS_MAX)] = 365,
) -> None:
    """Make a bearer token and print it once; only its hash is kept."""
    from hub.api.tokens import make_token  # noqa: PLC0415 - one command

    now = SystemClock().unix_ms()
    expires = now + days * 24 * 3600 * 1000 if days else None
    typer.echo(make_token(_engine(context.obj), name, scope, now, expires))


@token_app.command("list")
def token_list(context: typer.Context) -> None:
    """All tokens, without their secrets."""
    from hub.api.tokens import list_tokens  # noqa: PLC0415 - one command

    for token in list_tokens(_engine(context.obj)):
        ended = "revoked" if token["revoked_ms"] else f"ends {_day(token['expires_ms'])}"
        typer.echo(f"{token['id']}\t{token['name']}\t{token['scopes']}\t{ended}")


@token_app.command("revoke")
def token_revoke(context: typer.Context, token_id: str) -> None:
    """End a token now; its id is the part between the dots."""
    from hub.api.tokens import revoke_token  # noqa: PLC0415 - one command

    revoke_token(_engine(context.obj), own_journal(context.obj), token_id, SystemClock().unix_ms())
    typer.echo(f"Token {token_id} is revoked.")


def _day(unix_ms: int | None) -> str:
    if not unix_ms or unix_ms >= YEAR_10000_MS:
        return "never"
    return dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC).date().isoformat()


@app.command()
def backup(context: typer.Context, file: Path) -> None:
    """Copy the database to FILE while the hub works; edges may then prune what it holds."""
    with cleared_away():
        size = back_up(context.obj.database, file)
    typer.echo(f"{file} holds {size} entries and was read back. Keep it on another machine.")


@app.command("restore")
def restore_backup(context: typer.Context, file: Path, by: By, reason: Reason) -> None:
    """Put the backup FILE in the place of the database, which is kept aside. The hub must not run."""
    with cleared_away():
        back = restore(context.obj, file, SystemClock(), Said(by, reason))
    _say(back)


@app.command("reopen")
def reopen_log(context: typer.Context, by: By, reason: Reason) -> None:
    """Begin the ledger's log anew over a database that was put back by hand. The hub must not run."""
    _say(reopen(context.obj, SystemClock(), Said(by, reason)))


def _say(back: Back) -> None:
    epoch, recalled = back.epoch, back.recalled
    lost = max((epoch.last_size or 0) - epoch.base_size, 0)
    typer.echo(f"Epoch {epoch.number} has {epoch.base_size} entries in common with what was signed before; {lost} that were "
               "signed are not in this database. Edges send again what they still hold once the hub runs; what nobody holds "
               "waits under: suozhan-hub approvals")
    if back.attachments.count:
        typer.echo(f"{back.attachments.count} attachments that were gone were put back.")
    for address in back.attachments.damaged:
        typer.echo(f"  attachment {address} is damaged in the backup and was not put back; suozhan-hub verify says whose it is")
    if recalled.taken_back:
        typer.echo(f"{recalled.taken_back} records of what the hub itself had decided were not in it, and were taken back.")
    for word in recalled.words:
        typer.echo(f"  {word}")
    if recalled.fault:
        typer.echo(f"NOT KNOWN: {lost_decisions(recalled.fault)}")


app.command()(verify)


def main() -> None:
    """Errors that a person can mend are one line, not a traceback."""
    from hub.api.tokens import TokenRefused  # noqa: PLC0415 - see token_create
    from hub.fleet.device_list import DeviceListInvalid  # noqa: PLC0415 - see catalogue_publish
    from hub.resources.store import ResourceInvalid  # noqa: PLC0415 - see catalogue_publish
    from hub.services.items import CatalogueInvalid  # noqa: PLC0415 - see catalogue_publish

    mendable = (BadConfig, BadKey, BadCertificate, RevocationRefused, SiteRefused, BackupFailed, DatabaseNewer,
                CatalogueInvalid, DeviceListInvalid, ResourceInvalid, TokenRefused, AttentionRefused, RestoreRefused, LogBehind,
                EvidenceRefused, ImportRefused, MendingRefused,
                OSError)  # no file, no right, a port that is taken, a full disk
    configure_logs(sys.stderr)  # of a command; `run` has its log where a service has it
    try:
        app()
    except mendable as error:
        typer.echo(f"suozhan-hub: {advised(error)}", err=True)
        raise SystemExit(1) from error
    except (sqlite3.DatabaseError, DBAPIError) as error:
        if not trouble(error):
            raise
        typer.echo(f"suozhan-hub: {trouble(error)}", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
