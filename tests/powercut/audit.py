"""Asks the running gateway for its jobs, and compares its answers with the results on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.client import HTTPException

import msgspec

from edge.model import Result
from edge.wire import ChildPage, JobView
from tests.powercut.client import Http
from tests.powercut.oracle import Oracle, Sent
from tests.powercut.stack import Board

#: A gateway that died may be restarted only after half a minute.
_GATEWAY_S = 120.0


class Audit:
    """Checks the gateway of a running board. A check returns its faults; the list is empty if all is well."""

    def __init__(self, board: Board, oracle: Oracle) -> None:
        self._board, self._oracle = board, oracle

    def newest(self, count: int) -> list[str]:
        """Check that the gateway's answers about the newest `count` jobs agree with the disk."""
        client, results = Http(self._board.port), self._board.results
        faults: list[str] = []
        try:
            for sent in self._oracle.recent(count):
                if sent.accepted_at is not None and not sent.removed and results.has(sent.id):
                    faults += self._one(client, sent)
        except (OSError, HTTPException) as err:
            faults.append(f"the gateway does not answer: {err}")
        finally:
            client.close()
        return faults

    def _one(self, client: Http, sent: Sent) -> list[str]:
        if not until_true(lambda: self._final(client, sent), 10.0):
            return [f"{named(sent)} has a result, and the gateway does not know it"]
        status, payload = client.ask("GET", f"/v1/jobs/{sent.id}/result")
        if status != HTTPStatus.OK:
            return [f"{named(sent)} is final, and its result gives {status}"]
        if fault := self._oracle.seen(sent.id, payload, time.monotonic()):
            return [fault]
        return self._children(client, sent) if sent.kind == "brood" else []

    def _children(self, client: Http, sent: Sent) -> list[str]:
        """Check that the gateway lists the children that a result names, each with its parent."""
        payload = client.ask("GET", f"/v1/jobs/{sent.id}/result")[1]
        status, answer = client.ask("GET", f"/v1/jobs/{sent.id}/children?limit=500")
        if status != HTTPStatus.OK:
            return [f"{named(sent)}: its children give {status}"]
        page = msgspec.json.decode(answer, type=ChildPage)
        left = [child for child in msgspec.json.decode(payload, type=Result).children if child not in page.removed]
        listed = [view.id for view in page.jobs]
        # If the job was cancelled before its body ran again, an earlier run may have spawned more children.
        if listed != left and not (sent.cancelled and set(left) <= set(listed)):
            return [f"{named(sent)} names the children {left}, and the gateway lists {listed}"]
        return [f"job {view.id}: its parent is {view.parent!r}" for view in page.jobs if view.parent != sent.id]

    def _final(self, client: Http, sent: Sent) -> bool:
        status, answer = client.ask("GET", f"/v1/jobs/{sent.id}")
        return status == HTTPStatus.OK and msgspec.json.decode(answer, type=JobView).state.final

    def families(self) -> list[str]:
        """Read every result that names children and that nobody has read; this is the receipt of the children."""
        client, results = Http(self._board.port), self._board.results
        faults: list[str] = []
        try:
            for sent in self._oracle.childless(results):
                if not until_true(partial(self._ended, client, sent), _GATEWAY_S):
                    faults.append(f"{named(sent)} has a result, and the gateway does not know it")
                    break
                status, payload = client.ask("GET", f"/v1/jobs/{sent.id}/result")
                if status == HTTPStatus.OK and (fault := self._oracle.seen(sent.id, payload, time.monotonic())):
                    faults.append(fault)
        except (OSError, HTTPException) as err:
            faults.append(f"the gateway does not answer: {err}")
        finally:
            client.close()
        return faults

    def _ended(self, client: Http, sent: Sent) -> bool:
        """Return `_final`, or False if the gateway does not answer."""
        try:
            return self._final(client, sent)
        except (OSError, HTTPException):
            client.close()
            return False

    def said_of(self, sent: Sent) -> str:
        """Return what the gateway knows of a job, which shows whether the job is lost, or where it is stuck."""
        client = Http(self._board.port)
        try:
            status, answer = client.ask("GET", f"/v1/jobs/{sent.id}")
        except (OSError, HTTPException) as err:
            return f"the gateway does not answer: {err}"
        finally:
            client.close()
        if status != HTTPStatus.OK:
            return f"the gateway answers {status}"
        view = msgspec.json.decode(answer, type=JobView)
        return f"{view.state}; {view.waiting or view.error}"


def named(sent: Sent) -> str:
    """Describe the job for a message."""
    return f"job {sent.id} ({sent.kind} by {sent.way})"


def until_true(done: Callable[[], bool], limit_s: float) -> bool:
    """Poll until `done()`; return True then, or False after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
