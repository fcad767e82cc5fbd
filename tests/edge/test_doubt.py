"""When a hub's doubt about a journal ends it: not by one word, and not by an old one."""

from __future__ import annotations

from edge.doubt import Doubt


def test_the_same_word_a_while_later_confirms_a_doubt() -> None:
    doubt = Doubt(15.0)
    assert not doubt.open
    assert not doubt.confirmed(100.0)
    assert doubt.open
    assert not doubt.confirmed(114.9)
    assert doubt.confirmed(115.0)
    assert doubt.confirmed(2_000.0)


def test_agreement_ends_a_doubt_and_the_next_one_begins_anew() -> None:
    doubt = Doubt(15.0)
    doubt.confirmed(100.0)
    doubt.settle()
    assert not doubt.open
    assert not doubt.confirmed(120.0)
    assert doubt.confirmed(135.0)
