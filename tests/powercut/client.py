"""An HTTP connection of a submitter, without retries, because the rig must see each answer and each missing answer."""

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
        """Send a request and return (status, body) of the answer. Raises OSError or HTTPException."""
        content = {"Content-Type": "application/json"} if body is not None else {}
        self._connection.request(method, path, body, content | (headers or {}))
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def break_off(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Send half of a request, then close the connection. Raises OSError or HTTPException."""
        self._connection.putrequest(method, path)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self._connection.putheader(name, value)
        self._connection.endheaders(body[: len(body) // 2])
        self._connection.close()

    def close(self) -> None:
        """Close the connection; the next `ask` opens a new one."""
        self._connection.close()
