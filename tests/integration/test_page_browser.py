"""The page works in a real browser, Debian's Chromium, on a whole board: gateway, governor, worker, RabbitMQ."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
import yaml
from playwright.sync_api import Browser, Page, expect, sync_playwright

from edge.access.tokens import Scope, Tokens
from edge.client import Client, Settings
from edge.config import Config, load
from edge.core.errors import EdgeError
from edge.model import JobState, PowerState, Schedule
from edge.power import status
from edge.power.simulate import simulate
from edge.up.broker.node import PrivateNode
from edge.up.broker.ports import free_ports
from tests.conftest import sections, without_queues
from tests.running_worker import until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
QUESTION = "What is 50 divided by 2?"
KINDS = '''
import time
from typing import Annotated, Literal

from msgspec import Meta

from edge.worker import Job, task


@task
def slow(job: Job, seconds: Annotated[float, Meta(ge=0, le=60)] = 1.0, note: str = "") -> str:
    """Count, and say how far it is."""
    for step in range(int(seconds * 10)):
        job.progress(step, seconds * 10, note)
        time.sleep(0.1)
    return note


@task(power="surplus")
def mean(numbers: list[float], mode: Literal["plain", "log"] = "plain", exact: bool = False) -> float:
    """Take a mean of `numbers`."""
    return sum(numbers) / len(numbers)


@task
def wrong(what: str) -> None:
    """Fail."""
    raise ValueError(f"cannot work with {what}")
'''
#: Text that must be shown as it is and do nothing: markup, text from right to left, an emoji.
NASTY = "<img src=x onerror=alert(1)>\u202eevil مرحبا 🚀 </script>"


def chromium() -> str:
    """Return the path of the browser; if there is none, skip on a laptop and fail in CI."""
    for name in ("chromium-headless-shell", "chromium"):
        if found := shutil.which(name):
            return found
    if os.environ.get("CI"):
        pytest.fail("CI is set and there is no chromium; .ci/setup test installs it")
    pytest.skip("no chromium: .ci/setup test installs it")


class Board:
    """The processes of a board with a separate configuration."""

    def __init__(self, folder: Path, node: PrivateNode) -> None:
        (folder / "kinds.py").write_text(KINDS)
        (port,) = free_ports(1)
        tree = {
            "root": "state",
            "run": "run",
            "broker": sections(node.config),
            "gateway": {"port": port},
            "tasks": ["tasks", "kinds"],
            "power": {
                "sources": [{"kind": "simulated", "start": "normal"}],
                "sampling": {"sample_s": 1, "fast_s": 0.2},
            },
        }
        self.path = folder / "edge.yaml"
        self.path.write_text(yaml.safe_dump(tree))
        self.config: Config = load(self.path, env={}).config
        self.url = f"http://127.0.0.1:{port}"
        self.token = Tokens(self.config.layout.tokens).add("anna", [Scope.ADMIN])
        self.reader = Tokens(self.config.layout.tokens).add("rita", [Scope.READ])
        self.client = Client(settings=Settings(url=self.url, token=self.token, patience_s=60))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run gateway, governor and worker until the block ends."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
        env["EDGE_CONFIG"] = str(self.path)
        with ExitStack() as stack:
            for part in ("power", "gateway", "worker"):
                log = stack.enter_context((self.path.parent / f"{part}.log").open("wb"))
                process = subprocess.Popen([sys.executable, "-m", f"edge.{part}"], env=env, stdout=log, stderr=log)
                stack.callback(process.wait, 30)
                stack.callback(process.terminate)
            until(self._ready, self._words)
            yield

    def _ready(self) -> bool:
        try:
            board = self.client.status()
        except EdgeError:
            return False
        return (
            bool(board.workers)
            and board.tasks > 0
            and board.power.state is PowerState.NORMAL
            and board.broker.state == "connected"
        )

    def _words(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self.path.parent.glob("*.log"))

    def power(self, state: str) -> None:
        """Simulate this power, and return once the governor reports it."""
        simulate(self.config.power, self.config.layout, state)
        until(lambda: status.read(self.config.layout.power).state == state, f"power {state}")


@pytest.fixture(scope="module")
def board(broker_node: PrivateNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board with simulated power."""
    chromium()
    without_queues(broker_node)
    made = Board(tmp_path_factory.mktemp("page"), broker_node)
    with made.running():
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of this file; each test has a new context in it."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


