"""Files for jobs are received whole or in parts, stored once by hash, and removed when no job needs them."""

from __future__ import annotations

import errno
import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edge.gateway.files import NoRoom
from tests.conftest import MakeConfig
from tests.running_gateway import Answer, RunningGateway, StartGateway

CONTENT = os.urandom(3 << 20)
HASH = sha256(CONTENT).hexdigest()
TOTAL = len(CONTENT)


def part(gateway: RunningGateway, name: str, first: int, last: int) -> Answer:
    """Send the bytes from `first` up to `last`."""
    span = f"bytes {first}-{last - 1}/{TOTAL}"
    return gateway.ask("PUT", f"/files/{name}", CONTENT[first:last], Content_Range=span)


def asked(gateway: RunningGateway, name: str, total: int = TOTAL) -> Answer:
    """Ask where an upload continues."""
    return gateway.ask("PUT", f"/files/{name}", b"", Content_Range=f"bytes */{total}")


def becomes(true: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait until `true()`."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begun(gateway: RunningGateway, name: str, total: int, data: bytes) -> socket.socket:
    """Begin an upload, and return its connection, open after `data`."""
    sock = socket.create_connection(("127.0.0.1", gateway.port))
    head = f"PUT /v1/files/{name} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nContent-Length: {total}\r\n\r\n"
    sock.sendall(head.encode() + data)
    return sock


def test_a_file_in_one_request_is_stored_by_its_hash(gateway: RunningGateway) -> None:
    """A file is stored once, under whatever name it comes the second time."""
    answer = gateway.ask("PUT", "/files", CONTENT)
    assert (answer.status, answer.json) == (
        201,
        {"received": TOTAL, "bytes": TOTAL, "sha256": HASH, "stored": True},
    )
    assert (gateway.layout.files / HASH).read_bytes() == CONTENT
    assert gateway.ask("PUT", "/files", CONTENT).status == 200
    assert asked(gateway, HASH).status == 200
    assert list((gateway.layout.files / ".incoming").iterdir()) == []


def test_an_empty_file_is_a_file(gateway: RunningGateway) -> None:
    """An empty file is accepted, because some programs need one."""
    empty = sha256(b"").hexdigest()
    assert asked(gateway, empty, 0).status == 201
    assert gateway.ask("PUT", "/files", b"").json["sha256"] == empty


def test_parts_make_a_file(gateway: RunningGateway) -> None:
    """Each part gets 202 and the offset, until the last one."""
    middle = TOTAL // 2
    assert (asked(gateway, HASH).status, asked(gateway, HASH).json["received"]) == (202, 0)
    first = part(gateway, HASH, 0, middle)
    assert (first.status, first.headers["Upload-Offset"]) == (202, str(middle))
    shown = gateway.ask("GET", f"/files/{HASH}")
    assert shown.json == {"received": middle, "bytes": TOTAL, "sha256": HASH}
    assert gateway.ask("HEAD", f"/files/{HASH}").headers["Upload-Offset"] == str(middle)
    assert part(gateway, HASH, middle, TOTAL).status == 201
    assert (gateway.layout.files / HASH).read_bytes() == CONTENT


def test_a_part_that_begins_elsewhere_learns_where_to_begin(gateway: RunningGateway) -> None:
    """A part at another offset gets 409 and the right offset; nothing is written and nothing is lost."""
    part(gateway, "mine", 0, 1000)
    answer = part(gateway, "mine", 2000, 3000)
    assert (answer.status, answer.json["code"], answer.headers["Upload-Offset"]) == (409, "wrong-offset", "1000")
    assert part(gateway, "mine", 1000, TOTAL).json["sha256"] == HASH


def test_an_upload_goes_on_after_a_restart(gateway: RunningGateway, start_gateway: StartGateway) -> None:
    """After a restart an upload continues, and the part that had arrived is hashed again."""
    part(gateway, HASH, 0, 1 << 20)
    gateway.stop()
    again = start_gateway(gateway.config)
    assert asked(again, HASH).json["received"] == 1 << 20
    assert part(again, HASH, 1 << 20, TOTAL).status == 201


def test_what_a_power_cut_left_behind_the_last_save_is_not_used(
    gateway: RunningGateway, start_gateway: StartGateway
) -> None:
    """Bytes after the last saved offset are not used, because a power cut may leave blocks that were never written."""
    part(gateway, HASH, 0, 1 << 20)
    gateway.stop()
    (content,) = (gateway.layout.files / ".incoming").glob("*.part")
    with content.open("ab") as file:
        file.write(bytes(5000))
    again = start_gateway(gateway.config)
    assert asked(again, HASH).json["received"] == 1 << 20
    assert part(again, HASH, 1 << 20, TOTAL).status == 201


def test_a_lost_connection_costs_no_byte(gateway: RunningGateway) -> None:
    """After a lost connection all bytes that had arrived are kept."""
    sock = begun(gateway, HASH, TOTAL, CONTENT[:1_000_003])
    becomes(lambda: bool(list((gateway.layout.files / ".incoming").glob("*.part"))))
    time.sleep(0.2)
    sock.close()
    becomes(lambda: gateway.ask("GET", f"/files/{HASH}").status == 200)
    received = gateway.ask("GET", f"/files/{HASH}").json["received"]
    assert received == 1_000_003
    assert part(gateway, HASH, received, TOTAL).status == 201


def test_a_client_that_comes_back_ends_its_own_stale_connection(gateway: RunningGateway) -> None:
    """A new connection for an upload ends the stale one, for example of a phone that has changed its network."""
    sock = begun(gateway, HASH, TOTAL, CONTENT[:500_000])
    becomes(lambda: bool(list((gateway.layout.files / ".incoming").glob("*.part"))))
    time.sleep(0.2)
    offset = asked(gateway, HASH).json["received"]
    assert offset == 500_000
    assert part(gateway, HASH, offset, TOTAL).status == 201
    sock.close()


def test_another_content_than_announced_is_thrown_away(gateway: RunningGateway) -> None:
    """Content with another hash than that in the name or query is removed."""
    other = "0" * 64
    for path in (f"/files/{other}", f"/files?sha256={other}"):
        answer = gateway.ask("PUT", path, CONTENT)
        assert (answer.status, answer.json["code"]) == (409, "wrong-hash")
    assert gateway.ask("GET", f"/files/{other}").status == 404
    assert sorted(path.name for path in gateway.layout.files.iterdir()) == [".incoming"]
    assert list((gateway.layout.files / ".incoming").iterdir()) == []


def test_a_client_that_lost_the_last_answer_learns_the_hash(gateway: RunningGateway) -> None:
    """A client that lost the last answer learns the hash of an upload with a chosen name."""
    assert part(gateway, "holiday", 0, TOTAL).status == 201
    again = asked(gateway, "holiday")
    assert (again.status, again.json["sha256"]) == (200, HASH)


@pytest.mark.parametrize("first", [{}, {"Content_Range": "bytes 0-8/9"}])
@pytest.mark.parametrize("second", [b"xyz", b"something", b""])
def test_a_name_used_again_is_another_file(gateway: RunningGateway, first: Any, second: bytes) -> None:
    """A second upload with the same name gets the hash of its own content, never that of the first."""
    assert gateway.ask("PUT", "/files/clip", b"the first", **first).status == 201
    for status in (201, 200):
        answer = gateway.ask("PUT", "/files/clip", second)
        assert (answer.status, answer.json["sha256"]) == (status, sha256(second).hexdigest())
    assert asked(gateway, "clip", len(second)).json["sha256"] == sha256(second).hexdigest()


def test_a_name_used_again_in_parts_is_another_file(gateway: RunningGateway) -> None:
    """A request with another TOTAL or another hash is for another file."""
    assert gateway.ask("PUT", "/files/clip", b"the first").status == 201
    assert (asked(gateway, "clip").status, asked(gateway, "clip").json["received"]) == (202, 0)
    assert asked(gateway, f"clip?sha256={HASH}", 9).json == {"received": 0, "bytes": 9, "sha256": HASH}
    late = part(gateway, "clip", 5, 9)
    assert (late.status, late.json["code"], late.headers["Upload-Offset"]) == (409, "wrong-offset", "0")
    assert f"announced with 9 bytes, not {TOTAL}" in late.json["detail"]
    assert asked(gateway, "clip", 9).json["sha256"] == sha256(b"the first").hexdigest()  # the first file is still known
    assert part(gateway, "clip", 0, 1000).status == 202
    assert part(gateway, "clip", 1000, TOTAL).json["sha256"] == HASH


def test_the_last_part_sent_again_gets_the_answer_that_was_lost(gateway: RunningGateway) -> None:
    """The last part sent again with the same TOTAL gets the lost answer, and is not read."""
    part(gateway, "holiday", 0, 1000)
    assert part(gateway, "holiday", 1000, TOTAL).status == 201
    again = part(gateway, "holiday", 1000, TOTAL)
    assert (again.status, again.json["sha256"]) == (200, HASH)


def test_an_unfinished_upload_keeps_its_total(gateway: RunningGateway) -> None:
    """An unfinished upload keeps its total, and has never more bytes; another file begins at its first byte."""
    assert part(gateway, "mine", 0, 1000).status == 202
    assert asked(gateway, "mine", 3).json == {"received": 0, "bytes": 3}
    assert asked(gateway, "mine", 1000).json["received"] == 0  # the part has all bytes, but of a longer file
    late = gateway.ask("PUT", "/files/mine", b"xy", Content_Range="bytes 1000-1001/1002")
    assert (late.status, f"announced with {TOTAL} bytes, not 1002" in late.json["detail"]) == (409, True)
    assert asked(gateway, "mine").json["received"] == 1000
    assert gateway.ask("PUT", "/files/mine", b"xy", Content_Range="bytes 0-1/3").json == {"received": 2, "bytes": 3}


def test_an_unfinished_upload_keeps_its_hash(gateway: RunningGateway) -> None:
    """A different hash is refused at the first part with it, not after the last."""
    one, other = sha256(b"hello").hexdigest(), "b" * 64
    sent = gateway.ask("PUT", f"/files/mine?sha256={one}", b"hel", Content_Range="bytes 0-2/5")
    assert sent.json["sha256"] == one
    late = gateway.ask("PUT", f"/files/mine?sha256={other}", b"lo", Content_Range="bytes 3-4/5")
    assert (late.status, f"SHA-256 {one}, not {other}" in late.json["detail"]) == (409, True)
    assert gateway.ask("PUT", "/files/mine", b"lo", Content_Range="bytes 3-4/5").json["sha256"] == one


def test_an_upload_of_another_name_does_not_count_for_a_hash(gateway: RunningGateway) -> None:
    """Parts that arrived with the hash as a name do not count for `clip` with this hash."""
    assert part(gateway, HASH, 0, 1000).status == 202
    assert asked(gateway, f"clip?sha256={HASH}").json["received"] == 0


def test_a_hash_in_upper_case_is_refused(gateway: RunningGateway) -> None:
    """A hash in upper case, as Windows prints it, is refused, because as a plain name it would not be checked."""
    given = HASH.upper()
    job = {"task": "echo", "args": ["x"], "files": {"clip": {"sha256": given}}}
    for answer in (
        gateway.ask("PUT", f"/files/{given}", CONTENT),
        gateway.ask("PUT", f"/files?sha256={given}", CONTENT),
        gateway.ask("GET", f"/files/{given}"),
        gateway.ask("POST", "/jobs", job),
    ):
        assert (answer.status, "write the hash in lower case" in answer.json["detail"]) == (400, True), answer.json


def test_a_part_of_unknown_length_is_refused(gateway: RunningGateway) -> None:
    """A part of unknown length, as curl sends it from a pipe, is refused."""
    url = f"http://127.0.0.1:{gateway.port}/v1/files/x"
    command = ["curl", "-s", "-T", "-", "-H", "Content-Range: bytes 0-4/5", url]
    done = subprocess.run(command, input=b"hello", capture_output=True, check=True)
    problem = json.loads(done.stdout)
    assert (problem["status"], "give Content-Length" in problem["detail"]) == (400, True), problem


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("bytes 0-9", "expected `bytes FIRST-LAST/TOTAL`"),
        ("bytes \u0660-\u0669/\u0661\u0660".encode().decode("latin-1"), "expected `bytes FIRST-LAST/TOTAL`"),
        ("bytes 9-0/10", "expected FIRST <= LAST < TOTAL"),
        ("bytes 0-10/10", "expected FIRST <= LAST < TOTAL"),
        ("bytes 0-8/10", "the body has 10 bytes, not 9"),
        ("bytes */10", "the body must be empty"),
    ],
)
def test_a_range_that_cannot_be_is_refused(gateway: RunningGateway, given: str, why: str) -> None:
    """The refusal says what is allowed."""
    answer = gateway.ask("PUT", "/files/x", bytes(10), Content_Range=given)
    assert (answer.status, why in answer.json["detail"]) == (400, True), answer.json


