"""`python -m tests.acknowledging FOLDER`: each way in which something is promised to be on disk, and a file that says when.

Its system calls are looked at by tests/test_durable.py: a name in ACKNOWLEDGED is written at the moment of the promise.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from edge.journal_store import Standing
from edge.receipt_store import ReceiptStore
from edge.wire import encode_batch, encode_open
from hub.attachments.copies import copies_beside
from hub.attachments.inbox import Part
from hub.backup import back_up
from proto import sync_pb2
from security.durable_sqlite import create_database
from security.private_files import write_private
from security.run import Run
from security.signer import Ed25519Signer
from tests.attaching import ScanningSpine, scan
from tests.spine import CEILING_S, Spine, draft

ACKNOWLEDGED = ("counter-1", "counter-2", "counter-3", "standing", "receipt", "hub", "checkpoint", "backup", "database", "key",
                "file", "scan", "scan-named", "scan-held", "scan-copied")


async def _counter(spine: Spine, say: Callable[[str], None]) -> Run:
    async with asyncio.timeout(CEILING_S), spine.journal() as journal:
        for number in range(1, 4):
            await journal.submit(draft(f"c{number}"))
            say(f"counter-{number}")
        await journal.take_standing(Standing(2, 0, 1))
        say("standing")
        await asyncio.to_thread(ReceiptStore(spine.journal_db).keep, "a checkpoint", None)
        say("receipt")
        return await journal.after(0, 100, 10**6)


async def _hub(spine: Spine, run: Run, say: Callable[[str], None]) -> None:
    async def incoming() -> AsyncIterator[sync_pb2.ReplicateUp]:
        yield encode_open(spine.journal_id, run.last)
        yield encode_batch(run, spine.signer.key_id, run.last)

    async def send(message: sync_pb2.ReplicateDown) -> None:
        if message.standing.position == run.last:
            say("hub")

    async with asyncio.timeout(CEILING_S), spine.ingest() as ingest:
        await ingest.serve(spine.edge_id, incoming(), send)


async def _scan(spine: ScanningSpine, say: Callable[[str], None]) -> None:
    async with asyncio.timeout(CEILING_S), spine.attachments() as attachments:
        attached = await attachments.put(scan(1_000), "application/pdf")
        say("scan")
        await attachments.name([attached], "t1")
        say("scan-named")
        [address] = attachments.waiting()
        sealed = await attachments.read(address, 0, attachments.size(address))
    spine.inbox().take(spine.edge_id, Part(address, len(sealed), 0, sealed))
    say("scan-held")
    copies_beside(spine.folder / "backup.db").write(address, sealed)
    say("scan-copied")


def main(folder: Path) -> None:
    spine = ScanningSpine(folder)
    spine.checkpoint_s = CEILING_S  # the log has a moment of its own, below

    def say(name: str) -> None:
        (folder / name).write_text("acknowledged")

    run = asyncio.run(_counter(spine, say))
    asyncio.run(_hub(spine, run, say))
    assert spine.transparency().begin() is not None
    say("checkpoint")
    back_up(spine.hub_db, folder / "backup.db")
    say("backup")
    create_database(folder / "made.db", "CREATE TABLE one (x INTEGER) STRICT")
    say("database")
    Ed25519Signer.create(folder / "made.key")
    say("key")
    write_private(folder / "made.toml", b"an = 1")
    say("file")
    asyncio.run(_scan(spine, say))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
