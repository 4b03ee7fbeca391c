"""The page over HTTP: access, bad input, headers, caching, and the cost of an open page."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
import urllib3
from urllib3.filepost import encode_multipart_formdata

from edge.access.tokens import Scope, Tokens
from edge.catalog.catalogue import Catalogue
from edge.config import Config
from edge.model import PowerState
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_worker import report_power, until

VIEWS = ("/", "/jobs", "/submit", "/submit/echo", "/submit/total", "/kinds", "/doctor", "/login", "/jobs/all?do=cancel")


class Browser:
    """Sends requests as a browser does, and keeps cookies."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.url = f"http://127.0.0.1:{gateway.port}"
        self.cookie = ""
        self._pool = urllib3.PoolManager(retries=False)

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, str] | bytes = b"", **headers: str) -> urllib3.BaseHTTPResponse:
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        given = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        return self._ask("POST", path, body, given | headers)

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        sent = {"Accept": "text/html"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent["Cookie"] = self.cookie
        answer = self._pool.request(method, self.url + path, body=body, headers=sent, redirect=False)
        if set_cookie := answer.headers.get("Set-Cookie"):
            self.cookie = set_cookie.partition(";")[0]
        return answer

    def log_in(self, token: str, next_path: str = "/") -> urllib3.BaseHTTPResponse:
        return self.post("/login", {"token": token, "next": next_path})


@pytest.fixture
def browser(gateway: RunningGateway) -> Browser:
    """A browser on the board itself, which needs no login."""
    return Browser(gateway)


@pytest.fixture
def closed(make_config: MakeConfig, start_gateway: StartGateway) -> RunningGateway:
    """A gateway that requires a token of everybody."""
    return start_gateway(make_config(gateway={"loopback_without_token": False}))


def token(config: Config, *scopes: Scope, name: str = "anna") -> str:
    return Tokens(config.layout.tokens).add(name, scopes)


class TestViews:
    @pytest.mark.parametrize("path", VIEWS)
    def test_every_view_answers_with_a_policy(self, browser: Browser, path: str) -> None:
        """Every view forbids inline code, foreign content and frames, and is compressed if the browser accepts it."""
        answer = browser.get(path)
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Referrer-Policy"] == "same-origin"
        text = answer.data.decode()
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=\"/assets/)", text)
        assert not re.search(r"(src|href|action)=\"(https?:)?//", text)
        packed = browser.get(path, Accept_Encoding="gzip")
        assert packed.headers["Content-Encoding"] == "gzip"

    def test_values_are_escaped(self, gateway: RunningGateway, browser: Browser) -> None:
        """The arguments of a job are shown as text, in the list of jobs and on its page."""
        nasty = "</pre><script>alert(1)</script>\u202e\x1b[31m"
        job_id = gateway.submit("echo", nasty)
        text = browser.get(f"/jobs/{job_id}").data.decode()
        assert "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\x1b[31m" in text
        assert "<script>alert" not in text

    def test_a_job_from_its_form_to_its_file(self, gateway: RunningGateway, browser: Browser) -> None:
        """The same form sent twice makes one job; its result and files can be downloaded."""
        form = browser.get("/submit/echo").data.decode()
        found = re.search(r'name="key" value="([0-9a-f]{32})"', form)
        assert found is not None
        fields = {"a-text": "hello", "a-times": "2", "power": "always", "time_limit_s": "2m", "key": found[1]}
        first, second = browser.post("/submit/echo", fields), browser.post("/submit/echo", fields)
        assert (first.status, first.headers["Location"]) == (303, second.headers["Location"])
        path = first.headers["Location"]
        job_id = path.rpartition("/")[2]
        view = gateway.ask("GET", f"/jobs/{job_id}").json
        assert (view["power"], view["time_limit_s"]) == ("always", 120)
        gateway.finish(job_id, "hellohello", {"a b+c.txt": b"inside"})
        gateway.becomes(job_id, "succeeded")
        text = browser.get(path).data.decode()
        assert "hellohello" in text
        assert browser.get(f"{path}/files/{quote('a b+c.txt')}").data == b"inside"
        assert browser.get(f"{path}/result").headers["Content-Disposition"].startswith("attachment")
        again = browser.post(f"{path}/again", {"key": "0" * 32})
        assert again.headers["Location"] != path
        assert gateway.ask("GET", f"/jobs/{again.headers['Location'].rpartition('/')[2]}").json["power"] == "always"

    def test_a_form_with_a_mistake_comes_back_as_it_was(self, browser: Browser) -> None:
        """A form with a mistake comes back with a sentence and the entered values."""
        fields = {"a-numbers": "[1, true", "a-scale": "2", "key": "0" * 32, "retries": "x"}
        answer = browser.post("/submit/total", fields)
        text = answer.data.decode()
        assert answer.status == 422
        assert 'role="alert"' in text
        assert "must be JSON" in text
        assert "[1, true" in text