@pytest.mark.parametrize("body", [b"", CONTENT])
def test_what_is_too_large_or_does_not_fit_is_refused_before_it_is_sent(
    make_config: MakeConfig, start_gateway: StartGateway, body: bytes
) -> None:
    """A file over the limit gets 413, and one for which the disk has no space 507, with the limit in one sentence."""
    limits = {"max_bytes": 1 << 20}
    gateway = start_gateway(make_config(gateway={"files": limits, "loopback_without_token": True}))
    answer = asked(gateway, HASH) if not body else gateway.ask("PUT", "/files", body)
    assert (answer.status, answer.json["code"]) == (413, "too-large")
    assert "gateway.files.max_bytes" in answer.json["detail"]
    limits = {"spare_bytes": 1 << 60}
    gateway.stop()
    gateway = start_gateway(make_config(gateway={"files": limits, "loopback_without_token": True}))
    answer = asked(gateway, HASH) if not body else gateway.ask("PUT", "/files", body)
    assert (answer.status, answer.json["code"]) == (507, "storage")
    assert "gateway.files.spare_bytes" in answer.json["detail"]
    assert list((gateway.layout.files / ".incoming").iterdir()) == []


def test_curl_sends_nothing_of_a_file_that_is_refused(
    make_config: MakeConfig, start_gateway: StartGateway, tmp_path: Path
) -> None:
    """curl waits for `100 Continue`, which does not come, so it sends nothing."""
    gateway = start_gateway(make_config(gateway={"files": {"max_bytes": 1000}, "loopback_without_token": True}))
    (tmp_path / "clip").write_bytes(CONTENT)
    url = f"http://127.0.0.1:{gateway.port}/v1/files"
    done = subprocess.run(
        ["curl", "-s", "-T", tmp_path / "clip", url, "-w", "%{http_code} %{size_upload}", "-o", "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "413 0"


def test_a_job_is_given_a_file(gateway: RunningGateway) -> None:
    """The gateway adds name and size of the file to the job, and keeps the file while the job is open."""
    gateway.ask("PUT", "/files", CONTENT)
    body = {"task": "echo", "args": ["x"], "files": {"clip": {"sha256": HASH}}}
    view = gateway.ask("POST", "/jobs", body).json
    assert view["files"] == {"clip": {"sha256": HASH, "name": "clip", "bytes": TOTAL}}
    assert gateway.ask("GET", f"/jobs/{view['id']}").json["files"] == view["files"]


@pytest.mark.parametrize("where", ["jobs", "batch", "schedule"])
def test_a_job_with_a_file_that_is_not_there_is_refused(gateway: RunningGateway, where: str) -> None:
    """404 names the missing file and its hash."""
    body: Any = {"task": "echo", "args": ["x"], "files": {"clip": {"sha256": HASH}}}
    if where == "batch":
        line = json.dumps(body).encode()
        problem = gateway.ask("POST", "/jobs/batch", line, Content_Type="application/x-ndjson").lines[0]["problem"]
    elif where == "schedule":
        problem = gateway.ask("PUT", "/schedules/s", body | {"every_s": 60}).json
    else:
        problem = gateway.ask("POST", "/jobs", body).json
    assert (problem["status"], problem["code"]) == (404, "unknown-input")
    assert f"files.clip: no file with SHA-256 {HASH}" in problem["detail"]


def test_a_job_that_is_sent_again_needs_its_file_no_more(gateway: RunningGateway) -> None:
    """A job sent again with its key after its end gets the first answer, although the file is gone."""
    gateway.ask("PUT", "/files", CONTENT)
    body = {"task": "echo", "args": ["x"], "files": {"clip": {"sha256": HASH}}}
    job_id = gateway.ask("POST", "/jobs", body, Idempotency_Key="k").json["id"]
    gateway.finish(job_id)
    gateway.becomes(job_id, "succeeded")
    (gateway.layout.files / HASH).unlink()
    again = gateway.ask("POST", "/jobs", body, Idempotency_Key="k")
    assert (again.status, again.json["id"]) == (200, job_id)


def test_a_file_goes_when_its_last_job_has_ended(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    """A file is removed when its last job has ended, and an upload when nobody continues it."""
    limits = {"keep_s": 0.1, "unfinished_s": 0.1}
    gateway = start_gateway(make_config(gateway={"files": limits, "loopback_without_token": True}))
    old = gateway.gateway.appliance.old_files
    old._soon_s = 0.0
    gateway.ask("PUT", "/files", CONTENT)
    body = {"task": "echo", "args": ["x"], "files": {"clip": {"sha256": HASH}}}
    ids = [gateway.ask("POST", "/jobs", body).json["id"] for _ in range(2)]
    old._on_its_way_s = 0.0  # both files are in the ledger
    part(gateway, "half", 0, 1000)
    becomes(lambda: not list((gateway.layout.files / ".incoming").iterdir()), 20)
    gateway.finish(ids[0])
    gateway.becomes(ids[0], "succeeded")
    time.sleep(0.5)
    assert (gateway.layout.files / HASH).exists()
    gateway.finish(ids[1])
    becomes(lambda: not (gateway.layout.files / HASH).exists(), 20)


def curl(gateway: RunningGateway, *options: str) -> Any:
    """Submit with curl, and return the answer."""
    url = f"http://127.0.0.1:{gateway.port}/v1/jobs"
    done = subprocess.run(["curl", "-s", *options, url], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("whole", [True, False])
def test_curl_sends_a_job_and_its_files_in_one_request(gateway: RunningGateway, tmp_path: Path, *, whole: bool) -> None:
    """curl sends the job as JSON or member by member, with its files in one request."""
    (tmp_path / "my clip.mov").write_bytes(CONTENT)
    (tmp_path / "note").write_bytes(b"hello")
    job = ["-F", 'job={"task":"echo","args":["x"],"power":"surplus"};type=application/json']
    members = ["-F", "task=echo", "-F", 'args=["x"]', "-F", "power=surplus"]
    files = ["-F", f"clip=@{tmp_path / 'my clip.mov'}", "-F", f"note=@{tmp_path / 'note'};filename=../.x/n.txt"]
    view = curl(gateway, *(job if whole else members), *files)
    assert (view["task"], view["power"]) == ("echo", "surplus")
    assert view["files"] == {
        "clip": {"sha256": HASH, "name": "my clip.mov", "bytes": TOTAL},
        "note": {"sha256": sha256(b"hello").hexdigest(), "name": "n.txt", "bytes": 5},
    }
    assert (gateway.layout.files / HASH).read_bytes() == CONTENT


def test_a_form_that_is_sent_again_is_the_same_job(gateway: RunningGateway, tmp_path: Path) -> None:
    """A form sent again with its key is the same job, and its file is stored once."""
    (tmp_path / "clip").write_bytes(CONTENT)
    options = ("-H", "Idempotency-Key: k", "-F", "task=echo", "-F", 'args=["x"]', "-F", f"clip=@{tmp_path / 'clip'}")
    assert curl(gateway, *options)["id"] == curl(gateway, *options)["id"]


def test_a_form_whose_job_is_refused_is_not_received(gateway: RunningGateway, tmp_path: Path) -> None:
    """The files of a form are not received if the job before them is refused."""
    (tmp_path / "clip").write_bytes(CONTENT)
    problem = curl(gateway, "-F", "task=nothing-such", "-F", f"clip=@{tmp_path / 'clip'}")
    assert (problem["status"], problem["code"]) == (422, "unknown-task")
    assert not (gateway.layout.files / HASH).exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["-F", "args=[1]"], "names no job"),
        (["-F", "task=echo", "-F", "colour=red"], "field 'colour' is unknown"),
        (["-F", "task=echo", "-F", "args=red"], "field args = 'red': expected JSON"),
        (["-F", "task=echo", "-F", "power=red"], "field power = 'red': expected one of always"),
        (["-F", "task=echo", "-F", "task=echo"], "given twice"),
        (["-F", "task=echo", "-F", 'args=["x"]', "-F", "1=@/dev/null;filename=a"], "file '1'"),
        (["-H", "Content-Type: multipart/form-data", "--data-binary", "x"], "cannot be read"),
        (["-H", "Content-Type: multipart/form-data; boundary=b", "--data-binary", "--b\r\nhello"], "cannot be read"),
    ],
)
def test_a_form_that_cannot_be_read_is_one_sentence(gateway: RunningGateway, options: list[str], why: str) -> None:
    """An unreadable form gets 400 with one sentence about what is allowed."""
    problem = curl(gateway, *options)
    assert (problem["status"], why in problem["detail"]) == (400, True), problem


def test_a_foreign_page_cannot_make_a_browser_submit(gateway: RunningGateway) -> None:
    """A form from a foreign page is refused by its origin, because browsers send forms without asking first."""
    problem = curl(gateway, "-H", "Origin: https://elsewhere.example", "-F", "task=echo")
    assert problem["status"] == 415


def test_no_broken_form_is_a_fault_of_the_gateway(gateway: RunningGateway) -> None:
    """A form that is truncated, doubled or changed in any way causes no 5xx."""
    parts = (
        b'--b\r\nContent-Disposition: form-data; name="task"\r\n\r\necho\r\n'
        b'--b\r\nContent-Disposition: form-data; name="args"\r\nContent-Type: application/json\r\n\r\n["x"]\r\n'
        b'--b\r\nContent-Disposition: form-data; name="clip"; filename="a.mov"\r\nContent-Length: 4\r\n\r\nabcd\r\n'
        b"--b--\r\n"
    )
    chance = random.Random(7)
    media: Any = {"Content_Type": "multipart/form-data; boundary=b"}
    assert gateway.ask("POST", "/jobs", parts, **media).status == 202
    for _ in range(150):
        broken = bytearray(parts)
        for _ in range(chance.randint(1, 4)):
            first, last = sorted((chance.randrange(len(broken)), chance.randrange(len(broken))))
            change = chance.choice([b"", bytes(broken[first:last]) * 2, chance.randbytes(4), b"\r\n", b"--b"])
            broken[first : min(last, first + 40)] = change
            broken = broken or bytearray(b"x")
        answer = gateway.ask("POST", "/jobs", bytes(broken), **media)
        assert answer.status in {200, 202, 400, 404, 413, 422}, (answer.json, bytes(broken))


def test_a_disk_that_fills_up_takes_back_nothing_that_was_safe(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that does not fit gets 507, and parts confirmed before stay."""
    files = gateway.gateway.appliance.files
    assert part(gateway, HASH, 0, 1 << 20).status == 202
    with monkeypatch.context() as full:
        full.setattr(files, "_check_room", refuse)
        answer = part(gateway, HASH, 1 << 20, TOTAL)
    assert (answer.status, answer.json["code"]) == (507, "storage")
    assert asked(gateway, HASH).json["received"] == 1 << 20
    assert part(gateway, HASH, 1 << 20, TOTAL).status == 201


def test_a_part_whose_record_cannot_be_written_is_not_called_safe(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is not confirmed if its record cannot be written, even though its content was."""
    assert part(gateway, HASH, 0, 1000).status == 202

    def no_space(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as full:
        full.setattr(gateway.gateway.appliance.files.incoming, "note", no_space)
        answer = part(gateway, HASH, 1000, 2000)
    assert (answer.status, answer.json["code"]) == (507, "storage")
    assert asked(gateway, HASH).json["received"] == 1000
    assert part(gateway, HASH, 1000, TOTAL).status == 201


def refuse(_key: str, needed: int) -> None:
    """Refuse for lack of space, once something was written."""
    if needed == 0:
        raise NoRoom(1, 0, 0)
