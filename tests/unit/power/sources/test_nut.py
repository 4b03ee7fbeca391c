"""Tests of the source of kind `nut`: the words and numbers of a UPS."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config.power import PowerConfig
from edge.model import Verdict
from edge.power.inputs.limits import Level
from edge.power.sources.nut import Nut, NutConfig
from tests.power_day import Sampled
from tests.source_inputs import program, read


@pytest.mark.parametrize(
    ("status", "supply", "verdict"),
    [("OL CHRG", 1.0, Verdict.OK), ("OB DISCHRG", 0.0, Verdict.OK), ("OB LB", 0.0, Verdict.CRITICAL),
     ("OL LB", 1.0, Verdict.LOW), ("FSD OB LB", 0.0, Verdict.CRITICAL), ("BYPASS", None, Verdict.OK)],
)  # fmt: skip
def test_status_words(tmp_path: Path, status: str, supply: float | None, verdict: Verdict) -> None:
    """OB with LB is critical, as in upsmon. LB on line is low. Without OL and OB the supply is unknown."""
    seen = read(Nut(NutConfig(upsc=program(tmp_path / "upsc", f"echo 'ups.status: {status}'"))))
    assert seen["supply"].value == supply
    assert seen["low_battery"].verdict is verdict


def test_an_absurd_number_makes_only_its_own_reading_unknown(tmp_path: Path) -> None:
    """Examples are nan, a text and a negative number."""
    body = "printf 'battery.charge: nan\\nbattery.runtime: soon\\nups.realpower: -5\\nups.status: OL\\n'"
    seen = read(Nut(NutConfig(upsc=program(tmp_path / "upsc", body))))
    assert [seen[what].value for what in ("charge", "runtime", "watts", "supply")] == [None, None, None, 1.0]


class Upsc:
    """A program in place of upsc. It prints the status and the values that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.path, self.folder = str(folder / "upsc"), folder
        program(folder / "upsc", f"cat {folder}/answer")

    def reports(self, status: str, **values: object) -> None:
        """Set the answer of the program. An underscore in the name of a value stands for a dot."""
        lines = [f"ups.status: {status}", *(f"{key.replace('_', '.')}: {text}" for key, text in values.items())]
        (self.folder / "answer").write_text("\n".join(lines) + "\n")


@pytest.fixture
def upsc(tmp_path: Path) -> Upsc:
    return Upsc(tmp_path)


def day_of(upsc: Upsc, **fields: object) -> Sampled:
    return Sampled(PowerConfig(sources=(NutConfig(upsc=upsc.path, **fields),)))  # type: ignore[arg-type]


@pytest.mark.parametrize("status", ["OL", "OL CHRG", "OL RB", "OL HB", "OL TRIM", "OL BOOST CHRG"])
def test_words_that_do_not_forbid_work(upsc: Upsc, status: str) -> None:
    """A battery that should be replaced, or mains voltage that is a little off, still allows surplus."""
    upsc.reports(status, battery_charge=100)
    assert day_of(upsc).samples(3) is Level.SURPLUS


@pytest.mark.parametrize(
    ("status", "level"),
    [
        ("OL BYPASS", Level.NORMAL),
        ("OL ALARM", Level.NORMAL),
        ("OL TEST", Level.NORMAL),
        ("OL SOMETHINGNEW", Level.NORMAL),
        ("OL CAL", Level.LOW),  # the charge has no meaning while the battery is drained on purpose
        ("OL OVER", Level.LOW),  # an overloaded UPS must not get more load
        ("OL OFF", Level.LOW),  # a contradiction: the output is off, but the board has power
        ("OL COMMBAD", Level.LOW),  # the driver has lost the UPS, so all other values are old
        ("CAL", Level.LOW),
        ("BYPASS", Level.LOW),
    ],
)
def test_the_reason_names_words_that_forbid_surplus(upsc: Upsc, status: str, level: Level) -> None:
    """The UPS is at 100 %, so only its status can forbid surplus."""
    upsc.reports(status, battery_charge=100)
    day = day_of(upsc)
    assert day.samples(6) is level
    assert status.rsplit(maxsplit=1)[-1] in day.reason


