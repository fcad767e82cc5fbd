"""From a stream of bytes to answers: whole ones, whatever is around them, and nothing else."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import id_card_frames as frames
from devices.id_card_frames import PREAMBLE, Answer, Answers, encode

CONTENTS = st.binary(max_size=60).map(lambda data: b"\x00\x00\x90" + data)
CONTENT, NEXT = b"\x00\x00\x90" + bytes(range(40)), b"\x00\x00\x9f\x01\x02\x03\x04"
LENGTH = (5, 6)
QUIET_NOISE = st.binary(max_size=30).filter(lambda data: b"\xaa" not in data)


def answer(content: bytes) -> Answer:
    return Answer(content[2], content[3:])


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


@pytest.mark.parametrize(
    ("command", "frame"),
    [
        (frames.FIND, "AAAAAA96690003200122"),
        (frames.SELECT, "AAAAAA96690003200221"),
        (frames.READ, "AAAAAA96690003300132"),
        (frames.READ_WITH_FINGERPRINTS, "AAAAAA96690003301023"),
        (frames.READ_NEWEST_ADDRESS, "AAAAAA96690003300330"),
        (frames.SAM_ID, "AAAAAA9669000312FFEE"),
    ],
)
def test_commands_are_the_frames_that_the_standard_prints(command: bytes, frame: str) -> None:
    assert encode(command) == bytes.fromhex(frame)


def test_answers_are_read_as_the_standard_prints_them() -> None:
    found, none, done = "AAAAAA9669000800009F0000000097", "AAAAAA9669000400008084", "AAAAAA9669000400009094"
    got = Answers().feed(bytes.fromhex(found + none + done))
    assert got == [Answer(0x9F, bytes(4)), Answer(0x80), Answer(0x90)]


@given(st.lists(CONTENTS, max_size=5), st.lists(QUIET_NOISE, min_size=6, max_size=6), st.lists(st.integers(0, 10**6)))
def test_every_whole_answer_is_found_in_order_among_noise_however_it_is_split(contents, noise, cuts) -> None:
    stream = noise[0] + b"".join(encode(one) + noise[at + 1] for at, one in enumerate(contents))
    answers = Answers()
    got = [one for piece in split(stream, cuts) for one in answers.feed(piece)]
    assert got == [answer(one) for one in contents]


@given(st.binary(max_size=40), CONTENTS, st.lists(st.integers(0, 10**6)))
def test_any_noise_before_an_answer_costs_at_most_a_pause(noise: bytes, content: bytes, cuts: list[int]) -> None:
    answers = Answers()
    got = [one for piece in split(noise + encode(content), cuts) for one in answers.feed(piece)]
    assert answer(content) in got + answers.give_up()
    assert not answers.unfinished


@given(CONTENTS, CONTENTS, st.integers(0, 10**6), st.integers(1, 255))
def test_a_frame_with_one_wrong_byte_is_no_answer_and_the_next_one_is(first, second, place: int, change: int) -> None:
    broken = bytearray(encode(first))
    wrong = [at for at in range(len(broken)) if at not in LENGTH]
    broken[wrong[place % len(wrong)]] ^= change
    assert Answers().feed(bytes(broken) + encode(second)) == [answer(second)]


# Not with random contents: one wrong stretch of bytes in 256 has the right check, which no parser can tell.
@pytest.mark.parametrize("place", LENGTH)
def test_a_wrong_length_is_no_answer_and_the_next_one_is(place: int) -> None:
    for change in range(1, 256):
        broken = bytearray(encode(CONTENT))
        broken[place] ^= change
        answers = Answers()
        got = answers.feed(bytes(broken) + encode(NEXT))
        assert got + answers.give_up() == [answer(NEXT)]
        assert answers.damaged


def test_a_frame_cut_short_is_no_answer_and_the_next_one_is() -> None:
    for kept in range(len(encode(CONTENT))):
        answers = Answers()
        got = answers.feed(encode(CONTENT)[:kept] + encode(NEXT))
        assert got + answers.give_up() == [answer(NEXT)]


@pytest.mark.parametrize("length", [0, 1, 3, frames.ANSWER_MAX_BYTES + 2, 0xFFFF])
def test_a_length_that_no_answer_has_is_noise_at_once(length: int) -> None:
    answers = Answers()
    got = answers.feed(PREAMBLE + length.to_bytes(2, "big") + encode(b"\x00\x00\x80"))
    assert got == [Answer(0x80)]
    assert answers.damaged


def test_the_longest_answer_is_read() -> None:
    content = bytes([0, 0, 0x90]) + bytes(frames.ANSWER_MAX_BYTES - 3)
    assert Answers().feed(encode(content)) == [answer(content)]


@given(st.lists(st.binary(max_size=40)))
def test_what_is_kept_of_noise_is_bounded(pieces: list[bytes]) -> None:
    answers = Answers()
    for piece in pieces:
        answers.feed(piece * 100)
        assert len(answers._bytes) <= frames.HEAD_BYTES + frames.ANSWER_MAX_BYTES + 1


def test_what_is_logged_of_an_answer_shows_no_data() -> None:
    assert repr(Answer(0x90, "张三".encode("utf-16-le"))) == "Answer(status=90, 4 bytes)"
