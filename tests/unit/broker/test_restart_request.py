"""A complaint about the broker is laid out by what repeats, and taken back by what works."""

from __future__ import annotations

from pathlib import Path

from edge.broker.restart_request import RestartRequest
from edge.core.layout import Layout


def test_the_second_failure_in_a_row_is_laid_out(tmp_path: Path) -> None:
    """One may be a broker that is going down; success between two makes them strangers."""
    layout = Layout(tmp_path, tmp_path / "run")
    complaint, file = RestartRequest(layout, "gateway"), layout.complaints / "gateway"
    complaint.make("refused")
    complaint.withdraw()
    complaint.make("refused")
    assert not file.exists()
    complaint.make("refused again")
    assert file.read_text() == "refused again\n"
    complaint.withdraw()
    assert not file.exists()


def test_it_is_laid_out_anew_when_whoever_acts_took_it_away(tmp_path: Path) -> None:
    """The broker was started again for it, in vain: each further failure says so once more."""
    layout = Layout(tmp_path, tmp_path / "run")
    complaint, file = RestartRequest(layout, "worker-main"), layout.complaints / "worker-main"
    for _ in range(2):
        complaint.make("no answer in time")
    file.unlink()
    complaint.make("no answer in time")
    assert file.exists()
    file.unlink()
    complaint.withdraw()  # nothing to take back is no fault


def test_a_run_folder_that_refuses_is_no_fault_of_the_caller(tmp_path: Path) -> None:
    """Whoever complains has work to do."""
    (tmp_path / "run").write_text("")
    complaint = RestartRequest(Layout(tmp_path, tmp_path / "run"), "gateway")
    complaint.make("refused")
    complaint.make("refused")
