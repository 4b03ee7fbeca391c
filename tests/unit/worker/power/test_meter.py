"""The energy that a job uses, and the energy that is not booked to it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import Energy, Metering, PowerState, PowerStatus, Reading, Verdict
from edge.worker.power.meter import Meter


def shunt(source: str, prefix: str, watts: float | None) -> tuple[Reading, Reading]:
    """Return the readings of one shunt."""
    amps = None if watts is None else watts / 5
    verdict = Verdict.UNKNOWN if watts is None else Verdict.OK
    return (
        Reading(source, f"{prefix}amps", amps, "A", verdict=verdict),
        Reading(source, f"{prefix}watts", watts, "W", verdict=verdict),
    )


def receipt(*samples: tuple[Reading, ...], seconds: float = 40.0) -> Energy:
    """Return the receipt of a body while the governor reported `samples` one after another."""
    status = PowerStatus(PowerState.NORMAL, "normal", "")
    meter = Meter(1.0, status)
    for number, readings in enumerate(samples, 1):
        meter.note(msgspec.structs.replace(status, monotonic=meter.began + number, readings=readings))
    return meter.end(seconds=seconds, cpu_seconds=2.0, held_s=0.0)


def test_the_shunt_of_the_board_is_measured() -> None:
    """The result is the mean of the readings while the body ran."""
    found = receipt(shunt("s", "", 4.0), shunt("s", "", 6.0))
    assert (found.joules, found.metering) == (200.0, Metering.MEASURED)


def test_the_shunt_of_a_battery_is_measured_while_it_is_drained() -> None:
    """Then all power of the board comes from the battery."""
    found = receipt(shunt("s", "battery_", 7.47))
    assert (found.joules, found.metering) == (298.8, Metering.MEASURED)


@pytest.mark.parametrize("samples", [[-7.47], [7.47, -7.47], [-7.47, 7.47]])
def test_what_charges_a_battery_is_not_the_jobs(samples: list[float]) -> None:
    """While current flows into the battery, the power of the board is unknown, so the energy is estimated."""
    found = receipt(*(shunt("s", "battery_", watts) for watts in samples))
    assert (found.joules, found.metering) == (2.0, Metering.ESTIMATED)


def test_board_and_battery_are_not_added() -> None:
    """The same power passes both shunts."""
    found = receipt((*shunt("board", "", 5.0), *shunt("battery", "battery_", 5.5)))
    assert (found.joules, found.metering) == (200.0, Metering.MEASURED)


def test_two_supplies_of_the_board_are_added() -> None:
    """They are two rails of an INA3221, each with its own shunt."""
    assert receipt((*shunt("rail5", "", 5.0), *shunt("rail3", "", 1.0))).joules == 240.0


def test_an_unknown_current_is_no_measurement() -> None:
    """The shunt has the wrong direction, or cannot be read."""
    assert receipt(shunt("s", "", None)).metering is Metering.ESTIMATED


def test_watts_of_a_charger_or_a_ups_are_not_the_boards() -> None:
    """They come without the current of a shunt."""
    assert receipt((Reading("ups", "watts", 80.0, "W", verdict=Verdict.OK),)).metering is Metering.ESTIMATED


@given(st.lists(st.lists(st.tuples(st.sampled_from(["", "battery_"]), st.floats(-500, 500)), max_size=3), max_size=8))
def test_joules_are_never_negative(samples: list[list[tuple[str, float]]]) -> None:
    """A counter of joules must never fall, whatever the shunts measure."""
    found = receipt(
        *(
            tuple(reading for n, (prefix, watts) in enumerate(each) for reading in shunt(f"s{n}", prefix, watts))
            for each in samples
        )
    )
    assert found.joules >= 0
