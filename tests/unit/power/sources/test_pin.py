"""Tests of the source of kind `pin`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Literal

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from edge.model import Verdict
from edge.power.sources.pin import PinConfig, PinSource
from tests.source_inputs import read


@pytest.fixture(autouse=True)
def factory() -> Iterator[MockFactory]:
    factory = Device.pin_factory = MockFactory()
    yield factory
    factory.reset()
    Device.pin_factory = None


@pytest.mark.parametrize("pull", ["none", "up", "down"])
@pytest.mark.parametrize("active", ["high", "low"])
def test_polarity_and_pull_are_independent(
    factory: MockFactory, pull: Literal["none", "up", "down"], active: Literal["high", "low"]
) -> None:
    """`active` is the level on the wire, for each pull resistor."""
    pin = PinSource(PinConfig(pin=6, active=active, pull=pull))
    pin.read(0.0)
    factory.pin(6).drive_high()
    assert read(pin)["supply"].value == float(active == "high")
    factory.pin(6).drive_low()
    assert read(pin)["supply"].value == float(active == "low")
    pin.close()


def test_each_edge_sends_a_notice(factory: MockFactory) -> None:
    """Rising and falling edges call `notify` without a read in between."""
    woken = threading.Semaphore(0)
    pin = PinSource(PinConfig(pin=6), notify=woken.release)
    pin.read(0.0)
    factory.pin(6).drive_high()
    assert woken.acquire(timeout=5)
    factory.pin(6).drive_low()
    assert woken.acquire(timeout=5)
    pin.close()


def test_low_battery_has_the_configured_verdict(factory: MockFactory) -> None:
    """An active LBO line is low or critical. An inactive one is good."""
    cases: tuple[tuple[Literal["low_battery", "critical_battery"], Verdict], ...]
    cases = (("low_battery", Verdict.LOW), ("critical_battery", Verdict.CRITICAL))
    for tells, verdict in cases:
        pin = PinSource(PinConfig(pin=5, tells=tells, active="low", pull="none"))
        pin.read(0.0)
        factory.pin(5).drive_high()
        assert read(pin)["low_battery"].verdict is Verdict.OK
        factory.pin(5).drive_low()
        assert read(pin)["low_battery"].verdict is verdict
        pin.close()
