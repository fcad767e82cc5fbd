"""What is in flight follows the line: a stand-in line of so many bytes a second, in simulated time."""

from __future__ import annotations

from collections import deque

import pytest

from edge.pace import MAX_BYTES, MIN_BYTES, SLOW_S, START_BYTES, Pace


def _window_after(seconds: float, bytes_a_second: float, delay_s: float) -> list[tuple[float, float, int]]:
    """(time, how long that batch took, window) of each acknowledgement over a line that carries one batch after the other."""
    pace, now, free_s = Pace(), 0.0, 0.0
    flying: deque[tuple[float, float, int]] = deque()
    seen = []
    while now < seconds:
        while sum(size for _, _, size in flying) < pace.window_bytes:
            free_s = max(free_s, now) + pace.batch_bytes / bytes_a_second
            flying.append((now, free_s + delay_s, pace.batch_bytes))
        sent_s, now, _ = flying.popleft()
        pace.answered(sent_s, now)
        seen.append((now, now - sent_s, pace.window_bytes))
    return seen


@pytest.mark.parametrize("bytes_a_second", [8_000, 16_000, 100_000, 1_000_000])
def test_a_slow_line_is_filled_for_about_a_second_and_no_more(bytes_a_second: int) -> None:
    """Less than the keepalive waits for its answer (2 s) on any line that can carry the smallest window in that time."""
    late = [took for now, took, _ in _window_after(30.0, bytes_a_second, 0.03) if now > 5]
    assert max(late) <= 2 * SLOW_S
    assert max(late) >= 0.2  # and it is used


def test_a_fast_line_gets_the_largest_window_at_once() -> None:
    seen = _window_after(1.0, 200e6, 0.001)
    assert seen[-1][2] == MAX_BYTES
    assert next(now for now, _, window in seen if window == MAX_BYTES) < 0.2


def test_the_window_stays_within_its_bounds() -> None:
    pace = Pace()
    assert pace.window_bytes == START_BYTES
    for number in range(20):
        pace.answered(number * 10.0, number * 10.0 + 5)
    assert pace.window_bytes == MIN_BYTES
    for number in range(20, 40):
        pace.answered(number * 10.0, number * 10.0 + 0.01)
    assert pace.window_bytes == MAX_BYTES


def test_what_was_sent_before_a_change_does_not_change_it_again() -> None:
    pace = Pace()
    pace.answered(0.0, 3.0)
    after = pace.window_bytes
    pace.answered(1.0, 3.1)
    pace.answered(2.9, 3.2)
    assert after == pace.window_bytes == START_BYTES // 2