class TestFiles:
    def test_a_form_sends_the_files_of_a_job(self, gateway: RunningGateway, browser: Browser) -> None:
        """A form uploads files by the names of inputs; after a mistake no file must be chosen again."""
        kinds = dict(gateway.gateway.appliance.kinds.current.tasks)
        kinds["echo"] = msgspec.structs.replace(kinds["echo"], inputs={"clip": 1000})
        gateway.gateway.appliance.kinds._catalogue = Catalogue(kinds, {})
        form = browser.get("/submit/echo").data.decode()
        assert 'enctype="multipart/form-data"' in form
        assert 'name="file.clip" type="file" required' in form
        clip = {"file.clip": ("my clip.mov", b"moving")}
        answer = self._post(browser, "/submit/echo", {"a-times": "2", "key": "0" * 32, **clip})
        text = answer.data.decode()
        assert answer.status == 422
        assert "my clip.mov</bdi> is here already" in text
        found = re.search(r'name="kept.clip" value="([^"]+)"', text)
        assert found is not None
        fields = {"a-text": "x", "key": "0" * 32, "kept.clip": found[1], "file.clip": ("", b"")}
        path = self._post(browser, "/submit/echo", fields).headers["Location"]
        view = gateway.ask("GET", path).json
        assert view["files"]["clip"] == {"sha256": sha256(b"moving").hexdigest(), "name": "my clip.mov", "bytes": 6}
        assert "my clip.mov" in browser.get(path).data.decode()
        gateway.finish(view["id"], "x")
        gateway.becomes(view["id"], "succeeded")
        again = browser.post(f"{path}/again", {"key": "0" * 32}).headers["Location"]
        assert gateway.ask("GET", again).json["files"] == view["files"]

    def test_a_kind_that_does_not_say_what_files_it_takes(self, gateway: RunningGateway, browser: Browser) -> None:
        """If a kind does not name its inputs, the person names the file."""
        fields = {"a-text": "x", "key": "0" * 32, "file_name": "note", "file": ("n.txt", b"hello")}
        path = self._post(browser, "/submit/echo", fields).headers["Location"]
        assert gateway.ask("GET", path).json["files"]["note"]["name"] == "n.txt"
        fields = {"a-text": "x", "key": "1" * 32, "file_name": "", "file": ("n.txt", b"hello")}
        assert self._post(browser, "/submit/echo", fields).status == 400

    def test_no_other_site_sends_a_form_with_files(self, browser: Browser) -> None:
        """A form with files from another site is refused, like any form."""
        fields = {"a-text": "x", "key": "0" * 32, "file.clip": ("a", b"x")}
        assert self._post(browser, "/submit/echo", fields, Sec_Fetch_Site="cross-site").status == 403

    @staticmethod
    def _post(browser: Browser, path: str, fields: dict[str, Any], **headers: str) -> urllib3.BaseHTTPResponse:
        body, media = encode_multipart_formdata(fields)
        return browser.post(path, body, Content_Type=media, **headers)


