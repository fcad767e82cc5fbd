"""Made-up fingerprints, good enough for NBIS to find and compare minutiae in. Test data: they say nothing about accuracy.

A ridge pattern is the cosine of a phase: arcs around a core, plus one turn of the phase around each minutia, which is where
a ridge ends or forks (the AM-FM model of Larkin and Fletcher, "A coherent framework for fingerprint analysis", 2007).
"""

import cmath
import math
from functools import lru_cache
from random import Random

SIDE = 160  # pixels, at the 500 dpi that NBIS expects
SLACK = 16  # by so much one press may lie beside another
RIDGE = 9.0  # pixels from ridge to ridge
MINUTIAE = 32
APART = 14
EDGE = 8


def press(finger: str, number: int) -> bytes:
    """An image of SIDE × SIDE grey pixels: the `number`th time that this finger is pressed, each a little beside the others."""
    whole, side = _pattern(finger), SIDE + SLACK
    left, top = number * 5 % SLACK, number * 3 % SLACK
    return b"".join(whole[y * side + left : y * side + left + SIDE] for y in range(top, top + SIDE))


@lru_cache(maxsize=8)
def _pattern(finger: str) -> bytes:
    chance = Random(finger)  # noqa: S311  # the same finger every time, and no secret
    side = SIDE + SLACK
    core = complex(side * chance.uniform(0.4, 0.6), side * chance.uniform(0.7, 1.0))
    flatness = chance.uniform(0.5, 0.9)
    points = _scattered(chance, side)
    ends, forks = points[::2], points[1::2]
    pixels = bytearray()
    for y in range(side):
        for x in range(side):
            here = complex(x, y)
            ray = here - core
            turns, back = 1 + 0j, 1 + 0j
            for point in ends:
                turns *= (here - point) / side
            for point in forks:
                back *= (here - point) / side
            arcs = 2 * math.pi / RIDGE * math.hypot(ray.real * flatness, ray.imag)
            wave = turns * back.conjugate() * cmath.exp(1j * arcs)
            pixels.append(round(128 + 100 * wave.real / abs(wave)) if wave else 128)
    return bytes(pixels)


def _scattered(chance: Random, side: int) -> list[complex]:
    points: list[complex] = []
    while len(points) < MINUTIAE:
        point = complex(chance.uniform(EDGE, side - EDGE), chance.uniform(EDGE, side - EDGE))
        if all(abs(point - other) > APART for other in points):
            points.append(point)
    return points
