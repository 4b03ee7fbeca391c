"""Types of values whose shape another program decides. `Any` is used here once, with its reason."""

from __future__ import annotations

from typing import Any, TypeAlias

#: Whatever JSON can carry. Not `object`: msgspec makes no schema of that, and no recursive type either. What comes in
#: as one is checked at run time, against a schema or by `isinstance`.
JsonValue: TypeAlias = Any
JsonObject: TypeAlias = dict[str, JsonValue]
#: A type hint as a value. Typing has no name for it yet (PEP 747).
Hint: TypeAlias = Any
