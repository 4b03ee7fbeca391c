"""Records and ids: which ids can name a file, and which values survive encoding."""

from __future__ import annotations

import string
import uuid
from itertools import pairwise
from pathlib import PurePosixPath

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import BadJobId
from edge.model import (
    ALLOWED,
    FINAL,
    JobState,
    Locality,
    Power,
    PowerState,
    Result,
    Submission,
    check_job_id,
    derived_job_id,
    file_safe_id,
    fresh_key,
    is_job_id,
    new_job_id,
)

any_text = st.text(
    st.characters(), max_size=200
)  # Half pairs of UTF-16 are included, because headers may contain them.
good_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)


@given(any_text)
def test_a_checked_id_is_one_plain_file_name(text: str) -> None:
    """An accepted id can be the name of a file, and cannot lead out of the folder."""
    try:
        job_id = check_job_id(text)
    except BadJobId:
        return
    assert job_id == text
    assert PurePosixPath(job_id).name == job_id
    assert not job_id.startswith(".")
    assert set(job_id) <= set(string.ascii_letters + string.digits + "._-")


@given(good_ids)
def test_every_plain_id_passes(job_id: str) -> None:
    """Ids of letters, digits, dot, dash and underscore are accepted, up to 128 characters."""
    assert check_job_id(job_id) == job_id


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a\n", "ä", "-a", "_a", "a" * 129, "a b", "a\0", None, 5])
def test_a_bad_id_is_refused_with_a_sentence(bad: object) -> None:
    """The sentence shows a shortened id and says what is allowed."""
    with pytest.raises(BadJobId, match="1 to 128 of A-Z") as caught:
        check_job_id(bad)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 300


@given(any_text)
def test_any_id_on_the_wire_has_a_safe_one(wire_id: str) -> None:
    """A good id stays the same, another one is replaced by the same safe id each time."""
    safe = file_safe_id(wire_id)
    assert check_job_id(safe) == safe == file_safe_id(wire_id)


@given(any_text, any_text)
def test_a_derived_id_belongs_to_submitter_and_key(submitter: str, key: str) -> None:
    """It is a version 8 UUID, the same each time."""
    job_id = derived_job_id(submitter, key)
    assert job_id == derived_job_id(submitter, key)
    assert uuid.UUID(job_id).version == 8
    assert check_job_id(job_id) == job_id


def test_derived_ids_of_different_submitters_differ() -> None:
    """The key of one submitter never finds the job of another."""
    assert derived_job_id("a", "key") != derived_job_id("b", "key")
    assert derived_job_id("a", "bkey") != derived_job_id("ab", "key")


def test_new_ids_differ_and_are_good() -> None:
    """They are random, and not from a clock that may show 1970 every day."""
    ids = {new_job_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(check_job_id(job_id) == job_id for job_id in ids)


def test_ids_made_within_an_hour_share_a_folder_and_nothing_else() -> None:
    """The first two digits stay the same, and the rest is random."""
    now = 5000.0
    locality = Locality(clock=lambda: now)
    ids = [new_job_id(locality.prefix()) for _ in range(500)]
    assert len({job_id[:2] for job_id in ids}) == 1
    assert len({job_id[2:] for job_id in ids}) == 500
    assert all(is_job_id(job_id) and len(job_id) == 36 for job_id in ids)
    now += 3600
    assert locality.prefix() == f"{(int(ids[0][:2], 16) + 1) % 256:02x}"


def test_a_folder_does_not_grow_without_end_within_an_hour() -> None:
    """After some thousand jobs the next folder begins."""
    locality = Locality(clock=lambda: 0.0)
    prefixes = [locality.prefix() for _ in range(10_000)]
    assert max(prefixes.count(prefix) for prefix in set(prefixes)) <= 4096


def test_a_fresh_key_names_the_folder_of_its_job() -> None:
    """The job still depends on the submitter. A key of the user does not choose the folder."""
    key = fresh_key("7f")
    assert derived_job_id("me", key) == derived_job_id("me", key)
    assert derived_job_id("me", key)[:2] == "7f"
    assert derived_job_id("me", key) != derived_job_id("you", key)
    assert derived_job_id("me", key) != derived_job_id("me", fresh_key("7f"))


def test_the_id_of_a_users_key_is_what_it_was() -> None:
    """A resubmit after an upgrade finds its job, for every form of key."""
    assert derived_job_id("me", "fresh:7f:mine") == "4e7a0586-d350-8af7-9e7c-14a7c211dd5e"
    assert derived_job_id("me", "order-17") == "83078e5e-9558-8b4b-acc5-eeefa29b9928"


@pytest.mark.parametrize("state", JobState)
def test_final_states_are_the_three_with_a_result(state: JobState) -> None:
    """The final states are succeeded, failed and cancelled."""
    assert state.final == (state in FINAL) == (state in {"succeeded", "failed", "cancelled"})


def test_better_power_never_allows_less() -> None:
    """From critical to surplus each state allows at least the classes of the state below. Unknown allows none."""
    rising = [PowerState.CRITICAL, PowerState.LOW, PowerState.NORMAL, PowerState.SURPLUS]
    for worse, better in pairwise(rising):
        assert set(ALLOWED[worse]) < set(ALLOWED[better])
    assert ALLOWED[PowerState.UNKNOWN] == ()
    assert set(ALLOWED[PowerState.SURPLUS]) == set(Power)
    assert set(ALLOWED) == set(PowerState)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(value=json_values, args=st.lists(json_values, max_size=3))
def test_a_result_comes_back_from_the_wire(value: object, args: list[object]) -> None:
    """A decoded result equals the encoded one, for every value."""
    result = Result("a", "solve", JobState.SUCCEEDED, value=value, args=args)
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result


@pytest.mark.parametrize(
    "wrong",
    [
        b'{"task": ""}',
        b'{"task": "a b"}',
        b'{"task": "solve", "args": {}}',
        b'{"task": "solve", "power": "max"}',
        b'{"task": "solve", "retries": -1}',
        b'{"task": "solve", "time_limit_s": 0}',
        b'{"task": "solve", "urgency": 1}',
        b'{"task": "solve", "priority": 10}',
        b'{"task": "solve", "delay_s": -1}',
        b'{"task": "solve", "after_failure": "ignore"}',
        b'{"task": "solve", "unique_key": "\\n"}',
        b'{"args": []}',
    ],
)
def test_a_wrong_submission_is_refused(wrong: bytes) -> None:
    """Unknown fields and values out of bounds are refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wrong, type=Submission)
