"""Makes the reference of the metrics of `GET /v1/metrics`, from the calls in the module that makes them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from edge.gateway.api import metrics as module
from tests.docs.generated import table

#: Function that makes a metric family -> (type of the family, suffix that Prometheus adds to the name).
_FAMILIES = {
    "GaugeMetricFamily": ("gauge", ""),
    "CounterMetricFamily": ("counter", "_total"),
    "InfoMetricFamily": ("info", "_info"),
    "_gauges": ("gauge", ""),
}


def metrics() -> str:
    """Return a table of all metric families."""
    return table(("metric", "type", "labels", "meaning"), sorted(_rows()))


def _rows() -> Iterator[tuple[str, str, str, str]]:
    tree = ast.parse(Path(str(module.__file__)).read_text())
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name != "_gauges"):
        known = {
            target.id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in _FAMILIES:
                yield _row(call.func.id, call, known)


def _row(maker: str, call: ast.Call, known: dict[str, ast.expr]) -> tuple[str, str, str, str]:
    def value(node: ast.expr) -> object:
        return ast.literal_eval(known[node.id] if isinstance(node, ast.Name) else node)

    kind, suffix = _FAMILIES[maker]
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    labels: object = []
    if maker == "_gauges":
        labels = [value(call.args[2])]
    elif maker == "InfoMetricFamily":
        labels = [value(key) for key in keywords["value"].keys if key]  # type: ignore[attr-defined]
    elif "labels" in keywords:
        labels = value(keywords["labels"])
    assert isinstance(labels, list)
    return (
        f"`{value(call.args[0])}{suffix}`",
        kind,
        ", ".join(f"`{label}`" for label in labels),
        str(value(call.args[1])),
    )
