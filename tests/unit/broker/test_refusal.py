"""A lasting refusal of the broker is reported with its remedy. Errors that end by themselves have no remedy."""

from __future__ import annotations

import pytest
from amqp.exceptions import AccessRefused, ConnectionForced, NotAllowed, NotFound, PreconditionFailed

from edge.broker import topology
from edge.broker.refusal import cure


@pytest.mark.parametrize(
    ("err", "words"),
    [
        (
            PreconditionFailed(
                "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'edge.normal' in vhost 'edge'"
            ),
            "rabbitmqctl -p edge delete_queue edge.normal",
        ),
        (NotAllowed("NOT_ALLOWED - vhost other not found"), "add_vhost other"),
        (AccessRefused("ACCESS_REFUSED - access to vhost '/' refused for user 'edge'"), "permissions edge"),
        (AccessRefused("ACCESS_REFUSED - Login was refused"), "broker.password_file"),
    ],
)
def test_a_refusal_for_good_names_its_cure(err: Exception, words: str) -> None:
    """Waiting resolves none of these refusals."""
    assert words in cure(err)
    assert topology.explain(err).endswith(cure(err))


@pytest.mark.parametrize("err", [ConnectionForced("CONNECTION_FORCED"), NotFound("NOT_FOUND"), OSError(111, "x"), None])
def test_an_error_that_ends_by_itself_has_no_cure(err: BaseException | None) -> None:
    """No action of a person is needed."""
    assert cure(err) == ""
