"""Makes the reference of codes that programs compare: exit codes of `edge`, failures of jobs, gateway problems."""

from __future__ import annotations

import re

from edge.cli.main import cli
from edge.gateway.http import problems as mapping
from edge.model import FailureCode
from edge.wire import ProblemCode
from tests.docs.fields import rows_of_enum
from tests.docs.generated import table


def exit_codes() -> str:
    """Return the exit codes from `edge --help`."""
    rows = re.findall(r"^ *(\d+)  (.+)$", cli.epilog or "", re.MULTILINE)
    return table(("exit code", "meaning"), rows)


def failures() -> str:
    """Return the codes of failed jobs."""
    return table(("code", "meaning"), rows_of_enum(FailureCode))


def problems() -> str:
    """Return the codes of refused requests, with the statuses that carry them."""
    statuses: dict[ProblemCode, set[int]] = {code: set() for code in ProblemCode}
    for _, status, code in mapping._TABLE:
        statuses[code].add(status.value)
    for http_status, code in mapping._HTTP_CODES.items():
        statuses[code].add(http_status.value)
    statuses[ProblemCode.INTERNAL].add(500)
    rows = (
        (code, ", ".join(map(str, sorted(statuses[ProblemCode(code.strip("`"))]))), re.sub(r"^[\d, or]+: ", "", text))
        for code, text in rows_of_enum(ProblemCode)
    )
    return table(("code", "status", "meaning"), rows)
