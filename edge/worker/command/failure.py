"""The exception of a program that failed."""

from __future__ import annotations

from edge.model import Failure, FailureCode


class ProgramFailed(Exception):
    """The program of a job failed or cannot run. `failure` is the failure of the job."""

    def __init__(self, code: FailureCode, message: str, *, last_lines: str = "") -> None:
        self.failure = Failure(code, message, traceback=last_lines)
        super().__init__(message)
