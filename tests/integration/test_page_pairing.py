"""Pairing and history on the page: a visitor shows a code, an admin types it, and plots are drawn."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3

from edge.access.pairing import MOST_OF_ONE
from edge.access.tokens import Scope, Tokens
from edge.cli.main import main
from edge.core import durable
from edge.model import PowerState
from edge.power.governor.days import Days
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway
from tests.unit.power.readings import charge

_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Browser:
    """Keeps cookies, and follows no redirect by itself."""

    gateway: RunningGateway
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, **fields: str) -> urllib3.BaseHTTPResponse:
        """Send one request, with `fields` as a form."""
        headers = {"Accept": "text/html", "User-Agent": "Mozilla/5.0 Firefox/140.0"}
        headers |= {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        body = urlencode(fields) if method == "POST" else None
        url = f"http://127.0.0.1:{self.gateway.port}{path}"
        answer = urllib3.request(
            *(method, url),
            body=body,
            headers=headers | (_FORM if method == "POST" else {}),
            redirect=False,
            retries=False,
        )
        for each in answer.headers.getlist("Set-Cookie"):
            name, _, value = each.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return answer

    def code(self) -> str:
        """Return the code that its page shows."""
        found = re.search(r">([0-9A-Z]{4}-[0-9A-Z]{4})<", self.ask("GET", "/pair").data.decode())
        assert found is not None
        return found[1]


@pytest.fixture
def closed(make_config: MakeConfig, start_gateway: StartGateway) -> RunningGateway:
    """A gateway that requires a token of everybody."""
    return start_gateway(make_config(gateway={"loopback_without_token": False}))


@pytest.fixture
def visitor(closed: RunningGateway) -> Browser:
    """A browser that has asked for a code."""
    browser = Browser(closed)
    assert "Show a code" in browser.ask("GET", "/login").data.decode()
    assert browser.ask("POST", "/pair").headers["Location"] == "/pair"
    return browser


@pytest.fixture
def admin(closed: RunningGateway) -> Browser:
    """A browser with a session."""
    browser = Browser(closed)
    browser.ask("POST", "/login", token=Tokens(closed.layout.tokens).add("root", [Scope.ADMIN]))
    return browser


def approve(gateway: RunningGateway, code: str) -> int:
    """Run `edge token approve` on the board."""
    return main(["--config", str(gateway.layout.root.parent / "edge.yaml"), "token", "approve", code])


def test_a_browser_is_let_in_by_the_command_on_the_board(visitor: Browser, closed: RunningGateway) -> None:
    """The browser waits in one request, and gets a session of the new token."""
    code = visitor.code()
    assert visitor.code() == code  # a reload shows the same code
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(visitor.ask, "GET", "/pair/wait")
        time.sleep(0.1)
        assert approve(closed, code) == 0
        assert waiting.result(20).headers["Location"] == "/"
    assert visitor.ask("GET", "/").status == 200
    (token,) = Tokens(closed.layout.tokens).list()
    assert token.name.startswith("firefox-")
    Tokens(closed.layout.tokens).revoke(token.name)
    assert visitor.ask("GET", "/").status == 303


def test_an_admin_types_the_code(visitor: Browser, admin: Browser, closed: RunningGateway) -> None:
    """The list does not show the code; the admin chooses scopes and name."""
    code = visitor.code()
    listed = admin.ask("GET", "/pairings").data.decode()
    assert "firefox-" in listed
    assert code[:4] not in listed
    answer = admin.ask("POST", "/pairings", code=code.lower(), name="kitchen", **{"scope-read": "on"})
    assert answer.headers["Location"] == "/pairings?let-in=kitchen"
    assert visitor.ask("GET", "/pair").headers["Location"] == "/"
    found = {token.name: token.scopes for token in Tokens(closed.layout.tokens, paired=closed.layout.paired).list()}
    assert found["kitchen"] == (Scope.READ,)
    assert "/pairings" not in visitor.ask("GET", "/").data.decode()
    assert visitor.ask("GET", "/pairings").status == 403


def test_a_refusal_is_shown(visitor: Browser, admin: Browser) -> None:
    """A refusal is shown, with a way to ask again."""
    assert admin.ask("POST", "/pairings", code=visitor.code(), do="deny").status == 303
    assert "Show a new code" in visitor.ask("GET", "/pair").data.decode()
    assert visitor.ask("GET", "/pair").headers["Location"] == "/login"
    visitor.ask("POST", "/pair")
    visitor.code()


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({}, 400, "expected 8"),
        ({"code": "<b>x</b>"}, 400, "&lt;b&gt;"),
        ({"code": "0000-0000"}, 404, "do not continue"),
        ({"code": "0000-0001"}, 400, "typing error"),
        ({"code": "0000-0000", "do": "deny"}, 404, "do not continue"),
        ({"do": "\u202e" * 50, "code": "\U0001f600"}, 400, "code"),
    ],
)
def test_bad_input_is_one_sentence(admin: Browser, fields: dict[str, str], status: int, sentence: str) -> None:
    """Bad input gets one sentence, never a 500, and its text is never used as markup."""
    answer = admin.ask("POST", "/pairings", **{"scope-read": "on"}, **fields)
    assert answer.status == status
    assert sentence in answer.data.decode()
    assert "<b>x" not in answer.data.decode()


def test_no_scope_and_a_taken_name_are_said(visitor: Browser, admin: Browser) -> None:
    """A missing scope and a used name are reported, and the code stays valid."""
    code = visitor.code()
    assert "at least one scope" in admin.ask("POST", "/pairings", code=code).data.decode()
    taken = admin.ask("POST", "/pairings", code=code, name="root", **{"scope-read": "on"})
    assert (taken.status, "exists" in taken.data.decode()) == (409, True)
    assert admin.ask("POST", "/pairings", code=code, **{"scope-read": "on"}).status == 303


@pytest.mark.parametrize("cookie", ["", "x", "a~b~c", "~~", "a~0000-0000~edge_x", "\u00e4~0000-0000~edge_x"])
def test_an_odd_cookie_is_none(closed: RunningGateway, cookie: str) -> None:
    """An invalid cookie is ignored, whatever its content."""
    browser = Browser(closed, {"edge_pairing": cookie})
    for path in ("/pair", "/pair/wait"):
        assert browser.ask("GET", path).status in (200, 303)


def test_a_client_that_asks_too_often_learns_when_to_come_back(closed: RunningGateway) -> None:
    """Too many requests get 429 as a page; a browser with a code gets no second one."""
    for _ in range(MOST_OF_ONE):
        browser = Browser(closed)
        browser.ask("POST", "/pair")
        browser.ask("POST", "/pair")
    answer = Browser(closed).ask("POST", "/pair")
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 0


# ---- history ----


def recorded(gateway: RunningGateway) -> None:
    """Two hours of a battery, as the governor records them."""
    layout, now = gateway.layout, time.time()
    durable.make_folder(layout.days)
    days = Days(layout.days)
    for n in range(25):
        days.add(n * 300.0, now - 7200 + n * 300.0, PowerState.NORMAL, (charge(30 + n),))
    days.flush()


@pytest.mark.parametrize("span", ["24h", "30d"])
def test_the_series_has_what_happened(gateway: RunningGateway, span: str) -> None:
    """The series of governor and gateway have equal steps up to now."""
    recorded(gateway)
    job = gateway.submit()
    gateway.finish(job)
    gateway.becomes(job, "succeeded")
    series: Any = gateway.ask("GET", f"/series?span={span}").json
    points = series["points"]
    steps = {b["at"] - a["at"] for a, b in pairwise(points)}
    assert steps == {series["step_s"]}
    assert points[-1]["at"] <= time.time() < points[-1]["at"] + series["step_s"]
    assert 30 <= max(point.get("charge", 0) for point in points) <= 54
    assert (series["pause_percent"], series["resume_percent"]) == (30.0, 45.0)
    assert sum(point.get("succeeded", 0) for point in points) == 1
    assert sum(point.get("started", 0) for point in points) == 1
    assert points[-1]["backlog"] >= 0
    assert 7000 < sum(sum(point.get("seconds", {}).values()) for point in points) <= 7200


def test_what_happened_survives_a_restart(gateway: RunningGateway, start_gateway: StartGateway) -> None:
    """A clean restart loses no record."""
    job = gateway.submit()
    gateway.finish(job)
    gateway.becomes(job, "succeeded")
    gateway.stop()
    again = start_gateway(gateway.config)
    points = again.ask("GET", "/series").json["points"]
    assert sum(point.get("succeeded", 0) for point in points) == 1


@pytest.mark.parametrize("span", ["1h", "", "null", "<b>"])
def test_another_span_is_refused(gateway: RunningGateway, span: str) -> None:
    """A bad span is refused with the allowed ones, as a problem and as a page."""
    answer = gateway.ask("GET", f"/series?{urlencode({'span': span})}")
    assert (answer.status, "24h" in answer.json["detail"]) == (400, True)
    page = Browser(gateway).ask("GET", f"/history?{urlencode({'span': span})}")
    assert (page.status, b"24h" in page.data, b"<b>" in page.data) == (400, True, False)


@pytest.mark.parametrize("span", ["24h", "30d"])
def test_the_history_is_drawn_without_style_or_script(gateway: RunningGateway, span: str) -> None:
    """Each known series has a plot with a table, and the page has nothing that its policy forbids."""
    recorded(gateway)
    answer = Browser(gateway).ask("GET", f"/history?span={span}")
    text = answer.data.decode()
    assert answer.status == 200
    assert re.findall(r'<title id="plot-(\w+)-title"', text) == ["charge", "state", "jobs", "backlog"]
    assert {"table-charge", "table-state"} <= set(re.findall(r'<details id="([^"]+)"', text))
    assert not re.search(r"<[^>]*\sstyle=|<style|<script>|\son\w+=", text)
    for name in re.findall(r'href="(/assets/plots[^"]+)"', text):
        assert Browser(gateway).ask("GET", name).headers["Content-Type"].startswith("text/css")
