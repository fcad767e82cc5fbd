"""What is in flight follows the line: a stand-in line of a bandwidth and a delay, in simulated time."""

from __future__ import annotations

from collections import deque

import pytest

from edge.pace import ANSWER_MAX_S, MAX_BYTES, MIN_BYTES, START_BYTES, Pace


def _acknowledgements(seconds: float, bytes_a_second: float, delay_s: float) -> list[tuple[float, float, int]]:
    """(time, how long that batch took, its bytes) over a line that carries one batch after the other."""
    pace, now, free_s = Pace(), 0.0, 0.0
    pace.begin()
    flying: deque[tuple[float, float, int, bool]] = deque()
    seen = []
    while now < seconds:
        while (held := sum(one[2] for one in flying)) < pace.window_bytes:
            size = pace.batch_bytes
            free_s = max(free_s, now) + size / bytes_a_second
            flying.append((now, free_s + delay_s, size, held + size >= pace.window_bytes))
        sent_s, now, size, full = flying.popleft()
        pace.answered(sent_s, now, full=full)
        seen.append((now, now - sent_s, size))
    return seen


@pytest.mark.parametrize("delay_s", [0.001, 0.03, 0.3])
@pytest.mark.parametrize("bytes_a_second", [4_000, 8_000, 16_000, 100_000, 1_000_000, 100_000_000])
def test_any_line_is_used_and_never_filled_for_longer_than_the_keepalive_waits(bytes_a_second: int, delay_s: float) -> None:
    seen = _acknowledgements(60.0, bytes_a_second, delay_s)
    assert max(took for _, took, _ in seen) < 2.0  # edge/channel.py KEEPALIVE_TIMEOUT_MS
    carried = sum(size for now, _, size in seen if now > 30) / 30
    assert carried > 0.9 * min(bytes_a_second, MAX_BYTES / (2 * delay_s))


def test_a_satellite_s_delay_is_not_taken_for_a_queue() -> None:
    seen = _acknowledgements(60.0, 1_000_000, 1.2)
    assert sum(size for now, _, size in seen if now > 30) / 30 > 100_000


def test_a_fast_line_gets_the_largest_window_at_once() -> None:
    seen = _acknowledgements(1.0, 1e9, 0.001)
    assert next(now for now, _, size in seen if size == MAX_BYTES // 4) < 0.1


def test_the_window_stays_within_its_bounds() -> None:
    pace = Pace()
    pace.answered(-1.0, -0.9, full=False)  # so quick is the line itself
    for number in range(20):
        pace.answered(number * 10.0, number * 10.0 + 5, full=True)
    assert pace.window_bytes == MIN_BYTES
    for number in range(20, 40):
        pace.answered(number * 10.0, number * 10.0 + 0.01, full=True)
    assert pace.window_bytes == MAX_BYTES


def test_a_window_that_was_not_full_does_not_grow() -> None:
    pace = Pace()
    pace.begin()
    pace.answered(0.0, 0.01, full=False)
    assert pace.window_bytes == START_BYTES


def test_what_was_sent_before_a_change_does_not_change_it_again() -> None:
    pace = Pace()
    pace.begin()
    pace.answered(-1.0, -0.9, full=False)
    pace.answered(0.0, ANSWER_MAX_S + 1, full=True)
    after = pace.window_bytes
    pace.answered(0.1, ANSWER_MAX_S + 1.5, full=True)
    assert after == pace.window_bytes == START_BYTES // 2


def test_each_session_begins_small_and_after_sessions_that_broke_smaller() -> None:
    pace = Pace()
    pace.window_bytes = MAX_BYTES
    seen = []
    for _ in range(4):
        pace.begin()
        seen.append(pace.window_bytes)
    assert seen == [START_BYTES, START_BYTES // 2, START_BYTES // 4, MIN_BYTES]
