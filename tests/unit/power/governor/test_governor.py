"""Tests of the governor turn by turn, on files in place of a board."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from edge.config.power import CriticalConfig, PolicyConfig, PowerConfig
from edge.core.layout import Layout
from edge.model import PowerState, PowerStatus
from edge.power import pause_order, status
from edge.power.governor import pause, persisted_state
from edge.power.governor.governor import Governor
from edge.power.policy.policy import PolicyState
from edge.power.policy.rules import STATES
from edge.power.simulate import simulate
from edge.power.sources.clock import ClockConfig
from edge.power.sources.power_supply import PowerSupplyConfig
from edge.power.sources.simulated import SimulatedConfig


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    for folder in (layout.policy.parent, layout.simulated.parent, layout.pause.parent):
        folder.mkdir(parents=True)
    return layout


class Board:
    """A governor with a turn each ten seconds of a simulated clock, which starts at the current time."""

    def __init__(self, layout: Layout, **fields: Any) -> None:
        self.layout, self.config = layout, PowerConfig(**fields)
        self.governor = Governor(self.config, layout, wake=lambda: None)
        self.now = time.monotonic()

    def turn(self, times: int = 1) -> PowerState:
        for _ in range(times):
            self.now += 10.0
            self.governor.look_again()
            self.governor.turn(self.now)
        return status.read(self.layout.power).state


def supply(root: Path, online: int) -> None:
    (root / "ac").mkdir(parents=True, exist_ok=True)
    (root / "ac" / "type").write_text("Mains\n")
    (root / "ac" / "online").write_text(f"{online}\n")
    (root / "bat").mkdir(exist_ok=True)
    (root / "bat" / "type").write_text("Battery\n")
    (root / "bat" / "capacity").write_text("75\n")


def test_a_report_that_cannot_be_written_removes_the_old_one(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a full tmpfs no reader may still believe `normal`. The governor runs on and reports once there is room."""
    board = Board(layout, sources=(SimulatedConfig(start="normal"),))
    assert board.turn() is PowerState.NORMAL
    stop = layout.power.with_name(f".{layout.power.name}.tmp")
    stop.mkdir()  # no file can be written
    simulate(board.config, layout, "low")
    assert board.turn(3) is PowerState.UNKNOWN
    assert capsys.readouterr().err.count("nothing starts until it can be written") == 1
    assert board.governor.wait_s(board.now) is not None
    stop.rmdir()
    assert board.turn() is PowerState.LOW


def test_a_supply_that_is_lost_is_reported_at_once(layout: Layout, tmp_path: Path) -> None:
    """It is reported although the state stays `normal`: a person sees it, and jobs now draw from the battery."""
    supply(tmp_path / "ps", 1)
    board = Board(layout, sources=(PowerSupplyConfig(root=tmp_path / "ps"),))
    assert board.turn(3) is PowerState.NORMAL
    supply(tmp_path / "ps", 0)
    assert board.turn() is PowerState.NORMAL
    assert {r.what: r.value for r in status.read(layout.power).readings}["supply"] == 0.0


def test_a_dry_run_goes_on_with_power(layout: Layout) -> None:
    """A person who tries out `critical` needs no restart afterwards."""
    board = Board(
        layout, sources=(SimulatedConfig(start="critical"),), critical=CriticalConfig(dry_run=True, grace_s=0)
    )
    assert board.turn() is PowerState.CRITICAL
    simulate(board.config, layout, "normal")
    assert board.turn() is PowerState.NORMAL


def test_a_restart_at_good_power_does_not_shut_down(layout: Layout) -> None:
    """The state of the earlier governor is still critical until power was good for long enough."""

    def board(state: Literal["critical", "normal"], **critical: Any) -> Board:
        source = SimulatedConfig(start=state, resume_after_s=600.0)
        return Board(layout, sources=(source,), critical=CriticalConfig(**critical))

    board("critical", action="none").turn(3)
    good = board("normal", dry_run=True)
    assert good.turn(3) is PowerState.CRITICAL
    assert good.governor._shutdown is None
    simulate(good.config, layout, "critical")
    good.turn(1)
    assert good.governor._shutdown is not None


