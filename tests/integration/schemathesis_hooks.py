"""Tells schemathesis how to send lines of JSON and cron expressions (SCHEMATHESIS_HOOKS names this module)."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st

# A schema cannot describe the syntax of our formats, such as cron expressions.
schemathesis.openapi.format(
    "cron", st.sampled_from(["30 2 * * *", "*/15 8-18 * * MON-FRI", "@daily", "0 0 L * *", "0 9 * 1,7 5#2"])
)
schemathesis.openapi.format("timezone", st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "US/Eastern"]))


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def lines(_context: Any, value: Any) -> bytes:
    """Encode text as it is; other values cannot be sent as lines, so they become an empty body."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b""
