"""The example of docs/how-to/commands.md and real programs work on a whole stack, from input file to output file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from edge.client import Client, Settings
from edge.up.background import Background
from edge.up.broker.ports import free_ports
from edge.up.settings import settings
from edge.wire import About, OutputChange
from edge.worker.command.sandbox import bubblewrap
from tests.docs.pages import marked
from tests.integration.test_docs import broker_port

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bubblewrap() is None, reason="bubblewrap is not installed"),
]

PAGE = "docs/how-to/commands.md"
#: It takes the arguments of the page, prints like ffmpeg, and copies the file.
FFMPEG = """#!/bin/sh
while [ $# -gt 1 ]; do
    [ "$1" != -i ] || clip=$2
    [ "$1" != -vf ] || filter=$2
    shift
done
echo "  Duration: 00:00:02.00, start: 0.000000" >&2
echo "time=00:00:01.00 bitrate" >&2
{ cat "$clip"; echo "$filter"; } >"$1"
"""
CONVERT = next((path for path in ("/usr/bin/convert", "/usr/bin/magick") if os.access(path, os.X_OK)), None)


class Stack:
    """An `edge up` with the commands of the page and surplus power."""

    def __init__(self, folder: Path) -> None:
        root = folder / "state"
        port, broker = free_ports(1)[0], broker_port()
        path = settings(root, port=port, broker_port=broker, env={}).path
        assert path is not None
        tree = yaml.safe_load(path.read_text()) | yaml.safe_load(marked(PAGE, "clips.yaml")[0])
        program = folder / "ffmpeg"
        program.write_text(FFMPEG)
        program.chmod(0o755)
        tree["commands"][0]["run"][0] = str(program)
        tree["commands"] += [
            {"name": "slow", "run": ["sh", "-c", "for i in 1 2 3 4; do echo line $i; sleep 0.2; done; echo e >&2"]},
            {"name": "owner", "run": ["true"], "scope": "run"},
        ]
        tree["allow_any"] = True
        tree["tasks"] = ["tasks.solve"]
        tree["gateway"]["loopback_without_token"] = True
        path.write_text(yaml.safe_dump(tree))
        self.url = f"http://127.0.0.1:{port}"
        self.home = folder / "home"
        self.home.mkdir()
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")} | {
            "EDGE_CONFIG": str(path),
            "EDGE_URL": self.url,
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self.up = Background(root, folder / "up.log")

    def run(self, *argv: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this machine."""
        done = subprocess.run(
            argv, env=self.env | env, cwd=self.home, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, f"{argv}: {done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for all tests of this file."""
    folder = tmp_path_factory.mktemp("commands")
    for each in (folder, folder.parent):
        each.chmod(0o755)  # programs of root run as nobody
    stack = Stack(folder)
    yield stack
    stack.up.stop()


def test_the_example_of_the_page_runs_as_it_stands(stack: Stack) -> None:
    """The example of the page transcodes a folder of clips."""
    clips = stack.home / "clips"
    clips.mkdir()
    (clips / "a clip.mov").write_text("one ")
    (clips / "two.mov").write_text("two ")
    done = stack.run("bash", "-euc", marked(PAGE, "clips.sh")[0])
    assert (stack.home / "result/a clip/out.mp4").read_text() == "one scale=640:-1\n"
    assert (stack.home / "result/two/out.mp4").read_text() == "two scale=640:-1\n"
    assert "time=00:00:01.00" in done.stderr


def test_a_value_out_of_bounds_is_refused_before_anything_runs(stack: Stack) -> None:
    (stack.home / "clip").write_text("clip")
    done = stack.run("edge", "run", "transcode", "clip", "--width", "63", code=2)
    assert "must be at least 64" in done.stderr


def test_a_missing_file_is_reported(stack: Stack) -> None:
    done = stack.run("edge", "run", "transcode", "--width", "640", code=2)
    assert "input 'input' is missing" in done.stderr


def test_output_comes_in_order_on_both_streams(stack: Stack) -> None:
    done = stack.run("edge", "run", "slow")
    assert done.stdout == "line 1\nline 2\nline 3\nline 4\n"
    assert "e\n" in done.stderr


def test_output_comes_by_events_to_who_asks_for_it(stack: Stack) -> None:
    """A reader that asks for output gets each piece as it is printed, in order, with its offset; others get none."""
    with Client(settings=Settings(url=stack.url)) as board:
        asked, others = board.events(about=["output", "job"]), board.events()
        job_id = board.submit("slow").id
        printed: list[OutputChange] = []
        for event in asked:
            if event.output is not None and event.output.id == job_id:
                printed.append(event.output)
                if event.output.stream == "stderr":
                    break
        kinds: list[About] = []
        for event in others:
            kinds.append(event.about)
            if event.job is not None and event.job.id == job_id and event.job.state.final:
                break
    lines = [each for each in printed if each.stream == "stdout"]
    assert "".join(each.text for each in lines) == "line 1\nline 2\nline 3\nline 4\n"
    assert len(lines) > 1
    assert [each.offset for each in lines[1:]] == [each.offset + each.size_bytes for each in lines[:-1]]
    assert About.OUTPUT not in kinds


def test_any_program_on_a_file_from_here(stack: Stack) -> None:
    (stack.home / "words").write_text("b\na\n")
    stack.run("edge", "run", "--in", "words", "--out", "any", "--", "sort", "-o", "sorted", "words")
    assert (stack.home / "any/sorted").read_text() == "a\nb\n"


@pytest.mark.skipif(CONVERT is None, reason="ImageMagick is not installed")
def test_a_picture_is_made_smaller_by_a_real_program(stack: Stack) -> None:
    (stack.home / "in.png").write_bytes(png(64, 64))
    program = str(CONVERT)
    stack.run("edge", "run", "--in", "in.png", "--out", "small", "--", program, "in.png", "-resize", "16x16", "out.png")
    assert (stack.home / "small/out.png").read_bytes()[16:24] == b"\0\0\0\x10\0\0\0\x10"


def test_a_failure_tells_the_last_line(stack: Stack) -> None:
    done = stack.run("edge", "run", "--", "sh", "-c", "echo broken >&2; exit 7", code=1)
    assert "exit code 7: broken" in done.stderr


def test_a_token_without_the_scope_may_not_run_it(stack: Stack) -> None:
    token = stack.run("edge", "token", "add", "small", "--scope", "submit").stdout.strip().splitlines()[-1]
    for words in (("owner",), ("--", "true")):
        done = stack.run("edge", "run", *words, code=5, EDGE_TOKEN=token)
        assert "need run" in done.stderr
    schedule = {"task": "owner", "every_s": 3600}
    done = stack.run(
        *("curl", "-sX", "PUT", f"{stack.url}/v1/schedules/x", "-H", f"Authorization: Bearer {token}"),
        *("-H", "Content-Type: application/json", "-d", json.dumps(schedule)),
    )
    assert json.loads(done.stdout)["status"] == 403


def test_a_token_with_the_scope_may_run_it(stack: Stack) -> None:
    token = stack.run("edge", "token", "add", "large", "--scope", "run").stdout.strip().splitlines()[-1]
    assert stack.run("edge", "run", "--", "echo", "yes", EDGE_TOKEN=token).stdout == "yes\n"


def test_output_is_there_from_any_byte_after_the_end(stack: Stack) -> None:
    job_id = stack.run("edge", "run", "slow", "--detach").stdout.strip()
    stack.run("edge", "wait", job_id)
    url = f"{stack.url}/v1/jobs/{job_id}/output?offset=7"
    assert stack.run("curl", "-s", url).stdout == "line 2\nline 3\nline 4\n"
    assert stack.run("curl", "-s", url + "&stream=stderr").stdout == ""
    assert "expected" in stack.run("curl", "-s", url + "&stream=both").stdout


def test_a_follower_gets_all_of_a_long_output_that_is_kept(stack: Stack) -> None:
    """A follower gets head and tail of a long output, with the size of the gap between them."""
    script = "yes 0123456789abcdef | head -n 500000; echo end"
    done = stack.run("edge", "run", "--out", "long", "--", "sh", "-c", script)
    assert done.stdout.endswith("end\n")
    assert "bytes of stdout cut" in done.stderr or len(done.stdout) == 17 * 500_000 + 4
    assert (stack.home / "long/stdout.txt").stat().st_size < 1_000_000


def png(width: int, height: int) -> bytes:
    """Return a black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    rows = zlib.compress((b"\0" + b"\0" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
