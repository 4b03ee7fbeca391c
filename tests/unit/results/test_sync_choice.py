"""The file system and the duration of the last whole sync decide how results become durable."""

from __future__ import annotations

import pytest

from edge.results.sync_choice import REST_S, SLOW_S, SyncChoice, Way


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def choice(clock: Clock) -> SyncChoice:
    return SyncChoice(keeps_order=lambda device: device == 7, now_s=clock)


def test_a_disk_that_keeps_the_order_needs_no_other_way(choice: SyncChoice) -> None:
    """This holds for any number of results, and after a slow sync of another file system."""
    choice.took(SLOW_S + 1)
    assert {choice.way(7, 1), choice.way(7, 32)} == {Way.ORDERED}


def test_a_result_alone_is_synced_alone(choice: SyncChoice) -> None:
    """A sync of the whole file system would not be faster."""
    assert choice.way(1, 1) is Way.APART


def test_a_group_is_synced_together(choice: SyncChoice) -> None:
    """A sync that is as slow as a slow card does not change that."""
    choice.took(SLOW_S)
    assert choice.way(1, 2) is Way.TOGETHER


def test_after_a_slow_sync_groups_are_synced_apart_for_a_while(choice: SyncChoice, clock: Clock) -> None:
    """After that time it is tried again, because the other program may have ended its writes."""
    choice.took(SLOW_S + 0.1)
    assert choice.way(1, 32) is Way.APART
    clock.now_s += REST_S - 0.1
    assert choice.way(1, 32) is Way.APART
    clock.now_s += 0.1
    assert choice.way(1, 32) is Way.TOGETHER


def test_a_file_system_is_asked_once() -> None:
    """Otherwise each group would read the kernel's files. Another device is another file system."""
    asked: list[int] = []

    def keeps_order(device: int) -> bool:
        asked.append(device)
        return False

    choice = SyncChoice(keeps_order=keeps_order)
    for device in (1, 1, 2, 2):
        choice.way(device, 2)
    assert asked == [1, 2]
