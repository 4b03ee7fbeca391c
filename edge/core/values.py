"""Types of values whose structure another program decides. They are the only use of `Any` for such values."""

from __future__ import annotations

from typing import Any, TypeAlias

#: Any value that JSON can hold. It is not `object` and not a recursive type, because msgspec makes no schema of these.
#: Values that come in with this type are checked at run time, against a schema or by `isinstance`.
JsonValue: TypeAlias = Any
JsonObject: TypeAlias = dict[str, JsonValue]
#: A type hint that is used as a value. The module `typing` has no type for this yet (PEP 747).
Hint: TypeAlias = Any
