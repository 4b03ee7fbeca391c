"""Scopes decide who may submit jobs, and jobs of kinds that need a scope."""

from __future__ import annotations

import pytest

from edge.access.tokens import Scope
from edge.gateway.http.auth import LOCAL, Caller
from edge.gateway.http.problems import Forbidden
from edge.gateway.http.route import READERS, SUBMITTERS


@pytest.mark.parametrize("scope", [Scope.SUBMIT, Scope.READ, Scope.ADMIN, Scope.NODE])
def test_a_kind_that_needs_run_accepts_no_other_scope(scope: Scope) -> None:
    """Not even `admin` is enough: only the scope `run` allows to run any program."""
    with pytest.raises(Forbidden, match="need run"):
        Caller("anna", frozenset({scope})).may_run("run", "run")


@pytest.mark.parametrize("caller", [Caller("anna", frozenset({Scope.RUN})), LOCAL])
def test_the_scope_run_and_the_board_itself_may(caller: Caller) -> None:
    """Requests from the board itself may do everything that a person may do."""
    caller.may_run("run", "run")


def test_a_kind_without_a_scope_accepts_every_submitter() -> None:
    """Most kinds need no scope."""
    Caller("anna", frozenset({Scope.SUBMIT})).may_run("solve", "")


def test_the_scope_run_hands_in_jobs_and_ends_its_own() -> None:
    """With `run` alone a token submits jobs, ends its own jobs, and sees only its own."""
    anna = Caller("anna", frozenset({Scope.RUN}))
    assert Scope.RUN in SUBMITTERS & READERS
    assert anna.may_end("anna")
    assert not anna.may_end("otto")
    assert not anna.sees_all