def test_an_output_that_is_off_contradicts_the_power_that_is_there(upsc: Upsc) -> None:
    """With OL and OFF, one of the two words is wrong, because the board runs. So the supply is unknown."""
    upsc.reports("OL OFF", battery_charge=100)
    found = read(Nut(NutConfig(upsc=upsc.path)))["supply"]
    assert found.value is None
    assert "OL and OFF contradict" in found.reason


def test_the_reason_has_the_text_of_an_alarm(upsc: Upsc) -> None:
    """The text is the value of `ups.alarm`."""
    upsc.reports("OL ALARM", ups_alarm="Battery pack missing!")
    seen = read(Nut(NutConfig(upsc=upsc.path)))
    assert seen["condition"].reason == "ALARM: the UPS has an alarm; Battery pack missing!"


def test_on_line_and_discharging_with_a_falling_charge_is_on_battery(upsc: Upsc) -> None:
    """Some models report OL DISCHRG while they run on battery. A falling charge proves it."""
    source = Nut(NutConfig(upsc=upsc.path))
    supplies = []
    for number, charge in enumerate((62, 60, 56, 50)):
        upsc.reports("OL DISCHRG", battery_charge=charge, battery_runtime=300)
        supplies.append(read(source, 10.0 * number)["supply"])
    assert [supply.value for supply in supplies] == [None, 0.0, 0.0, 0.0]
    assert "62 %" in supplies[0].reason
    assert "fell by 12 points to 50 %" in supplies[-1].reason
    assert "OL and DISCHRG" in supplies[-1].reason


def test_on_line_and_discharging_goes_critical_on_battery(upsc: Upsc) -> None:
    """At 5 % power is critical, and the supply is reported as lost."""
    day = day_of(upsc)
    for charge in range(62, 4, -3):
        upsc.reports("OL DISCHRG", battery_charge=charge, battery_runtime=charge * 20)
        level = day.samples(1)
    upsc.reports("OL DISCHRG", battery_charge=5, battery_runtime=60)
    level = day.samples(3)
    assert level is Level.CRITICAL
    assert {r.what: r.value for r in day.sources[0].read(day.now + 10)}["supply"] == 0.0


def test_a_pulled_plug_is_noticed_although_the_ups_reports_charging(upsc: Upsc) -> None:
    """If the charge falls with OL CHRG, work stops at once, and the board shuts down before the battery is empty."""
    day, levels, supplies = day_of(upsc), [], []
    for charge in range(80, 1, -3):
        upsc.reports("OL CHRG", battery_charge=charge)
        levels.append(day.samples(3))
        supplies.append(read(day.sources[0], day.now + 1)["supply"].value)
    assert (levels[0], supplies[0]) == (Level.NORMAL, 1.0)
    assert set(supplies[1:]) == {None}
    assert levels[1] is Level.LOW
    assert levels[-1] is Level.CRITICAL


def test_a_ups_that_charges_at_5_percent_is_not_critical(upsc: Upsc) -> None:
    """Mains is back after a long outage, so a shutdown would serve no purpose."""
    upsc.reports("OL CHRG", battery_charge=5)
    assert day_of(upsc).samples(10) is Level.LOW


def test_runtime_confirms_an_empty_battery(upsc: Upsc) -> None:
    """A first answer of OB DISCHRG with 0 % and 0 s is critical even without LB."""
    upsc.reports("OB DISCHRG", battery_charge=0, battery_runtime=0)
    day = day_of(upsc)
    assert day.samples(3) is Level.CRITICAL
    seen = read(Nut(NutConfig(upsc=upsc.path)))
    assert (seen["charge"].value, seen["low_battery"].verdict) == (0.0, Verdict.CRITICAL)


def test_zero_percent_without_another_sign_stays_unknown(upsc: Upsc) -> None:
    """It is more often a bad bus than an empty battery."""
    upsc.reports("OB DISCHRG", battery_charge=0)
    assert read(Nut(NutConfig(upsc=upsc.path)))["charge"].value is None
    upsc.reports("OL", battery_charge=0, battery_runtime=0)
    assert read(Nut(NutConfig(upsc=upsc.path)))["charge"].value is None


