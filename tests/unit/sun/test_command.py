"""`make simulate`: its options reach the simulation, and bad ones get one line."""

from __future__ import annotations

from click.testing import CliRunner

from tests.sun.__main__ import main
from tests.sun.arrivals import Kind, arrivals
from tests.sun.models import BOARDS, BatteryModel, Panel
from tests.sun.rules import UntilItDies
from tests.sun.simulation import Outcome, Simulation
from tests.sun.weather import made_up
from tests.sun.workers import Scaled

DAYS = 10


def with_cores(cores: int) -> Outcome:
    """Simulate ten days with ample sun, and with more jobs than one core can do within the hour that they count."""
    weather, battery = made_up(0.0, clearness=0.9), BatteryModel(400.0)
    sun = Panel(200.0).series(weather)
    jobs = arrivals((Kind("job", 120.0, 20.0, worth_h=1.0),), 1, days=DAYS)
    one = Simulation(
        weather,
        sun,
        jobs,
        battery=battery,
        board=BOARDS["pi-4b"],
        cores=cores,
        workers=Scaled(cores) if cores > 1 else None,
        minutes=DAYS * 1440,
    )
    return one.run(UntilItDies())


def test_with_four_cores_the_scaled_workers_do_more_jobs_in_time() -> None:
    one, four = with_cores(1), with_cores(4)
    assert one.part < 60
    assert four.part > 90


def test_cores_is_an_option_of_the_command() -> None:
    ran = CliRunner().invoke(
        main, ["--place", "0", "--cores", "4", "--jobs", "2", "--rule", "dies", "--panel", "50"], catch_exceptions=False
    )
    assert ran.exit_code == 0
    assert "run until it dies" in ran.stdout


def test_help_explains_each_option() -> None:
    """No option stands there with its type only."""
    for option in main.params:
        assert getattr(option, "help", None), option.name


def test_bad_input_gets_one_line_and_no_traceback() -> None:
    """Also with the options that need measured years of sun."""
    for arguments in (["--place", "nowhere"], ["--place", "80"]):
        ran = CliRunner().invoke(main, arguments)
        assert ran.exit_code == 2
        assert arguments[1] in ran.stderr
        assert "Traceback" not in ran.stderr
