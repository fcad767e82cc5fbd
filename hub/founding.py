"""Founding a hub. It may be killed anywhere: the hub counts from the moment that hub.toml has its name, and the next
`init` clears away what an earlier one left before that.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path

from hub.alone import alone
from hub.enrolment.authority import create_authority, export_root_key, is_root_key_of
from hub.keys import create_keys, load_keys
from hub.known_keys import remember_keys
from hub.ledger import decision_log
from hub.ledger.own_journal import OwnJournal
from hub.migrate import create
from hub.state import BadConfig, HubConfig, HubState, read_config
from security.clock import Clock
from security.private_files import sync_folder, write_private


def found_hub(state: HubState, config: HubConfig, root_key_out: Path, passphrase: str, show: Callable[[], None],
              clock: Clock) -> None:
    """CA, keys, database, hub.toml. `show` tells a person the passphrase. Raises BadConfig, FileExistsError."""
    if not state.root.is_dir():
        state.root.mkdir(mode=0o700, parents=True)
        sync_folder(state.root.parent)
    with alone(state.root):
        _clear(state, root_key_out)
        # Durable before anything else: with this file and without hub.toml, all that lies here is ours to remove.
        write_private(state.unfinished, config.to_toml().encode(), mode=0o644)
        for folder in (state.keys, state.ca, state.tls):
            folder.mkdir(mode=0o700)
        root = create_authority(state.ca, config.hub, dt.datetime.fromtimestamp(clock.unix_ms() / 1000, dt.UTC))
        create_keys(state.keys)
        remember_keys(state)
        create(state.database)
        OwnJournal(state.database, config.hub, load_keys(state.keys).record, clock).create()
        show()  # first: a key that nobody can open must not be the root of a hub
        export_root_key(root_key_out, root, config.hub, passphrase)
        sync_folder(state.root)
        state.unfinished.replace(state.config_file)
        sync_folder(state.root)


def _is_ours(state: HubState, path: Path) -> bool:
    resolved, root = path.resolve(), state.root.resolve()
    return resolved.parent in {folder.resolve() for folder in (state.keys, state.ca, state.tls)} or (
        resolved.parent == root and resolved.name.startswith((state.database.name, decision_log.NAME, state.config_file.name)))


def _clear(state: HubState, root_key_out: Path) -> None:
    """Remove what a killed init left, and nothing else."""
    database = [state.database.with_name(f"{name}{end}") for name in (state.database.name, decision_log.NAME)
                for end in ("", "-wal", "-shm")]
    if state.config_file.exists():
        raise BadConfig(f"{state.root} holds a hub already; nothing was changed")
    unfinished = state.unfinished.exists()
    if not unfinished and any(part.exists() for part in (state.keys, state.ca, state.tls, *database)):
        raise BadConfig(f"{state.root} holds parts of a hub but no hub.toml; restore it from the backup, or use another "
                        "--state folder; nothing was changed")
    if not root_key_out.parent.is_dir():
        raise BadConfig(f"there is no folder {root_key_out.parent}; make it, or mount its disk")
    if _is_ours(state, root_key_out):
        raise BadConfig(f"{root_key_out} is a file of the hub itself; name one outside of {state.root}, "
                        "it leaves this machine anyway")
    if root_key_out.exists():
        if not unfinished or not is_root_key_of(root_key_out, read_config(state.unfinished).hub):
            raise FileExistsError(f"{root_key_out} exists already; name a new file for the root's key")
        root_key_out.unlink()
    for folder in (state.keys, state.ca, state.tls):
        if folder.exists():
            shutil.rmtree(folder)
    for file in database:
        file.unlink(missing_ok=True)
