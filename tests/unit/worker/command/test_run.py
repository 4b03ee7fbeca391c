"""A program from its start to its end, as the body of a job."""

from __future__ import annotations

import os
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edge.catalog.commands import any_program
from edge.config import CommandConfig
from edge.config.commands import InputConfig, ParameterConfig
from edge.core.errors import expect_type
from edge.model import FailureCode, InputFile, Progress
from edge.worker.api.checkpoint import forget
from edge.worker.command.failure import ProgramFailed
from edge.worker.command.sandbox import bubblewrap
from edge.worker.process.control import JobCancelled, JobInterrupted, JobTimedOut
from tests.unit.worker.command.attempts import BREAK_OUTS
from tests.unit.worker.command.bench import Bench, needs_bubblewrap, needs_cgroup, sh, until

#: The two ways to contain a program. Each has its own means to end all processes of it.
WAYS = [
    pytest.param({}, marks=needs_bubblewrap, id="sandbox"),
    pytest.param({"sandbox": False, "network": True}, marks=needs_cgroup, id="cgroup"),
]
#: A daemon as textbooks describe it: it forks twice, leaves its session and group, and closes its descriptors.
DAEMON = "(setsid sh -c 'exec <&- >&- 2>&-; trap \"\" TERM HUP; (while :; do touch beat; sleep 0.05; done) &' &) ; "


def value(found: object) -> dict[str, Any]:
    return expect_type(found, dict, "the value of a command")


def failure(bench: Bench, command: CommandConfig, **values: Any) -> ProgramFailed:
    with pytest.raises(ProgramFailed) as caught:
        bench.run(command, values)
    return caught.value