class Person:
    """A person with a browser, with JavaScript or without."""

    def __init__(self, page: Page, board: Board, *, script: bool) -> None:
        self.page, self.board, self.script = page, board, script
        self.complaints: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda err: self.complaints.append(str(err)))

    def _said(self, message: Any) -> None:  # `Any`: playwright's types are looser than what it gives
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def log_in(self, token: str) -> None:
        """Open the board, and type the token at the login."""
        self.page.goto(self.board.url)
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("heading", name="Power")).to_be_visible()

    def sees(self, text: str, *, where: str = "main", within_s: float = 20.0) -> None:
        """Wait until `text` is shown: without a reload with JavaScript, by reloads without."""
        place = self.page.locator(where)
        if self.script:
            expect(place).to_contain_text(text, timeout=within_s * 1000)
            return
        deadline = time.monotonic() + within_s
        while text not in place.inner_text():
            assert time.monotonic() < deadline, f"{text!r} is not in: {place.inner_text()}"
            time.sleep(0.1)
            self.page.reload()

    def submit(self, kind: str, **fields: str) -> str:
        """Fill in the form of a kind and send it; return the id of the job."""
        self.page.get_by_role("link", name="Submit", exact=True).first.click()
        self.page.get_by_role("link", name=kind, exact=True).click()
        for name, value in fields.items():
            self.page.get_by_label(name, exact=True).fill(value)
        self.page.get_by_role("button", name="Submit").click()
        self.page.wait_for_url("**/jobs/*")
        return self.page.url.rpartition("/")[2]

    def go(self, view: str) -> None:
        """Follow a link of the navigation."""
        self.page.get_by_role("navigation").get_by_role("link", name=view).click()

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).click()


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def person(request: pytest.FixtureRequest, browser: Browser, board: Board) -> Iterator[Person]:
    """A person who has just opened a browser."""
    with _person(browser, board, script=request.param) as made:
        yield made


@contextmanager
def _person(browser: Browser, board: Board, *, script: bool = True, **options: Any) -> Iterator[Person]:
    context = browser.new_context(java_script_enabled=script, **options)
    context.set_default_timeout(20_000)
    made = Person(context.new_page(), board, script=script)
    yield made
    context.close()
    assert made.complaints == []


def test_a_sum_from_log_in_to_its_file(person: Person, board: Board) -> None:
    """A person logs in, submits the sum, sees its end without a reload, and downloads `1-response.txt`."""
    person.log_in(board.token)
    (cookie,) = person.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    person.submit("solve", message_id="1", message=QUESTION)
    if person.script:
        person.page.evaluate("window.loadedOnce = true")
    person.sees("succeeded", where="#now")
    person.sees("50 divided by 2 = 25", where="#result")
    with person.page.expect_download() as download:
        person.page.get_by_role("link", name="1-response.txt").click()
    assert Path(download.value.path()).read_text() == "50 divided by 2 = 25"
    assert download.value.suggested_filename == "1-response.txt"
    if person.script:
        assert person.page.evaluate("window.loadedOnce") is True


def test_a_person_pairs(person: Person, browser: Browser, board: Board) -> None:
    """The browser shows a code, an admin types it, and the browser is logged in by itself, or after a link."""
    person.page.goto(board.url)
    person.press("Show a code")
    code = person.page.locator(".id").inner_text()
    with _person(browser, board) as admin:
        admin.log_in(board.token)
        admin.go("Access")
        admin.page.get_by_label("Code on the other screen").fill(code)
        admin.page.get_by_label("Name", exact=True).fill("phone-script" if person.script else "phone-plain")
        admin.press("Give access")
        expect(admin.page.get_by_role("status").filter(has_text="has access now")).to_be_visible()
    if not person.script:
        person.page.get_by_role("link", name="Go on once it is confirmed").click()
    expect(person.page.get_by_role("heading", name="Power")).to_be_visible()
    person.submit("solve", message_id="6", message="3 plus 4")
    person.sees("3 plus 4 = 7", where="#result")


