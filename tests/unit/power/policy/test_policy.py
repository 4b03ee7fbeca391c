"""Tests of the policy: by examples, and by properties for any sequence of readings and clocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.mqtt import MqttBroker
from edge.config.power import PolicyConfig, PowerConfig, ThresholdConfig, WindowConfig
from edge.config.source import SourceConfig
from edge.model import Reading, Verdict
from edge.power.policy import policy
from edge.power.policy.rules import Level, Rules, from_config
from edge.power.sources.mqtt import MqttSourceConfig
from edge.power.sources.pin import PinConfig
from edge.power.sources.plain import PlainConfig
from edge.power.sources.simulated import SimulatedConfig
from edge.power.sources.temperature import TemperatureConfig

RULES = from_config(PowerConfig())


def charge(percent: float | None, source: str = "battery", **more: object) -> Reading:
    verdict = Verdict.UNKNOWN if percent is None else Verdict.OK
    return msgspec.structs.replace(Reading(source, "charge", percent, "%", verdict=verdict), **more)


def supply(on: bool | None, source: str = "battery") -> Reading:
    return Reading(
        source, "supply", None if on is None else float(on), verdict=Verdict.OK if on is not None else Verdict.UNKNOWN
    )


@dataclass
class Day:
    """Runs readings through the policy, by default every ten seconds."""

    rules: Rules = RULES
    state: policy.PolicyState = field(default_factory=policy.PolicyState)
    now: float = 1000.0
    minute: int | None = 720
    levels: list[Level] = field(default_factory=list)

    def see(self, *readings: Reading, times: int = 1, every_s: float = 10.0) -> Level:
        for _ in range(times):
            self.now += every_s
            self.state = policy.step(self.rules, self.state, readings, self.now, self.minute)
            self.levels.append(self.state.level)
        return self.state.level


class TestBattery:
    def test_nothing_runs_before_power_was_seen_good(self) -> None:
        """A board starts at `STOPPED`. Three good samples start it, without the dwell that follows a pause."""
        day = Day()
        assert day.state.level is Level.STOPPED
        assert [day.see(charge(60)) for _ in range(3)] == [Level.STOPPED, Level.STOPPED, Level.NORMAL]

    def test_a_start_within_the_band_is_low(self) -> None:
        """Between pause and resume the level before is not known, so power is low until the charge reaches resume."""
        day = Day()
        assert day.see(charge(38), times=100) is Level.LOW
        assert day.see(charge(12), times=2) is Level.LOW

    def test_a_first_low_sample_does_not_cost_a_start_its_dwell(self) -> None:
        """A source may be read once before its supply is up. Three good samples in a row still start the board."""
        day = Day()
        day.see(charge(20))
        assert day.see(charge(60), times=3) is Level.NORMAL

    def test_low_after_three_samples_in_a_row(self) -> None:
        """One or two low samples are noise, and the count then starts again."""
        day = Day()
        day.see(charge(60), times=3)
        day.see(charge(29), times=2)
        day.see(charge(31))
        assert day.see(charge(29), times=2) is Level.NORMAL
        assert day.see(charge(29)) is Level.LOW

    def test_critical_after_two(self) -> None:
        """Two samples below critical are enough."""
        day = Day()
        day.see(charge(60), times=3)
        assert day.see(charge(9)) is Level.NORMAL
        assert day.see(charge(9)) is Level.CRITICAL

    def test_resumes_only_after_five_minutes_above_the_resume_threshold(self) -> None:
        """Work never resumes at 44 %. It resumes after 300 s at 46 %, and one lower sample starts the time again."""
        day = Day()
        day.see(charge(20), times=3)
        assert day.see(charge(44), times=200) is Level.LOW
        assert day.see(charge(46), times=29) is Level.LOW
        assert day.see(charge(44)) is Level.LOW
        assert day.see(charge(46), times=30) is Level.LOW
        assert day.see(charge(46)) is Level.NORMAL

    def test_surplus_begins_and_ends_at_different_charges(self) -> None:
        """It begins at 90 % and ends at 85 %."""
        day = Day()
        assert day.see(charge(91), times=3) is Level.SURPLUS
        assert day.see(charge(86), times=100) is Level.SURPLUS
        assert day.see(charge(84), times=3) is Level.NORMAL
        assert day.see(charge(89), times=100) is Level.NORMAL
        assert day.see(charge(90), times=31) is Level.SURPLUS

    def test_no_surplus_on_battery(self) -> None:
        """A full battery on battery power is not surplus. After the supply is back and the dwell has passed, it is."""
        day = Day()
        assert day.see(charge(95), supply(False), times=10) is Level.NORMAL
        assert day.see(charge(95), supply(True), times=31) is Level.SURPLUS

    def test_the_worst_of_several_batteries_decides(self) -> None:
        """One good battery does not make up for a bad one."""
        day = Day()
        assert day.see(charge(80, "a"), charge(20, "b"), times=3) is Level.LOW


class TestSupply:
    def test_a_lost_supply_without_a_measured_battery_is_low(self) -> None:
        """Nothing shows how much power is left."""
        day = Day()
        assert day.see(supply(True), times=3) is Level.NORMAL
        assert day.see(supply(False), times=3) is Level.LOW

    def test_a_pin_is_believed_at_once(self) -> None:
        """The line is debounced, so the first sample counts."""
        day = Day(from_config(PowerConfig(sources=(PinConfig(pin=6, name="mains"),))))
        day.see(supply(True, "mains"), times=3)
        assert day.see(supply(False, "mains"), every_s=0.001) is Level.LOW

    def test_supply_is_surplus_if_configured(self) -> None:
        """The owner of a board on mains may configure that a present supply means surplus."""
        day = Day(from_config(PowerConfig(policy=PolicyConfig(surplus_on_supply=True))))
        assert day.see(supply(True), times=3) is Level.SURPLUS

    def test_undervoltage_pauses_at_once_and_needs_a_minute(self) -> None:
        """One sample is enough to pause. Work resumes after 60 s without undervoltage."""
        sag = Reading("uv", "undervoltage", 1.0, verdict=Verdict.LOW)
        clear = Reading("uv", "undervoltage", 0.0, verdict=Verdict.OK)
        day = Day()
        day.see(charge(60), clear, times=3)
        assert day.see(charge(60), sag) is Level.LOW
        assert day.see(charge(60), clear, times=6) is Level.LOW
        assert day.see(charge(60), clear) is Level.NORMAL


class TestHeat:
    def test_pauses_at_80_and_resumes_at_70(self) -> None:
        """High temperatures are bad, so the band works the other way round."""
        day = Day(from_config(PowerConfig(sources=(TemperatureConfig(),))))

        def at(degrees: float) -> Reading:
            return Reading("temperature", "temperature", degrees, "C", verdict=Verdict.OK)

        assert day.see(at(50), times=3) is Level.NORMAL
        assert day.see(at(79.5), times=9) is Level.NORMAL
        assert day.see(at(80), times=3) is Level.LOW
        assert day.see(at(70.5), times=100) is Level.LOW
        assert day.see(at(70), times=3) is Level.NORMAL


class TestUnknown:
    def test_unknown_is_low(self) -> None:
        """A battery whose charge is unknown for three samples makes power low."""
        day = Day()
        day.see(charge(95), times=3)
        assert day.see(charge(None), times=2) is Level.SURPLUS
        assert day.see(charge(None)) is Level.LOW

    @pytest.mark.parametrize(
        ("unknown_as", "level"), [("low", Level.LOW), ("stop", Level.STOPPED), ("normal", Level.NORMAL)]
    )
    def test_unknown_as_configured(self, unknown_as: str, level: Level) -> None:
        """The owner may configure that unknown stops everything, or that it counts as normal."""
        day = Day(from_config(PowerConfig(policy=PolicyConfig(unknown=unknown_as))))  # type: ignore[arg-type]
        day.see(charge(60), times=3)
        assert day.see(charge(None), times=3) is level

    def test_silent_while_on_battery_is_low_whatever_is_configured(self) -> None:
        """As far as is known, the battery is being drained."""
        day = Day(from_config(PowerConfig(policy=PolicyConfig(unknown="normal"))))
        day.see(charge(60), supply(False), times=3)
        assert day.see(charge(None), supply(None), times=3) is Level.LOW

    def test_a_stale_reading_is_unknown_at_once(self) -> None:
        """A reading older than three periods needs no further samples."""
        day = Day()
        day.see(charge(60), times=3)
        assert day.see(charge(60, age_s=46.0)) is Level.LOW

    def test_a_value_that_holds_counts_in_each_sample_until_it_is_too_old(self) -> None:
        """A device that reports only changes reported it once. After `max_age_s` it is unknown."""
        source = MqttSourceConfig(name="battery", topic="t", tells="charge", max_age_s=600, broker=MqttBroker(host="h"))
        day = Day(from_config(PowerConfig(sources=(source,))))
        for age_s in range(0, 600, 10):
            day.see(charge(60, age_s=float(age_s)))
        assert day.levels[2:] == [Level.NORMAL] * 58
        assert day.see(charge(60, age_s=601.0)) is Level.LOW

    def test_a_reading_that_is_no_longer_reported_is_unknown(self) -> None:
        """A battery does not count as good because its source no longer reports it."""
        day = Day()
        day.see(charge(60), supply(True), times=3)
        assert day.see(supply(True), times=3) is Level.LOW

    def test_a_source_that_reports_again_is_no_longer_unknown(self) -> None:
        """If a driver is loaded only after the start, work goes on after the dwell."""
        day = Day()
        mute = Reading("mains", "source", reason="no battery and no mains")
        assert day.see(mute, times=3) is Level.LOW
        assert day.see(supply(True, "mains"), times=30) is Level.LOW
        assert day.see(supply(True, "mains"), times=3) is Level.NORMAL

    def test_the_same_sample_seen_twice_counts_once(self) -> None:
        """When another source sends a notice, a cached reading comes again, but older. It is not a new sample."""
        day = Day()
        day.see(charge(60), times=3)
        day.see(charge(29))
        for age_s in range(1, 9):
            assert day.see(charge(29, age_s=float(age_s)), every_s=1.0) is Level.NORMAL


class TestSurplus:
    def test_one_low_sample_does_not_flip_surplus(self) -> None:
        """Surplus needs several samples like each level: one sample changes nothing, neither down nor up."""
        day = Day()
        day.see(charge(95), times=3)
        assert [day.see(charge(50)), day.see(charge(95))] == [Level.SURPLUS, Level.SURPLUS]

    def test_surplus_by_phase_or_by_watts(self) -> None:
        """A charger in float, or enough sun, makes surplus even with a battery at 60 %."""
        floating = Reading("mppt", "phase", 5.0, verdict=Verdict.SURPLUS)
        assert Day().see(charge(60), floating, times=3) is Level.SURPLUS
        sunny = Reading("mppt", "solar_watts", 40.0, "W", verdict=Verdict.OK)
        assert Day().see(charge(60), sunny, times=3) is Level.NORMAL
        day = Day(from_config(PowerConfig(policy=PolicyConfig(surplus_watts=40.0))))
        assert day.see(charge(60), sunny, times=3) is Level.SURPLUS
        dark = msgspec.structs.replace(sunny, value=0.0)
        assert day.see(charge(60), dark, times=3) is Level.NORMAL
        silent = msgspec.structs.replace(sunny, value=None, verdict=Verdict.UNKNOWN)
        assert day.see(charge(60), silent, times=9) is Level.NORMAL

    def test_the_surplus_of_a_house_is_claimed_by_mqtt_alone(self) -> None:
        """A board without another sensor has normal power, with sun surplus. A missing message never makes it worse."""
        source = MqttSourceConfig(name="house", topic="t", max_age_s=600, broker=MqttBroker(host="h"))
        day = Day(from_config(PowerConfig(sources=(source,), policy=PolicyConfig(surplus_watts=300))))
        silent = Reading("house", "solar_watts", reason="nothing was published yet")
        assert day.see(silent, times=3) is Level.NORMAL
        watts = Reading("house", "solar_watts", 850.0, "W", verdict=Verdict.OK)
        assert day.see(watts, times=40) is Level.SURPLUS
        assert day.see(silent, times=3) is Level.NORMAL

    def test_a_plain_supply_is_surplus_with_the_first_sample(self) -> None:
        """Later samples would be the same, so there is nothing to wait for."""
        day = Day(from_config(PowerConfig(sources=(PlainConfig(),))))
        assert day.see(Reading("plain", "supply", 1.0, verdict=Verdict.SURPLUS)) is Level.SURPLUS


class TestFlaps:
    def test_rises_are_capped_per_hour(self) -> None:
        """For any readings, the seventh rise within an hour waits until the first one is an hour old."""
        sources: tuple[SourceConfig, ...] = (SimulatedConfig(),)
        day = Day(from_config(PowerConfig(sources=sources)))
        low = Reading("simulated", "simulated", 2.0, verdict=Verdict.LOW)
        good = Reading("simulated", "simulated", 1.0, verdict=Verdict.OK)
        for _ in range(20):
            day.see(good)
            day.see(low)
        rises = sum(b > a for a, b in pairwise(day.levels))
        assert rises == 6
        day.see(good)
        assert day.state.capped
        assert day.see(good, times=320) is Level.LOW
        assert day.see(good, times=10) is Level.NORMAL


class TestWindows:
    RULES = from_config(PowerConfig(policy=PolicyConfig(windows=(WindowConfig(from_="22:00", to=360, at_most="low"),))))

    def test_a_window_limits_over_midnight(self) -> None:
        """From 22:00 to 6:00 power is at most low. After the window comes the dwell."""
        day = Day(self.RULES)
        assert day.see(charge(60), times=3) is Level.NORMAL
        day.minute = 22 * 60
        assert day.see(charge(60)) is Level.LOW
        day.minute = 5 * 60 + 59
        assert day.see(charge(60), times=100) is Level.LOW
        day.minute = 6 * 60
        assert day.see(charge(60), times=30) is Level.LOW
        assert day.see(charge(60)) is Level.NORMAL

    def test_without_a_trusted_clock_every_limiting_window_applies(self) -> None:
        """The board takes the safe side, because the time of day is not known."""
        assert Day(self.RULES, minute=None).see(charge(60), times=10) is Level.LOW

    def test_unknown_may_count_as_normal_by_day(self) -> None:
        """In a daylight window unknown counts as normal. At night and without a trusted clock it does not."""
        window = WindowConfig(from_="10:00", to="16:00", unknown_as="normal")
        rules = from_config(PowerConfig(policy=PolicyConfig(windows=(window,))))
        for minute, level in ((720, Level.NORMAL), (1200, Level.LOW), (None, Level.LOW)):
            assert Day(rules, minute=minute).see(charge(None), times=3) is level


class TestResumedGovernor:
    def test_a_new_governor_goes_on_with_dwell_and_flaps(self) -> None:
        """A restart during low power does not shorten the dwell."""
        day = Day()
        day.see(charge(60), times=3)
        day.see(charge(20), times=3)
        kept = msgspec.json.decode(msgspec.json.encode(day.state), type=policy.PolicyState)
        day.state = policy.resumed(kept)
        assert day.see(charge(60), times=30) is Level.LOW
        assert day.see(charge(60)) is Level.NORMAL

    def test_a_restart_while_good_stays_good(self) -> None:
        """A restart at normal power pauses nothing."""
        day = Day()
        day.see(charge(60), times=3)
        day.state = policy.resumed(day.state)
        assert day.see(charge(60)) is Level.NORMAL


# --- any sequence -------------------------------------------------------------------------------------------------

verdicts = st.sampled_from(list(Verdict))
percents = st.one_of(st.none(), st.floats(0, 100), st.sampled_from([9.9, 10.0, 29.9, 30.0, 44.9, 45.0, 89.9, 90.0]))
gaps = st.one_of(st.floats(0, 3600), st.sampled_from([0.0, 0.001, 2.0, 10.0, 300.0, -50.0]))
minutes = st.one_of(st.none(), st.integers(0, 1439))


@st.composite
def rounds(draw: st.DrawFn) -> tuple[float, int | None, tuple[Reading, ...]]:
    """Draw a gap in time (which may be negative), a minute of the day, and readings of up to three sources."""
    readings: list[Reading] = [charge(draw(percents), age_s=draw(st.sampled_from([0.0, 0.0, 0.0, 20.0, 100.0])))]
    if draw(st.booleans()):
        readings.append(supply(draw(st.sampled_from([True, False, None])), "pin"))
    if draw(st.booleans()):
        verdict = draw(verdicts)
        readings.append(Reading("uv", "undervoltage", None if verdict is Verdict.UNKNOWN else 0.0, verdict=verdict))
    return draw(gaps), draw(minutes), tuple(readings)


sequences = st.lists(rounds(), min_size=1, max_size=60)
WINDOWED = from_config(
    PowerConfig(
        policy=PolicyConfig(
            resume_after_s=300.0,
            undervoltage_clear_s=60.0,
            max_rises_per_hour=3,
            windows=(
                WindowConfig(from_="22:00", to="06:00", at_most="low"),
                WindowConfig(from_="10:00", to="16:00", at_most="normal"),
            ),
        )
    )
)


def run(rules: Rules, sequence: list[tuple[float, int | None, tuple[Reading, ...]]]) -> list[policy.PolicyState]:
    state, now, states = policy.PolicyState(), 0.0, []
    for gap, minute, readings in sequence:
        now += gap
        state = policy.step(rules, state, readings, now, minute)
        states.append(state)
    return states


@given(sequences)
def test_same_input_same_output(sequence: list[tuple[float, int | None, tuple[Reading, ...]]]) -> None:
    """The policy is a pure function of its arguments."""
    assert run(WINDOWED, sequence) == run(WINDOWED, sequence)


@given(sequences)
def test_the_cap_on_rises_holds_for_any_sequence_and_clock(
    sequence: list[tuple[float, int | None, tuple[Reading, ...]]],
) -> None:
    """In any hour of monotonic time there are no more rises than configured, after the first start."""
    states = run(WINDOWED, sequence)
    rises = [b.now for a, b in pairwise(states) if b.level > a.level and a.started]
    for at in rises:
        assert sum(at - 3600.0 < other <= at for other in rises) <= 3


@given(sequences)
def test_a_fall_is_followed_by_its_dwell_for_any_sequence_and_clock(
    sequence: list[tuple[float, int | None, tuple[Reading, ...]]],
) -> None:
    """After a fall, the level does not rise before the shortest configured dwell has passed."""
    states = run(WINDOWED, sequence)
    fell_at: float | None = None
    for before, after in pairwise(states):
        if not before.started:
            continue
        if after.level < before.level:
            fell_at = after.now
        elif after.level > before.level:
            assert fell_at is None or after.now - fell_at >= 60.0


@given(
    st.lists(st.tuples(st.floats(30.1, 44.9), st.floats(0.1, 600)), max_size=60),
    st.sampled_from([60.0, 20.0]),
)
def test_nothing_flips_inside_the_band(inside: list[tuple[float, float]], before: float) -> None:
    """A charge between pause and resume does not change the state, whatever the state was before."""
    day = Day()
    settled = day.see(charge(before), times=3)
    for percent, gap in inside:
        assert day.see(charge(percent), every_s=gap) is settled


@given(sequences)
def test_unknown_never_allows_more_than_low_would(
    sequence: list[tuple[float, int | None, tuple[Reading, ...]]],
) -> None:
    """Above low, unknown readings never give a better level than the same readings with `low` in their place.

    Below low the two levels may differ for a moment: a start with a lost supply and no battery yet takes longer.
    """
    as_low = [
        (
            gap,
            minute,
            tuple(
                msgspec.structs.replace(r, value=0.0, verdict=Verdict.LOW) if r.verdict is Verdict.UNKNOWN else r
                for r in readings
            ),
        )
        for gap, minute, readings in sequence
    ]
    for unknown, low in zip(run(RULES, sequence), run(RULES, as_low), strict=True):
        assert unknown.level <= max(low.level, Level.LOW)


@given(st.lists(verdicts, min_size=1, max_size=40), st.lists(st.floats(0.1, 400), min_size=40, max_size=40))
def test_one_source_settles_where_it_stays(verdicts_before: list[Verdict], gaps_s: list[float]) -> None:
    """Whatever came before, the level follows a source that reports the same verdict for long enough."""
    day = Day(from_config(PowerConfig(thresholds=ThresholdConfig(), policy=PolicyConfig(max_rises_per_hour=1000))))
    for verdict, gap in zip(verdicts_before, gaps_s, strict=False):
        value = None if verdict is Verdict.UNKNOWN else 1.0
        day.see(Reading("s", "phase", value, verdict=verdict), every_s=gap)
    last = verdicts_before[-1]
    value = None if last is Verdict.UNKNOWN else 1.0
    expected = {
        Verdict.SURPLUS: Level.SURPLUS,
        Verdict.OK: Level.NORMAL,
        Verdict.LOW: Level.LOW,
        Verdict.UNKNOWN: Level.LOW,
        Verdict.CRITICAL: Level.CRITICAL,
    }[last]
    assert day.see(Reading("s", "phase", value, verdict=last), times=80) is expected


def test_time_does_not_go_back() -> None:
    """A saved state may be ahead of the clock. Then no dwell may begin again, and no rise may lie in the future."""
    day = Day()
    day.see(charge(60), times=3)
    kept = day.state.now
    day.now = 0.0
    day.see(charge(60))
    assert day.state.now == kept
