"""Which scopes hand in jobs, and those of kinds that ask for more."""

from __future__ import annotations

import pytest

from edge.access.tokens import Scope
from edge.gateway.http.auth import LOCAL, Caller
from edge.gateway.http.problems import Forbidden
from edge.gateway.http.route import READERS, SUBMITTERS


@pytest.mark.parametrize("scope", [Scope.SUBMIT, Scope.READ, Scope.ADMIN, Scope.NODE])
def test_a_kind_that_asks_for_run_takes_no_other_scope(scope: Scope) -> None:
    """Not even admin: who may run any program is told by that word alone."""
    with pytest.raises(Forbidden, match="need run"):
        Caller("anna", frozenset({scope})).may_run("run", "run")


@pytest.mark.parametrize("caller", [Caller("anna", frozenset({Scope.RUN})), LOCAL])
def test_the_scope_run_and_the_board_itself_may(caller: Caller) -> None:
    """Whoever is trusted on the board itself may do all that a person does."""
    caller.may_run("run", "run")


def test_a_kind_that_asks_for_nothing_takes_everybody() -> None:
    """Most do."""
    Caller("anna", frozenset({Scope.SUBMIT})).may_run("solve", "")


def test_the_scope_run_hands_in_jobs_and_ends_its_own() -> None:
    """A token needs one scope for one purpose."""
    anna = Caller("anna", frozenset({Scope.RUN}))
    assert Scope.RUN in SUBMITTERS & READERS
    assert anna.may_end("anna")
    assert not anna.may_end("otto")
    assert not anna.sees_all
