"""What machines have told of their devices, event by event."""

from __future__ import annotations

import sqlalchemy as sa

from hub.database import metadata
from hub.resources.tables import Whole

device_events = sa.Table(
    "device_events", metadata,
    sa.Column("cursor", Whole, primary_key=True, autoincrement=False),
    sa.Column("arrived_ms", Whole, nullable=False),
    sa.Column("noticed_ms", Whole, nullable=False),  # by the machine's clock
    sa.Column("edge", sa.Text, nullable=False),
    sa.Column("journal", sa.Text, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("simulated", sa.SmallInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("event", sa.Text, nullable=False),  # "attached", "detached", "fault", "recovered", "replaced", "events-lost"
    sa.Column("device", sa.Text, nullable=False),  # "" for "events-lost": nobody knows of which
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # in XFS4IoT's terms
    sa.Column("reasons", sa.Text, nullable=False),  # with blanks between
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("serial", sa.Text, nullable=False),
    sa.Column("serial_before", sa.Text, nullable=False),  # of a device that was replaced
    sa.Column("mender", sa.Text, nullable=False),  # who can mend it: "counter", "technician", "repair"; "" for nobody
    sa.Column("diagnosis", sa.Text, nullable=False),  # in Chinese, with the next step; "" when all is well
    sqlite_strict=True,
)
newest = sa.Index("ix_device_events_device", device_events.c.edge, device_events.c.device, device_events.c.cursor)
records = sa.Index("ix_device_events_record", device_events.c.record)