@pytest.mark.parametrize(
    ("status", "values", "verdict"),
    [
        ("OB", {"battery_runtime": 20, "battery_runtime_low": 120}, Verdict.CRITICAL),
        ("OB", {"battery_runtime": 20}, Verdict.CRITICAL),
        ("OB", {"battery_runtime": 200, "battery_runtime_low": 120}, Verdict.OK),
        ("OB", {"battery_runtime": 200, "battery_runtime_low": 300}, Verdict.CRITICAL),
        ("OL", {"battery_runtime": 20, "battery_runtime_low": 120}, Verdict.OK),
        ("OB CAL", {"battery_runtime": 20}, Verdict.LOW),
        ("OB LB CAL", {}, Verdict.LOW),
    ],
)
def test_a_runtime_that_is_too_short_counts_as_a_low_battery(
    upsc: Upsc, status: str, values: dict[str, object], verdict: Verdict
) -> None:
    """On battery, a runtime up to `battery.runtime.low` counts as LB. A calibration is never critical."""
    upsc.reports(status, battery_charge=50, **values)
    low = read(Nut(NutConfig(upsc=upsc.path)))["low_battery"]
    assert low.verdict is verdict
    if verdict is Verdict.CRITICAL:
        assert "20" in low.reason or "200" in low.reason


@pytest.mark.parametrize(
    ("kind", "volts", "value"),
    [("Li-ion", 4.08, None), ("PbAc", 13.4, 3.0), ("", 4.08, 3.0), ("LiFePO4", 3.34, None)],
)
def test_charge_and_volts_of_a_ups_are_compared_if_its_battery_is_known(
    upsc: Upsc, kind: str, volts: float, value: float | None
) -> None:
    """A PiJuice names the type of its single cell. If a UPS names no type, the meaning of its volts is not known."""
    upsc.reports("OB", battery_charge=3, battery_voltage=volts, battery_type=kind)
    assert read(Nut(NutConfig(upsc=upsc.path)))["charge"].value == value
    upsc.reports("OB", battery_charge=3, battery_voltage=13.4)
    assert read(Nut(NutConfig(upsc=upsc.path, chemistry="lead-acid", cells=6)))["charge"].value is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.sampled_from(["OL", "OB", "LB", "HB", "RB", "CHRG", "DISCHRG", "BYPASS", "CAL", "OFF", "OVER", "TRIM",
                         "BOOST", "FSD", "ALARM", "COMMBAD", "NEW"]),
        max_size=6,
        unique=True,
    ),
    charge=st.integers(0, 100),
    runtime=st.integers(0, 600),
)  # fmt: skip
def test_any_set_of_words_is_judged_without_a_fault(
    tmp_path: Path, words: list[str], charge: int, runtime: int
) -> None:
    """No set raises. Surplus needs OL with harmless words. Critical needs battery power, FSD or a low charge."""
    upsc = Upsc(tmp_path)
    upsc.reports(" ".join(words), battery_charge=charge, battery_runtime=runtime)
    level = day_of(upsc).samples(4)
    if level is Level.SURPLUS:
        assert "OL" in words
        assert not set(words) - {"OL", "LB", "HB", "RB", "CHRG", "TRIM", "BOOST", "DISCHRG"}
    if level is Level.CRITICAL:
        assert "FSD" in words or ("OB" in words and "CAL" not in words) or charge <= 10


def test_a_low_battery_that_charge_and_runtime_contradict_is_not_critical(upsc: Upsc) -> None:
    """Some models report LB as soon as the mains is lost. A shutdown at 97 % would be wrong."""
    day = day_of(upsc)
    upsc.reports("OB LB", battery_charge=97, battery_runtime=1600, battery_runtime_low=180)
    assert day.samples(6) is Level.LOW
    assert "LB contradicts a charge of 97 % and a runtime of 1600 s" in day.reason


@pytest.mark.parametrize(
    ("status", "values"),
    [
        ("OB LB", {"battery_charge": 97}),
        ("OB LB", {"battery_runtime": 1600}),
        ("OB LB", {"battery_charge": 97, "battery_runtime": 90}),
        ("OB LB", {"battery_charge": 20, "battery_runtime": 1600}),
        ("OB LB", {"battery_charge": 97, "battery_runtime": 1600, "battery_runtime_low": 1500}),
        ("FSD OB LB", {"battery_charge": 97, "battery_runtime": 1600}),
    ],
)
def test_a_low_battery_is_believed_unless_both_numbers_contradict(
    upsc: Upsc, status: str, values: dict[str, object]
) -> None:
    """One number alone may be wrong, and FSD orders a shutdown in any case."""
    upsc.reports(status, **values)
    assert day_of(upsc).samples(6) is Level.CRITICAL
