"""Makes the reference of the routes of `/v1`, from the OpenAPI document of a gateway."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

from edge.gateway.api.routes import table as routes_of
from edge.gateway.http.openapi import document
from tests.docs.generated import table

#: Statuses that almost every route may answer; the page lists them once.
USUAL = {"400", "401", "403", "408", "413", "415", "500", "503"}
_METHODS = ("get", "put", "post", "patch", "delete")


def routes() -> str:
    """Return the routes as a table, then the parameters of each route that has some."""
    paths: dict[str, dict[str, Any]] = document(routes_of(MagicMock()), None)["paths"]
    rows, parameters = [], ""
    for path, operations in paths.items():
        for method in filter(operations.__contains__, _METHODS):
            one = operations[method]
            name = f"`{method.upper()} {path}`"
            rows.append((name, one["summary"], _scopes(one), _answers(one), _body(one)))
            if listed := [each for each in one.get("parameters", []) if each["in"] != "path"]:
                lines = ((f"`{each['name']}`", each["in"], _meaning(each)) for each in listed)
                parameters += f"\n### {method.upper()} {path}\n\n" + table(("parameter", "in", "meaning"), lines)
    heading = ("route", "what it does", "token with scope", "answers", "body")
    return f"{table(heading, rows)}\n## Parameters\n{parameters}"


def _scopes(operation: dict[str, Any]) -> str:
    return str(operation.get("description", "none needed")).removeprefix("Needs a token with scope ").rstrip(".")


def _answers(operation: dict[str, Any]) -> str:
    return ", ".join(sorted(set(operation["responses"]) - USUAL))


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    for shape in content.values():
        if reference := shape.get("schema", {}).get("$ref"):
            return f"`{reference.rpartition('/')[2]}`"
    return next(iter(content), "")


def _meaning(parameter: dict[str, Any]) -> str:
    schema = parameter.get("schema", {})
    text = parameter.get("description") or schema.get("description") or ""
    allowed = "one of " + ", ".join(f"`{value}`" for value in schema["enum"]) if "enum" in schema else ""
    bounds = " to ".join(f"{schema[key]:g}" for key in ("minimum", "maximum") if key in schema)
    bounds = f"at least {bounds}" if bounds and "maximum" not in schema else bounds
    default = f"default `{schema['default']}`" if schema.get("default") not in (None, "") else ""
    return "; ".join(filter(None, (text, allowed, bounds, default)))
