"""Changed values are always published in the end, but never too often."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.gateway.mqtt.pace import Pace

_STATES = st.fixed_dictionaries(
    {
        "power_state": st.sampled_from(["normal", "low"]),
        "power_reason": st.sampled_from(["a", "b"]),
        "charge": st.none() | st.floats(0, 100),
        "backlog_normal": st.integers(0, 3),
    }
)


def test_the_first_state_goes_out_at_once_and_a_new_connection_has_none() -> None:
    """The first state is due at once, and again after `forget`, although it has not changed."""
    pace = Pace()
    assert pace.due({"charge": 50}) == 0.0
    pace.published({"charge": 50}, 100.0)
    assert pace.due({"charge": 50}) is None
    pace.forget()
    assert pace.due({"charge": 50}) == 0.0


def test_after_a_rest_a_change_goes_out_at_once_and_the_next_one_waits() -> None:
    """A change must wait ten seconds for a number, one for the power state, and a minute for a sentence."""
    pace = Pace()
    pace.published({"backlog_normal": 0, "power_state": "low", "power_reason": "a"}, 100.0)
    for key, limit_s in (("backlog_normal", 10.0), ("power_state", 1.0), ("power_reason", 60.0)):
        state = {"backlog_normal": 0, "power_state": "low", "power_reason": "a", key: "new"}
        assert pace.due(state) == 100.0 + limit_s


def test_noise_is_no_change() -> None:
    """A small difference of a number is not a change, but a value that becomes unknown is a change."""
    pace = Pace()
    pace.published({"charge": 50, "watts": 4.0, "temperature": 48}, 0.0)
    assert pace.due({"charge": 50.5, "watts": 4.1, "temperature": 48.4}) is None
    assert pace.due({"charge": 51, "watts": 4.0, "temperature": 48}) is not None
    assert pace.due({"charge": None, "watts": 4.0, "temperature": 48}) is not None


@settings(deadline=None)
@given(states=st.lists(_STATES, min_size=1, max_size=60))
def test_no_change_is_lost_and_none_comes_too_often(states: list[dict[str, object]]) -> None:
    """With a change every half second there is at most one publication a second, and the last state is published."""
    pace, sent, now = Pace(), list[float](), 0.0
    last: dict[str, object] = {}
    for state in [*states, *[states[-1]] * 130]:
        due = pace.due(state)
        if due is not None and due <= now:
            pace.published(state, now)
            sent.append(now)
            last = state
        now += 0.5
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(sent))
    assert {key: value for key, value in last.items() if key != "charge"} == {
        key: value for key, value in states[-1].items() if key != "charge"
    }
