"""What a job takes from the supply, and what is not booked to it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import Energy, Metering, PowerState, PowerStatus, Reading, Verdict
from edge.worker.power.meter import Meter


def shunt(source: str, prefix: str, watts: float | None) -> tuple[Reading, Reading]:
    """The readings of one shunt."""
    amps = None if watts is None else watts / 5
    verdict = Verdict.UNKNOWN if watts is None else Verdict.OK
    return (
        Reading(source, f"{prefix}amps", amps, "A", verdict=verdict),
        Reading(source, f"{prefix}watts", watts, "W", verdict=verdict),
    )


def receipt(*samples: tuple[Reading, ...], seconds: float = 40.0) -> Energy:
    """The receipt of a body while the governor reported `samples` one after the other."""
    status = PowerStatus(PowerState.NORMAL, "normal", "")
    meter = Meter(1.0, status)
    for number, readings in enumerate(samples, 1):
        meter.note(msgspec.structs.replace(status, monotonic=meter.began + number, readings=readings))
    return meter.end(seconds=seconds, cpu_seconds=2.0, held_s=0.0)


def test_the_shunt_of_the_board_is_measured() -> None:
    """The mean of what was read while the body ran."""
    found = receipt(shunt("s", "", 4.0), shunt("s", "", 6.0))
    assert (found.joules, found.metering) == (200.0, Metering.MEASURED)


def test_the_shunt_of_a_battery_is_measured_while_it_is_drained() -> None:
    """All that the board draws comes out of it then."""
    found = receipt(shunt("s", "battery_", 7.47))
    assert (found.joules, found.metering) == (298.8, Metering.MEASURED)


@pytest.mark.parametrize("samples", [[-7.47], [7.47, -7.47], [-7.47, 7.47]])
def test_what_charges_a_battery_is_not_the_jobs(samples: list[float]) -> None:
    """Where current flows into it, nobody knows what the board drew: the job is estimated."""
    found = receipt(*(shunt("s", "battery_", watts) for watts in samples))
    assert (found.joules, found.metering) == (2.0, Metering.ESTIMATED)


def test_board_and_battery_are_not_added() -> None:
    """The same watts pass both shunts."""
    found = receipt((*shunt("board", "", 5.0), *shunt("battery", "battery_", 5.5)))
    assert (found.joules, found.metering) == (200.0, Metering.MEASURED)


def test_two_supplies_of_the_board_are_added() -> None:
    """Two rails of an INA3221, each with its own shunt."""
    assert receipt((*shunt("rail5", "", 5.0), *shunt("rail3", "", 1.0))).joules == 240.0


def test_an_unknown_current_is_no_measurement() -> None:
    """A shunt that is read backwards, or not at all."""
    assert receipt(shunt("s", "", None)).metering is Metering.ESTIMATED


def test_watts_of_a_charger_or_a_ups_are_not_the_boards() -> None:
    """They stand without the amps of a shunt."""
    assert receipt((Reading("ups", "watts", 80.0, "W", verdict=Verdict.OK),)).metering is Metering.ESTIMATED


@given(st.lists(st.lists(st.tuples(st.sampled_from(["", "battery_"]), st.floats(-500, 500)), max_size=3), max_size=8))
def test_joules_are_never_negative(samples: list[list[tuple[str, float]]]) -> None:
    """Whatever shunts say: a counter of joules only ever rises."""
    found = receipt(
        *(
            tuple(reading for n, (prefix, watts) in enumerate(each) for reading in shunt(f"s{n}", prefix, watts))
            for each in samples
        )
    )
    assert found.joules >= 0