def test_progress_moves_without_a_reload(browser: Browser, board: Board) -> None:
    """The board shows a running job with a moving bar, and no longer after its end."""
    with _person(browser, board) as person:
        person.log_in(board.token)
        expect(person.page.locator("#running")).to_contain_text("Nothing runs now.")
        board.client.submit("slow", 4.0, NASTY)
        bar = person.page.locator("#running progress")
        expect(bar).to_be_visible()
        first = float(bar.get_attribute("value") or 0)
        until(lambda: float(bar.get_attribute("value") or 0) > first + 5, "progress")
        expect(person.page.locator("#running")).to_contain_text("<img src=x onerror=alert(1)>\\u202eevil")
        expect(person.page.locator("#running")).to_contain_text("Nothing runs now.", timeout=20_000)


def test_why_a_job_waits_at_low_power(person: Person, board: Board) -> None:
    """The job shows what holds it and what ends that, and runs when power is back."""
    person.log_in(board.token)
    board.power("low")
    try:
        person.submit("solve", message_id="2", message="3 plus 4")
        person.sees("power is low", where="#now")
        person.sees("resumes when", where="#now")
        person.go("Board")
        person.sees("low", where="#power")
        person.sees("power is low", where="#waiting")
        person.page.go_back()
    finally:
        board.power("normal")
    person.sees("succeeded", where="#now", within_s=40)


def test_pause_and_resume(person: Person, board: Board) -> None:
    """A pause for a time shows who paused until when, and a resume ends it."""
    person.log_in(board.token)
    person.page.get_by_label("Pause for").select_option("1 hour")
    person.press("Pause")
    person.sees("paused by anna", where="#power")
    person.sees("in 60 min", where="#power")
    assert status.read(board.config.layout.power).state is PowerState.PAUSED
    person.press("Resume")
    person.sees("normal", where="#power")
    assert not board.config.layout.pause.exists()


def test_ten_are_cancelled_by_a_filter(person: Person, board: Board) -> None:
    """The number of jobs is shown first; then exactly those ten end."""
    mark = f"ten-{'script' if person.script else 'plain'}"
    others = [board.client.submit("mean", [1.0]) for _ in range(2)]  # these wait too, but do not match
    board.power("low")
    try:
        ten = [board.client.submit("slow", 1.0, mark) for _ in range(10)]
        person.log_in(board.token)
        person.go("Jobs")
        person.page.get_by_label("Text").fill(mark)
        person.page.get_by_label("State").select_option("open")
        person.press("Filter")
        expect(person.page.locator("#list tbody tr")).to_have_count(10)
        person.press("Cancel open ones…")
        expect(person.page.get_by_role("heading", name="Cancel 10 jobs?")).to_be_visible()
        person.press("Cancel 10 jobs")
        expect(person.page.get_by_role("heading", name="Jobs")).to_be_visible()
        until(lambda: all(job.refresh().state is JobState.CANCELLED for job in ten), "ten cancelled")
    finally:
        board.power("normal")
    assert not any(job.refresh().state.final for job in others)
    for job in others:
        job.cancel()


def test_a_reader_sees_no_button_that_would_be_refused(browser: Browser, board: Board) -> None:
    """With scope read there are only the log-out and the filter, and a change is refused."""
    board.client.submit("solve", 3, QUESTION).wait(60)
    with _person(browser, board) as person:
        person.log_in(board.reader)
        for path in ("/", "/jobs", "/kinds"):
            person.page.goto(board.url + path)
            names = {each.inner_text() for each in person.page.get_by_role("button").all()}
            assert names <= {"Log out", "Filter"}, path
        assert person.page.get_by_role("navigation").inner_text().split() == ["Board", "Jobs", "Kinds", "History"]
        person.page.goto(board.url + "/jobs")
        person.page.locator("#list tbody a").first.click()
        assert {each.inner_text() for each in person.page.get_by_role("button").all()} == {"Log out"}
        person.press("Log out")
        expect(person.page.get_by_label("Token")).to_be_visible()


def test_wrong_tokens_are_reported_and_then_slowed_down(browser: Browser, board: Board) -> None:
    """A wrong token gives a sentence on the same form."""
    with _person(browser, board) as person:
        person.page.goto(board.url + "/jobs?state=failed")
        person.page.get_by_label("Token").fill("edge_wrong")
        person.press("Log in")
        expect(person.page.get_by_role("alert")).to_contain_text("not known here")
        person.page.get_by_label("Token").fill(board.token)
        person.press("Log in")
        expect(person.page).to_have_url(board.url + "/jobs?state=failed")
        person.complaints.clear()  # the browser itself logs the 401


