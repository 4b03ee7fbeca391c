"""A submitter's HTTP connection, with no retries: the rig must know of each answer, and of each that did not come."""

from __future__ import annotations

import http.client

TIMEOUT_S = 5.0


class Http:
    """One kept-alive connection to the gateway."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """(status, body) of the answer. Raises OSError or HTTPException."""
        content = {"Content-Type": "application/json"} if body is not None else {}
        self._connection.request(method, path, body, content | (headers or {}))
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def break_off(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Send half of a request, and lose the connection. Raises OSError or HTTPException."""
        self._connection.putrequest(method, path)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self._connection.putheader(name, value)
        self._connection.endheaders(body[: len(body) // 2])
        self._connection.close()

    def close(self) -> None:
        """Close the connection; the next `ask` opens a new one."""
        self._connection.close()
