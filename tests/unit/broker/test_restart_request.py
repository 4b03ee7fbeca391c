"""A restart request is written after repeated failures, and removed by success."""

from __future__ import annotations

from pathlib import Path

from edge.broker.restart_request import RestartRequest
from edge.core.layout import Layout


def test_the_second_failure_in_a_row_writes_the_request(tmp_path: Path) -> None:
    """A single failure may come from a broker that shuts down. A success between two failures resets the count."""
    layout = Layout(tmp_path, tmp_path / "run")
    request, file = RestartRequest(layout, "gateway"), layout.complaints / "gateway"
    request.make("refused")
    request.withdraw()
    request.make("refused")
    assert not file.exists()
    request.make("refused again")
    assert file.read_text() == "refused again\n"
    request.withdraw()
    assert not file.exists()


def test_a_request_that_was_handled_in_vain_is_written_again(tmp_path: Path) -> None:
    """`edge up` removes the request when it restarts the broker. If that did not help, each failure writes it again."""
    layout = Layout(tmp_path, tmp_path / "run")
    request, file = RestartRequest(layout, "worker-main"), layout.complaints / "worker-main"
    for _ in range(2):
        request.make("no answer in time")
    file.unlink()
    request.make("no answer in time")
    assert file.exists()
    file.unlink()
    request.withdraw()  # a missing file is not an error


def test_a_run_folder_that_refuses_is_no_fault_of_the_caller(tmp_path: Path) -> None:
    """If the request cannot be written, the caller gets no exception and goes on."""
    (tmp_path / "run").write_text("")
    request = RestartRequest(Layout(tmp_path, tmp_path / "run"), "gateway")
    request.make("refused")
    request.make("refused")