@pytest.mark.parametrize("way", WAYS)
class TestEitherWay:
    """The behaviour that is the same with a sandbox and without one."""

    def test_tells_exit_code_and_last_lines(self, bench: Bench, way: dict[str, Any]) -> None:
        found = value(bench.run(sh("echo out; echo err >&2", **way)))
        assert (found["exit_code"], found["stdout"], found["stderr"]) == (0, "out\n", "err\n")

    def test_leaves_no_folder(self, bench: Bench, way: dict[str, Any]) -> None:
        bench.run(sh("mkdir -p a/b; touch a/b/c; chmod 000 a", **way))
        assert bench.left() == []

    def test_an_exit_code_is_a_failure(self, bench: Bench, way: dict[str, Any]) -> None:
        found = failure(bench, sh("echo why >&2; exit 3", **way)).failure
        assert found.code is FailureCode.EXIT
        assert found.message == "the program ended with exit code 3: why"
        assert found.traceback == "why\n"

    @pytest.mark.parametrize("name", ["KILL", "SEGV", "TERM", "HUP"])
    def test_a_signal_is_another_failure(self, bench: Bench, way: dict[str, Any], name: str) -> None:
        found = failure(bench, sh(f"kill -{name} $$", **way)).failure
        assert found.code is FailureCode.SIGNAL
        assert f"SIG{name}" in found.message

    def test_daemons_end_with_the_program(self, bench: Bench, way: dict[str, Any]) -> None:
        beat = bench.checkpoint_folder / "beat"
        bench.run(sh(f"cd $EDGE_CHECKPOINT; {DAEMON} while [ ! -e beat ]; do sleep 0.01; done", **way))
        last = beat.stat().st_mtime_ns
        time.sleep(0.2)
        assert beat.stat().st_mtime_ns == last

    @pytest.mark.parametrize(
        "why", [JobCancelled("cancelled"), JobInterrupted("the worker stops")], ids=["cancel", "stop"]
    )
    def test_daemons_end_when_the_job_does(self, bench: Bench, way: dict[str, Any], why: JobCancelled) -> None:
        beat = bench.checkpoint_folder / "beat"

        def end() -> None:
            until(beat.exists)
            bench.host.end_by(why)

        thread = threading.Thread(target=end)
        thread.start()
        with pytest.raises(type(why)):
            bench.run(sh(f"trap '' TERM; cd $EDGE_CHECKPOINT; {DAEMON} while :; do sleep 0.05; done", **way))
        thread.join()
        last = beat.stat().st_mtime_ns
        time.sleep(0.2)
        assert beat.stat().st_mtime_ns == last

    def test_a_time_limit_tells_the_last_lines(self, bench: Bench, way: dict[str, Any]) -> None:
        threading.Timer(0.3, bench.host.end_by, [JobTimedOut("longer than 0.3 s")]).start()
        found = failure(bench, sh("echo begun; sleep 30", **way)).failure
        assert (found.code, found.traceback) == (FailureCode.TIME_LIMIT, "begun\n")

    def test_a_hold_stops_all_processes(self, bench: Bench, way: dict[str, Any]) -> None:
        beat = bench.checkpoint_folder / "beat"
        script = f"cd $EDGE_CHECKPOINT; {DAEMON} while [ ! -e go ]; do sleep 0.02; done"
        thread = threading.Thread(target=bench.run, args=[sh(script, **way)])
        thread.start()
        until(beat.exists)
        bench.host.held.clear()
        bench.host.wake()
        until(lambda: bench.host.holds)
        last = beat.stat().st_mtime_ns
        time.sleep(0.3)
        assert beat.stat().st_mtime_ns == last
        bench.host.held.set()
        until(lambda: beat.stat().st_mtime_ns > last)
        (bench.checkpoint_folder / "go").touch()
        thread.join(20)
        assert not thread.is_alive()

    def test_at_critical_it_is_asked_to_end_and_runs_again(self, bench: Bench, way: dict[str, Any]) -> None:
        saved = bench.checkpoint_folder / "saved"
        script = "cd $EDGE_CHECKPOINT; trap 'echo 7 >saved; exit 0' TERM; touch begun; while :; do sleep 0.02; done"

        def leave() -> None:
            until((bench.checkpoint_folder / "begun").exists)
            bench.host.ending = True
            bench.host.wake()

        thread = threading.Thread(target=leave)
        thread.start()
        with pytest.raises(JobInterrupted):
            bench.run(sh(script, **way))
        thread.join()
        assert saved.read_text() == "7\n"

    def test_the_next_attempt_finds_what_was_saved(self, bench: Bench, way: dict[str, Any]) -> None:
        failure(bench, sh("echo 41 >$EDGE_CHECKPOINT/at; exit 1", **way))
        found = value(bench.run(sh("cat $EDGE_CHECKPOINT/at; echo $EDGE_ATTEMPT", **way), attempt=2))
        assert found["stdout"] == "41\n2\n"

    def test_what_was_saved_is_noted_in_the_checkpoint(self, bench: Bench, way: dict[str, Any]) -> None:
        bench.run(sh("echo 41 >$EDGE_CHECKPOINT/at", **way))
        assert b'"at",3' in (bench.config.layout.checkpoints / f"{bench.job_id}.json").read_bytes()

    def test_outputs_become_files_of_the_result(self, bench: Bench, way: dict[str, Any]) -> None:
        bench.run(sh("echo 1 >a.txt; echo 2 >b.txt; echo 3 >c.log", outputs=("*.txt",), **way))
        assert sorted(path.name for path in bench.host.files_folder.iterdir()) == ["a.txt", "b.txt"]

    def test_a_missing_output_is_named_and_nothing_is_kept(self, bench: Bench, way: dict[str, Any]) -> None:
        found = failure(bench, sh("echo 1 >a.txt", outputs=("*.txt", "*.mp4"), **way)).failure
        assert found.code is FailureCode.NO_OUTPUT
        assert "'*.mp4'" in found.message
        assert "'a.txt'" in found.message
        assert not bench.host.files_folder.exists()

    def test_progress_is_reported(self, bench: Bench, way: dict[str, Any]) -> None:
        bench.run(sh("echo EDGE_PROGRESS 3/10 three of them", **way))
        assert bench.host.reported == [Progress(3.0, 10.0, "three of them")]

    def test_an_input_is_given_by_its_name(self, bench: Bench, way: dict[str, Any]) -> None:
        command = CommandConfig(name="c", run=("cat", "{text}"), inputs={"text": InputConfig()}, **way)
        bench.give("text", b"content", name_there="a note.txt")
        assert value(bench.run(command))["stdout"] == "content"

    def test_an_input_keeps_its_content(self, bench: Bench, way: dict[str, Any]) -> None:
        command = CommandConfig(
            name="c",
            run=("sh", "-c", 'chmod 666 "$1"; echo bad >"$1"; rm -f "$1"; true', "c", "{text}"),
            inputs={"text": InputConfig()},
            **way,
        )
        path = bench.give("text", b"content")
        bench.run(command)
        assert path.read_bytes() == b"content"

    def test_an_input_can_be_its_standard_input(self, bench: Bench, way: dict[str, Any]) -> None:
        bench.give("text", b"b\na\n")
        command = CommandConfig(name="c", run=("sort",), inputs={"text": InputConfig()}, stdin="text", **way)
        assert value(bench.run(command))["stdout"] == "a\nb\n"

    def test_standard_input_is_empty_otherwise(self, bench: Bench, way: dict[str, Any]) -> None:
        assert value(bench.run(sh("cat; echo end", **way)))["stdout"] == "end\n"

    def test_closed_descriptors_are_no_end(self, bench: Bench, way: dict[str, Any]) -> None:
        found = bench.run(sh("exec <&- >&- 2>&-; sleep 0.2; echo late >out.txt", outputs=("out.txt",), **way))
        assert value(found)["exit_code"] == 0
        assert (bench.host.files_folder / "out.txt").read_text() == "late\n"

    def test_a_file_that_is_too_large_ends_it(self, bench: Bench, way: dict[str, Any]) -> None:
        found = failure(bench, sh("exec head -c 100000000 /dev/zero >f", disk_mb=1, **way)).failure
        assert found.code is FailureCode.TOO_LARGE

    def test_many_files_that_are_too_large_end_it(self, bench: Bench, way: dict[str, Any]) -> None:
        script = "i=0; while :; do i=$((i+1)); head -c 900000 /dev/zero >f$i; sleep 0.02; done"
        assert failure(bench, sh(script, disk_mb=1, **way)).failure.code is FailureCode.TOO_LARGE

    @pytest.mark.parametrize("place", [".", "$EDGE_CHECKPOINT"])
    def test_folders_deeper_than_any_path_do_no_harm(self, bench: Bench, way: dict[str, Any], place: str) -> None:
        """The folders are removed, and no code of the worker follows them by recursion."""
        script = f'cd {place}; exec perl -e \'for (1..3000) {{ mkdir "d" or die; chdir "d" or die }}\''
        try:
            bench.run(sh(script, **way))
        except ProgramFailed as err:  # the disk was measured meanwhile
            assert err.failure.code is FailureCode.TOO_LARGE  # noqa: PT017 - one of two ends
        assert bench.left() == []
        forget(bench.config.layout.checkpoints, bench.job_id)
        assert not bench.checkpoint_folder.exists()

    def test_the_checkpoint_folder_counts_too(self, bench: Bench, way: dict[str, Any]) -> None:
        script = "cd $EDGE_CHECKPOINT; i=0; while :; do i=$((i+1)); head -c 900000 /dev/zero >f$i; sleep 0.02; done"
        assert failure(bench, sh(script, disk_mb=1, **way)).failure.code is FailureCode.TOO_LARGE

    def test_cpu_time_of_all_is_counted(self, bench: Bench, way: dict[str, Any]) -> None:
        bench.run(sh("(sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done') ", **way))
        assert bench.host.usage is not None
        assert bench.host.usage.cpu_s > 0.05

    def test_endless_output_is_bounded(self, bench: Bench, way: dict[str, Any]) -> None:
        found = value(bench.run(sh("yes 0123456789abcdef | head -c 50000000; echo end", **way)))
        kept = (bench.host.files_folder / "stdout.txt").read_bytes()
        assert found["stdout_bytes"] == 50_000_004
        assert found["stdout"].endswith("end\n")
        assert len(kept) < 1_000_000
        assert b"bytes cut ...]" in kept

    def test_a_program_that_is_not_there_is_refused(self, bench: Bench, way: dict[str, Any]) -> None:
        found = failure(bench, CommandConfig(name="c", run=("no-such-program",), **way)).failure
        assert found.code is FailureCode.REFUSED
        assert "'no-such-program'" in found.message

    def test_its_variables_are_its_own(
        self, bench: Bench, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGE_BROKER_PASSWORD", "secret")
        found = value(bench.run(sh("env", env={"MINE": "1"}, **way)))["stdout"]
        assert "secret" not in found
        assert "MINE=1\n" in found

    def test_a_memory_limit_ends_it_or_refuses_it(self, bench: Bench, way: dict[str, Any]) -> None:
        eat = "exec tail /dev/zero"
        found = failure(bench, sh(eat, memory_mb=32, **way)).failure
        assert found.code in (FailureCode.OUT_OF_MEMORY, FailureCode.REFUSED)
        assert "memory_mb" in found.message

    def test_a_fork_bomb_is_contained(self, bench: Bench, way: dict[str, Any]) -> None:
        threading.Timer(1.0, bench.host.end_by, [JobTimedOut("long enough")]).start()
        bomb = "touch $EDGE_CHECKPOINT/b; f() { f | f & }; f 2>/dev/null; while :; do sleep 0.1 || true; done"
        found = failure(bench, sh(bomb, processes=64, **way)).failure
        assert found.code in (FailureCode.TIME_LIMIT, FailureCode.REFUSED, FailureCode.EXIT)
        assert bench.left() == []


@needs_bubblewrap
class TestSandbox:
    """The things that a program cannot do in its sandbox."""

    @pytest.mark.parametrize(
        "attempt",
        BREAK_OUTS,
    )
    def test_an_attempt_to_break_out_fails(self, bench: Bench, attempt: str) -> None:
        found = failure(bench, sh(attempt, env={"SECRET": "1"} if "SECRET" not in attempt else {}, memory_mb=None))
        assert found.failure.code in (FailureCode.EXIT, FailureCode.SIGNAL, FailureCode.TOO_LARGE)
        assert not Path("/usr/bin/x").exists()
        assert Path("/usr/bin/env").exists()

    def test_sees_no_state_of_the_appliance(self, bench: Bench, tmp_path: Path) -> None:
        bench.config.root.mkdir(exist_ok=True)
        (bench.config.root / "tokens.json").write_text("secret")
        assert value(bench.run(sh(f"cat {tmp_path}/root/tokens.json || echo none")))["stdout"] == "none\n"

    def test_state_stays_hidden_where_the_owner_allows_a_folder_around_it(self, bench: Bench, tmp_path: Path) -> None:
        bench.config.root.mkdir(exist_ok=True)
        (bench.config.root / "tokens.json").write_text("secret")
        (tmp_path / "clip").write_text("clip")
        tmp_path.chmod(0o755)  # if root runs the worker, programs run as nobody
        script = f"cat {tmp_path}/clip; cat {tmp_path}/root/tokens.json || echo none"
        assert value(bench.run(sh(script, reads=(str(tmp_path),))))["stdout"] == "clipnone\n"

    def test_sees_only_its_own_processes(self, bench: Bench) -> None:
        found = value(bench.run(sh("ls /proc | grep -c '^[0-9]*$'")))["stdout"]
        assert int(found) < 10

    def test_has_the_loopback_device_alone(self, bench: Bench) -> None:
        assert value(bench.run(sh("tail -n +3 /proc/net/dev | cut -d: -f1")))["stdout"].split() == ["lo"]

    def test_sees_the_network_where_the_owner_allows_it(self, bench: Bench) -> None:
        with_network = value(bench.run(sh("cat /proc/net/dev", network=True)))["stdout"]
        assert with_network.count("\n") >= Path("/proc/net/dev").read_text().count("\n")

    def test_has_no_capability(self, bench: Bench) -> None:
        found = value(bench.run(sh("grep ^Cap /proc/self/status")))["stdout"]
        assert {line.split()[1] for line in found.splitlines()} == {"0" * 16}

    def test_its_tmp_is_its_own(self, bench: Bench) -> None:
        bench.run(sh("touch /tmp/edge-test-of-a-sandbox"))
        assert not Path("/tmp/edge-test-of-a-sandbox").exists()

    def test_is_refused_where_bubblewrap_is_missing(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.worker.command.sandbox.bubblewrap", lambda: None)
        found = failure(bench, sh("true")).failure
        assert found.code is FailureCode.REFUSED
        assert "bubblewrap" in found.message

    def test_is_refused_with_the_reason_where_it_cannot_be_made(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.worker.command.sandbox.bubblewrap", lambda: "/bin/false")
        found = failure(bench, sh("true")).failure
        assert found.code is FailureCode.REFUSED
        assert "sandbox" in found.message

    @pytest.mark.parametrize(
        "make",
        [
            "ln -s /etc/passwd out.txt",
            "ln -s / out.txt",
            "mkfifo out.txt",
            "mkdir out.txt",
            "ln -s ../../../tokens.json out.txt",
            "ln -s out.txt out.txt",
        ],
    )
    def test_an_output_that_is_no_plain_file_is_refused(self, bench: Bench, make: str) -> None:
        found = failure(bench, sh(make, outputs=("out.txt",))).failure
        assert found.code is FailureCode.NO_OUTPUT
        assert not bench.host.files_folder.exists()

    @pytest.mark.parametrize("name", ["-rf.txt", ".hidden.txt", "a\nb.txt", "$(id).txt", "é.txt", "a;b.txt"])
    def test_an_output_with_an_odd_name_is_refused(self, bench: Bench, name: str) -> None:
        command = CommandConfig(name="c", run=("touch", "--", name), outputs=("*.txt",))
        assert failure(bench, command).failure.code is FailureCode.NO_OUTPUT

    def test_an_output_whose_name_is_not_utf8_is_refused_in_words(self, bench: Bench) -> None:
        found = failure(bench, sh("touch \"$(printf 'out\\377')\"", outputs=("out*",))).failure
        assert found.code is FailureCode.NO_OUTPUT
        assert "1 to 200 of letters" in found.message

    @pytest.mark.parametrize("argv", [["echo", "é" * 100_000], ["echo", *["x" * 30_000] * 200]])
    def test_arguments_that_are_too_long_are_reported(self, bench: Bench, argv: list[str]) -> None:
        found = failure(bench, any_program(), argv=argv).failure
        assert found.code is FailureCode.BAD_ARGUMENTS
        assert "longer than the kernel takes" in found.message

    def test_any_program_gets_its_words_as_they_are(self, bench: Bench) -> None:
        words = ["printf", "%s|", "a b", "$(id)", "; rm -rf /", "`id`", "*", "--", "-x", "\n", "'", '"', "\\"]
        found = value(bench.run(any_program(), {"argv": words}))
        assert found["stdout"] == "".join(f"{word}|" for word in words[2:])

    def test_any_program_is_not_seen_where_only_the_worker_is(self, bench: Bench, tmp_path: Path) -> None:
        """A submitter must not bring a file of the board into the sandbox by naming it as the program."""
        program = tmp_path / "program"
        program.write_text("#!/bin/sh\necho secret\n")
        program.chmod(0o755)
        tmp_path.chmod(0o755)
        assert failure(bench, any_program(), argv=[str(program)]).failure.code is FailureCode.EXIT
        assert value(bench.run(CommandConfig(name="c", run=(str(program),))))["stdout"] == "secret\n"

    def test_another_attempt_begins_its_output_anew(self, bench: Bench) -> None:
        """Readers must not see two attempts as one."""
        failure(bench, sh("yes | head -c 1000000; exit 1"))
        bench.run(sh("echo two"), attempt=2)
        folder = bench.config.layout.output / "main" / bench.job_id
        assert [path.read_bytes() for path in (folder / "stdout").iterdir()] == [b"two\n"]

    def test_any_program_leaves_its_files_without_its_inputs(self, bench: Bench) -> None:
        bench.give("file1", b"content", name_there="clip.mov")
        bench.run(any_program(), {"argv": ["cp", "clip.mov", "copy.mov"]})
        assert [path.name for path in bench.host.files_folder.iterdir()] == ["copy.mov"]

    def test_memory_peak_and_written_bytes_are_reported(self, disk_bench: Bench) -> None:
        disk_bench.run(sh("head -c 20000000 /dev/zero | sort | wc -c; head -c 3000000 /dev/urandom >f; sync f"))
        usage = disk_bench.host.usage
        assert usage is not None
        assert (usage.peak_bytes or 0) > 20_000_000
        assert (usage.written_bytes or 0) >= 3_000_000

    def test_the_worker_inherits_no_orphans_afterwards(self, bench: Bench) -> None:
        bench.run(sh("true"))
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        states = [Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] for pid in children]
        assert "Z" not in states


class TestParameters:
    """A parameter fills one argument, and never becomes an option."""

    def test_fills_a_part_of_an_argument(self, bench: Bench) -> None:
        command = CommandConfig(
            name="c",
            run=("echo", "scale={width}:-1"),
            parameters={"width": ParameterConfig(type="int", min=64)},
            sandbox=needs_bubblewrap.args[0] is False,
            network=needs_bubblewrap.args[0] is not False,
        )
        assert value(bench.run(command, {"width": 640}))["stdout"] == "scale=640:-1\n"

    def test_the_file_of_an_input_that_is_gone_is_a_failure(self, bench: Bench) -> None:
        bench.files["text"] = InputFile(sha256(b"gone").hexdigest())
        command = CommandConfig(name="c", run=("cat", "{text}"), inputs={"text": InputConfig()})
        assert failure(bench, command).failure.code is FailureCode.NO_INPUT


@needs_bubblewrap
class TestReads:
    """`reads` opens the paths that the owner names, and never state or secrets."""

    @pytest.mark.parametrize("name", ["/etc/shadow", "/etc/ssh", "ROOT", "ROOT/files", "RUN", "LINK"])
    def test_state_and_secrets_are_refused(self, bench: Bench, tmp_path: Path, name: str) -> None:
        """This holds for links to them too."""
        layout = bench.config.layout
        (layout.root / "files").mkdir(parents=True)
        layout.run.mkdir()
        (tmp_path / "link").symlink_to(layout.root)
        places = {"ROOT": layout.root, "ROOT/files": layout.root / "files", "RUN": layout.run}
        path = str(places.get(name, tmp_path / "link" if name == "LINK" else name))
        found = failure(bench, sh("true", reads=(path,))).failure
        assert found.code is FailureCode.REFUSED
        assert "secret" in found.message

    def test_a_folder_around_secrets_shows_none(self, bench: Bench) -> None:
        """To name `/etc` again does not show its shadow file."""
        assert failure(bench, sh("grep -q . /etc/shadow", reads=("/etc",))).failure.code is FailureCode.EXIT


def test_a_change_below_a_folder_is_noted(bench: Bench) -> None:
    """Progress is also noticed if a program changes files in a tree of folders."""
    if bubblewrap() is None:
        pytest.skip("bubblewrap is not installed")
    bench.run(sh("mkdir -p $EDGE_CHECKPOINT/a/b; echo 1 >$EDGE_CHECKPOINT/a/b/at"))
    assert b'"a/b/at",2' in (bench.config.layout.checkpoints / f"{bench.job_id}.json").read_bytes()