class TestWhoMay:
    def test_a_browser_is_sent_to_the_login_and_back(self, closed: RunningGateway) -> None:
        """A browser is sent to the login and back, a program gets a problem; a login never leads to another site."""
        browser = Browser(closed)
        answer = browser.get("/jobs?state=failed")
        assert (answer.status, answer.headers["Location"]) == (303, "/login?next=%2Fjobs%3Fstate%3Dfailed")
        assert browser.get("/jobs", Accept="application/json").status == 401
        secret = token(closed.config, Scope.READ)
        assert browser.log_in(secret, "/jobs?state=failed").headers["Location"] == "/jobs?state=failed"
        for other in ("//evil.example", "/\\evil.example", "https://evil.example", "/\n/x", "/é"):
            assert browser.log_in(secret, other).headers["Location"] == "/"

    def test_scopes_hold(self, closed: RunningGateway) -> None:
        """A reader changes nothing, a submitter sees only own jobs, and a node's token cannot log in."""
        reader, submitter = Browser(closed), Browser(closed)
        reader.log_in(token(closed.config, Scope.READ, name="rita"))
        submitter.log_in(secret := token(closed.config, Scope.SUBMIT, name="sam"))
        admin = token(closed.config, Scope.ADMIN, name="ada")
        other = closed.submit("echo", "secret", Authorization=f"Bearer {admin}")
        own = closed.submit("echo", "mine", Authorization=f"Bearer {secret}")
        for path in ("/pause", "/resume", "/doctor", f"/jobs/{other}/cancel", "/submit/echo", "/jobs/all"):
            assert reader.post(path, {"key": "0" * 32}).status == 403, path
        assert reader.get("/submit").status == 403
        assert "Run again" not in reader.get(f"/jobs/{other}").data.decode()
        text = submitter.get("/jobs").data.decode()
        assert own in text
        assert other not in text
        assert submitter.get(f"/jobs/{other}").status == 404
        assert submitter.get("/doctor").status == 403
        assert submitter.post("/pause").status == 403
        assert submitter.post(f"/jobs/{own}/cancel").status == 303
        counted = submitter.get("/jobs/all?do=cancel&submitter=ada").data.decode()
        assert other not in counted
        node = Browser(closed)
        assert node.log_in(token(closed.config, Scope.NODE, name="node")).status == 403
        assert not node.cookie

    def test_another_site_changes_nothing(self, gateway: RunningGateway, browser: Browser) -> None:
        """A change from another site is refused, although the browser on the board is trusted."""
        job_id = gateway.submit("echo")
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none", "Origin": browser.url},
        ):
            assert browser.post(f"/jobs/{job_id}/cancel", b"", **headers).status == 403
        evil = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://evil.example"}
        assert browser._ask("POST", f"/jobs/{job_id}/cancel", b"", evil).status == 403
        assert browser._ask("POST", f"/jobs/{job_id}/cancel", b"", evil | {"Origin": browser.url}).status == 303

    def test_a_name_of_another_is_not_trusted(self, gateway: RunningGateway, browser: Browser) -> None:
        """A site with a name that resolves to this machine gets the login, not the board."""
        assert browser.get("/", Host="evil.example").status == 303

    def test_wrong_tokens_slow_the_address_down(self, closed: RunningGateway) -> None:
        """After five wrong tokens the address must wait, even with the right one."""
        browser = Browser(closed)
        secret = token(closed.config, Scope.READ)
        assert [browser.log_in("edge_no").status for _ in range(5)] == [401] * 5
        answer = browser.log_in(secret)
        assert answer.status == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 5
        assert "too many wrong tokens" in answer.data.decode()

    def test_events_come_by_the_cookie(self, closed: RunningGateway) -> None:
        """The page has a stream at its own address: `/v1` accepts no cookie, so that no other site can use it there."""
        browser = Browser(closed)
        browser.log_in(token(closed.config, Scope.READ))
        assert browser._ask("HEAD", "/events", None, {}).headers["Content-Type"] == "text/event-stream"
        assert browser._ask("HEAD", "/v1/events", None, {}).status == 401
        browser.post("/logout")
        assert browser._ask("HEAD", "/events", None, {"Accept": "text/event-stream"}).status == 401


