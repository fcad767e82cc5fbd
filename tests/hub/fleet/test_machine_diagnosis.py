"""What is said of a machine as a whole: the first cause that a person can do something about, in one Chinese sentence."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.fleet.diagnosis import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    WELL,
    Ailing,
    Condition,
    MachineFacts,
    Mender,
    diagnose,
    span,
)

NOW_MS = 1_790_000_000_000
CONNECTED = MachineFacts(NOW_MS, connected=True, heard_ms=NOW_MS, certificate_ends_ms=NOW_MS + DAY_MS)
AWAY = replace(CONNECTED, connected=False, heard_ms=NOW_MS - 3 * HOUR_MS)
SCANNER = Ailing("scan-1", "counter", "找不到扫码枪。请检查连接线是否插好、电源是否打开。")
CASES = {
    Condition.WAITING_FOR_APPROVAL: (replace(AWAY, requests=(3, 4), successor="x"), Mender.DESK, "2 项申请等待审批（编号 3、4）"),
    Condition.FOLLOWED: (replace(AWAY, successor="2bb5", revoked_why="followed"), Mender.NOBODY, "已由新身份 2bb5 接替"),
    Condition.REVOKED: (replace(AWAY, revoked_why="stolen (李芳)"), Mender.DESK, "已被市中心停用（stolen (李芳)）"),
    Condition.CLONED: (replace(CONNECTED, copied=True), Mender.DESK, "请查明是哪一台"),
    Condition.REFUSED: (replace(CONNECTED, refusal="chain breaks"), Mender.TECHNICIAN, "拒收该机器的记录（chain breaks）"),
    Condition.CERTIFICATE_EXPIRED: (replace(AWAY, certificate_ends_ms=NOW_MS), Mender.COUNTER, "证书也已过期，连通后会自动更新"),
    Condition.NEVER_HEARD: (replace(AWAY, heard_ms=None), Mender.TECHNICIAN, "登记后从未连接"),
    Condition.SILENT: (replace(AWAY, ailing=(SCANNER,)), Mender.COUNTER, "最后一次联系在 3 小时前"),
    Condition.RESOURCE_REFUSED: (replace(CONNECTED, unapplied="devices: a", ailing=(SCANNER,)), Mender.DESK, "（devices: a）"),
    Condition.DEVICES: (replace(CONNECTED, ailing=(SCANNER, SCANNER)), Mender.COUNTER,
                        "有 2 台设备需要处理，先看 scan-1：找不到扫码枪。请检查连接线是否插好、电源是否打开。"),
    Condition.CONNECTED: (CONNECTED, Mender.NOBODY, "已连接，一切正常。"),
}


@pytest.mark.parametrize("condition", Condition)
def test_each_condition_has_its_sentence_and_whoever_mends_it(condition: Condition) -> None:
    facts, mender, words = CASES[condition]
    told = diagnose(facts)
    assert (told.condition, told.mender) == (condition, mender)
    assert words in told.chinese


@given(st.builds(
    MachineFacts, now_ms=st.just(NOW_MS), connected=st.booleans(), heard_ms=st.none() | st.integers(0, 2 * NOW_MS),
    certificate_ends_ms=st.none() | st.integers(0, 2 * NOW_MS), revoked_why=st.sampled_from(["", "gone"]),
    successor=st.sampled_from(["", "2bb5"]), requests=st.sampled_from([(), (1,)]), copied=st.booleans(),
    refusal=st.sampled_from(["", "no"]), unapplied=st.sampled_from(["", "no"]), ailing=st.sampled_from([(), (SCANNER,)])))
def test_whatever_is_known_there_is_one_sentence_that_ends_with_what_to_do(facts: MachineFacts) -> None:
    told = diagnose(facts)
    assert told.chinese.endswith("。")
    assert (told == WELL) == (facts.connected and not any((
        facts.revoked_why, facts.successor, facts.requests, facts.copied, facts.refusal, facts.unapplied, facts.ailing)))
    assert told.mender or told.condition in (Condition.CONNECTED, Condition.FOLLOWED)
    assert told == WELL or re.search("请", told.chinese)


def test_a_machine_that_is_newer_than_the_hub_may_name_a_mender_that_it_does_not_know() -> None:
    told = diagnose(replace(CONNECTED, ailing=(replace(SCANNER, mender="robot"),)))
    assert told.mender is Mender.TECHNICIAN


@pytest.mark.parametrize(("ms", "text"), [
    (-1, "0 分钟"), (HOUR_MS - 1, "59 分钟"), (HOUR_MS, "1 小时"), (DAY_MS - MINUTE_MS, "23 小时"), (40 * DAY_MS, "40 天"),
])
def test_a_span_has_one_unit(ms: int, text: str) -> None:
    assert span(ms) == text
