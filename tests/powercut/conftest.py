"""Fixtures of the rig's own tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.powercut.volume import Volume, missing


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    if reason := missing():
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and no power can be cut: {reason}")
        pytest.skip(reason)
    volume = Volume(tmp_path)
    volume.format()
    volume.attach()
    yield volume
    volume.detach()
