"""The CA's own end is told a year before, and not sooner."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import uuid4

from hub.attention.alarms import Alarms
from hub.database import open_engine
from hub.enrolment.authority import create_authority, load_authority
from hub.enrolment.authority_end import ALARM, TOLD_BEFORE, AuthorityEnd
from tests.spine import Spine


def test_the_end_of_the_ca_is_told_a_year_before(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    now = dt.datetime.fromtimestamp(spine.clock.now_ms / 1000, dt.UTC)
    (tmp_path / "ca").mkdir()
    create_authority(tmp_path / "ca", uuid4(), now)
    alarms = Alarms(open_engine(spine.hub_db), spine.own, spine.clock)
    authority = load_authority(tmp_path / "ca")
    end = AuthorityEnd(authority, alarms, spine.clock)
    last_quiet = authority.intermediate.certificate.not_valid_after_utc - TOLD_BEFORE
    spine.clock.now_ms = int(last_quiet.timestamp() * 1000)
    end.look()
    assert alarms.open_alarms() == []
    spine.clock.now_ms += 1_000
    end.look()
    end.look()
    (alarm,) = alarms.open_alarms()
    assert (alarm.kind, alarm.times) == (ALARM, 2)
    assert "renew-authority" in alarm.text