class TestBadInput:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/nothing", 404),
            ("/jobs/none", 404),
            ("/jobs/%00", 404),
            ("/jobs/..%2f..%2fetc", 404),
            ("/jobs/none/files/x", 404),
            ("/jobs?state=odd", 400),
            ("/jobs?before=0x10", 400),
            ("/jobs?since=yesterday", 400),
            ("/jobs?text=" + "x" * 300, 400),
            ("/jobs?state=%ff&text=%ed%a0%80", 400),
            ("/jobs?text=%ed%a0%80%00", 200),
            ("/jobs/all", 400),
            ("/jobs/all?do=burn", 400),
            ("/submit/none", 422),
            ("/submit?kind=none", 200),
            ("/assets/none", 404),
            ("/login?next=%ff", 200),
        ],
    )
    def test_a_page_with_one_sentence(self, browser: Browser, path: str, status: int) -> None:
        """Bad input gets a page with one sentence, never a 5xx."""
        answer = browser.get(path)
        assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
        assert "<h1" in answer.data.decode()

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/submit/echo", b""),
            ("/submit/echo", b"key=%ff&a-text=%ed%a0%80"),
            ("/submit/echo", b"key=" + b"0" * 32 + b"&a-text=%ed%a0%80%00&a-times=1e999"),
            ("/submit/echo", b"key=" + b"0" * 32 + b"&a-text=x&retries=99999999999999&power=best"),
            ("/submit/echo", b"key=" + b"0" * 32 + b"&a-text=x&max_temp_c=nan"),
            ("/submit/echo", b"key=" + b"0" * 32 + b"&a-text=x&time_limit_s=" + b"9" * 400 + b"d"),
            ("/submit/total", b"key=" + b"0" * 32 + b"&a-numbers=" + b"[" * 9000),
            ("/submit/nothing", b"a=1&a=2"),
            ("/submit/nothing", b"&".join(b"f%d=1" % n for n in range(900))),
            ("/pause", b"for=forever"),
            ("/jobs/all", b"do=cancel"),
            ("/jobs/all", b"do=cancel&top=99999999999999999999"),
            ("/jobs/all", b"\xff\xfe"),
            ("/login", b"token=%ff&next=%00"),
        ],
    )
    def test_a_form_of_any_content(self, browser: Browser, path: str, body: bytes) -> None:
        """A bad form is refused with a sentence, and changes nothing."""
        answer = browser.post(path, body)
        assert 400 <= answer.status < 500, answer.data
        assert "<h1" in answer.data.decode()

    def test_other_types_of_body(self, browser: Browser) -> None:
        """Only forms are accepted, because a page of another site cannot send JSON without asking first."""
        assert browser.post("/submit/echo", b"{}", Content_Type="application/json").status == 415
        assert browser.post("/submit/echo", b"x" * 5000, Content_Type="text/plain").status == 415

    def test_a_method_that_a_view_does_not_know(self, browser: Browser) -> None:
        """A wrong method gets the allowed ones."""
        answer = browser.post("/kinds")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


class TestActions:
    def test_all_that_a_filter_finds(self, gateway: RunningGateway, browser: Browser) -> None:
        """An action on a filter covers the jobs that were counted, not jobs that came later."""
        for number in range(12):
            gateway.submit("echo", f"ten {number}" if number < 10 else "other")
        page = browser.get("/jobs/all?do=cancel&text=ten").data.decode()
        assert "Cancel 10 jobs?" in page
        found = re.search(r'name="top" value="(\d+)"', page)
        assert found is not None
        late = gateway.submit("echo", "ten, but late")
        answer = browser.post("/jobs/all", {"do": "cancel", "text": "ten", "top": found[1]})
        assert (answer.status, answer.headers["Location"]) == (303, "/jobs?text=ten")
        jobs = gateway.ask("GET", "/jobs?limit=50").json["jobs"]
        assert sum(job.get("cancelling", False) for job in jobs) == 10
        assert not gateway.ask("GET", f"/jobs/{late}").json.get("cancelling")
        assert len(list(gateway.layout.orders.glob("*.cancel"))) == 10

    def test_ended_ones_are_removed(self, gateway: RunningGateway, browser: Browser) -> None:
        """Ended jobs get an order to be removed, and open jobs are not affected."""
        done, still = gateway.submit("echo"), gateway.submit("echo")
        gateway.finish(done)
        gateway.becomes(done, "succeeded")
        assert "Remove 1 job?" in browser.get("/jobs/all?do=remove").data.decode()
        assert browser.post("/jobs/all", {"do": "remove", "top": "1000"}).status == 303
        assert [path.name for path in gateway.layout.orders.iterdir()] == [f"{done}.delete"]
        assert gateway.ask("GET", f"/jobs/{still}").status == 200

    def test_a_pause_that_no_governor_takes_is_reported(self, browser: Browser) -> None:
        """If no governor carries out a pause, the page does not claim it."""
        answer = browser.post("/pause", {"for": "20m"})
        assert answer.status == 503
        assert "the governor did not take it" in answer.data.decode()
        assert browser.post("/resume").status == 303  # nothing is paused


