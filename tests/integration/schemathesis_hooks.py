"""What schemathesis must be told: how lines of JSON travel (SCHEMATHESIS_HOOKS names this module)."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def lines(_context: Any, value: Any) -> bytes:
    """Text as it is; what is no text cannot be sent as such, so it goes as an empty body."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b""
