"""The plan of a power-cut campaign covers each phase, and a seed fixes it."""

from __future__ import annotations

from collections import Counter

from tests.powercut.plan import When, plan


def test_every_twenty_cuts_press_on_every_place() -> None:
    """Every seed has each kind of cut often enough, so a fault that shows only in one kind is found without luck."""
    for seed in range(50):
        for first in (1, 21, 41):
            whens = Counter(plan(seed, number).when for number in range(first, first + 20))
            assert set(whens) == set(When) - {When.RETIRING, When.UPLOADS}
            assert min(whens[When.QUIET], whens[When.STALLED]) == 4


def test_a_seed_gives_the_same_cuts_again() -> None:
    """The same seed gives the same plan, and another seed gives another one."""
    assert [plan(7, number) for number in range(1, 50)] == [plan(7, number) for number in range(1, 50)]
    assert [plan(7, number) for number in range(1, 50)] != [plan(8, number) for number in range(1, 50)]
