"""One submitter in a separate process, so that its CPU time is not counted for the board.

`python -m tests.bench.programs.submitter WAY [URL]` reads one order a line, `{"first": N, "count": N}`, submits `count`
jobs, and answers with one line, `{"ids": [...]}`. Jobs of the compared workers have numbers in place of ids.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

Submit = Callable[[range], list[str]]


def main() -> int:
    """Carry out orders until the end of the input; return exit code 0."""
    submit = _WAYS[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        order = json.loads(line)
        ids = submit(range(order["first"], order["first"] + order["count"]))
        sys.stdout.write(json.dumps({"ids": ids}) + "\n")
        sys.stdout.flush()
    return 0


def _single(url: str) -> Submit:
    from edge.client import Client  # imported here: a submitter loads either Celery or the client

    client = Client(url)
    return lambda numbers: [client.submit("echo", number, "hello").id for number in numbers]


def _batch(url: str) -> Submit:
    from edge.client import Client
    from edge.model import Submission

    client = Client(url)
    return lambda numbers: [
        job.id for job in client.submit_many(Submission("echo", [number, "hello"]) for number in numbers)
    ]


def _plain() -> Submit:
    from tests.bench.programs.plain import echo

    return lambda numbers: _sent(echo, numbers)


def _durable() -> Submit:
    from tests.bench.programs.durable import echo

    return lambda numbers: _sent(echo, numbers)


def _sent(echo: object, numbers: range) -> list[str]:
    delay = echo.delay  # type: ignore[attr-defined] # Celery ships no types
    for number in numbers:
        delay(number, "hello")
    return [str(number) for number in numbers]


_WAYS: dict[str, Callable[..., Submit]] = {"single": _single, "batch": _batch, "plain": _plain, "durable": _durable}


if __name__ == "__main__":
    sys.exit(main())