def _views(board: Board) -> dict[str, str]:
    """Return the address of each view, with content in it."""
    wordy = board.client.submit("solve", 5, "A" * 200, power="always")
    until(lambda: wordy.refresh().state is JobState.FAILED, "a job failed with a long word")
    long, failed = board.client.submit("slow", 30.0, NASTY), board.client.submit("wrong", NASTY)
    done = board.client.submit("solve", 4, QUESTION, power="always")
    until(lambda: long.refresh().state is JobState.RUNNING, "a job runs")
    waits = board.client.submit("mean", [1.0])
    board.client.schedules.put("nightly", Schedule(task="solve", args=[5, NASTY], cron="30 2 * * *"))
    return {
        "board": "/",
        "jobs": "/jobs",
        "filtered": "/jobs?state=open&text=%3Cimg",
        "running": f"/jobs/{long.id}",
        "waiting": f"/jobs/{waits.id}",
        "queued": f"/jobs/{failed.id}",
        "done": f"/jobs/{done.id}",
        "wordy": f"/jobs/{wordy.id}",
        "all": "/jobs/all?do=cancel",
        "schedules": "/schedules",
        "schedule": "/schedules/nightly",
        "submit": "/submit",
        "form": "/submit/mean",
        "solve": "/submit/solve",
        "kinds": "/kinds",
        "history": "/history",
        "access": "/pairings",
        "doctor": "/doctor",
    }


LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1100, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1100, "height": 800}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 640}, "color_scheme": "light"},
}


#: These views have all elements and colours. The others are checked only in light, and at 320 px for their width.
ALL_ELEMENTS = frozenset({"login", "board", "jobs", "running", "done", "form", "doctor"})


@pytest.mark.timeout(300)
def test_every_view_is_accessible_in_light_dark_and_narrow(browser: Browser, board: Board, tmp_path: Path) -> None:
    """axe finds no violation, nothing is wider than 320 px, and the console has no error; screenshots are kept."""
    pictures = Path(os.environ.get("EDGE_PAGE_PICTURES", tmp_path))
    views = _views(board)
    try:
        for look, options in LOOKS.items():
            with _person(browser, board, reduced_motion="reduce", **options) as person:
                person.page.goto(board.url + "/login")
                _check(person.page, f"login-{look}", pictures)
                person.log_in(board.token)
                for name, path in views.items():
                    if look == "dark" and name not in ALL_ELEMENTS and "EDGE_PAGE_PICTURES" not in os.environ:
                        continue
                    person.page.goto(board.url + path)
                    if (name, look) == ("doctor", "light"):
                        person.press("Check everything now")
                        person.sees("ledger")
                    _check(person.page, f"{name}-{look}", pictures)
    finally:
        for job in board.client.list(state="queued", limit=100):
            board.client.cancel(job.id)
        for job in board.client.list(state="running", limit=10):
            board.client.cancel(job.id)


def _check(page: Page, name: str, pictures: Path) -> None:
    view, _, look = name.partition("-")
    if look == "light" or view in ALL_ELEMENTS:
        rules = {"runOnly": ["color-contrast"]} if look == "dark" else {}  # dark differs from light only in colours
        page.evaluate(AXE.read_text())
        found = page.evaluate("rules => axe.run(document, {resultTypes: ['violations'], ...rules})", rules)
        assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]] == [], (
            name
        )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the window"
    if "EDGE_PAGE_PICTURES" in os.environ:
        page.screenshot(path=pictures / f"{name}.png", full_page=True)


def test_a_first_visit_is_light(browser: Browser, board: Board) -> None:
    """A first visit needs at most 45 kB and six requests, including the stream of events."""
    with _person(browser, board) as person:
        person.log_in(board.token)
        session = person.page.context.new_cdp_session(person.page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        urls, sizes = list[str](), list[float]()
        session.on("Network.requestWillBeSent", lambda event: urls.append(event["request"]["url"]))
        session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        person.page.goto(board.url + "/")
        until(lambda: person.page.evaluate("1") and any("/events" in url for url in urls), "the stream")
        assert len(urls) <= 6, urls
        assert 3000 < sum(sizes) <= 45_000