def test_power_that_comes_back_does_not_stop_a_shutdown(layout: Layout, tmp_path: Path) -> None:
    """Units are already stopped, so the board shuts down and keeps reporting the reason."""
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    critical = CriticalConfig(grace_s=0, systemctl=str(program), wake_after_s=None)
    board = Board(layout, sources=(SimulatedConfig(start="critical"),), critical=critical)
    assert board.turn() is PowerState.CRITICAL
    simulate(board.config, layout, "normal")
    assert board.turn() is PowerState.CRITICAL
    assert status.read(layout.power).reason == "going down: simulated power is critical (as configured)"
    assert board.governor._shutdown is not None
    deadline = time.monotonic() + 30
    while board.governor._shutdown.poll(board.now) is not None:  # so that no program still runs after the test
        assert time.monotonic() < deadline


def test_a_pause_that_is_over_and_stays_on_a_card_that_takes_no_writes(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause no longer counts, and the failed removal of its file does not end the governor."""

    def refuse(path: Path, **_: object) -> None:
        raise OSError(30, "Read-only file system", str(path))

    board = Board(layout, sources=(SimulatedConfig(start="normal"),), policy=PolicyConfig())
    layout.pause.write_bytes(
        msgspec.json.encode({"for_s": 1.0, "by": "hand", "wall": 0.0, "monotonic": 0.0, "boot_id": "earlier"})
    )
    monkeypatch.setattr(Path, "unlink", refuse)
    assert board.turn() is PowerState.NORMAL


def test_ages_are_those_of_now(layout: Layout) -> None:
    """The readings of a report that is 20 s old are 20 s old."""
    board = Board(layout, sources=(SimulatedConfig(start="normal"),))
    board.turn()
    found = status.read(layout.power)
    found = msgspec.structs.replace(found, monotonic=time.monotonic() - 20.0)
    assert [round(each.age_s) for each in status.with_current_ages(found).readings] == [20]


def test_steady_power_is_reported_again_on_a_timer(layout: Layout, tmp_path: Path) -> None:
    """Otherwise work would stop after `valid_s`. In fifteen turns the report is never older than half of that time."""
    supply(tmp_path / "ps", 1)
    board = Board(layout, sources=(PowerSupplyConfig(root=tmp_path / "ps"),))
    now = board.now
    for turn in range(15):
        board.governor.turn(now)
        wait_s = board.governor.wait_s(now)
        assert wait_s is not None
        assert wait_s > 0
        written = msgspec.json.decode(layout.power.read_bytes(), type=PowerStatus)
        assert written.valid_s > 0
        assert now - written.monotonic < written.valid_s / 2, f"turn {turn}"
        now += wait_s
    assert now - board.now > written.valid_s


def test_the_reason_at_low_power_follows_the_charge(layout: Layout, tmp_path: Path) -> None:
    """At 19 %, then 16 %, the reason has the current number, not that of the time when power became low."""
    supply(tmp_path / "ps", 0)
    board = Board(layout, sources=(PowerSupplyConfig(root=tmp_path / "ps"),))
    (tmp_path / "ps" / "bat" / "capacity").write_text("19\n")
    assert board.turn(3) is PowerState.LOW
    assert "charge 19 %" in status.read(layout.power).reason
    (tmp_path / "ps" / "bat" / "capacity").write_text("16\n")
    board.turn()  # earlier than the next write that is due by time
    found = status.read(layout.power)
    assert "charge 16 %" in found.reason
    assert {r.what: r.value for r in found.readings}["charge"] == 16.0


def test_the_time_of_day_is_no_range_of_a_day(layout: Layout, tmp_path: Path) -> None:
    """The summary has the ranges of measured quantities, but not of the seconds since 1970."""
    supply(tmp_path / "ps", 1)
    board = Board(layout, sources=(PowerSupplyConfig(root=tmp_path / "ps"), ClockConfig()))
    board.turn(3)
    board.governor.close()
    (file,) = layout.days.iterdir()
    assert set(msgspec.json.decode(file.read_bytes())["ranges"]) == {"power_supply/charge", "power_supply/supply"}


def test_a_level_is_saved_before_it_is_reported(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A governor that is killed in between returns with the dwell that it reported."""
    reported: list[tuple[PowerState, PowerState]] = []
    write = status.write

    def written(path: Path, report: PowerStatus) -> None:
        kept = persisted_state.read(layout.policy, {"simulated"})
        reported.append((report.state, STATES[kept.level]))
        write(path, report)

    monkeypatch.setattr(status, "write", written)
    board = Board(layout, sources=(SimulatedConfig(start="normal"),))
    board.turn()
    simulate(board.config, layout, "low")
    board.turn(3)
    assert reported == [(PowerState.NORMAL, PowerState.NORMAL), (PowerState.LOW, PowerState.LOW)]


def test_a_pause_does_not_hide_critical_power(layout: Layout) -> None:
    """A paused worker keeps its job in memory. At critical power it must save the job and stop."""
    board = Board(layout, sources=(SimulatedConfig(start="normal"),), critical=CriticalConfig(action="none"))
    pause.set_pause(layout.pause)
    assert board.turn() is PowerState.PAUSED
    simulate(board.config, layout, "critical")
    assert board.turn(3) is PowerState.CRITICAL


def test_a_report_that_can_neither_be_written_nor_removed_ends_the_governor(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers believe the old report while its process lives, so the process must end."""
    board = Board(layout, sources=(SimulatedConfig(start="normal"),))
    board.turn()

    def refuse(_path: Path, _report: PowerStatus) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(status, "write", refuse)
    simulate(board.config, layout, "low")
    with pytest.raises(OSError, match="Read-only"):
        board.turn(3)


def test_the_state_of_another_boot_does_not_count(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its times belong to a monotonic clock that has started again since."""
    persisted_state.write(layout.policy, PolicyState(now=5.0, started=True))
    assert persisted_state.read(layout.policy, set()).started
    monkeypatch.setattr(persisted_state, "boot_id", lambda: "another boot")
    assert persisted_state.read(layout.policy, set()) == PolicyState()


class TestOrdersOfTheGateway:
    def test_pause_and_resume(self, layout: Layout) -> None:
        """An order is carried out at the next turn. The pause is durable, and its reason names the person."""
        board = Board(layout, sources=(SimulatedConfig(start="normal"),))
        assert board.turn() is PowerState.NORMAL
        pause_order.give(layout.pause_order, for_s=600.0, by="anna")
        assert board.turn() is PowerState.PAUSED
        assert status.read(layout.power).reason == "paused by anna"
        pause_order.give(layout.pause_order, resume=True, by="anna")
        assert board.turn() is PowerState.NORMAL
        assert pause.current(layout.pause) is None

    def test_an_order_counts_once(self, layout: Layout) -> None:
        """The file of an order stays, but causes no second pause, neither after `edge resume` nor in a new governor."""
        pause_order.give(layout.pause_order, by="anna")
        board = Board(layout, sources=(SimulatedConfig(start="normal"),))
        assert board.turn() is PowerState.NORMAL
        pause_order.give(layout.pause_order, by="anna")
        assert board.turn() is PowerState.PAUSED
        pause.clear(layout.pause)
        assert board.turn() is PowerState.NORMAL

    def test_a_longer_pause_is_reported_at_once(self, layout: Layout) -> None:
        """It is reported although the state stays `paused`, so that readers see the new end."""
        board = Board(layout, sources=(SimulatedConfig(start="normal"),))
        pause_order.give(layout.pause_order, for_s=600.0, by="anna")
        assert board.turn() is PowerState.PAUSED
        assert "in 10 min" in status.read(layout.power).until
        pause_order.give(layout.pause_order, for_s=1200.0, by="anna")
        assert board.turn() is PowerState.PAUSED
        assert "in 20 min" in status.read(layout.power).until

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"resume": 3}', b"[]"])
    def test_what_is_no_order_changes_nothing(self, layout: Layout, content: bytes) -> None:
        """The gateway faces the network, so nothing that it writes there may stop the governor."""
        board = Board(layout, sources=(SimulatedConfig(start="normal"),))
        layout.pause_order.parent.mkdir(parents=True)
        layout.pause_order.write_bytes(content)
        assert board.turn() is PowerState.NORMAL
