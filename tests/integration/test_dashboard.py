"""The Grafana dashboard and the page on Prometheus name only metrics that `/v1/metrics` has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from edge.config import Config
from edge.model import PowerState, Reading, Verdict
from edge.wire import BrokerState
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import report_power

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "how-to" / "grafana-dashboard.json").read_text())
PAGE = (DOCS / "how-to" / "prometheus.md").read_text()
#: Labels that Prometheus itself adds to each series.
_OWN = {"instance", "job"}
_OWN_METRICS = {"up"}
_STATES = {
    "edge_power": {state.value for state in PowerState},
    "edge_broker": {state.value for state in BrokerState},
}
Labels = dict[str, set[str]]


@pytest.fixture
def metrics(config: Config, start_gateway: StartGateway) -> Labels:
    """The labels of each metric of a board with a sensor and an ended job."""
    report_power(config, PowerState.NORMAL, readings=(Reading("nut", "charge", 63.0, "%", verdict=Verdict.OK),))
    gateway: RunningGateway = start_gateway(config)
    gateway.finish(job := gateway.submit())
    gateway.becomes(job, "succeeded")
    found: Labels = {}
    for family in text_string_to_metric_families(gateway.ask("GET", "/metrics").body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def _expressions() -> Iterator[tuple[str, str]]:
    """Yield (expression, legend) of each panel and each alert."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]
    (rules,) = re.findall(r"<!-- test: rules.yml -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    for rule in yaml.safe_load(rules)["groups"][0]["rules"]:
        yield rule["expr"], ""


def test_each_query_names_metrics_and_labels_that_are_there(metrics: Labels) -> None:
    """Each query uses existing metric names, labels and states."""
    for expression, legend in _expressions():
        bare = re.sub(r'"[^"]*"', '""', expression)
        names = set(re.findall(r"\b(edge_\w+|up)\b", bare))
        assert names, expression
        assert names <= metrics.keys() | _OWN_METRICS, expression
        labels = set().union(_OWN, *(metrics.get(name, set()) for name in names))
        for name, braces in re.findall(r"\b(edge_\w+|up)\{([^}]*)\}", bare):
            assert set(re.findall(r"(\w+)\s*[=!]~?", braces)) <= metrics.get(name, set()) | _OWN, expression
        for group in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", bare):
            assert set(re.findall(r"\w+", group)) <= labels, expression
        assert set(re.findall(r"\{\{\s*(\w+)\s*\}\}", legend)) <= labels, legend
        for name, state in re.findall(r'\b(edge_\w+)\{[^}]*state="(\w+)"', expression):
            assert state in _STATES.get(name, {state}), expression


#: Only a board that looks ahead has these; tests/integration/test_gateway_starts.py has one.
_LOOKS_AHEAD = {
    *("edge_plan", "edge_plan_floor_percent", "edge_night_budget_watt_hours"),
    *("edge_forecast_error_watt_hours", "edge_forecast_below_p10_ratio", "edge_start_times_held_ratio"),
}


def test_the_page_names_each_metric_with_its_labels(metrics: Labels) -> None:
    """The page names each metric with its labels, and none that does not exist."""
    documented: Labels = {}
    for names, labels in re.findall(r"^\| (`edge_[^|]*`) \| ([^|]*)\|", PAGE, re.MULTILINE):
        documented.update({key: set(re.findall(r"`(\w+)`", labels)) for key in re.findall(r"`(\w+)`", names)})
    made = {name: labels for name, labels in metrics.items() if not name.endswith("_created")}
    assert {name: labels for name, labels in documented.items() if name in made} == {
        name: labels for name, labels in made.items() if name in documented
    }
    assert made.keys() <= documented.keys()
    assert documented.keys() - made.keys() <= {"edge_workers_wanted"} | _LOOKS_AHEAD  # only if an entry is scaled


def test_the_dashboard_can_be_imported() -> None:
    """The dashboard has no id, a selectable data source, and no overlapping panels, so any Grafana can import it."""
    assert DASHBOARD["uid"]
    assert DASHBOARD["title"]
    assert "id" not in DASHBOARD
    assert "__inputs" not in DASHBOARD
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        for each in (panel, *panel["targets"], variables["board"]):
            assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place: dict[str, Any] = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert taken.isdisjoint(cells)
        taken |= cells


def test_the_scrape_of_the_page_fits_the_gateway() -> None:
    """The scrape configuration of the page has the path and port of the gateway."""
    (text,) = re.findall(r"<!-- test: prometheus.yml -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert job["metrics_path"] == "/v1/metrics"
    assert {target.rpartition(":")[2] for target in job["static_configs"][0]["targets"]} == {str(Config().gateway.port)}
