"""Alarms and approvals of the hub: told once, counted, decided by somebody, and in the ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.attention.alarms import Alarms, AttentionRefused
from hub.attention.approvals import WAITING_MAX, Approvals
from hub.database import open_engine
from hub.ledger.store import Ledger
from security.record import ClearBody, parse_record
from tests.spine import Spine


def _own_records(spine: Spine) -> list[tuple[str, dict[str, object]]]:
    with Ledger(spine.hub_db) as ledger:
        records = [parse_record(one.payload) for one in ledger.feed(0, 1000) if one.journal == spine.hub_id]
    return [(one.kind, json.loads(one.content.data)) for one in records if isinstance(one.content, ClearBody)]


def test_an_alarm_is_told_once_counted_and_cleared_by_somebody(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    alarms = Alarms(open_engine(spine.hub_db), spine.own, spine.clock)
    alarms.raise_alarm("clone", "edge 1", "two of them")
    spine.clock.now_ms += 1_000
    alarms.raise_alarm("clone", "edge 1", "two of them, again")
    alarms.raise_alarm("clone", "edge 2", "another")
    first, second = alarms.open_alarms()
    assert (first.times, first.text, first.repeated_ms - first.raised_ms) == (2, "two of them, again", 1_000)
    assert (second.subject, second.times) == ("edge 2", 1)
    with pytest.raises(AttentionRefused, match="--by"):
        alarms.clear(first.id, " ")
    alarms.clear(first.id, "周敏")
    with pytest.raises(AttentionRefused, match="suozhan-hub alarms"):
        alarms.clear(first.id, "周敏")
    assert [one.id for one in alarms.open_alarms()] == [second.id]
    alarms.raise_alarm("clone", "edge 1", "and once more")  # cleared is not forgotten: it is a new one
    assert [one.subject for one in alarms.open_alarms()] == ["edge 2", "edge 1"]
    told = [(kind, body["subject"]) for kind, body in _own_records(spine) if kind.startswith("alarm.")]
    assert told == [("alarm.raised", "edge 1"), ("alarm.raised", "edge 2"), ("alarm.cleared", "edge 1"),
                    ("alarm.raised", "edge 1")]
    spine.check_ledger()


def test_one_machine_fills_no_list_and_is_heard_once_the_oldest_request_is_decided(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    approvals = Approvals(open_engine(spine.hub_db), spine.own, spine.clock)
    asked = [approvals.ask("rejoin", "edge 1", b"%d" % number, {}) for number in range(WAITING_MAX + 3)]
    assert [one.id for one in asked[WAITING_MAX:]] == [asked[0].id] * 3
    assert len(approvals.waiting()) == WAITING_MAX
    for kind, subject in (("rejoin", "edge 2"), ("renewal", "edge 1")):
        assert approvals.ask(kind, subject, b"k", {}).id not in {one.id for one in asked}
    approvals.decide(asked[0].id, "周敏", "unknown machine", approved=False)
    assert approvals.ask("rejoin", "edge 1", b"later", {}).id not in {one.id for one in asked}


def test_a_request_is_asked_once_decided_once_and_recorded(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    approvals = Approvals(open_engine(spine.hub_db), spine.own, spine.clock)
    asked = approvals.ask("rejoin", "edge 1", b"k1", {"reason": "FORKED"})
    assert asked.state == "waiting"
    assert approvals.ask("rejoin", "edge 1", b"k1", {"reason": "something else"}) == asked  # what was asked first counts
    other = approvals.ask("rejoin", "edge 1", b"k2", {})
    with pytest.raises(AttentionRefused, match="--by"):
        approvals.decide(asked.id, "", "seen", approved=True)
    for nobody in (99, -1, 2**63):
        with pytest.raises(AttentionRefused, match="suozhan-hub approvals"):
            approvals.decide(nobody, "周敏", "seen", approved=True)
    assert approvals.decide(asked.id, "周敏", "looked at the disk", approved=True).state == "approved"
    assert approvals.decide(asked.id, "周敏", "again", approved=True).reason == "looked at the disk"
    with pytest.raises(AttentionRefused, match=f"request {asked.id} was approved by 周敏, and that stays.*revoke EDGE"):
        approvals.decide(asked.id, "周敏", "changed my mind", approved=False)
    approvals.decide(other.id, "周敏", "unknown machine", approved=False)
    assert approvals.waiting() == []
    assert approvals.ask("rejoin", "edge 1", b"k1", {}).state == "approved"
    told = [(kind, body["by"]) for kind, body in _own_records(spine) if kind.startswith("request.")]
    assert told == [("request.approved", "周敏"), ("request.refused", "周敏")]
