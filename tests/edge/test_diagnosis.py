"""Facts to diagnosis: what is told apart, and that each text says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.advice import Diagnosis, Kind
from edge.diagnosis import Facts, Reach, RenewalNews, Renewing, Validity, diagnose

DAY = 24 * 3600 * 1000
NOW = 1_790_000_000_000
BOOT_1970 = 40_000
OWN, SERVER = Validity(NOW - 10 * DAY, NOW + 20 * DAY), Validity(NOW - 100 * DAY, NOW + 265 * DAY)
AHEAD = Validity(NOW + 25_900 * DAY, NOW + 26_265 * DAY)
ENDED = Validity(NOW - 40 * DAY, NOW - 10 * DAY)
SEEN = Facts(own_ms=NOW, certificate=OWN, reach=Reach.ANSWERS, trusted=True, server=SERVER, hub_ms=NOW + 3_000, error="it broke")
UNASKED = replace(SEEN, hub_ms=None)
WAITING = RenewalNews(Renewing.WAITING, 7)


@pytest.mark.parametrize(("facts", "kind"), [
    # The hub cannot be reached, or says nothing.
    *((replace(SEEN, reach=reach, trusted=None, server=None, hub_ms=None), Kind.UNREACHABLE)
      for reach in Reach if reach is not Reach.ANSWERS),
    (SEEN, Kind.SILENT),
    (UNASKED, Kind.SILENT),
    (replace(UNASKED, trusted=None, server=None), Kind.SILENT),
    # This machine's clock.
    (replace(SEEN, own_ms=BOOT_1970), Kind.WRONG_CLOCK),
    (replace(SEEN, own_ms=NOW + 3650 * DAY), Kind.WRONG_CLOCK),
    (replace(SEEN, own_ms=NOW - 101 * DAY, certificate=ENDED), Kind.WRONG_CLOCK),  # the clock first: nothing renews before
    (replace(UNASKED, own_ms=BOOT_1970), Kind.WRONG_CLOCK),
    (replace(UNASKED, own_ms=BOOT_1970, trusted=None, server=None), Kind.WRONG_CLOCK),
    (replace(UNASKED, own_ms=NOW + 3650 * DAY), Kind.WRONG_CLOCK),
    # One of two clocks: the hub's server makes its own certificate by the hub's.
    (replace(SEEN, server=AHEAD, hub_ms=NOW + 26_000 * DAY), Kind.CLOCKS_DIFFER),
    (replace(SEEN, server=Validity(-DAY, 365 * DAY), hub_ms=BOOT_1970), Kind.CLOCKS_DIFFER),
    (replace(SEEN, own_ms=BOOT_1970, server=AHEAD, hub_ms=NOW + 26_000 * DAY), Kind.WRONG_CLOCK),
    # Its certificate.
    (replace(SEEN, certificate=ENDED), Kind.CERTIFICATE_EXPIRED),
    (replace(SEEN, own_ms=ENDED.last_ms - 1, certificate=ENDED), Kind.CERTIFICATE_EXPIRED),  # the hub's clock counts
    (replace(SEEN, certificate=Validity(NOW + DAY, NOW + 31 * DAY)), Kind.CERTIFICATE_EXPIRED),  # the hub's clock was wrong
    (replace(UNASKED, certificate=ENDED), Kind.CERTIFICATE_EXPIRED),
    (replace(UNASKED, certificate=ENDED, server=None), Kind.CERTIFICATE_EXPIRED),
    (replace(SEEN, certificate=ENDED, renewal=RenewalNews(Renewing.TRYING, text="no line")), Kind.CERTIFICATE_EXPIRED),
    (replace(SEEN, certificate=ENDED, renewal=WAITING), Kind.WAITING_FOR_APPROVAL),
    (replace(UNASKED, certificate=ENDED, renewal=WAITING), Kind.WAITING_FOR_APPROVAL),
    (replace(SEEN, certificate=ENDED, renewal=RenewalNews(Renewing.REFUSED, text="stolen")), Kind.REFUSED),
    # What a person at the hub has to settle, whatever else is wrong.
    (replace(SEEN, word="revoked"), Kind.REVOKED),
    (replace(SEEN, certificate=ENDED, renewal=RenewalNews(Renewing.REVOKED)), Kind.REVOKED),
    (replace(SEEN, word="superseded"), Kind.SUPERSEDED),
    (replace(SEEN, certificate=ENDED, renewal=RenewalNews(Renewing.CLONED)), Kind.CLONED),
    (replace(SEEN, word="unknown"), Kind.REFUSED),
    # The other side.
    (replace(SEEN, trusted=False, server=None, hub_ms=None), Kind.UNTRUSTED_HUB),
    (replace(SEEN, server=Validity(NOW - 400 * DAY, NOW - 35 * DAY)), Kind.HUB_CERTIFICATE),
    (replace(SEEN, own_ms=BOOT_1970, server=Validity(NOW - 400 * DAY, NOW - 35 * DAY)), Kind.HUB_CERTIFICATE),
    (replace(UNASKED, server=Validity(NOW - 400 * DAY, NOW - 35 * DAY)), Kind.HUB_CERTIFICATE),
])
def test_what_is_wrong_is_told_apart(facts: Facts, kind: Kind) -> None:
    found = diagnose(facts)
    assert found.kind is kind
    _says_what_to_do(found)


def _says_what_to_do(found: Diagnosis) -> None:
    wanted = ("check", "all the city's IT desk", "Set date", "ask", "knows why")
    assert any(word in found.english for word in wanted), found.english
    assert any(word in found.chinese for word in ("请检查", "联系", "请校正", "请稍候")), found.chinese
    assert not found.chinese.isascii()


def test_the_texts_carry_what_the_technician_needs() -> None:
    assert "approvals approve 7 --by NAME --reason TEXT" in diagnose(replace(SEEN, certificate=ENDED, renewal=WAITING)).english
    assert "第 7 号" in diagnose(replace(SEEN, certificate=ENDED, renewal=WAITING)).chinese
    wrong = diagnose(replace(SEEN, own_ms=BOOT_1970))
    assert "1970-01-01" in wrong.english
    assert "2026-09-21" in wrong.chinese  # what to set
    differ = diagnose(replace(SEEN, server=AHEAD, hub_ms=NOW + 26_000 * DAY))
    assert "this machine's clock is wrong" not in differ.english
    assert "本机时钟不准" not in differ.chinese
    assert "2097-11" in differ.english
    assert "2097-11" in differ.chinese
    assert "check the clock, too" in diagnose(replace(SEEN, reach=Reach.SILENT, own_ms=BOOT_1970)).english
    assert "check the clock" not in diagnose(replace(SEEN, reach=Reach.SILENT)).english
    assert "(last try: no line)" in diagnose(
        replace(SEEN, certificate=ENDED, renewal=RenewalNews(Renewing.TRYING, text="no line"))).english
    assert "rejoin" in diagnose(replace(SEEN, word="superseded")).english
    assert diagnose(replace(SEEN, own_ms=10**18)).kind is Kind.WRONG_CLOCK  # a year that no calendar has