def test_a_list_far_back_goes_on(gateway: RunningGateway, browser: Browser) -> None:
    """The cursor in the address leads to older jobs, and back to the newest."""
    body = b"\n".join(b'{"task": "echo", "args": ["%d"]}' % number for number in range(120))
    assert gateway.ask("POST", "/jobs/batch", body, Content_Type="application/x-ndjson").status == 200
    seen: list[str] = []
    path = "/jobs?kind=echo"
    while True:
        text = browser.get(path).data.decode()
        seen += re.findall(r'href="/jobs/([0-9a-f-]{36})"', text)
        found = re.search(r'rel="next" href="([^"]+)"', text)
        if found is None:
            break
        path = found[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 120


def test_assets_are_kept_by_the_browser(browser: Browser) -> None:
    """Assets are cached forever by an address with their version, and are within their size."""
    page = browser.get("/").data.decode()
    for name, most in (("page.css", 8192), ("page.js", 8192), ("icon.svg", 1024)):
        found = re.search(rf'"(/assets/{name}\?v=[0-9a-f]+)"', page)
        assert found is not None
        answer = browser.get(found[1])
        assert "immutable" in answer.headers["Cache-Control"]
        assert len(answer.data) <= most
        again = browser.get(f"/assets/{name}", If_None_Match=answer.headers["ETag"])
        assert (again.status, again.headers["Cache-Control"]) == (304, "public, no-cache")


def test_an_open_page_writes_nothing(gateway: RunningGateway, browser: Browser) -> None:
    """Views and streams write nothing under the state root."""

    def files() -> dict[str, tuple[int, int]]:
        root = gateway.layout.root
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in root.rglob("*") if p.is_file()}

    browser.get("/")
    until(lambda: gateway.ask("GET", "/tasks").status == 200, "the kinds")
    before = files()
    for _ in range(3):
        for path in VIEWS:
            browser.get(path)
    stream = urllib3.PoolManager().request("GET", browser.url + "/events", preload_content=False)
    report_power(gateway.config, PowerState.LOW)
    time.sleep(0.5)
    stream.close()
    assert files() == before


def test_a_gateway_that_nobody_looks_at_has_no_templates(tmp_path: Path) -> None:
    """jinja2 is imported at the first view; without viewers the page costs at most 2 MB."""
    script = (
        "import sys, edge.gateway.main; print([n for n in ('jinja2', 'edge.gateway.page.site') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_page_is_small(browser: Browser) -> None:
    """Page, style sheet, script and icon together are smaller than a tenth of Faktory's first page."""
    page = browser.get("/", Accept_Encoding="gzip")
    total = len(gzip.compress(page.data))
    for name in ("page.css", "page.js", "icon.svg"):
        total += len(gzip.compress(browser.get(f"/assets/{name}").data))
    assert total < 14_200


class TestSchedules:
    def test_a_periodic_job_from_its_list(self, gateway: RunningGateway, browser: Browser) -> None:
        """The list shows the next times, and a schedule can be run, paused, resumed and removed."""
        until(lambda: gateway.ask("GET", "/tasks").status == 200, "the kinds")
        asked = {"task": "echo", "args": ["<b>hi</b>"], "cron": "30 2 * * *"}
        assert gateway.ask("PUT", "/schedules/nightly", asked).status == 201
        assert "nightly" in browser.get("/schedules").data.decode()
        text = browser.get("/schedules/nightly").data.decode()
        assert "&lt;b&gt;hi&lt;/b&gt;" in text
        assert "30 2 * * *" in text
        ran = browser.post("/schedules/nightly/run", {"key": "0" * 32})
        again = browser.post("/schedules/nightly/run", {"key": "0" * 32})
        assert (ran.status, ran.headers["Location"]) == (303, again.headers["Location"])
        assert gateway.ask("GET", ran.headers["Location"]).json["task"] == "echo"
        for action, paused in (("pause", True), ("resume", False)):
            assert browser.post(f"/schedules/nightly/{action}").headers["Location"] == "/schedules/nightly"
            assert gateway.ask("GET", "/schedules/nightly").json.get("paused", False) is paused
        assert browser.post("/schedules/nightly/remove").headers["Location"] == "/schedules"
        assert browser.get("/schedules/nightly").status == 404

    def test_who_reads_changes_no_schedule(self, closed: RunningGateway) -> None:
        """A reader sees no buttons for schedules, and a change is refused."""
        admin, reader = token(closed.config, Scope.ADMIN, name="ada"), Browser(closed)
        until(lambda: closed.ask("GET", "/tasks", Authorization=f"Bearer {admin}").status == 200, "the kinds")
        asked = {"task": "nothing", "every_s": 3600}
        assert closed.ask("PUT", "/schedules/hourly", asked, Authorization=f"Bearer {admin}").status == 201
        reader.log_in(token(closed.config, Scope.READ, name="rita"))
        assert "Run now" not in reader.get("/schedules/hourly").data.decode()
        assert reader.post("/schedules/hourly/remove").status == 403

    @pytest.mark.parametrize("path", ["/schedules/none", "/schedules/%00", "/schedules?after=%2e%2e"])
    def test_names_that_are_none(self, browser: Browser, path: str) -> None:
        """A bad name gets a page with one sentence."""
        answer = browser.get(path)
        assert answer.status in {400, 404}
        assert "<h1" in answer.data.decode()
